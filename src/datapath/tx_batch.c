#include "datapath/tx_batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/gso.h"

/* How often a datagram is tried again when its connected socket tells what became of an earlier one. */
#define STALE_ERRORS 8

struct tx_batch {
	struct tx_socket *outlets; /* that have copies in this batch */
	struct tx_chunk *copies;
	size_t copy_count, copy_max;
	struct tx_flow *groups;
	size_t group_count, group_max;
	uint16_t *table; /* groups of unconnected outlets by hash: index + 1; 0 is free */
	uint32_t table_mask;

	bool waits; /* since the last flush, for room somewhere */
	uint64_t flushed_ms;
	struct wait_budget patience;
	struct tx_messages portion;
};

int tx_batch_create(struct tx_batch **out, size_t copies, size_t groups)
{
	struct tx_batch *egress = calloc(1, sizeof(*egress));
	uint32_t table = 64;

	assert(groups < UINT16_MAX / 2);
	if (!egress)
		return -ENOMEM;
	while (table < 2 * groups)
		table *= 2;
	egress->table_mask = table - 1;
	egress->copy_max = copies;
	egress->group_max = groups;
	egress->copies = calloc(copies, sizeof(*egress->copies));
	egress->groups = calloc(groups, sizeof(*egress->groups));
	egress->table = calloc(table, sizeof(*egress->table));
	if (!egress->copies || !egress->groups || !egress->table) {
		tx_batch_destroy(egress);
		return -ENOMEM;
	}
	egress->portion.copies = egress->copies;
	*out = egress;
	return 0;
}

void tx_batch_destroy(struct tx_batch *egress)
{
	if (!egress)
		return;
	free(egress->copies);
	free(egress->groups);
	free(egress->table);
	free(egress);
}

/* --- Adding copies --- */

static struct tx_flow *group_create(struct tx_batch *egress, struct tx_socket *outlet, const struct address *to,
				    const struct address *from, uint32_t hash)
{
	assert(egress->group_count < egress->group_max);
	struct tx_flow *group = &egress->groups[egress->group_count++];

	*group = (struct tx_flow){.outlet = outlet, .to = to, .from = from, .hash = hash, .at = {.copy = TX_NONE}};
	if (!outlet->first) {
		outlet->first = group;
		outlet->next = egress->outlets;
		egress->outlets = outlet;
	} else {
		outlet->last->next = group;
	}
	outlet->last = group;
	return group;
}

static bool same_source(const struct address *a, const struct address *b)
{
	return a == b || (a && b && address_equal(a, b));
}

static bool group_is(const struct tx_flow *group, const struct tx_socket *outlet, const struct address *to,
		     const struct address *from)
{
	return group->outlet == outlet && address_equal(group->to, to) && same_source(group->from, from);
}

static struct tx_flow *group_find(struct tx_batch *egress, struct tx_socket *outlet, const struct address *to,
				  const struct address *from)
{
	struct tx_flow *last = outlet->last;

	if (outlet->connected)
		return last ? last : group_create(egress, outlet, NULL, NULL, 0);
	if (last && group_is(last, outlet, to, from))
		return last;

	uint32_t hash = address_hash(to);
	uint32_t i = hash & egress->table_mask;
	for (; egress->table[i]; i = (i + 1) & egress->table_mask) {
		struct tx_flow *group = &egress->groups[egress->table[i] - 1];

		if (group->hash == hash && group_is(group, outlet, to, from))
			return group;
	}
	struct tx_flow *group = group_create(egress, outlet, to, from, hash);
	egress->table[i] = (uint16_t)egress->group_count;
	return group;
}

static void group_append(struct tx_batch *egress, struct tx_flow *group, uint32_t copy)
{
	egress->copies[copy].next = TX_NONE;
	if (group->at.copy == TX_NONE)
		group->at.copy = copy;
	else
		egress->copies[group->last].next = copy;
	group->last = copy;
}

static struct tx_chunk *copy_create(struct tx_batch *egress)
{
	assert(egress->copy_count < egress->copy_max);
	return &egress->copies[egress->copy_count++];
}

/* Cuts count datagrams into copies of at most TX_CHUNK_DATAGRAMS; for a group, or for none where they failed already.
 */
static unsigned copies_add(struct tx_batch *egress, struct tx_flow *group, struct tx_chunk whole, uint32_t count)
{
	unsigned added = 0;

	for (; count; added++) {
		struct tx_chunk *copy = copy_create(egress);
		uint32_t part = count > TX_CHUNK_DATAGRAMS ? TX_CHUNK_DATAGRAMS : count;

		*copy = whole;
		copy->count = (uint16_t)part;
		copy->size = part < count ? part * whole.segment : whole.size;
		if (group)
			group_append(egress, group, (uint32_t)(copy - egress->copies));
		else
			copy->failed = UINT64_MAX >> (TX_CHUNK_DATAGRAMS - part);
		whole.data += copy->size;
		whole.size -= copy->size;
		count -= part;
	}
	return added;
}

unsigned tx_batch_add(struct tx_batch *egress, struct tx_socket *outlet, const struct address *to,
		      const struct address *from, const uint8_t *data, uint32_t size, uint32_t segment, uint32_t count,
		      struct tx_chunk **copies)
{
	struct tx_chunk whole = {.data = data, .size = size, .segment = segment};

	*copies = &egress->copies[egress->copy_count];
	return copies_add(egress, group_find(egress, outlet, to, from && from->length ? from : NULL), whole, count);
}

unsigned tx_batch_add_dropped(struct tx_batch *egress, const uint8_t *data, uint32_t size, uint32_t segment,
			      uint32_t count, enum drop_reason reason, struct tx_chunk **copies)
{
	struct tx_chunk whole = {.data = data, .size = size, .segment = segment, .reason = reason};

	*copies = &egress->copies[egress->copy_count];
	return copies_add(egress, NULL, whole, count);
}

/* --- Sending --- */

static struct tx_cursor tx_cursor_next(const struct tx_batch *egress, struct tx_cursor at)
{
	const struct tx_chunk *copy = &egress->copies[at.copy];

	return at.datagram + 1 < copy->count ? (struct tx_cursor){at.copy, at.datagram + 1}
					     : (struct tx_cursor){copy->next, 0};
}

static void span_done(const struct tx_message *span)
{
	span->group->at = span->end;
}

static void span_fail(struct tx_batch *egress, const struct tx_message *span, enum drop_reason reason)
{
	struct tx_cursor at = span->begin;

	while (at.copy != span->end.copy || at.datagram != span->end.datagram) {
		struct tx_chunk *copy = &egress->copies[at.copy];

		copy->failed |= UINT64_C(1) << at.datagram;
		copy->reason = reason;
		at = tx_cursor_next(egress, at);
	}
	span_done(span);
}

/* A device without checksum offload says EIO, a path with a smaller MTU EINVAL or EMSGSIZE. */
static bool refuses_gso(int error)
{
	return error == EIO || error == EINVAL || error == EMSGSIZE || error == EOPNOTSUPP;
}

/* Marks what is left of the group as failed. */
static void group_fail(struct tx_batch *egress, struct tx_flow *group, enum drop_reason reason)
{
	struct tx_message rest = {.group = group, .begin = group->at, .end = {.copy = TX_NONE}};

	span_fail(egress, &rest, reason);
}

static void outlet_give_up(struct tx_batch *egress, struct tx_socket *outlet)
{
	for (struct tx_flow *group = outlet->first; group; group = group->next)
		group_fail(egress, group, outlet->waits_reason);
}

enum send_step {
	NEXT_MESSAGE, /* this one is over */
	NEXT_AGAIN, /* as it is */
	NEXT_REBUILD, /* in another form, or others first */
	NEXT_LATER, /* when there is room */
};

static struct wait_budget *patience_of(struct tx_socket *outlet)
{
	return outlet->shared_wait_budget ? outlet->shared_wait_budget : &outlet->patience;
}

static bool may_wait(const struct tx_batch *egress, struct tx_socket *outlet)
{
	uint64_t now_ms = egress->portion.now_ms;

	return wait_budget_left(patience_of(outlet), now_ms, TX_SOCKET_WAIT_BUDGET_MS) &&
	       wait_budget_left(&egress->patience, now_ms, TX_WAIT_BUDGET_MS);
}

/* A full UDP socket, or a full queue of a connected AF_UNIX peer, stops the outlet. An unconnected AF_UNIX socket has
 * many receivers with a queue each: the others go on, as long as its own buffer, which unread datagrams fill, has room.
 */
static enum send_step send_blocked(struct tx_batch *egress, struct tx_socket *outlet, struct tx_flow *group, int error)
{
	bool one_queue = outlet->gso || outlet->connected;

	outlet->waits_reason = drop_reason_from_send(error);
	if (may_wait(egress, outlet)) {
		outlet->waits = true;
		group->waits = true;
		return one_queue ? NEXT_LATER : NEXT_REBUILD;
	}
	if (one_queue)
		outlet_give_up(egress, outlet);
	else
		group_fail(egress, group, outlet->waits_reason);
	return NEXT_REBUILD;
}

/* Errors that were met in sending a message, and may be the fate of earlier ones. */
struct deferred_error {
	unsigned errors, refusals;
};

static bool may_be_stale(const struct tx_socket *outlet, int error, struct deferred_error *stale)
{
	if (!outlet->connected || !outlet->gso || stale->errors >= (error == ECONNREFUSED ? STALE_ERRORS : 1))
		return false;
	stale->errors++;
	stale->refusals += tx_error_is_icmp(error);
	return true;
}

/* What to do after sending span failed. An error of a connected UDP socket may be the fate of an earlier datagram, so
 * the send is tried again before this one is charged with it. */
static enum send_step send_failed(struct tx_batch *egress, struct tx_socket *outlet, const struct tx_message *span,
				  int error, struct deferred_error *stale)
{
	if (error == EINTR)
		return NEXT_AGAIN;
	if (error == EAGAIN || error == ENOBUFS || error == ENOMEM)
		return send_blocked(egress, outlet, span->group, error);
	if (span->count > 1 && refuses_gso(error)) {
		gso_disable(&egress->portion, span, error == EIO);
		return NEXT_REBUILD;
	}
	if (may_be_stale(outlet, error, stale))
		return NEXT_AGAIN;
	outlet->broken |= outlet->connected && error != EMSGSIZE && error != EPERM && error != EACCES;
	span_fail(egress, span, drop_reason_from_send(error));
	*stale = (struct deferred_error){0};
	return NEXT_MESSAGE;
}

/* As sendmmsg(2). One plain message needs none of what that would read: a tenth of the call. */
static int send_messages(const struct tx_socket *outlet, struct mmsghdr *messages, unsigned count)
{
	const struct msghdr *first = &messages->msg_hdr;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (count > 1 || first->msg_iovlen > 1 || first->msg_namelen || first->msg_controllen)
		return sendmmsg(outlet->fd, messages, count, flags);
	return send(outlet->fd, first->msg_iov->iov_base, first->msg_iov->iov_len, flags) < 0 ? -1 : 1;
}

/* Sends the first built messages of the portion. Returns false where what is left must wait. */
static bool portion_send(struct tx_batch *egress, struct tx_socket *outlet, unsigned built)
{
	struct deferred_error stale = {0};

	for (unsigned i = 0; i < built;) {
		int sent = send_messages(outlet, &egress->portion.messages[i], built - i);

		if (sent > 0) {
			outlet->icmp_errors += stale.refusals;
			stale = (struct deferred_error){0};
			for (; sent; sent--)
				span_done(&egress->portion.spans[i++]);
			continue;
		}
		switch (send_failed(egress, outlet, &egress->portion.spans[i], errno, &stale)) {
		case NEXT_MESSAGE:
			i++;
			break;
		case NEXT_AGAIN:
			break;
		case NEXT_REBUILD:
			return true;
		case NEXT_LATER:
			return false;
		}
	}
	return true;
}

/* Returns false where something is left that must wait. */
static bool outlet_flush(struct tx_batch *egress, struct tx_socket *outlet)
{
	unsigned built;

	outlet->waits = false;
	for (struct tx_flow *group = outlet->first; group; group = group->next)
		group->waits = false;
	while ((built = gso_build_messages(&egress->portion, outlet)) > 0) {
		if (!portion_send(egress, outlet, built))
			return false;
	}
	return !outlet->waits;
}

/* Charges the time since the last flush to those that were waited for. */
static void spend_patience(struct tx_batch *egress, uint64_t now_ms)
{
	uint64_t waited_ms = now_ms - egress->flushed_ms;

	if (!egress->waits)
		return;
	wait_budget_spend(&egress->patience, now_ms, waited_ms);
	for (struct tx_socket *outlet = egress->outlets; outlet; outlet = outlet->next) {
		if (outlet->waits)
			wait_budget_spend(patience_of(outlet), now_ms, waited_ms);
	}
}

bool tx_batch_flush(struct tx_batch *egress, uint64_t now_ms)
{
	bool done = true;

	spend_patience(egress, now_ms);
	egress->portion.now_ms = now_ms;
	for (struct tx_socket *outlet = egress->outlets; outlet; outlet = outlet->next)
		done &= outlet_flush(egress, outlet);
	egress->waits = !done;
	egress->flushed_ms = now_ms;
	return done;
}

void tx_batch_drop_pending(struct tx_batch *egress)
{
	for (struct tx_socket *outlet = egress->outlets; outlet; outlet = outlet->next)
		outlet_give_up(egress, outlet);
	egress->waits = false;
}

void tx_batch_clear(struct tx_batch *egress)
{
	for (struct tx_socket *outlet = egress->outlets; outlet; outlet = outlet->next) {
		outlet->waits = false;
		outlet->first = outlet->last = NULL;
	}
	egress->outlets = NULL;
	egress->copy_count = 0;
	egress->group_count = 0;
	memset(egress->table, 0, (egress->table_mask + 1) * sizeof(*egress->table));
}
