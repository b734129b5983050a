#include "client/load/receivers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int receivers_init(struct receivers *receivers, unsigned most, bool waits)
{
	*receivers = (struct receivers){.waits = waits, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (receivers->epoll < 0)
		return -errno;
	receivers->all = calloc(most, sizeof(*receivers->all));
	return receivers->all ? 0 : -ENOMEM;
}

void receivers_finish(struct receivers *receivers)
{
	for (unsigned i = 0; i < receivers->count; i++)
		free(receivers->all[i].trackers);
	free(receivers->all);
	if (receivers->epoll >= 0)
		close(receivers->epoll);
}

static int watch(struct receivers *receivers, struct receiver *receiver)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = receiver};

	receivers->watched++;
	return epoll_ctl(receivers->epoll, EPOLL_CTL_ADD, receiver->fd, &event) ? -errno : 0;
}

int receivers_add(struct receivers *receivers, int fd, unsigned kin, uint32_t only_flow, unsigned flows)
{
	struct receiver *receiver = &receivers->all[receivers->count];

	*receiver = (struct receiver){.fd = fd, .only_flow = only_flow};
	if (flows) {
		receiver->trackers = calloc(flows, sizeof(*receiver->trackers));
		if (!receiver->trackers)
			return -ENOMEM;
	}
	receivers->count++;
	if (kin > RECEIVERS_FEW || receivers->waits)
		return watch(receivers, receiver);
	receivers->asked[receivers->asked_count++] = receiver;
	return 0;
}

unsigned receivers_ready(struct receivers *receivers, struct receiver *ready[RECEIVERS_READY_MAX])
{
	struct epoll_event events[RECEIVERS_EVENTS];
	unsigned count = 0;
	int told = receivers->watched ? epoll_wait(receivers->epoll, events, RECEIVERS_EVENTS, 0) : 0;

	while (count < receivers->asked_count) {
		ready[count] = receivers->asked[count];
		count++;
	}
	for (int i = 0; i < told; i++)
		ready[count++] = events[i].data.ptr;
	return count;
}
