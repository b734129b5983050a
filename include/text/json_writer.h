/* JSON (RFC 8259), written member by member; commas come by themselves. */
#ifndef UDPRELAYD_TEXT_JSON_WRITER_H
#define UDPRELAYD_TEXT_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* out is the caller's, the rest is zeroed. */
struct json {
	FILE *out;
	bool follows; /* something stands before, in the same object or array */
};

/* Each takes the name of a member, or NULL in an array and at the beginning; names need no escapes. */
void json_begin(struct json *json, const char *name, char bracket); /* '{' or '[' */
void json_end(struct json *json, char bracket); /* '}' or ']' */
void json_number(struct json *json, const char *name, uint64_t number);
void json_decimal(struct json *json, const char *name, double number); /* finite; three digits behind the point */
void json_boolean(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);

/* Any bytes: what is no UTF-8 reads \xNN once the string is parsed. */
void json_string(struct json *json, const char *name, const char *text);

#endif
