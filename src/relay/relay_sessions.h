/* How a relay opens and ends a session. Only the files of this folder use it. */
#ifndef UDPRELAYD_RELAY_RELAY_SESSIONS_H
#define UDPRELAYD_RELAY_RELAY_SESSIONS_H

#include "relay/relay.h"

/* Allocates the array of the listener's peers. Returns 0 or -ENOMEM. */
int relay_peers_create(struct relay_peer **peers, const struct listener_config *config);
void relay_peers_destroy(struct relay_peer *peers, const struct listener_config *config);

/* Opens a session for a client that has none. Returns DROP_NONE and the session, or the reason to drop the train. */
enum drop_reason relay_open_session(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				    struct session **session);

/* Ends a session: counts the replies that nothing has read, closes the socket and frees the session. reason is for the
 * log. */
void relay_end_session(struct relay *relay, struct session *session, const char *reason);

/* Counts failures of an endpoint towards max_fails, and logs its ejection. */
void relay_report_failure(struct relay *relay, struct endpoint *endpoint, unsigned failures, uint64_t now_ms);

#endif
