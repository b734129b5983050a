/* --explain: the state of one report, shared by its parts, and the output of a line. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_REPORT_H
#define UDPRELAYD_ADMIN_EXPLAIN_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "admin/explain_query.h"
#include "config/config.h"
#include "guard/access.h"
#include "net/drop_reason.h"
#include "text/codec.h"

struct explain_report {
	const struct config *config;
	const struct explain_query *query;
	const struct listener_config *listener;
	struct own_addresses *own;
	FILE *out;
	char source[ADDRESS_TEXT_MAX]; /* query->source as text */
	enum drop_reason drop; /* DROP_NONE while no rule has dropped the datagram */
};

/* Precedes each line below the first. All text must be safe for a terminal: escape text from outside. */
#define EXPLAIN_INDENT "  "

/* Writes one line. */
void explain_line(const struct explain_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The origin of a value in the configuration: "KEY, line 12" or "KEY, default". */
struct config_location {
	char text[48];
};

struct config_location config_location_of(const struct section_lines *lines, const char *key);

/* Returns the word for a value of a listener key, such as "echo" for ACTION_ECHO. */
const char *explain_choice_name(const char *key, unsigned choice);

/* The first bytes of a payload, decoded. */
struct decoded_preview {
	bool decoded; /* without an error */
	char *text; /* quoted and escaped, with an ellipsis if more bytes follow; the caller frees it */
};

/* Decodes the first bytes of a payload: as many as a record of the datagram log shows. Uses the first of the encodings
 * that decodes them. If encoding is not NULL, sets *encoding to the name of that encoding. Aborts when out of memory.
 */
struct decoded_preview preview_payload(const struct explain_report *report, char *const *encodings, size_t count,
				       enum codec_errors errors, const void *bytes, size_t size, const char **encoding);

#endif
