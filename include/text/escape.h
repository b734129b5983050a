/* Text made safe for one line of a log. */
#ifndef UDPRELAYD_TEXT_ESCAPE_H
#define UDPRELAYD_TEXT_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most bytes written for one byte of text, by either function. */
#define ESCAPE_EXPANSION 6

/* Both take text as codec.h describes it, write no NUL and no quotes around it, and return the bytes written. out holds
 * ESCAPE_EXPANSION * length bytes.
 *
 * Escaped are: control characters (C0, DEL, C1), line and paragraph separators, bidirectional and other invisible
 * format controls, noncharacters, the double quote and the backslash. */

/* \n \r \t \" \\ \uXXXX \UXXXXXXXX (as in Python); \xNN is a byte that did not decode, and nothing else is. */
size_t escape_text(char *out, const char *utf8, size_t length);

/* The inside of a JSON string (RFC 8259, section 7); a byte that did not decode reads \xNN once the string is parsed,
 * as Python's backslashreplace has it. */
size_t escape_json(char *out, const char *utf8, size_t length);

/* Whether a character beyond ASCII is one of those. */
bool escape_is_hidden(uint32_t c);

#endif
