/* Configurations out of strings, for the tests of config*.c. The file includes cmocka.h before this. */
#ifndef UDPRELAYD_CONFIG_TEXT_H
#define UDPRELAYD_CONFIG_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

/* Reads size bytes as "t.ini". *errors has the error messages; the caller frees it. */
static inline struct config *config_of(const char *text, size_t size, char **errors)
{
	FILE *in = fmemopen((char *)text, size, "r"), *out;
	struct config *config;
	size_t length;

	assert_non_null(in);
	out = open_memstream(errors, &length);
	assert_non_null(out);
	config = config_load_stream("t.ini", in, out);
	fclose(in);
	fclose(out);
	return config;
}

/* The configuration, which must be good. */
static inline struct config *good(const char *text)
{
	char *errors;
	struct config *config = config_of(text, strlen(text), &errors);

	assert_string_equal(errors, "");
	assert_non_null(config);
	free(errors);
	return config;
}

/* Checks that the errors are exactly these lines, each with "t.ini:" before and any text after it. */
static inline void refused_bytes(const char *text, size_t size, const char *const expected[])
{
	char *errors, *line, *rest;
	struct config *config = config_of(text, size, &errors);

	assert_null(config);
	rest = errors;
	for (; *expected; expected++) {
		char begin[256];

		snprintf(begin, sizeof(begin), "t.ini:%s", *expected);
		line = strsep(&rest, "\n");
		if (!line || strncmp(line, begin, strlen(begin)))
			fail_msg("expected `%s`, not `%s`", begin, line ? line : "");
	}
	if (rest && *rest)
		fail_msg("too much was told: `%s`", rest);
	free(errors);
}

#define refused(text, ...) refused_bytes(text, strlen(text), (const char *const[]){__VA_ARGS__, NULL})

#endif
