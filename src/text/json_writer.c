#include "text/json_writer.h"

#include <inttypes.h>
#include <string.h>

#include "text/escape.h"
#include "text/utf8.h"

static void put_name(struct json_writer *json, const char *name)
{
	if (json->follows)
		fputc(',', json->out);
	json->follows = true;
	if (name)
		fprintf(json->out, "\"%s\":", name);
}

void json_writer_begin(struct json_writer *json, const char *name, char bracket)
{
	put_name(json, name);
	fputc(bracket, json->out);
	json->follows = false;
}

void json_writer_end(struct json_writer *json, char bracket)
{
	fputc(bracket, json->out);
	json->follows = true;
}

void json_writer_number(struct json_writer *json, const char *name, uint64_t number)
{
	put_name(json, name);
	fprintf(json->out, "%" PRIu64, number);
}

void json_writer_decimal(struct json_writer *json, const char *name, double number)
{
	put_name(json, name);
	fprintf(json->out, "%.3f", number);
}

void json_writer_boolean(struct json_writer *json, const char *name, bool value)
{
	put_name(json, name);
	fputs(value ? "true" : "false", json->out);
}

void json_writer_null(struct json_writer *json, const char *name)
{
	put_name(json, name);
	fputs("null", json->out);
}

/* Bytes that are no sequence are submitted on one by one, which never makes one of them. */
static size_t put_sequence(FILE *out, const char *text, size_t left)
{
	char escaped[ESCAPE_EXPANSION * UTF8_MAX];
	bool unfinished;
	int length = utf8_step((const uint8_t *)text, left, &unfinished);
	size_t taken = length > 0 ? (size_t)length : 1;

	fwrite(escaped, 1, escape_json(escaped, text, taken), out);
	return taken;
}

void json_writer_string(struct json_writer *json, const char *name, const char *text)
{
	size_t left = strlen(text);

	put_name(json, name);
	fputc('"', json->out);
	while (left) {
		size_t taken = put_sequence(json->out, text, left);

		text += taken;
		left -= taken;
	}
	fputc('"', json->out);
}
