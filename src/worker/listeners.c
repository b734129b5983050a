#include "worker/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"

/* Pause before sockets that cannot be read are tried again while the daemon ends. */
#define DRAIN_PAUSE_MS 1

int listeners_init(struct listeners *set, struct batch_scheduler *scheduler, size_t max, struct log *log)
{
	*set = (struct listeners){.scheduler = scheduler, .log = log};
	set->items = calloc(max ? max : 1, sizeof(*set->items));
	return set->items ? 0 : -ENOMEM;
}

int listeners_add(struct listeners *set, const struct listen_socket *socket, struct pipeline *pipeline)
{
	struct listener *listener = &set->items[set->count];
	int fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0), off = 0, error;

	if (fd < 0)
		return -errno;
	*listener =
		(struct listener){.set = set, .config = socket->config, .pipeline = pipeline, .local = socket->local};
	listener->tx = (struct tx_socket){.fd = fd, .gso = socket->local.any.sa_family != AF_UNIX};
	listener->ignores_broadcasts = socket->worker > 0;
	error = uv_udp_init(set->scheduler->loop, &listener->udp);
	if (!error)
		error = uv_udp_open(&listener->udp, fd);
	if (error) {
		close(fd);
		return error;
	}
	/* uv_udp_open() sets SO_REUSEADDR, which lets other programs take the port. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
	error = batch_scheduler_add(set->scheduler, &listener->watcher, fd, listener_on_readable);
	set->count += !error;
	return error;
}

/* Runs one batch of each listener. Returns false if no socket has datagrams. */
static bool listeners_drain_once(struct listeners *set)
{
	bool received_some = false, failed = false;

	for (size_t i = 0; i < set->count; i++) {
		int received = listener_run_batch(&set->items[i]);

		batch_scheduler_finish_pending(set->scheduler);
		received_some |= received > 0;
		failed |= received < 0;
	}
	if (failed && !received_some)
		uv_sleep(DRAIN_PAUSE_MS);
	return received_some || failed;
}

void listeners_drain(struct listeners *set, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	batch_scheduler_finish_pending(set->scheduler);
	while (clock_monotonic_ms() < end_ms && listeners_drain_once(set))
		;
}

struct tx_socket *listeners_find_socket(struct listeners *set, const struct tx_socket *before)
{
	const struct listener *old = container_of(before, struct listener, tx);

	for (size_t i = 0; i < set->count; i++) {
		struct listener *listener = &set->items[i];

		if (address_equal(&listener->local, &old->local) && !strcmp(listener->config->name, old->config->name))
			return &listener->tx;
	}
	return NULL;
}

void listeners_close(struct listeners *set)
{
	for (size_t i = 0; i < set->count; i++)
		uv_close((uv_handle_t *)&set->items[i].udp, NULL);
}

void listeners_finish(struct listeners *set)
{
	free(set->items);
	set->items = NULL;
	set->count = 0;
}
