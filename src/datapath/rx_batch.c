#include "datapath/rx_batch.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "net/pktinfo.h"

/* Slots at a distance of exactly 64 KiB share a few sets of the L1 cache. An odd number of additional cache lines
 * avoids this. */
#define SLOT_STRIDE (RX_SLOT_SIZE + 9 * 64)

/* UDP_GRO and the hop limit, an int each, and the larger one of the two PKTINFO structures. */
#define CONTROL_SIZE (2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))

struct rx_batch {
	struct mmsghdr messages[RX_BATCH_TRAINS];
	struct iovec vectors[RX_BATCH_TRAINS];
	struct train trains[RX_BATCH_TRAINS];
	struct pktinfo locals[RX_BATCH_TRAINS];
	_Alignas(struct cmsghdr) uint8_t control[RX_BATCH_TRAINS][CONTROL_SIZE];
	size_t control_size; /* bytes for control messages in each prepared message */
	uint8_t *slots;
	struct receive_counters counters;
};

/* The kernel overwrites these fields with each receive. */
static void rx_batch_prepare_message(struct rx_batch *batch, unsigned i)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;

	message->msg_namelen = sizeof(struct sockaddr_un);
	message->msg_controllen = batch->control_size;
	message->msg_flags = 0;
}

static void rx_batch_init_message(struct rx_batch *batch, unsigned i)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;
	struct train *train = &batch->trains[i];

	train->data = batch->slots + (size_t)i * SLOT_STRIDE;
	batch->vectors[i] = (struct iovec){train->data, RX_SLOT_SIZE};
	message->msg_name = &train->source.any;
	message->msg_iov = &batch->vectors[i];
	message->msg_iovlen = 1;
	message->msg_control = batch->control[i];
	rx_batch_prepare_message(batch, i);
}

int rx_batch_create(struct rx_batch **out)
{
	struct rx_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return -ENOMEM;
	batch->slots = mmap(NULL, RX_BATCH_TRAINS * SLOT_STRIDE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (batch->slots == MAP_FAILED) {
		free(batch);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < RX_BATCH_TRAINS; i++)
		rx_batch_init_message(batch, i);
	*out = batch;
	return 0;
}

void rx_batch_destroy(struct rx_batch *batch)
{
	if (!batch)
		return;
	munmap(batch->slots, RX_BATCH_TRAINS * SLOT_STRIDE);
	free(batch);
}

/* --- Control messages --- */

/* CMSG_NXTHDR checks that the data of a header is complete, CMSG_FIRSTHDR does not. */
static bool cmsg_is_complete(const struct msghdr *message, const struct cmsghdr *c)
{
	size_t offset = (size_t)((const uint8_t *)c - (const uint8_t *)message->msg_control);

	return c->cmsg_len <= message->msg_controllen - offset;
}

static bool cmsg_is(const struct cmsghdr *c, int level, int type, size_t size)
{
	return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len == CMSG_LEN(size);
}

void rx_batch_parse_cmsgs(struct train *train, struct pktinfo *local, struct msghdr *message, uint32_t size)
{
	/* Control data of an AF_UNIX datagram is always truncated: see rx_batch_set_control_size(). */
	bool truncated = message->msg_flags & MSG_CTRUNC && train->source.any.sa_family != AF_UNIX;
	int segment = 0, hop_limit = 0;

	train->local = NULL;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c && cmsg_is_complete(message, c);
	     c = CMSG_NXTHDR(message, c)) {
		if (cmsg_is(c, SOL_UDP, UDP_GRO, sizeof(int))) {
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
		} else if (cmsg_is(c, IPPROTO_IP, IP_TTL, sizeof(int)) ||
			   cmsg_is(c, IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int))) {
			memcpy(&hop_limit, CMSG_DATA(c), sizeof(hop_limit));
		} else if (cmsg_is(c, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
			pktinfo_parse4(local, CMSG_DATA(c));
			train->local = local;
		} else if (cmsg_is(c, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
			pktinfo_parse6(local, CMSG_DATA(c));
			train->local = local;
		}
	}

	train->size = size;
	train->segment = segment > 0 && (uint32_t)segment < size ? (uint32_t)segment : size;
	uint32_t count = size ? (size + train->segment - 1) / train->segment : 1;
	train->drop = DROP_NONE;
	if (message->msg_flags & MSG_TRUNC)
		train->drop = DROP_TOO_LARGE;
	if (truncated || segment < 0 || count > TRAIN_MAX)
		train->drop = DROP_MALFORMED;
	train->count = (uint16_t)(train->drop ? 1 : count);
	train->skip = 0;
	train->end = train->count;
	train->ignored = false;
	train->hop_limit = (uint8_t)hop_limit;
}

/* --- Receiving --- */

/* Descriptors can come with an AF_UNIX datagram. The kernel closes them if there is no room for control messages. */
static void rx_batch_set_control_size(struct rx_batch *batch, size_t size)
{
	batch->control_size = size;
	for (unsigned i = 0; i < RX_BATCH_TRAINS; i++)
		rx_batch_prepare_message(batch, i);
}

/* Calls recvmmsg until the socket is empty or the batch is full: datagrams that arrive meanwhile share the flush and
 * make longer GSO runs. It ignores an error after the first call; a lasting error is reported by the next receive. */
static int rx_batch_recvmmsg(struct mmsghdr *messages, int fd, unsigned limit)
{
	int received = 0, more;

	do {
		more = recvmmsg(fd, messages + received, limit - (unsigned)received, MSG_DONTWAIT | MSG_TRUNC, NULL);
		received += more > 0 ? more : 0;
	} while ((more > 1 && (unsigned)received < limit) || (more < 0 && errno == EINTR));
	if (received)
		return received;
	return errno == EAGAIN ? 0 : -errno;
}

static void rx_batch_count(struct receive_counters *counters, const struct train *trains, unsigned received)
{
	uint64_t datagrams = 0;

	for (unsigned i = 0; i < received; i++) {
		counter_add(&counters->trains[size_bucket(trains[i].count)], 1);
		datagrams += trains[i].count;
	}
	counter_add(&counters->receives[size_bucket(received)], 1);
	counter_add(&counters->datagrams, datagrams);
}

int rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit, struct train **trains)
{
	size_t control_size = udp ? CONTROL_SIZE : 0;

	if (batch->control_size != control_size)
		rx_batch_set_control_size(batch, control_size);
	int received = rx_batch_recvmmsg(batch->messages + offset, fd, limit);
	if (received <= 0)
		return received;
	for (unsigned i = offset; i < offset + (unsigned)received; i++) {
		struct msghdr *message = &batch->messages[i].msg_hdr;
		struct train *train = &batch->trains[i];

		/* unix(7): a path without room for its NUL counts as one byte longer. */
		train->source.length = message->msg_namelen < sizeof(struct sockaddr_un) ? message->msg_namelen
											 : sizeof(struct sockaddr_un);
		if (!train->source.length) { /* an AF_UNIX sender without a name */
			train->source.any.sa_family = AF_UNIX;
			train->source.length = sizeof(sa_family_t);
		}
		rx_batch_parse_cmsgs(train, &batch->locals[i], message, batch->messages[i].msg_len);
		rx_batch_prepare_message(batch, i);
	}
	*trains = batch->trains + offset;
	rx_batch_count(&batch->counters, *trains, (unsigned)received);
	return received;
}

int rx_batch_recv_one(struct rx_batch *batch, unsigned offset, int fd, struct train **trains)
{
	struct train *train = &batch->trains[offset];
	ssize_t size = recv(fd, train->data, RX_SLOT_SIZE, MSG_DONTWAIT | MSG_TRUNC);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	train->size = train->segment = (uint32_t)size;
	train->count = train->end = 1;
	train->skip = 0;
	train->drop = size > RX_SLOT_SIZE ? DROP_TOO_LARGE : DROP_NONE;
	train->ignored = false;
	train->hop_limit = 0;
	train->local = NULL;
	*trains = train;
	rx_batch_count(&batch->counters, train, 1);
	return 1;
}

const struct receive_counters *rx_batch_counters(const struct rx_batch *batch)
{
	return &batch->counters;
}

void rx_batch_adopt_counters(struct rx_batch *batch, const struct rx_batch *before)
{
	batch->counters = before->counters;
}
