/* The values of keys that the file does not set. */
#ifndef UDPRELAYD_CONFIG_DEFAULTS_H
#define UDPRELAYD_CONFIG_DEFAULTS_H

#include "config/config.h"

/* Return a section without keys. They take over the name, which is allocated. */
struct listener_config config_default_listener(char *name, size_t index);
struct peer_config config_default_peer(char *name, size_t index);

/* Sets the defaults that depend on other keys. Call this after all keys are set. */
void config_apply_defaults(struct config *config);

#endif
