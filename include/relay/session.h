/* A session: one client, one endpoint of a peer, and a connected socket between them. The relay of the listener owns
 * it; its memory comes from a pool of fixed size. */
#ifndef UDPRELAYD_RELAY_SESSION_H
#define UDPRELAYD_RELAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/container_of.h"
#include "datapath/tx_batch.h"
#include "relay/session_table.h"
#include "upstream/endpoint_set.h"

struct relay;

struct session {
	struct session_node node; /* in the relay's table: client, and local address to reply from */
	struct relay *relay;
	struct tx_socket tx; /* to the endpoint; connected */
	struct tx_socket *client_tx; /* to the client: the listener's socket */
	struct endpoint_ref *endpoint_ref;
	uint32_t replies_due; /* replies that the key `responses` still permits */
	uint32_t loop_version; /* the relay's loop_version when this session was last checked for a loop */
	bool is_loop; /* result of the check */
	uint32_t client_batch; /* number of the relay's batch that last used this session */
	uint32_t source_place; /* in the table of the quota */
	uint32_t reply_batch; /* number of the last reply batch that read this session */
	uint8_t read_quota; /* replies to read at once */
	uint8_t read_failures; /* in sequence; the count stops at a small number */
	bool gro_enabled; /* UDP_GRO is set: the socket delivers trains */
	bool set_source_address; /* a reply must name the address that it leaves from */
	bool paused; /* epoll does not watch the socket */
	TAILQ_ENTRY(session) paused_link;
	uint64_t datagrams, replies; /* sent to the endpoint; received from it */
	uint64_t asked_ms; /* monotonic; if the name lost the address: first datagram since the last reply, 0: none */
	uint64_t reopen_ms; /* monotonic; a broken socket is not opened again before this time */
	uint64_t unanswered; /* datagrams since the last reply, less the ICMP errors since then */
};

/* Bytes of a session, with the overhead of its bucket. The manual states this limit. */
#define SESSION_SIZE_MAX 512

_Static_assert(sizeof(struct session) + 2 * sizeof(void *) <= SESSION_SIZE_MAX, "the memory limit of a session");

static inline struct session *session_of(struct session_node *node)
{
	return container_of(node, struct session, node);
}

/* Memory for sessions. A page becomes resident when its first session is used. */
struct session_pool {
	struct session *sessions;
	size_t max, touched; /* sessions[touched] and all after it were never used */
	SLIST_HEAD(, session_node) free;
};

/* Returns 0 or -ENOMEM. */
int session_pool_init(struct session_pool *pool, size_t max);
void session_pool_finish(struct session_pool *pool);

/* Returns a zeroed session without a socket, or NULL if max sessions are in use. */
struct session *session_pool_take(struct session_pool *pool);
void session_pool_give(struct session_pool *pool, struct session *session);

/* Watches the session's socket for input (epoll(7)); the session is the data of the event. Returns 0 or a negative
 * errno. */
int session_watch(struct session *session, int epoll);

/* --- Paused sessions --- */

/* Sessions whose sockets cannot be read. epoll would report them in an endless loop, so it does not watch them for a
 * moment. The list is in the order of the pauses. */
struct paused_sessions {
	int epoll; /* descriptor that watches sessions */
	TAILQ_HEAD(paused_list, session) list;
};

void paused_sessions_init(struct paused_sessions *paused, int epoll);

bool paused_sessions_any(const struct paused_sessions *paused);

/* Pauses a session that epoll watches. Does nothing if it is paused, or if the kernel refuses. */
void paused_sessions_add(struct paused_sessions *paused, struct session *session);

/* Adds a session that epoll does not watch. */
void paused_sessions_add_unwatched(struct paused_sessions *paused, struct session *session);

/* Watches paused sessions again, at most max. A session that the kernel refuses to watch stays paused. */
void paused_sessions_resume(struct paused_sessions *paused, unsigned max);

/* Removes a session that ends. It need not be paused. */
void paused_sessions_remove(struct paused_sessions *paused, struct session *session);

#endif
