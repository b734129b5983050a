#include "datapath/tx_batch.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/gso.h"

/* How often a send is repeated because a connected socket reports an error of an earlier datagram. */
#define DEFERRED_ERRORS_MAX 8

/* After DEFERRED_ERRORS_MAX errors the route is probably missing. For this time a send is repeated only once, so that
 * the cost of a datagram stays bounded. */
#define FAILING_MS 100

struct tx_batch {
	struct tx_socket *sockets; /* that have chunks in this batch */
	struct tx_chunk *chunks;
	size_t chunk_count, chunk_max;
	struct tx_flow *flows;
	size_t flow_count, flow_max;
	uint16_t *table; /* flows of unconnected sockets by hash: index + 1; 0: a free slot */
	uint32_t table_mask;

	bool blocked; /* since the last flush, some datagrams wait for room */
	uint64_t flushed_ms; /* time of the last flush */
	struct wait_budget wait_budget;
	struct tx_messages messages;
};

int tx_batch_create(struct tx_batch **out, size_t chunks, size_t flows)
{
	struct tx_batch *batch = calloc(1, sizeof(*batch));
	uint32_t slots = 64;

	assert(flows < UINT16_MAX / 2);
	if (!batch)
		return -ENOMEM;
	while (slots < 2 * flows)
		slots *= 2;
	batch->table_mask = slots - 1;
	batch->chunk_max = chunks;
	batch->flow_max = flows;
	batch->chunks = calloc(chunks, sizeof(*batch->chunks));
	batch->flows = calloc(flows, sizeof(*batch->flows));
	batch->table = calloc(slots, sizeof(*batch->table));
	if (!batch->chunks || !batch->flows || !batch->table) {
		tx_batch_destroy(batch);
		return -ENOMEM;
	}
	batch->messages.chunks = batch->chunks;
	*out = batch;
	return 0;
}

void tx_batch_destroy(struct tx_batch *batch)
{
	if (!batch)
		return;
	free(batch->chunks);
	free(batch->flows);
	free(batch->table);
	free(batch);
}

/* --- Adding datagrams --- */

static struct tx_flow *tx_flow_create(struct tx_batch *batch, const struct tx_destination *destination, uint32_t hash)
{
	assert(batch->flow_count < batch->flow_max);
	struct tx_socket *socket = destination->socket;
	struct tx_flow *flow = &batch->flows[batch->flow_count++];

	*flow = (struct tx_flow){.destination = *destination, .hash = hash, .unsent = {.chunk = TX_NONE}};
	if (!socket->first) {
		socket->blocked_reason = DROP_CONGESTED; /* for tx_batch_drop_pending() before any flush */
		socket->first = flow;
		socket->next = batch->sockets;
		batch->sockets = socket;
	} else {
		socket->last->next = flow;
	}
	socket->last = flow;
	return flow;
}

static bool tx_flow_matches(const struct tx_flow *flow, const struct tx_destination *destination)
{
	const struct address *from = flow->destination.from, *other = destination->from;
	bool same_source = from == other || (from && other && address_equal(from, other));

	return flow->destination.socket == destination->socket && same_source &&
	       address_equal(flow->destination.to, destination->to);
}

/* A connected socket has one flow for each hop limit, and there are few of them. */
static struct tx_flow *tx_flow_find_connected(struct tx_batch *batch, const struct tx_destination *destination)
{
	struct tx_flow *flow = destination->socket->first;

	while (flow && flow->destination.hop_limit != destination->hop_limit)
		flow = flow->next;
	return flow ? flow : tx_flow_create(batch, destination, 0);
}

static struct tx_flow *tx_flow_find(struct tx_batch *batch, const struct tx_destination *destination)
{
	struct tx_flow *last = destination->socket->last;

	if (last && tx_flow_matches(last, destination))
		return last;

	uint32_t hash = address_hash(destination->to);
	uint32_t slot = hash & batch->table_mask;
	for (; batch->table[slot]; slot = (slot + 1) & batch->table_mask) {
		struct tx_flow *flow = &batch->flows[batch->table[slot] - 1];

		if (flow->hash == hash && tx_flow_matches(flow, destination))
			return flow;
	}
	struct tx_flow *flow = tx_flow_create(batch, destination, hash);
	batch->table[slot] = (uint16_t)batch->flow_count;
	return flow;
}

static void tx_flow_append(struct tx_batch *batch, struct tx_flow *flow, uint32_t chunk)
{
	if (flow->unsent.chunk == TX_NONE)
		flow->unsent.chunk = chunk;
	else
		batch->chunks[flow->last].next = chunk;
	flow->last = chunk;
}

/* Cuts the payload into chunks. flow is NULL for datagrams that are dropped for the given reason. */
static struct tx_chunk *tx_chunks_add(struct tx_batch *batch, struct tx_flow *flow, struct tx_payload payload,
				      enum drop_reason reason)
{
	struct tx_chunk *first = &batch->chunks[batch->chunk_count];

	while (payload.count) {
		uint32_t count = payload.count > TX_CHUNK_DATAGRAMS ? TX_CHUNK_DATAGRAMS : payload.count;
		uint32_t size = count < payload.count ? count * payload.segment : payload.size;

		assert(batch->chunk_count < batch->chunk_max);
		batch->chunks[batch->chunk_count] = (struct tx_chunk){.data = payload.data,
								      .socket = flow ? flow->destination.socket : NULL,
								      .reason = reason,
								      .size = size,
								      .segment = payload.segment,
								      .count = (uint16_t)count,
								      .next = TX_NONE};
		if (flow)
			tx_flow_append(batch, flow, (uint32_t)batch->chunk_count);
		else
			batch->chunks[batch->chunk_count].dropped = UINT64_MAX >> (TX_CHUNK_DATAGRAMS - count);
		batch->chunk_count++;
		payload.data += size;
		payload.size -= size;
		payload.count -= count;
	}
	return first;
}

struct tx_chunk *tx_batch_add(struct tx_batch *batch, const struct tx_destination *destination,
			      struct tx_payload payload)
{
	struct tx_destination to = *destination;

	if (to.from && !to.from->length)
		to.from = NULL;
	return tx_chunks_add(batch,
			     to.socket->connected ? tx_flow_find_connected(batch, &to) : tx_flow_find(batch, &to),
			     payload, DROP_NONE);
}

struct tx_chunk *tx_batch_add_dropped(struct tx_batch *batch, struct tx_payload payload, enum drop_reason reason)
{
	return tx_chunks_add(batch, NULL, payload, reason);
}

/* --- Dropping datagrams --- */

static struct tx_cursor tx_cursor_next(const struct tx_batch *batch, struct tx_cursor at)
{
	const struct tx_chunk *chunk = &batch->chunks[at.chunk];

	return at.datagram + 1 < chunk->count ? (struct tx_cursor){at.chunk, at.datagram + 1}
					      : (struct tx_cursor){chunk->next, 0};
}

static void tx_message_drop(struct tx_batch *batch, const struct tx_message *message, enum drop_reason reason)
{
	struct tx_cursor at = message->begin;

	while (at.chunk != message->end.chunk || at.datagram != message->end.datagram) {
		struct tx_chunk *chunk = &batch->chunks[at.chunk];

		chunk->dropped |= UINT64_C(1) << at.datagram;
		chunk->reason = reason;
		at = tx_cursor_next(batch, at);
	}
	message->flow->unsent = message->end;
}

/* Drops the rest of the flow. */
static void tx_flow_drop(struct tx_batch *batch, struct tx_flow *flow, enum drop_reason reason)
{
	struct tx_message rest = {.flow = flow, .begin = flow->unsent, .end = {.chunk = TX_NONE}};

	tx_message_drop(batch, &rest, reason);
}

static void tx_socket_drop_pending(struct tx_batch *batch, struct tx_socket *socket)
{
	for (struct tx_flow *flow = socket->first; flow; flow = flow->next)
		tx_flow_drop(batch, flow, socket->blocked_reason);
}

/* --- Send errors --- */

/* The next step after a failed send. */
enum send_step {
	SEND_NEXT, /* continue with the next message */
	SEND_AGAIN, /* repeat this message */
	SEND_REBUILD, /* build the messages again: this one needs another form, or others come first */
	SEND_LATER, /* stop until the next flush */
};

static struct wait_budget *tx_socket_wait_budget(struct tx_socket *socket)
{
	return socket->shared_wait_budget ? socket->shared_wait_budget : &socket->wait_budget;
}

static bool tx_socket_may_wait(const struct tx_batch *batch, struct tx_socket *socket)
{
	uint64_t now_ms = batch->messages.now_ms;

	return wait_budget_left(tx_socket_wait_budget(socket), now_ms, TX_SOCKET_WAIT_BUDGET_MS) &&
	       wait_budget_left(&batch->wait_budget, now_ms, TX_WAIT_BUDGET_MS);
}

/* A full UDP send buffer, and a full queue of a connected AF_UNIX receiver, block the whole socket. An unconnected
 * AF_UNIX socket has many receivers with one queue each, so only the flow is blocked. */
static enum send_step tx_send_blocked(struct tx_batch *batch, struct tx_socket *socket, struct tx_flow *flow, int error)
{
	bool one_queue = socket->gso || socket->connected;

	socket->blocked_reason = drop_reason_from_send(error);
	if (tx_socket_may_wait(batch, socket)) {
		socket->blocked = true;
		flow->blocked = true;
		return one_queue ? SEND_LATER : SEND_REBUILD;
	}
	if (one_queue)
		tx_socket_drop_pending(batch, socket);
	else
		tx_flow_drop(batch, flow, socket->blocked_reason);
	return SEND_REBUILD;
}

/* A device without checksum offload returns EIO. A path with a smaller MTU returns EINVAL or EMSGSIZE. */
static bool tx_error_is_gso(int error)
{
	return error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP;
}

/* Errors of one message that may belong to earlier datagrams. */
struct deferred_error {
	unsigned errors, icmp_errors;
};

/* A connected UDP socket reports an ICMP error of an earlier datagram when the next one is sent (udp(7)). A missing
 * route causes the same error numbers, but each time. */
static bool tx_error_is_deferred(struct tx_socket *socket, int error, struct deferred_error *deferred, uint64_t now_ms)
{
	bool several = tx_error_is_pending(error) && now_ms >= socket->failing_until_ms;

	if (!socket->connected || !socket->gso)
		return false;
	if (deferred->errors >= (several ? DEFERRED_ERRORS_MAX : 1)) {
		if (several)
			socket->failing_until_ms = now_ms + FAILING_MS;
		return false;
	}
	deferred->errors++;
	deferred->icmp_errors += tx_error_is_icmp(error);
	return true;
}

static enum send_step tx_send_failed(struct tx_batch *batch, struct tx_socket *socket, const struct tx_message *message,
				     int error, struct deferred_error *deferred)
{
	if (error == EINTR)
		return SEND_AGAIN;
	if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
		return tx_send_blocked(batch, socket, message->flow, error);
	if (message->count > 1 && tx_error_is_gso(error)) {
		gso_disable(&batch->messages, message, error == EIO);
		return SEND_REBUILD;
	}
	if (tx_error_is_deferred(socket, error, deferred, batch->messages.now_ms))
		return SEND_AGAIN;
	socket->broken |= socket->connected && error != EMSGSIZE && error != EPERM && error != EACCES;
	tx_message_drop(batch, message, drop_reason_from_send(error));
	*deferred = (struct deferred_error){0};
	return SEND_NEXT;
}

/* --- Sending --- */

/* Works like sendmmsg(2). A single plain message goes through send(2), which costs a tenth less. */
static int tx_socket_sendmmsg(const struct tx_socket *socket, struct mmsghdr *headers, unsigned count)
{
	const struct msghdr *first = &headers->msg_hdr;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (count > 1 || first->msg_iovlen > 1 || first->msg_namelen || first->msg_controllen)
		return sendmmsg(socket->fd, headers, count, flags);
	return send(socket->fd, first->msg_iov->iov_base, first->msg_iov->iov_len, flags) < 0 ? -1 : 1;
}

/* Sends the built messages. Returns false if the rest must wait for the next flush. */
static bool tx_socket_send(struct tx_batch *batch, struct tx_socket *socket, unsigned built)
{
	const struct tx_message *items = batch->messages.items;
	struct deferred_error deferred = {0};

	for (unsigned i = 0; i < built;) {
		int sent = tx_socket_sendmmsg(socket, &batch->messages.headers[i], built - i);

		if (sent > 0) {
			socket->icmp_errors += deferred.icmp_errors;
			deferred = (struct deferred_error){0};
			for (; sent; sent--, i++)
				items[i].flow->unsent = items[i].end;
			continue;
		}
		switch (tx_send_failed(batch, socket, &items[i], errno, &deferred)) {
		case SEND_NEXT:
			i++;
			break;
		case SEND_AGAIN:
			break;
		case SEND_REBUILD:
			return true;
		case SEND_LATER:
			return false;
		}
	}
	return true;
}

/* If all datagrams of this flush have the same hop limit, the socket option is cheaper than a control message for each
 * message: most of the time it has this value already. */
static void tx_socket_set_hop_limit(struct tx_socket *socket)
{
	int hop_limit = socket->first->destination.hop_limit;
	int level = socket->ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, option = socket->ipv6 ? IPV6_UNICAST_HOPS : IP_TTL;

	if (socket->first == socket->last && hop_limit != socket->hop_limit &&
	    !setsockopt(socket->fd, level, option, &hop_limit, sizeof(hop_limit)))
		socket->hop_limit = (uint8_t)hop_limit;
}

/* Returns false if some datagrams must wait for the next flush. */
static bool tx_socket_flush(struct tx_batch *batch, struct tx_socket *socket)
{
	unsigned built;

	if (socket->first->destination.hop_limit)
		tx_socket_set_hop_limit(socket);
	socket->blocked = false;
	for (struct tx_flow *flow = socket->first; flow; flow = flow->next)
		flow->blocked = false;
	while ((built = gso_build_messages(&batch->messages, socket)) > 0) {
		if (!tx_socket_send(batch, socket, built))
			return false;
	}
	return !socket->blocked;
}

/* Charges the time since the last flush to the sockets that were blocked. */
static void tx_batch_spend_wait_budget(struct tx_batch *batch, uint64_t now_ms)
{
	uint64_t waited_ms = now_ms - batch->flushed_ms;

	wait_budget_spend(&batch->wait_budget, now_ms, waited_ms);
	for (struct tx_socket *socket = batch->sockets; socket; socket = socket->next) {
		if (socket->blocked)
			wait_budget_spend(tx_socket_wait_budget(socket), now_ms, waited_ms);
	}
}

bool tx_batch_flush(struct tx_batch *batch, uint64_t now_ms)
{
	if (batch->blocked)
		tx_batch_spend_wait_budget(batch, now_ms);
	batch->blocked = false;
	batch->messages.now_ms = now_ms;
	for (struct tx_socket *socket = batch->sockets; socket; socket = socket->next)
		batch->blocked |= !tx_socket_flush(batch, socket);
	batch->flushed_ms = now_ms;
	return !batch->blocked;
}

void tx_batch_drop_pending(struct tx_batch *batch)
{
	for (struct tx_socket *socket = batch->sockets; socket; socket = socket->next)
		tx_socket_drop_pending(batch, socket);
	batch->blocked = false;
}

void tx_batch_clear(struct tx_batch *batch)
{
	for (struct tx_socket *socket = batch->sockets; socket; socket = socket->next) {
		socket->blocked = false;
		socket->first = socket->last = NULL;
	}
	batch->sockets = NULL;
	batch->chunk_count = 0;
	batch->flow_count = 0;
	memset(batch->table, 0, (batch->table_mask + 1) * sizeof(*batch->table));
}
