/* Escapes text so that it fits safely into one line of a log. */
#ifndef UDPRELAYD_TEXT_ESCAPE_H
#define UDPRELAYD_TEXT_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Maximum number of bytes that either function writes per byte of text. */
#define ESCAPE_EXPANSION 6

/* Both functions read text as in struct codec_text (codec.h). out has space for ESCAPE_EXPANSION * length bytes. They
 * return the number of bytes written, and write neither a NUL nor quotes around the text.
 *
 * They escape control characters (C0, DEL, C1), line and paragraph separators, bidirectional and other invisible format
 * controls, noncharacters, the double quote and the backslash. */

/* Writes \n \r \t \" \\ \uXXXX \UXXXXXXXX as Python does. \xNN always stands for a byte that did not decode. */
size_t escape_text(char *out, const char *utf8, size_t length);

/* Writes the inside of a JSON string (RFC 8259, section 7). A byte that did not decode appears as \xNN in the parsed
 * string, as with Python's backslashreplace. */
size_t escape_json(char *out, const char *utf8, size_t length);

/* Returns true if the functions above escape this character. c is not ASCII. */
bool escape_is_hidden(uint32_t c);

#endif
