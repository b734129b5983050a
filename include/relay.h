/* The sessions of a listener on one worker: found or begun for each train of a client, ended when they are idle,
 * answered, or cannot go on. */
#ifndef UDPRELAYD_RELAY_H
#define UDPRELAYD_RELAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "config.h"
#include "egress.h"
#include "guard.h"
#include "log.h"
#include "metrics.h"
#include "session.h"
#include "target_set.h"

struct route;

/* What a relay works with. Everything is borrowed, but for the reference of the snapshot. */
struct relay_setup {
	const struct listener_config *config;
	const struct own_addresses *own; /* NULL: nothing is */
	struct log *log;
	atomic_uint *sessions; /* of the listener on all workers together */
	int epoll; /* where sessions' sockets are watched for answers; a session is the data of its event */
	const target_news *news;
	struct peers_snapshot *snapshot;
};

struct relay {
	struct relay_setup setup;
	struct relay_counters counters;
	struct route *route; /* the owner's, for answers */
	struct session_table *table;
	struct session_pool pool;
	struct target_set targets;
	struct log_limit full_limit, open_limit, rest_limit, down_limit;
};

/* Returns 0 or -ENOMEM. The relay must stay where it is. */
int relay_init(struct relay *relay, const struct relay_setup *setup);

/* Ends all sessions. Zeroed memory is accepted. */
void relay_finish(struct relay *relay);

/* The peers are at other addresses: sessions whose target is gone end, the others go on. No batch may be under way.
 * Takes over the reference. */
void relay_set_peers(struct relay *relay, struct peers_snapshot *snapshot, uint64_t now_ms);

/* Before a batch: learns which targets have come up or gone down. */
void relay_begin(struct relay *relay, uint64_t now_ms);

/* Who wrote, and by which way an answer would go. */
struct relay_client {
	const struct address *client;
	const struct address *local; /* the address to answer from, with its port */
	struct outlet *back;
	bool names_source; /* answers have to say that they leave from local */
};

/* Finds the client's session, or begins one, and keeps it from idling. Returns DROP_NONE and the session, which stays
 * at least until relay_settle(), or why there is none. */
enum drop_reason relay_find(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
			    struct session **session);

/* After a flush: so many datagrams went to the session's peer, and responses times as many answers may come. */
void relay_sent(struct relay *relay, struct session *session, uint32_t datagrams);

/* The session was used by its peer. */
void relay_touch(struct relay *relay, struct session *session, uint64_t now_ms);

/* ICMP said so many times that nobody listens where the session's target is. */
void relay_refused(struct relay *relay, const struct session *session, uint64_t errors, uint64_t now_ms);

/* After a batch in which the session took part, once or more often: ends it where its socket broke, or where all
 * answers have come. */
void relay_settle(struct relay *relay, struct session *session);

/* Ends at most limit sessions that have been idle for long enough. No batch may be under way. Returns when the next one
 * will be, or UINT64_MAX where there is none. */
uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned limit);

/* Where the session's peer is. */
const struct set_target *relay_target(const struct relay *relay, const struct session *session);

#endif
