/* The checks of a peer that need more than one key or the listeners. */
#ifndef UDPRELAYD_CONFIG_VALIDATE_PEER_H
#define UDPRELAYD_CONFIG_VALIDATE_PEER_H

#include <stdbool.h>

#include "config/section_check.h"

/* Adds the errors and warnings of the peer, whose section is that of check. */
void config_validate_peer(const struct section_check *check, const struct peer_config *peer);

/* Adds the errors about the address of the peer. key is the key that has the address: `peers` if the peer is listed. */
void config_validate_peer_address(const struct section_check *check, const char *key, const struct peer_config *peer);

/* Writes the address of the peer and returns true if it is known without resolving. The addresses of names are checked
 * when they are resolved, except for localhost, which is always a loopback address (RFC 6761, section 6.3). */
bool config_peer_fixed_address(const struct peer_config *peer, struct address *address);

#endif
