/* A session: the conversation of one client with one peer, on a socket of its own. */
#ifndef UDPRELAYD_RELAY_SESSION_H
#define UDPRELAYD_RELAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/tx_batch.h"
#include "relay/session_table.h"

struct endpoint_ref;
struct relay;

/* A session's place among those that rest (resting.h). */
struct rest {
	struct rest *previous, *next; /* NULL: it does not rest */
};

struct session {
	struct session_node
		node; /* in the relay's table: client, and the address it wrote to, which answers leave from */
	struct relay *relay;
	struct tx_socket outlet; /* to the peer */
	struct tx_socket *back; /* to the client: the listener's socket */
	struct endpoint_ref *member; /* of the relay's targets */
	uint32_t replies_due; /* answers that may still come, where responses bounds them */
	uint32_t endpoints_seen; /* the version of them that its client was found not to be among */
	uint32_t batch; /* of answers, that it took part in last */
	uint8_t read_quota; /* answers to ask for at once */
	uint8_t failures; /* to read its socket, one after another; few are counted */
	bool gro_enabled; /* its socket gives trains as they came (UDP_GRO) */
	bool set_source_address; /* answers have to say the address they leave from */
	struct rest rest;
	uint64_t datagrams, answers; /* submitted to the kernel; received */
};

/* What a session may cost, the allocator and its place in the table included. */
#define SESSION_SIZE_MAX 512

_Static_assert(sizeof(struct session) + 2 * sizeof(void *) <= SESSION_SIZE_MAX, "a session is to be small");

static inline struct session *session_of(struct session_node *node)
{
	return (struct session *)((char *)node - offsetof(struct session, node));
}

/* Room for sessions, which becomes resident as it is first used. */
struct session_pool {
	struct session *sessions;
	size_t max, touched; /* those behind touched were never used */
	struct session_node *free;
};

/* Returns 0 or -ENOMEM. */
int session_pool_init(struct session_pool *pool, size_t max);
void session_pool_finish(struct session_pool *pool);

/* A zeroed session without a socket, or NULL where max are taken. */
struct session *session_pool_take(struct session_pool *pool);
void session_pool_give(struct session_pool *pool, struct session *session);

/* Has epoll tell of what the session's peer answers; the session is the data of its event. Returns 0 or a negative
 * errno. */
int session_watch(struct session *session, int epoll);

#endif
