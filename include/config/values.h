/* The kinds of values that the configuration knows. Every function takes the text of a value, blanks around it removed,
 * and returns whether it is one; *result is written only then. */
#ifndef UDPRELAYD_CONFIG_VALUES_H
#define UDPRELAYD_CONFIG_VALUES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/port_set.h"

/* on, yes, true, off, no, false; in any case, like all words. */
bool value_boolean(const char *text, bool *result);

/* Decimal digits, from min to max. */
bool value_number(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* Bytes: a number with K, M or G for powers of 1024, or without. */
bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* Milliseconds: a number with ms, s, m or h. */
bool value_duration(const char *text, uint64_t min, uint64_t max, uint64_t *result);

/* One of the words, a list that ends in NULL; the result is its index. */
bool value_choice(const char *text, const char *const words[], unsigned *result);

/* Ports and ranges, "0-1023, 1900". */
bool value_ports(const char *text, struct port_set *result);

/* The name of a network interface, as the kernel takes it. Whether it exists is another matter. */
bool value_interface(const char *text, char result[IF_NAMESIZE]);

/* Hex digits, two for each byte and nothing between them; out has room for half as many bytes as there are digits.
 * Returns NULL, or what is wrong and what would be right. */
const char *value_hex(const char *text, uint8_t *out);

/* The same for words of digits with blanks or commas between them; text is cut up. *size is the bytes in all. Where
 * something is wrong, *word is where. */
const char *value_hex_words(char *text, uint8_t *out, size_t *size, const char **word);

/* The next item of a list separated by commas, blanks around it removed; NULL at the end. *cursor begins at a copy of
 * the value, which is cut up. An item may be empty, which is for the caller to refuse. */
char *value_next(char **cursor);

/* Letters to change, insert or remove to make b of a, whatever their case (Levenshtein); a large number for long texts.
 */
size_t value_distance(const char *a, const char *b);

#endif
