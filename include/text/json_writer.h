/* JSON (RFC 8259), written member by member; commas come by themselves. */
#ifndef UDPRELAYD_TEXT_JSON_WRITER_H
#define UDPRELAYD_TEXT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* out is the caller's, the rest is zeroed. */
struct json_writer {
	FILE *out;
	bool follows; /* something stands before, in the same object or array */
};

/* Each takes the name of a member, or NULL in an array and at the beginning; names need no escapes. */
void json_writer_begin(struct json_writer *json, const char *name, char bracket); /* '{' or '[' */
void json_writer_end(struct json_writer *json, char bracket); /* '}' or ']' */
void json_writer_number(struct json_writer *json, const char *name, uint64_t number);
void json_writer_decimal(struct json_writer *json, const char *name,
			 double number); /* finite; three digits behind the point */
void json_writer_boolean(struct json_writer *json, const char *name, bool value);
void json_writer_null(struct json_writer *json, const char *name);

/* Any bytes: what is no UTF-8 reads \xNN once the string is parsed. */
void json_writer_string(struct json_writer *json, const char *name, const char *text);

#endif
