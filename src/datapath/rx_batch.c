#include "datapath/rx_batch.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Slots exactly 64 KiB apart would share the same few sets of the L1 cache: an odd number of cache lines more spreads
 * them. */
#define SLOT_STRIDE (RX_SLOT_SIZE + 9 * 64)

/* UDP_GRO's int, and the larger of the two PKTINFO structures. */
#define CONTROL_SIZE (CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))

struct rx_batch {
	struct mmsghdr messages[RX_BATCH_TRAINS];
	struct iovec vectors[RX_BATCH_TRAINS];
	struct train trains[RX_BATCH_TRAINS];
	struct pktinfo locals[RX_BATCH_TRAINS];
	_Alignas(struct cmsghdr) uint8_t control[RX_BATCH_TRAINS][CONTROL_SIZE];
	size_t control_size; /* of the messages, as they are prepared */
	uint8_t *slots;
	struct receive_counters counters;
};

static void message_prepare(struct rx_batch *batch, unsigned i)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;

	message->msg_namelen = sizeof(struct sockaddr_un);
	message->msg_controllen = batch->control_size;
	message->msg_flags = 0;
}

static void message_init(struct rx_batch *batch, unsigned i)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;
	struct train *train = &batch->trains[i];

	train->data = batch->slots + (size_t)i * SLOT_STRIDE;
	batch->vectors[i] = (struct iovec){train->data, RX_SLOT_SIZE};
	message->msg_name = &train->source.any;
	message->msg_iov = &batch->vectors[i];
	message->msg_iovlen = 1;
	message->msg_control = batch->control[i];
	message_prepare(batch, i);
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
		message_init(batch, i);
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

static void address_set_v4(struct address *address, struct in_addr ip)
{
	address->length = sizeof(address->v4);
	address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = ip};
}

static void address_set_v6(struct address *address, const struct in6_addr *ip, unsigned ifindex)
{
	address->length = sizeof(address->v6);
	address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = *ip};
	if (IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip))
		address->v6.sin6_scope_id = ifindex;
}

/* A datagram to a group or to a broadcast address is answered from the address that the route to its receiver has
 * (ipi_spec_dst, ip(7)). */
static void read_pktinfo4(struct pktinfo *local, const struct cmsghdr *c)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	address_set_v4(&local->destination, info.ipi_addr);
	address_set_v4(&local->reply_source, info.ipi_spec_dst);
}

/* IPv6 has no such second address: to a group, the kernel chooses. */
static void read_pktinfo6(struct pktinfo *local, const struct cmsghdr *c)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	address_set_v6(&local->destination, &info.ipi6_addr, info.ipi6_ifindex);
	local->reply_source = local->destination;
	if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
		local->reply_source.length = 0;
}

/* CMSG_NXTHDR looks whether a header's data is all there, CMSG_FIRSTHDR does not. */
static bool control_fits(const struct msghdr *message, const struct cmsghdr *c)
{
	size_t at = (size_t)((const uint8_t *)c - (const uint8_t *)message->msg_control);

	return c->cmsg_len <= message->msg_controllen - at;
}

static bool control_is(const struct cmsghdr *c, int level, int type, size_t size)
{
	return c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len == CMSG_LEN(size);
}

/* Of an AF_UNIX datagram it is cut always, where there is any. */
static bool control_was_cut(const struct train *train, const struct msghdr *message)
{
	return message->msg_flags & MSG_CTRUNC && train->source.any.sa_family != AF_UNIX;
}

void rx_batch_parse_cmsgs(struct train *train, struct pktinfo *local, struct msghdr *message, uint32_t size)
{
	int segment = 0;

	train->local = NULL;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c && control_fits(message, c); c = CMSG_NXTHDR(message, c)) {
		if (control_is(c, SOL_UDP, UDP_GRO, sizeof(int))) {
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
		} else if (control_is(c, IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo))) {
			read_pktinfo4(local, c);
			train->local = local;
		} else if (control_is(c, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo))) {
			read_pktinfo6(local, c);
			train->local = local;
		}
	}

	train->size = size;
	train->segment = segment > 0 && (uint32_t)segment < size ? (uint32_t)segment : size;
	uint32_t count = size ? (size + train->segment - 1) / train->segment : 1;
	if (control_was_cut(train, message) || segment < 0 || count > TRAIN_MAX)
		train->drop = DROP_MALFORMED;
	else if (message->msg_flags & MSG_TRUNC)
		train->drop = DROP_TOO_LARGE;
	else
		train->drop = DROP_NONE;
	train->count = (uint16_t)(train->drop ? 1 : count);
}

/* An AF_UNIX socket without a name comes as no address at all. */
static void source_read(struct address *source, socklen_t length)
{
	/* A path without room for a NUL counts as one byte longer (unix(7)). */
	source->length = length < sizeof(struct sockaddr_un) ? length : sizeof(struct sockaddr_un);
	if (!length) {
		source->any.sa_family = AF_UNIX;
		source->length = sizeof(source->any.sa_family);
	}
}

/* What comes beside an AF_UNIX datagram are descriptors, which nobody asked for: without room they are closed. */
static void expect_control(struct rx_batch *batch, size_t size)
{
	if (batch->control_size == size)
		return;
	batch->control_size = size;
	for (unsigned i = 0; i < RX_BATCH_TRAINS; i++)
		message_prepare(batch, i);
}

/* A call that is interrupted says nothing about what waits. */
static int receive_now(struct mmsghdr *messages, int fd, unsigned limit)
{
	int received;

	do
		received = recvmmsg(fd, messages, limit, MSG_DONTWAIT | MSG_TRUNC, NULL);
	while (received < 0 && errno == EINTR);
	return received;
}

/* What came while the first were taken shares their flush, and so makes longer runs, until a call brings less than two.
 * An error after the first call is not told: one that lasts is met again. */
static int receive(struct mmsghdr *messages, int fd, unsigned limit)
{
	int received = 0, more;

	do {
		more = receive_now(messages + received, fd, limit - (unsigned)received);
		received += more > 0 ? more : 0;
	} while (more > 1 && (unsigned)received < limit);
	if (received)
		return received;
	return errno == EAGAIN ? 0 : -errno;
}

static void count(struct receive_counters *counters, const struct train *trains, unsigned received)
{
	uint64_t datagrams = 0;

	for (unsigned i = 0; i < received; i++) {
		counter_add(&counters->trains[size_bucket(trains[i].count)], 1);
		datagrams += trains[i].count;
	}
	counter_add(&counters->receives[size_bucket(received)], 1);
	counter_add(&counters->datagrams, datagrams);
}

const struct receive_counters *rx_batch_counters(const struct rx_batch *batch)
{
	return &batch->counters;
}

void rx_batch_adopt_counters(struct rx_batch *batch, const struct rx_batch *before)
{
	batch->counters = before->counters;
}

int rx_batch_recv(struct rx_batch *batch, unsigned kept, int fd, bool udp, unsigned limit, struct train **trains)
{
	expect_control(batch, udp ? CONTROL_SIZE : 0);
	int received = receive(batch->messages + kept, fd, limit);

	if (received < 0)
		return received;
	for (unsigned i = kept; i < kept + (unsigned)received; i++) {
		struct mmsghdr *message = &batch->messages[i];

		source_read(&batch->trains[i].source, message->msg_hdr.msg_namelen);
		rx_batch_parse_cmsgs(&batch->trains[i], &batch->locals[i], &message->msg_hdr, message->msg_len);
		message_prepare(batch, i);
	}
	*trains = batch->trains + kept;
	if (received)
		count(&batch->counters, *trains, (unsigned)received);
	return received;
}

int rx_batch_recv_one(struct rx_batch *batch, unsigned kept, int fd, struct train **trains)
{
	struct train *train = &batch->trains[kept];
	ssize_t size = recv(fd, train->data, RX_SLOT_SIZE, MSG_DONTWAIT | MSG_TRUNC);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	train->size = train->segment = (uint32_t)size;
	train->count = 1;
	train->drop = size > RX_SLOT_SIZE ? DROP_TOO_LARGE : DROP_NONE;
	train->local = NULL;
	*trains = train;
	count(&batch->counters, train, 1);
	return 1;
}
