/* Parsers for the types of values in the configuration and on command lines.
 *
 * Unless noted otherwise, each function takes the text of one value without blanks around it and returns whether the
 * text is valid. It writes *result only if it returns true. Words and units are case-insensitive. */
#ifndef UDPRELAYD_CONFIG_VALUES_H
#define UDPRELAYD_CONFIG_VALUES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/port_set.h"

/* on, yes, true, off, no, false. */
bool value_boolean(const char *text, bool *result);

/* At most 18 decimal digits, a number from min to max. */
bool value_number(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* Bytes: a number, optionally followed by K, M or G for powers of 1024. min and max are in bytes. */
bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* Milliseconds: a number followed by ms, s, m or h. min and max are in milliseconds. */
bool value_duration(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* One of the words; the list ends with NULL. The result is the index of the word. */
bool value_choice(const char *text, const char *const words[], unsigned *result);

/* Adds a port or a range of ports, such as "1900" or "0-1023", to the set. If the text is not valid, the set is
 * unchanged. */
bool value_ports(const char *text, struct port_set *set);

/* A name that the kernel accepts for a network interface. Does not check that the interface exists. */
bool value_interface(const char *text, char result[IF_NAMESIZE]);

/* A host name that the resolver does not take for an address, as it does with "192.168.1" and "0x7f.1". The text has
 * only the letters that address_split() accepts. */
bool value_host_name(const char *text);

/* Returns whether the text is meant as an address, and not as the name of a section: it has a colon, or is an IP
 * address that lacks its port. */
bool value_is_address(const char *text);

/* Decodes hex digits, two per byte without separators. out holds half as many bytes as text has digits. Returns NULL,
 * or a static text that names the problem and the fix; then out is unchanged. */
const char *value_hex(const char *text, uint8_t *out);

/* As value_hex(), for words of hex digits that are separated by blanks, newlines or commas. Modifies text. *size is the
 * total number of bytes. If there is a problem, *word points to the word in text. */
const char *value_hex_words(char *text, uint8_t *out, size_t *size, const char **word);

/* Returns the next item of a comma-separated list, without blanks around it, or NULL at the end of the list. *cursor
 * starts at a writable copy of the value, which this function modifies; items point into the copy. An item may be
 * empty: the caller decides whether that is an error. */
char *value_next_item(char **cursor);

/* Returns the Levenshtein distance of a and b without regard to case: the number of letters to change, insert or remove
 * to turn a into b. Returns 48 if one of them is longer than 48 bytes. */
size_t value_distance(const char *a, const char *b);

#endif
