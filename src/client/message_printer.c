#include "client/message_printer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "client/client_socket.h"
#include "config/values.h"
#include "datagram_log/record.h"

struct message_printer {
	char *encoding_names; /* the list of encodings, split into strings */
	struct codec *codec;
	char *line_buffer;
	bool raw;
};

/* Splits the list in place. *encodings points into it; the caller frees the array. Returns the number of encodings. */
static size_t split_encodings(char *encoding_names, char ***encodings)
{
	char *name, *cursor = encoding_names;
	size_t count = 0;

	*encodings = NULL;
	while ((name = value_next_item(&cursor))) {
		*encodings = xgrow(*encodings, count, sizeof(char *));
		(*encodings)[count++] = name;
	}
	return count;
}

int message_printer_create(struct message_printer **out, const char *list, enum codec_errors errors, bool raw)
{
	struct message_printer *printer = xcheck(calloc(1, sizeof(*printer)));
	char **encodings;
	size_t count;
	int error;

	printer->encoding_names = xcheck(strdup(list));
	printer->line_buffer = xcheck(malloc(record_size_max(CLIENT_DATAGRAM_MAX)));
	printer->raw = raw;
	count = split_encodings(printer->encoding_names, &encodings);
	error = count ? codec_create(&printer->codec, encodings, count, errors, CLIENT_DATAGRAM_MAX) : -EINVAL;
	free(encodings);
	if (error) {
		message_printer_destroy(printer);
		return error;
	}
	*out = printer;
	return 0;
}

void message_printer_destroy(struct message_printer *printer)
{
	if (!printer)
		return;
	codec_destroy(printer->codec);
	free(printer->encoding_names);
	free(printer->line_buffer);
	free(printer);
}

void message_printer_print(struct message_printer *printer, FILE *out, const struct address *source, const void *data,
			   size_t size)
{
	struct datagram_record record = {.source = source, .payload = data, .size = (uint32_t)size};

	if (printer->raw)
		fwrite(data, 1, size, out);
	else
		fwrite(printer->line_buffer, 1,
		       record_format(printer->line_buffer, &record, record.size, CLIENT_DATAGRAM_MAX, printer->codec,
				     LOG_FORMAT_MESSAGE),
		       out);
	fflush(out);
}
