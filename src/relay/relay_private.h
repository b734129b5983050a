/* Functions of relay.c that relay_handover.c uses, too. */
#ifndef UDPRELAYD_RELAY_RELAY_PRIVATE_H
#define UDPRELAYD_RELAY_RELAY_PRIVATE_H

#include "relay/relay.h"

/* Allocates the array of the listener's peers. Returns 0 or -ENOMEM. */
int relay_peers_create(struct relay_peer **peers, const struct listener_config *config);
void relay_peers_destroy(struct relay_peer *peers, const struct listener_config *config);

/* Ends a session: counts its unread replies as dropped, closes the socket and frees the session. */
void relay_end_session(struct relay *relay, struct session *session, enum session_end end);

#endif
