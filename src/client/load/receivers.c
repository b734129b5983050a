#include "client/load/receivers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int receivers_init(struct receivers *receivers, unsigned capacity, bool watch_all)
{
	*receivers = (struct receivers){.watch_all = watch_all, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	if (receivers->epoll_fd < 0)
		return -errno;
	receivers->all = calloc(capacity, sizeof(*receivers->all));
	return receivers->all ? 0 : -ENOMEM;
}

void receivers_finish(struct receivers *receivers)
{
	for (unsigned i = 0; i < receivers->count; i++)
		free(receivers->all[i].trackers);
	free(receivers->all);
	if (receivers->epoll_fd >= 0)
		close(receivers->epoll_fd);
}

static int receivers_watch(struct receivers *receivers, struct receiver *receiver)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = receiver};

	receivers->watched++;
	return epoll_ctl(receivers->epoll_fd, EPOLL_CTL_ADD, receiver->fd, &event) ? -errno : 0;
}

int receivers_add(struct receivers *receivers, int fd, unsigned group_size, uint32_t only_flow, unsigned flow_count)
{
	struct receiver *receiver = &receivers->all[receivers->count];

	*receiver = (struct receiver){.fd = fd, .only_flow = only_flow};
	if (flow_count) {
		receiver->trackers = calloc(flow_count, sizeof(*receiver->trackers));
		if (!receiver->trackers)
			return -ENOMEM;
	}
	receivers->count++;
	if (group_size > RECEIVERS_UNWATCHED_PER_GROUP || receivers->watch_all)
		return receivers_watch(receivers, receiver);
	receivers->unwatched[receivers->unwatched_count++] = receiver;
	return 0;
}

unsigned receivers_ready(struct receivers *receivers, struct receiver *ready[RECEIVERS_READY_MAX])
{
	struct epoll_event events[RECEIVERS_EVENTS];
	unsigned count = 0;
	int event_count = receivers->watched ? epoll_wait(receivers->epoll_fd, events, RECEIVERS_EVENTS, 0) : 0;

	while (count < receivers->unwatched_count) {
		ready[count] = receivers->unwatched[count];
		count++;
	}
	for (int i = 0; i < event_count; i++)
		ready[count++] = events[i].data.ptr;
	return count;
}
