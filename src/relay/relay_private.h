/* Functions that the files of a relay share. */
#ifndef UDPRELAYD_RELAY_RELAY_PRIVATE_H
#define UDPRELAYD_RELAY_RELAY_PRIVATE_H

#include "relay/relay.h"

/* Allocates the array of the listener's peers. Returns 0 or -ENOMEM. */
int relay_peers_create(struct relay_peer **peers, const struct listener_config *config);
void relay_peers_destroy(struct relay_peer *peers, const struct listener_config *config);

/* Ends a session: counts its unread replies as dropped, closes the socket and frees the session. */
void relay_end_session(struct relay *relay, struct session *session, enum session_end end);

/* Log the start and the end of a session, at level debug. */
void relay_log_start(const struct relay *relay, const struct session *session);
void relay_log_end(const struct relay *relay, const struct session *session, enum session_end end);

/* Logs that no session can begin, at a bounded rate. error is a positive errno. */
void relay_log_open_error(struct relay *relay, const struct endpoint *endpoint, int error);

#endif
