/* Values of the configuration that are more than a word or a number. */
#ifndef UDPRELAYD_CONFIG_SETTERS_H
#define UDPRELAYD_CONFIG_SETTERS_H

#include <stdbool.h>

#include "config/keys.h"

/* Tells that the scope's value is wrong; always false. */
bool scope_wrong(struct scope *scope, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For config_key::set: each takes one value, which is not empty, into the configuration. */
bool set_user(struct scope *scope, const char *value);
bool set_group(struct scope *scope, const char *value);
bool set_target(struct scope *scope, const char *value);
bool set_http_listen(struct scope *scope, const char *value);
bool set_listener_address(struct scope *scope, const char *value);
bool set_peers(struct scope *scope, const char *value);
bool set_listener_encoding(struct scope *scope, const char *value);
bool set_log(struct scope *scope, const char *value);
bool set_interface(struct scope *scope, const char *value);
bool set_multicast(struct scope *scope, const char *value);
bool set_refuse_source_ports(struct scope *scope, const char *value);
bool set_prefixes(struct scope *scope, const char *value);
bool set_peer_address(struct scope *scope, const char *value);
bool set_peer_encoding(struct scope *scope, const char *value);
bool set_payload(struct scope *scope, const char *value); /* of a peer, at the offset of the key */

#endif
