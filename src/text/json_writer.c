#include "text/json_writer.h"

#include <inttypes.h>
#include <string.h>

#include "text/escape.h"
#include "text/utf8.h"

static void json_write_name(struct json_writer *writer, const char *name)
{
	if (writer->needs_comma)
		fputc(',', writer->out);
	writer->needs_comma = true;
	if (name)
		fprintf(writer->out, "\"%s\":", name);
}

void json_writer_begin(struct json_writer *writer, const char *name, char bracket)
{
	json_write_name(writer, name);
	fputc(bracket, writer->out);
	writer->needs_comma = false;
}

void json_writer_end(struct json_writer *writer, char bracket)
{
	fputc(bracket, writer->out);
	writer->needs_comma = true;
}

void json_writer_number(struct json_writer *writer, const char *name, uint64_t number)
{
	json_write_name(writer, name);
	fprintf(writer->out, "%" PRIu64, number);
}

void json_writer_decimal(struct json_writer *writer, const char *name, double number)
{
	json_write_name(writer, name);
	fprintf(writer->out, "%.3f", number);
}

void json_writer_boolean(struct json_writer *writer, const char *name, bool value)
{
	json_write_name(writer, name);
	fputs(value ? "true" : "false", writer->out);
}

void json_writer_null(struct json_writer *writer, const char *name)
{
	json_write_name(writer, name);
	fputs("null", writer->out);
}

/* Writes one character and returns its length. A byte that is not valid UTF-8 is passed to escape_json() alone, because
 * that function accepts lone surrogates: it would read some invalid sequences as one character. */
static size_t json_write_character(FILE *out, const char *text, size_t left)
{
	char escaped[ESCAPE_EXPANSION * UTF8_MAX];
	bool incomplete;
	int length = utf8_check((const uint8_t *)text, left, &incomplete);
	size_t consumed = length > 0 ? (size_t)length : 1;

	fwrite(escaped, 1, escape_json(escaped, text, consumed), out);
	return consumed;
}

void json_writer_string(struct json_writer *writer, const char *name, const char *text)
{
	size_t left = strlen(text);

	json_write_name(writer, name);
	fputc('"', writer->out);
	while (left) {
		size_t consumed = json_write_character(writer->out, text, left);

		text += consumed;
		left -= consumed;
	}
	fputc('"', writer->out);
}
