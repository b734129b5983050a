#include "datapath/gso.h"

#include <netinet/udp.h>
#include <string.h>

/* Bytes of one GSO send: the largest payload over IPv4. */
#define RUN_SIZE 65507

/* A refusal of GSO is believed for so long: routes and devices change. */
#define REFUSAL_MS (10 * 60 * 1000)

static struct gso_fallback *refusal_of(struct tx_messages *portion, const struct tx_flow *group)
{
	return group->to ? &portion->refusals[group->hash & (TX_FALLBACKS - 1)] : &group->outlet->refusal;
}

void gso_disable(struct tx_messages *portion, const struct tx_message *span, bool any_size)
{
	uint32_t segment = any_size ? 1 : portion->copies[span->begin.copy].segment;

	*refusal_of(portion, span->group) =
		(struct gso_fallback){span->group->hash, segment, portion->now_ms + REFUSAL_MS};
}

/* How many datagrams of this size may travel to the group in one send. */
static uint32_t run_length(struct tx_messages *portion, const struct tx_flow *group, uint32_t segment)
{
	const struct gso_fallback *refusal = refusal_of(portion, group);
	bool refused = refusal->segment && segment >= refusal->segment && refusal->destination == group->hash &&
		       portion->now_ms < refusal->until_ms;

	if (!group->outlet->gso || !segment || refused || segment > RUN_SIZE / 2)
		return 1;
	return segment * TX_CHUNK_DATAGRAMS <= RUN_SIZE ? TX_CHUNK_DATAGRAMS : RUN_SIZE / segment;
}

/* Whether copy goes on where a run of full segments ended: with more of them, or with one shorter last datagram. */
static bool continues_run(const struct tx_chunk *copy, uint32_t segment)
{
	return copy->segment == segment || (copy->count == 1 && copy->size && copy->size < segment);
}

/* Gathers one run, or one datagram where the destination takes no runs. Returns the number of vectors. */
static size_t gather(struct tx_messages *portion, struct tx_message *span)
{
	struct tx_cursor at = span->begin;
	const struct tx_chunk *copy = &portion->copies[at.copy];
	struct iovec *vectors = &portion->vectors[portion->vector_count];
	uint32_t segment = copy->segment, bytes = 0;
	uint32_t most = run_length(portion, span->group, segment);
	size_t used = 0, room = TX_VECTORS - portion->vector_count;

	for (span->count = 0; used < room && span->count < most;) {
		uint32_t left = copy->count - at.datagram, take = left < most - span->count ? left : most - span->count;
		uint32_t size = take < left ? take * segment : copy->size - at.datagram * segment;

		vectors[used++] = (struct iovec){(void *)(copy->data + (size_t)at.datagram * segment), size};
		span->count += take;
		bytes += size;
		at = take < left ? (struct tx_cursor){at.copy, at.datagram + take} : (struct tx_cursor){copy->next, 0};
		if (take < left || bytes != span->count * segment || at.copy == TX_NONE)
			break;
		copy = &portion->copies[at.copy];
		if (!continues_run(copy, segment))
			break;
	}
	span->end = at;
	portion->vector_count += used;
	return used;
}

static void control_put(struct msghdr *message, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)message->msg_control + message->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	message->msg_controllen += CMSG_SPACE(size);
}

/* The interface stays 0: the route to the destination chooses it. Only a link-local source means nothing without. */
static void control_put_source(struct msghdr *message, const struct address *from)
{
	if (from->any.sa_family == AF_INET) {
		struct in_pktinfo info = {.ipi_spec_dst = from->v4.sin_addr};
		control_put(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	} else {
		struct in6_pktinfo info = {.ipi6_addr = from->v6.sin6_addr, .ipi6_ifindex = from->v6.sin6_scope_id};
		control_put(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	}
}

static void message_build(struct tx_messages *portion, size_t i)
{
	struct tx_message *span = &portion->spans[i];
	const struct tx_flow *group = span->group;
	struct iovec *vectors = &portion->vectors[portion->vector_count];
	struct msghdr *message = &portion->messages[i].msg_hdr;

	*message = (struct msghdr){.msg_iov = vectors, .msg_control = portion->control[i]};
	message->msg_iovlen = gather(portion, span);
	if (group->to) {
		message->msg_name = (void *)&group->to->any;
		message->msg_namelen = group->to->length;
	}
	if (group->from)
		control_put_source(message, group->from);
	if (span->count > 1) {
		uint16_t segment = (uint16_t)portion->copies[span->begin.copy].segment;
		control_put(message, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
}

unsigned gso_build_messages(struct tx_messages *portion, const struct tx_socket *outlet)
{
	unsigned built = 0;

	portion->vector_count = 0;
	for (struct tx_flow *group = outlet->first; group; group = group->next) {
		struct tx_cursor at = group->at;

		while (at.copy != TX_NONE && !group->waits) {
			if (built == TX_MESSAGES || portion->vector_count == TX_VECTORS)
				return built;
			portion->spans[built] = (struct tx_message){.group = group, .begin = at};
			message_build(portion, built);
			at = portion->spans[built++].end;
		}
	}
	return built;
}
