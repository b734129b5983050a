/* UTF-8 (RFC 3629), sequence by sequence. */
#ifndef UDPRELAYD_TEXT_UTF8_H
#define UDPRELAYD_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest sequence. */
#define UTF8_MAX 4

/* Writes c, at most UTF8_MAX bytes; a lone surrogate too, as three. Returns the end. */
char *utf8_put(char *out, uint32_t c);

/* How many bytes the sequence at bytes has or, negative, how many of them are one error: the longest beginning of a
 * sequence (Unicode 15, 3.9, "maximal subparts"). *unfinished: they end within one. left is at least 1. */
int utf8_step(const uint8_t *bytes, size_t left, bool *unfinished);

/* The character of a sequence of that length, which is valid but may be a surrogate. */
uint32_t utf8_get(const uint8_t *bytes, int length);

/* Bytes at the beginning that are ASCII. */
size_t utf8_ascii_run(const uint8_t *bytes, size_t size);

#endif
