/* Reads and writes UTF-8 (RFC 3629), one sequence at a time. */
#ifndef UDPRELAYD_TEXT_UTF8_H
#define UDPRELAYD_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest sequence. */
#define UTF8_MAX 4

/* Writes the sequence of c, at most UTF8_MAX bytes. A lone surrogate is written as three bytes. Returns the end of what
 * it wrote. */
char *utf8_encode(char *out, uint32_t c);

/* Checks the sequence at bytes; left is at least 1. Returns its length, or the negated length of an error: the longest
 * part that could start a valid sequence, or one byte (Unicode 15, section 3.9, "maximal subparts"). Sets *incomplete
 * if the sequence is valid so far but needs more bytes. */
int utf8_check(const uint8_t *bytes, size_t left, bool *incomplete);

/* Returns the character of a sequence of the given length. The sequence must be valid, or be that of a surrogate. */
uint32_t utf8_decode(const uint8_t *bytes, int length);

/* Returns how many of the leading bytes are ASCII. */
size_t utf8_ascii_run(const uint8_t *bytes, size_t size);

#endif
