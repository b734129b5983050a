/* Values of the configuration that are more than a word or a number. */
#ifndef UDPRELAYD_CONFIG_SETTERS_H
#define UDPRELAYD_CONFIG_SETTERS_H

#include <stdbool.h>

#include "config/keys.h"

/* Tells that the scope's value is wrong; always false. */
bool config_field_error(struct config_field *scope, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For config_key::set: each takes one value, which is not empty, into the configuration. */
bool set_user(struct config_field *scope, const char *value);
bool set_group(struct config_field *scope, const char *value);
bool set_target(struct config_field *scope, const char *value);
bool set_http_listen(struct config_field *scope, const char *value);
bool set_listener_address(struct config_field *scope, const char *value);
bool set_peers(struct config_field *scope, const char *value);
bool set_listener_encoding(struct config_field *scope, const char *value);
bool set_log(struct config_field *scope, const char *value);
bool set_interface(struct config_field *scope, const char *value);
bool set_multicast(struct config_field *scope, const char *value);
bool set_refuse_source_ports(struct config_field *scope, const char *value);
bool set_prefixes(struct config_field *scope, const char *value);
bool set_peer_address(struct config_field *scope, const char *value);
bool set_peer_encoding(struct config_field *scope, const char *value);
bool set_payload(struct config_field *scope, const char *value); /* of a peer, at the offset of the key */

#endif
