/* What the parts of an explanation share: the question, and how facts are told. */
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
	const struct explain_query *question;
	const struct listener_config *listener;
	struct own_addresses *own;
	FILE *out;
	char source[ADDRESS_TEXT_MAX];
	enum drop_reason drop; /* DROP_NONE while the datagram may go on */
};

/* Before each fact, which is a line of its own. All texts must be fit for a terminal. */
#define FACT_INDENT "  "

/* One fact. */
void explain_line(const struct explain_report *explanation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "KEY, line 12" or "KEY, default"; the key's name is one of the configuration's. */
struct config_location {
	char text[48];
};

struct config_location config_location_of(const struct section_lines *lines, const char *key);

/* The word that stands for a choice of the listener's key, such as "echo". */
const char *explain_choice_name(const char *key, unsigned choice);

/* Bytes of a payload that are shown, and the encoding that reads them. */
struct decoded_preview {
	size_t bytes;
	bool decoded; /* by its encoding, without an error */
	char *text; /* in quotes, fit for a terminal, with an ellipsis where more follows; free(3) frees it */
};

/* The first bytes as a list of encodings has them, as many as a record of the datagram log shows. *encoding, which may
 * be NULL, becomes the name of the one that was taken. Without memory the program ends. */
struct decoded_preview preview_payload(const struct explain_report *explanation, char *const *encodings, size_t count,
				       enum codec_errors errors, const void *bytes, size_t size, const char **encoding);

#endif
