#include "datapath/gso.h"

#include <netinet/udp.h>
#include <string.h>

/* Bytes of one GSO send: the largest UDP payload over IPv4. */
#define GSO_SIZE_MAX 65507

/* Routes and devices change, so GSO to a destination is tried again after this time. */
#define GSO_FALLBACK_MS (10 * 60 * 1000)

static struct gso_fallback *gso_fallback_of(struct tx_messages *messages, const struct tx_flow *flow)
{
	return flow->destination.to ? &messages->fallbacks[flow->hash & (TX_FALLBACKS - 1)]
				    : &flow->destination.socket->fallback;
}

void gso_disable(struct tx_messages *messages, const struct tx_message *message, bool any_size)
{
	uint32_t segment = any_size ? 1 : messages->chunks[message->begin.chunk].segment;

	*gso_fallback_of(messages, message->flow) =
		(struct gso_fallback){message->flow->hash, segment, messages->now_ms + GSO_FALLBACK_MS};
}

/* Returns how many datagrams of segment bytes may go to the flow's destination in one send. */
static uint32_t gso_run_length(struct tx_messages *messages, const struct tx_flow *flow, uint32_t segment)
{
	const struct gso_fallback *fallback = gso_fallback_of(messages, flow);
	bool refused = fallback->segment && segment >= fallback->segment && fallback->destination == flow->hash &&
		       messages->now_ms < fallback->until_ms;

	if (!flow->destination.socket->gso || !segment || refused || segment > GSO_SIZE_MAX / 2)
		return 1;
	return segment * TX_CHUNK_DATAGRAMS <= GSO_SIZE_MAX ? TX_CHUNK_DATAGRAMS : GSO_SIZE_MAX / segment;
}

/* Gathers one run of datagrams, or a single datagram. A run is a number of full segments; one shorter datagram may end
 * it. Returns the number of vectors used. */
static size_t gso_gather(struct tx_messages *messages, struct tx_message *message)
{
	struct tx_cursor at = message->begin;
	const struct tx_chunk *chunk = &messages->chunks[at.chunk];
	struct iovec *vectors = &messages->vectors[messages->vector_count];
	uint32_t segment = chunk->segment, bytes = 0;
	uint32_t max = gso_run_length(messages, message->flow, segment);
	size_t used = 0, room = TX_VECTORS - messages->vector_count;

	for (message->count = 0; used < room && message->count < max;) {
		uint32_t left = chunk->count - at.datagram;
		uint32_t taken = left < max - message->count ? left : max - message->count;
		uint32_t size = taken < left ? taken * segment : chunk->size - at.datagram * segment;

		vectors[used++] = (struct iovec){(void *)(chunk->data + (size_t)at.datagram * segment), size};
		message->count += taken;
		bytes += size;
		at = taken < left ? (struct tx_cursor){at.chunk, at.datagram + taken}
				  : (struct tx_cursor){chunk->next, 0};
		if (taken < left || bytes != message->count * segment || at.chunk == TX_NONE)
			break;
		chunk = &messages->chunks[at.chunk];
		if (chunk->segment != segment && (chunk->count > 1 || !chunk->size || chunk->size > segment))
			break;
	}
	message->end = at;
	messages->vector_count += used;
	return used;
}

static void gso_add_cmsg(struct msghdr *header, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)header->msg_control + header->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	header->msg_controllen += CMSG_SPACE(size);
}

/* The interface index stays 0, so that the route to the destination chooses the interface. Only a link-local source
 * needs its index. */
static void gso_add_source(struct msghdr *header, const struct address *from)
{
	if (from->any.sa_family == AF_INET) {
		struct in_pktinfo info = {.ipi_spec_dst = from->v4.sin_addr};
		gso_add_cmsg(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_addr = from->v6.sin6_addr, .ipi6_ifindex = from->v6.sin6_scope_id};
		gso_add_cmsg(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static void gso_add_hop_limit(struct msghdr *header, const struct tx_destination *destination)
{
	int hop_limit = destination->hop_limit;

	if (destination->socket->ipv6)
		gso_add_cmsg(header, IPPROTO_IPV6, IPV6_HOPLIMIT, &hop_limit, sizeof(hop_limit));
	else
		gso_add_cmsg(header, IPPROTO_IP, IP_TTL, &hop_limit, sizeof(hop_limit));
}

static void gso_build_message(struct tx_messages *messages, size_t i)
{
	struct tx_message *message = &messages->items[i];
	const struct tx_destination *destination = &message->flow->destination;
	struct msghdr *header = &messages->headers[i].msg_hdr;

	*header = (struct msghdr){.msg_iov = &messages->vectors[messages->vector_count],
				  .msg_control = messages->control[i]};
	header->msg_iovlen = gso_gather(messages, message);
	if (destination->to) {
		header->msg_name = (void *)&destination->to->any;
		header->msg_namelen = destination->to->length;
	}
	if (destination->from)
		gso_add_source(header, destination->from);
	if (destination->hop_limit != destination->socket->hop_limit && destination->hop_limit)
		gso_add_hop_limit(header, destination);
	if (message->count > 1) {
		uint16_t segment = (uint16_t)messages->chunks[message->begin.chunk].segment;
		gso_add_cmsg(header, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
}

unsigned gso_build_messages(struct tx_messages *messages, const struct tx_socket *socket)
{
	unsigned built = 0;

	messages->vector_count = 0;
	for (struct tx_flow *flow = socket->first; flow; flow = flow->next) {
		struct tx_cursor at = flow->unsent;

		while (at.chunk != TX_NONE && !flow->blocked) {
			if (built == TX_MESSAGES || messages->vector_count == TX_VECTORS)
				return built;
			messages->items[built] = (struct tx_message){.flow = flow, .begin = at};
			gso_build_message(messages, built);
			at = messages->items[built++].end;
		}
	}
	return built;
}
