/* The relay of one listener on one worker: the sessions of its clients. It finds or opens a session for each train of a
 * client, and ends a session that is idle, complete (`responses`), or whose endpoint fails; datapath/session_end.h
 * lists all reasons. relay_action.h connects it with the pipeline, reply.h carries the replies. One thread uses a relay
 * at a time. */
#ifndef UDPRELAYD_RELAY_RELAY_H
#define UDPRELAYD_RELAY_RELAY_H

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
#include "relay/session_quota.h"
#include "text/converter.h"
#include "upstream/endpoint_set.h"

/* The setup of a relay. All pointers are borrowed. */
struct relay_setup {
	const struct listener_config *config;
	const struct own_addresses *own; /* NULL: no address is our own */
	struct log *log;
	struct peer_socket *peer_sockets; /* indexed like the peers of the configuration; only for their counters */
	struct delivery_context *delivery; /* context of the listener on this worker, for replies */
	unsigned worker; /* number of the worker */
	struct session_quota *quota; /* quota of the listener, shared by all workers */
	struct paused_sessions *paused; /* with the epoll descriptor that watches the sessions' sockets */
	const endpoint_epoch *epoch;
	const struct endpoints_snapshot
		*snapshot; /* borrowed only until relay_init() or relay_adopt_config() returns */
};

/* The part that all sessions with one peer share. */
struct relay_peer {
	struct wait_budget wait_budget; /* for the peer's receive queue */
	struct converter *reply_converter; /* for datagrams of the peer; NULL: it has no encoding */
};

struct relay {
	struct relay_setup setup;
	struct relay_counters counters;
	struct session_table *table;
	struct session_pool pool;
	struct endpoint_set endpoints;
	struct relay_peer *peers; /* one for each peer of the listener */
	struct log_limit full_log_limit, source_log_limit, open_log_limit, ejected_log_limit, down_log_limit,
		receive_log_limit;

	uint32_t batch; /* number of the current batch of clients' datagrams */
	uint32_t loop_version; /* changes with the endpoints and with our own addresses */
	uint32_t endpoints_version; /* version of the endpoints at the last refresh */
	unsigned own_version; /* version of our own addresses at the last refresh */

	struct session *batch_sessions[RX_BATCH_TRAINS]; /* session of each submitted train of the current batch */
};

/* Returns 0 or -ENOMEM. The relay must not move in memory. */
int relay_init(struct relay *relay, const struct relay_setup *setup);

/* Ends all sessions and frees what the relay owns. Accepts zeroed memory. */
void relay_finish(struct relay *relay);

/* Finds the listener's socket of the new configuration for a session's client_tx. */
struct relay_rebinding {
	struct tx_socket *(*client_tx)(const struct tx_socket *before, void *data); /* NULL: there is none */
	void *data;
};

/* Returns whether the relay can continue with this configuration of its listener. If not, its sessions end. */
bool relay_can_adopt_config(const struct listener_config *config);

/* Continues with another setup, perhaps on another worker. The relay stays at its place in memory. No thread uses the
 * relay or its endpoints meanwhile, and the previous configuration still exists. Sessions end if their peer, with its
 * address, or their local address is not in the new configuration. They stay even if they are more than its
 * max_sessions. Returns 0, or -ENOMEM and changes nothing. */
int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *rebinding);

/* Sets the addresses of the peers. A session whose address was removed stays, unless its endpoint fails or no longer
 * replies. */
void relay_set_peers(struct relay *relay, const struct endpoints_snapshot *snapshot, uint64_t now_ms);

/* Reads which endpoints are up. Call it before each batch: endpoints do not change within a batch. */
void relay_refresh_endpoints(struct relay *relay, uint64_t now_ms);

/* The sender of a train, and the return path to it. */
struct relay_client {
	const struct address *client;
	const struct address *local; /* source address and port for replies */
	struct tx_socket *tx; /* the socket that sends replies */
	bool set_source_address; /* a reply must name local as its source */
};

/* Finds the client's session or opens one, and restarts its idle timeout. A new session may replace one without
 * replies. Returns DROP_NONE and the session, which stays valid until relay_finish_batch(), or the reason to drop the
 * train. */
enum drop_reason relay_lookup_or_open(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				      struct session **session);

/* Returns the worker's socket to the session's peer. Only its counters and its log limits are used. */
struct peer_socket *relay_peer_socket(const struct relay *relay, const struct session *session);

/* Logs that a session's socket cannot be read, at a bounded rate. error is a positive errno. */
void relay_log_receive_error(struct relay *relay, const struct session *session, int error);

/* Counts datagrams that were sent to the session's endpoint. Each permits `responses` replies. */
void relay_count_sent(struct relay *relay, struct session *session, uint32_t datagrams);

/* Records that the session's endpoint has replied. */
void relay_count_reply(struct relay *relay, struct session *session, uint64_t now_ms);

/* Call it after each batch for each session of the batch; a session may come more than once. Reports ICMP errors, and
 * opens the socket again if it is broken, and ends the session if all permitted replies have come. */
void relay_finish_batch(struct relay *relay, struct session *session, uint64_t now_ms);

/* Returns whether any session that was used since since_ms has fewer replies than datagrams and may still get
 * replies. */
bool relay_expects_replies(const struct relay *relay, uint64_t since_ms);

/* Ends at most max idle sessions. No batch may be in progress. Returns the time of the next idle timeout, or UINT64_MAX
 * if there is no session. */
uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned max);

#endif
