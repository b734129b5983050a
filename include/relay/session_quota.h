/* Limits the sessions of a relay, in total and per source. All workers share a quota, because the kernel spreads the
 * ports of one source over them.
 *
 * A source is an IPv4 address or an IPv6 /64, the usual prefix of one subscriber. The sources with sessions are in a
 * hash table of fixed size, two entries for each session. Its key is secret, so that a client cannot choose sources
 * that share a bucket. If both buckets of a source are full, which is rare, its sessions are not counted. */
#ifndef UDPRELAYD_RELAY_SESSION_QUOTA_H
#define UDPRELAYD_RELAY_SESSION_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct source_table;

struct session_quota {
	unsigned max;
	atomic_uint open;
	struct source_table *sources; /* NULL: no limit per source */
};

/* Sets the limits: max sessions, of which max_per_source (0: all) may belong to one source. The table of sources has
 * room for table_size sessions. Returns 0 or -ENOMEM. */
int session_quota_init(struct session_quota *quota, unsigned max, unsigned max_per_source, size_t table_size);
void session_quota_finish(struct session_quota *quota);

/* Counts one more session, unless there are max already. Any thread. */
bool session_quota_acquire(struct session_quota *quota);
void session_quota_release(struct session_quota *quota);

/* The place of a session's source in the table. */
#define SOURCE_NOT_COUNTED UINT32_MAX

/* Counts one more session of the client's source and sets *place for source_quota_release(). Returns false if the
 * source has max_per_source already, unless force is true; *place is that of the source, too. AF_UNIX clients have no
 * limit. Any thread. */
bool source_quota_acquire(struct session_quota *quota, const struct address *client, bool force, uint32_t *place);
void source_quota_release(struct session_quota *quota, uint32_t place);

#endif
