/* Setters for values that are more than a word or a number (struct config_key, member set). Each setter parses one
 * value, which is not empty, and stores it in the configuration. It returns true, or false if the value is wrong. If it
 * adds no error itself, the caller adds a generic one. Strings and arrays that a setter allocates belong to the
 * configuration. */
#ifndef UDPRELAYD_CONFIG_SETTERS_H
#define UDPRELAYD_CONFIG_SETTERS_H

#include <stdbool.h>

#include "config/keys.h"

/* Adds an error about the value of the field. Always returns false. */
bool config_field_error(struct config_field *field, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds the generic error about a value or an item of a list. Always returns false. */
bool config_field_invalid(struct config_field *field, const char *text);

/* Calls add_item() for every item of a comma-separated list, even after an error, so that all errors are reported. The
 * list may span many lines, so field->line is the line of the item during the call. Adds an error for empty items.
 * Returns whether all items are valid. add_item() may modify the item. value is the value of the entry or its end. */
bool config_field_each_item(struct config_field *field, const char *value,
			    bool (*add_item)(struct config_field *field, char *item));

/* Returns whether the item of a list is one word; if not, adds an error that proposes commas. */
bool config_field_word(struct config_field *field, const char *item);

/* Appends a zeroed element of `size` bytes to an array and returns it. `array` is the address of the pointer to the
 * array. The array was grown only by this function, and moves. */
void *config_array_append(void *array, size_t *count, size_t size);

/* Adds an error about an IPv4-mapped IPv6 address. text is as in the file. Always returns false. */
bool config_field_v4_mapped(struct config_field *field, const char *text, const struct address *address);

/* Returns whether the charset can be used; if not, adds an error. */
bool config_field_charset(struct config_field *field, const char *name);

/* setters.c */
bool set_user(struct config_field *field, const char *value);
bool set_group(struct config_field *field, const char *value);
bool set_target(struct config_field *field, const char *value);
bool set_listener_encoding(struct config_field *field, const char *value);
bool set_log(struct config_field *field, const char *value);

/* setters_address.c */
bool set_http_listen(struct config_field *field, const char *value);
bool set_http_hosts(struct config_field *field, const char *value);
bool set_listener_address(struct config_field *field, const char *value);
bool set_interface(struct config_field *field, const char *value);
bool set_multicast(struct config_field *field, const char *value);
bool set_refuse_source_ports(struct config_field *field, const char *value);
bool set_prefixes(struct config_field *field, const char *value); /* stores at the offset of the key, in the listener */

/* setters_peer.c */
bool set_peers(struct config_field *field, const char *value);
bool set_peer_address(struct config_field *field, const char *value);
bool set_peer_encoding(struct config_field *field, const char *value);
bool set_payload(struct config_field *field, const char *value); /* stores at the offset of the key, in the peer */

#endif
