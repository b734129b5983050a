#include "upstream/health_check.h"

#include <assert.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "net/socket.h"

/* Buffer size for a reply, in bytes: the largest datagram that UDP can carry. */
#define REPLY_MAX 65536

#define SOCKET_BUFFER 65536 /* bytes */

/* Number of unread replies and errors that are examined when the timeout ends a probe. */
#define LAST_REPLIES_MAX 16

/* The second probe of an endpoint comes after 1 to 16 sixteenths of the interval, so that the probes of several
 * endpoints spread over it. */
#define SPREAD 16

/* The check of one endpoint. */
struct health_check {
	struct health_checks *checks;
	LIST_ENTRY(health_check) link; /* checks of the same peer */
	struct endpoint *endpoint; /* holds a reference */
	uv_timer_t timer; /* timeout of the current probe, or time to the next one */
	uv_poll_t poll; /* watches the socket of the current probe */
	unsigned open_handles;
	bool stopped;
	int fd; /* -1: no probe is running */
	uint64_t probe_started_ms; /* by the loop's clock */
	unsigned first_interval; /* in parts of SPREAD; 0 after its use */
	bool unexpected_reply; /* this probe received only replies other than the expected one */
	int error; /* error of this probe from the network: a positive errno, or 0 */
	bool up;
	uint32_t contrary_results; /* consecutive results that contradict `up` */
};

LIST_HEAD(health_check_list, health_check);

struct health_checks {
	uv_loop_t *loop;
	const struct own_addresses *own;
	struct log *log;
	struct log_limit local_error_limit;
	unsigned started; /* checks, in total */
	unsigned open; /* checks that are not closed yet */
	size_t peer_count;
	uint8_t reply[REPLY_MAX];
	struct health_check_list peers[]; /* by index of the peer */
};

static const struct peer_config *health_check_peer(const struct health_check *check)
{
	return check->endpoint->peer;
}

/* --- Results --- */

static void health_check_set_up(struct health_check *check, bool up)
{
	check->up = up;
	check->contrary_results = 0;
	endpoint_set_checked(check->endpoint, up);
}

static void health_check_succeeded(struct health_check *check)
{
	char text[ADDRESS_TEXT_MAX];

	if (check->up) {
		check->contrary_results = 0;
		return;
	}
	if (++check->contrary_results < health_check_peer(check)->check.rise)
		return;
	health_check_set_up(check, true);
	log_notice(check->checks->log, "peer %s: %s is up again", health_check_peer(check)->name,
		   address_format(&check->endpoint->address, text));
}

/* The log line continues after reason with "3 checks in a row". */
static void health_check_failed(struct health_check *check, const char *reason)
{
	char text[ADDRESS_TEXT_MAX];
	uint32_t fall = health_check_peer(check)->check.fall;

	if (!check->up) {
		check->contrary_results = 0;
		return;
	}
	if (++check->contrary_results < fall)
		return;
	health_check_set_up(check, false);
	log_warning(check->checks->log, "peer %s: %s is down: %s %u check%s", health_check_peer(check)->name,
		    address_format(&check->endpoint->address, text), reason, fall, fall > 1 ? "s in a row" : "");
}

/* Local errors do not count against the endpoint. EAGAIN is one for UDP: there is no free port. For AF_UNIX it means
 * that the peer does not read and its queue is full. */
static bool health_check_is_local_error(int error, sa_family_t family)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       (error == EAGAIN && family != AF_UNIX);
}

/* error: a positive errno. */
static void health_check_probe_error(struct health_check *check, int error)
{
	char text[ADDRESS_TEXT_MAX], reason[128];
	sa_family_t family = check->endpoint->address.any.sa_family;

	if (health_check_is_local_error(error, family))
		log_write_limited(check->checks->log, &check->checks->local_error_limit, LOG_LEVEL_WARNING,
				  "peer %s: %s cannot be checked: %s", health_check_peer(check)->name,
				  address_format(&check->endpoint->address, text), strerror(error));
	else if (error == ECONNREFUSED && family != AF_UNIX)
		health_check_failed(check, "refused (ICMP),");
	else {
		snprintf(reason, sizeof(reason), "%s,", strerror(error));
		health_check_failed(check, reason);
	}
}

/* If the configuration expects no reply, a probe without a reply succeeds: for a closed port an ICMP error would have
 * arrived. */
static void health_check_timed_out(struct health_check *check)
{
	if (check->error)
		health_check_probe_error(check, check->error);
	else if (!health_check_peer(check)->check.expect.size)
		health_check_succeeded(check);
	else
		health_check_failed(check, check->unexpected_reply ? "wrong reply to" : "no reply to");
}

/* --- Probes --- */

static void health_check_on_timer(uv_timer_t *timer);

static void health_check_schedule_probe(struct health_check *check)
{
	uint64_t interval = health_check_peer(check)->check.interval_ms;
	uint64_t elapsed = uv_now(check->checks->loop) - check->probe_started_ms;

	if (check->first_interval)
		interval = interval * check->first_interval / SPREAD;
	check->first_interval = 0;
	uv_timer_start(&check->timer, health_check_on_timer, elapsed < interval ? interval - elapsed : 0, 0);
}

/* After a probe only the poll handle closes. When the last handle closes, the check is freed. */
static void health_check_on_closed(uv_handle_t *handle)
{
	struct health_check *check = handle->data;

	if (--check->open_handles) {
		if (!check->stopped)
			health_check_schedule_probe(check);
		return;
	}
	endpoint_put(check->endpoint);
	check->checks->open--;
	free(check);
}

static void health_check_end_probe(struct health_check *check)
{
	uv_timer_stop(&check->timer);
	uv_close((uv_handle_t *)&check->poll, health_check_on_closed);
	close(check->fd);
	check->fd = -1;
}

static bool health_check_is_expected(const struct health_check *check, const void *reply, size_t size)
{
	const struct payload *expect = &health_check_peer(check)->check.expect;

	return !expect->size || memmem(reply, size, expect->bytes, expect->size);
}

enum probe_event { PROBE_NO_REPLY, PROBE_UNEXPECTED_REPLY, PROBE_ERROR, PROBE_DONE };

/* Errors from the network can be forged, so a later reply overrides the error. The error counts only if no reply comes.
 * Other errors end the probe. */
static enum probe_event health_check_on_error(struct health_check *check, int error)
{
	if (check->endpoint->address.any.sa_family == AF_UNIX) {
		health_check_probe_error(check, error);
		return PROBE_DONE;
	}
	check->error = error;
	return PROBE_ERROR;
}

/* Reads one reply or one error. The expected reply ends the probe; any other reply does not. */
static enum probe_event health_check_on_reply(struct health_check *check)
{
	uint8_t *reply = check->checks->reply;
	ssize_t size = recv(check->fd, reply, REPLY_MAX, 0);

	if (size < 0 && errno == EAGAIN)
		return PROBE_NO_REPLY;
	if (size < 0)
		return health_check_on_error(check, errno);
	if (!health_check_is_expected(check, reply, (size_t)size)) {
		check->unexpected_reply = true;
		return PROBE_UNEXPECTED_REPLY;
	}
	endpoint_report_check_reply(check->endpoint, uv_now(check->checks->loop));
	health_check_succeeded(check);
	return PROBE_DONE;
}

/* The loop may have been too busy to read a reply that came in time, or does not watch the socket since it reported an
 * error. */
static void health_check_on_timeout(struct health_check *check)
{
	enum probe_event event = health_check_on_reply(check);

	for (int i = 1; i < LAST_REPLIES_MAX && event != PROBE_NO_REPLY && event != PROBE_DONE; i++)
		event = health_check_on_reply(check);
	if (event != PROBE_DONE)
		health_check_timed_out(check);
}

/* libuv reports every error on the descriptor as UV_EBADF, and stops watching it (libuv#3796). */
static int health_check_socket_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error ? error : EIO;
}

/* Reads one reply per call. If there are more, the loop calls again after it has served other handles. After an error
 * libuv no longer watches the socket: the timeout then reads later replies. */
static void health_check_on_event(uv_poll_t *poll, int status, int events)
{
	struct health_check *check = poll->data;

	(void)events;
	if ((status ? health_check_on_error(check, health_check_socket_error(check->fd))
		    : health_check_on_reply(check)) == PROBE_DONE)
		health_check_end_probe(check);
}

/* IP_RECVERR also reports ICMP errors that the kernel regards as transient. UDP_GRO is off, so that each recv() returns
 * one datagram. */
static void health_check_set_options(int fd, int family)
{
	int on = 1, off = 0;

	if (family == AF_UNIX)
		return;
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof(off));
}

/* Returns 0 or a negative errno. */
static int health_check_open_socket(struct health_check *check)
{
	const struct address *address = &check->endpoint->address;
	int fd = socket_open_duplex(address, SOCKET_BUFFER, SOCKET_BUFFER);
	int error;

	if (fd < 0)
		return fd;
	health_check_set_options(fd, address->any.sa_family);
	error = uv_poll_init(check->checks->loop, &check->poll, fd);
	if (error) {
		close(fd);
		return error;
	}
	check->poll.data = check;
	check->open_handles++;
	check->fd = fd;
	return 0;
}

static int health_check_send(const struct health_check *check)
{
	const struct payload *payload = &health_check_peer(check)->check.send;

	return send(check->fd, payload->bytes, payload->size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void health_check_start_probe(struct health_check *check)
{
	int error = health_check_open_socket(check);

	check->unexpected_reply = false;
	check->error = 0;
	if (error) {
		health_check_probe_error(check, -error);
		health_check_schedule_probe(check);
		return;
	}
	error = health_check_send(check);
	if (!error)
		error = uv_poll_start(&check->poll, UV_READABLE, health_check_on_event);
	if (error) {
		health_check_probe_error(check, -error);
		health_check_end_probe(check);
		return;
	}
	uv_timer_start(&check->timer, health_check_on_timer, health_check_peer(check)->check.timeout_ms, 0);
}

static bool health_check_reaches_us(const struct health_check *check)
{
	const struct own_addresses *own = check->checks->own;

	return own && own_addresses_reaches_us(own, &check->endpoint->address);
}

static void health_check_on_timer(uv_timer_t *timer)
{
	struct health_check *check = timer->data;

	if (check->fd >= 0) {
		health_check_on_timeout(check);
		health_check_end_probe(check);
		return;
	}
	check->probe_started_ms = uv_now(timer->loop);
	if (health_check_reaches_us(check))
		health_check_schedule_probe(check);
	else
		health_check_start_probe(check);
}

/* --- Endpoints --- */

static void health_check_start(struct health_checks *checks, struct endpoint *endpoint)
{
	struct health_check *check = calloc(1, sizeof(*check));
	char text[ADDRESS_TEXT_MAX];

	if (!check) {
		log_error(checks->log, "peer %s: no memory to check %s", endpoint->peer->name,
			  address_format(&endpoint->address, text));
		return;
	}
	check->checks = checks;
	check->endpoint = endpoint_get(endpoint);
	check->fd = -1;
	check->up = !atomic_load(&endpoint->check_failed);
	check->first_interval = checks->started++ % SPREAD + 1;
	LIST_INSERT_HEAD(&checks->peers[endpoint->peer->index], check, link);
	uv_timer_init(checks->loop, &check->timer);
	check->timer.data = check;
	check->open_handles = 1;
	checks->open++;
	uv_timer_start(&check->timer, health_check_on_timer, 0, 0);
}

/* The check frees itself when its handles are closed. */
static void health_check_stop(struct health_check *check)
{
	LIST_REMOVE(check, link);
	check->stopped = true;
	if (check->fd >= 0)
		health_check_end_probe(check);
	uv_close((uv_handle_t *)&check->timer, health_check_on_closed);
}

static bool health_check_exists(const struct health_check_list *list, const struct endpoint *endpoint)
{
	const struct health_check *check;

	LIST_FOREACH(check, list, link)
	{
		if (check->endpoint == endpoint)
			return true;
	}
	return false;
}

static bool health_check_is_wanted(const struct health_check *check, const struct peer_endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count; i++) {
		if (endpoints->items[i] == check->endpoint)
			return true;
	}
	return false;
}

static void health_checks_set_peer(struct health_checks *checks, struct health_check_list *list,
				   const struct peer_endpoints *endpoints)
{
	struct health_check *next;

	for (struct health_check *check = LIST_FIRST(list); check; check = next) {
		next = LIST_NEXT(check, link);
		if (!health_check_is_wanted(check, endpoints))
			health_check_stop(check);
	}
	for (size_t i = 0; i < endpoints->count; i++) {
		struct endpoint *endpoint = endpoints->items[i];

		if (endpoint->peer->check.on && !health_check_exists(list, endpoint))
			health_check_start(checks, endpoint);
	}
}

void health_checks_set(struct health_checks *checks, const struct endpoints_snapshot *snapshot)
{
	assert(snapshot->peer_count == checks->peer_count);
	for (size_t i = 0; i < checks->peer_count; i++)
		health_checks_set_peer(checks, &checks->peers[i], &snapshot->peers[i]);
}

/* --- Creation and closing --- */

int health_checks_create(struct health_checks **out, uv_loop_t *loop, const struct config *config,
			 const struct own_addresses *own, struct log *log)
{
	struct health_checks *checks =
		calloc(1, sizeof(*checks) + config->peer_count * sizeof(struct health_check_list));

	if (!checks)
		return -ENOMEM;
	checks->loop = loop;
	checks->own = own;
	checks->log = log;
	checks->peer_count = config->peer_count;
	for (size_t i = 0; i < checks->peer_count; i++)
		LIST_INIT(&checks->peers[i]);
	*out = checks;
	return 0;
}

void health_checks_close(struct health_checks *checks)
{
	for (size_t i = 0; checks && i < checks->peer_count; i++) {
		while (!LIST_EMPTY(&checks->peers[i]))
			health_check_stop(LIST_FIRST(&checks->peers[i]));
	}
}

bool health_checks_closed(const struct health_checks *checks)
{
	return !checks || !checks->open;
}

void health_checks_destroy(struct health_checks *checks)
{
	free(checks);
}
