/* Writes JSON (RFC 8259) to a stream, one value at a time. The writer adds the commas; it does not check that brackets
 * match. Write errors are left to the owner of the stream, see ferror(3). */
#ifndef UDPRELAYD_TEXT_JSON_WRITER_H
#define UDPRELAYD_TEXT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The caller sets and owns out; all other fields start as zero. */
struct json_writer {
	FILE *out;
	bool needs_comma; /* a value precedes in the same object or array */
};

/* Each function takes the name of the member, which is written without escapes. The name is NULL for an element of an
 * array and for the outermost value. */
void json_writer_begin(struct json_writer *writer, const char *name, char bracket); /* '{' or '[' */
void json_writer_end(struct json_writer *writer, char bracket); /* '}' or ']' */
void json_writer_number(struct json_writer *writer, const char *name, uint64_t number);
void json_writer_boolean(struct json_writer *writer, const char *name, bool value);
void json_writer_null(struct json_writer *writer, const char *name);

/* Writes three decimal places. The number must be finite. */
void json_writer_decimal(struct json_writer *writer, const char *name, double number);

/* Accepts any bytes. A byte that is not valid UTF-8 appears as \xNN in the parsed string. */
void json_writer_string(struct json_writer *writer, const char *name, const char *text);

#endif
