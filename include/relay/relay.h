/* The sessions of a listener on one worker: found or begun for each train of a client, ended when they are idle,
 * answered, or cannot go on. */
#ifndef UDPRELAYD_RELAY_RELAY_H
#define UDPRELAYD_RELAY_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "datapath/counters.h"
#include "datapath/delivery.h"
#include "datapath/peer_socket.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "net/own_addresses.h"
#include "relay/session.h"
#include "text/converter.h"
#include "upstream/endpoint_set.h"

/* How many sessions there may be, and are. */
struct session_quota {
	unsigned max;
	atomic_uint alive;
};

/* What a relay works with. Everything is borrowed. */
struct relay_setup {
	const struct listener_config *config;
	const struct own_addresses *own; /* NULL: nothing is */
	struct log *log;
	struct peer_socket *links; /* by the peer's index in the configuration; only their counters are used */
	struct delivery_context *carrier; /* of the listener on this worker, for answers */
	unsigned worker; /* its number */
	struct session_quota *quota; /* of the listener, on all workers together */
	int epoll; /* where sessions' sockets are watched for answers; a session is the data of its event */
	const endpoint_epoch *news;
	const struct endpoints_snapshot *snapshot; /* needed until relay_init() returns */
};

/* What the sessions with one peer share. */
struct relay_peer {
	struct wait_budget patience; /* what they all wait for the peer's queue */
	struct converter *reply_converter; /* of what comes from it; NULL where it has no encoding */
};

struct relay {
	struct relay_setup setup;
	struct relay_counters counters;
	struct session_table *table;
	struct session_pool pool;
	struct endpoint_set targets;
	struct relay_peer *peers; /* of the listener */
	struct log_limit full_limit, open_limit, rest_limit, down_limit, receive_limit;

	struct session *batch[RX_BATCH_TRAINS]; /* of each train of the batch under way */
};

/* Returns 0 or -ENOMEM. The relay must stay where it is. */
int relay_init(struct relay *relay, const struct relay_setup *setup);

/* Ends all sessions. Zeroed memory is accepted. */
void relay_finish(struct relay *relay);

/* Where sessions go on under another configuration. */
struct relay_rebinding {
	struct tx_socket *(*outlet)(const struct tx_socket *before,
				    void *data); /* to their clients; NULL where there is none */
	void *data;
};

/* Whether the relay can go on as the listener is configured now; otherwise its sessions end. */
bool relay_can_adopt_config(const struct relay *relay, const struct listener_config *config);

/* Goes on, at the same place in memory, with another setup: another worker's, even. No thread uses the relay or its
 * targets meanwhile, and the targets' peers are of the configuration before, which must not be gone yet. Sessions of
 * peers and addresses that are gone end; all others stay. Returns 0, or -ENOMEM and
 * leaves everything as it was. */
int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *home);

/* The peers are at other addresses: a session whose target is gone goes on until its client writes again. */
void relay_set_peers(struct relay *relay, const struct endpoints_snapshot *snapshot, uint64_t now_ms);

/* Before a batch: learns which targets have come up or gone down. */
void relay_refresh_endpoints(struct relay *relay, uint64_t now_ms);

/* Who wrote, and by which way an answer would go. */
struct relay_client {
	const struct address *client;
	const struct address *local; /* the address to answer from, with its port */
	struct tx_socket *back;
	bool set_source_address; /* answers have to say that they leave from local */
};

/* Finds the client's session, or begins one, and keeps it from idling. Returns DROP_NONE and the session, which stays
 * at least until relay_finish_batch(), or why there is none. */
enum drop_reason relay_lookup_or_open(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				      struct session **session);

/* The link to the session's peer, for its counters. */
struct peer_socket *relay_peer_socket(const struct relay *relay, const struct session *session);

/* The session's socket cannot be read, for another reason than that ICMP refused what it sent. */
void relay_log_receive_error(struct relay *relay, const struct session *session, int error);

/* After a flush: so many datagrams went to the session's peer, and responses times as many answers may come. */
void relay_count_sent(struct relay *relay, struct session *session, uint32_t datagrams);

/* The session's peer has answered. */
void relay_count_reply(struct relay *relay, struct session *session, uint64_t now_ms);

/* After a batch in which the session took part, once or more often: counts the ICMP errors that its socket met, and
 * ends it where that broke, or where all answers have come. */
void relay_finish_batch(struct relay *relay, struct session *session, uint64_t now_ms);

/* Whether a session that was used at since_ms or later has had fewer answers than datagrams, and may get more. */
bool relay_expects_replies(const struct relay *relay, uint64_t since_ms);

/* Ends at most limit sessions that have been idle for long enough. No batch may be under way. Returns when the next one
 * will be, or UINT64_MAX where there is none. */
uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned limit);

#endif
