#include "client/message_printer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "client/client_socket.h"
#include "config/values.h"
#include "datagram_log/record.h"

struct transcript {
	char *names; /* of the encodings, cut up */
	struct codec *codec;
	char *line;
	bool raw;
};

/* Cuts the list up. Returns how many there are. */
static size_t split(char *names, char ***encodings)
{
	char *name, *cursor = names;
	size_t count = 0;

	*encodings = NULL;
	while ((name = value_next(&cursor))) {
		*encodings = xgrow(*encodings, count, sizeof(char *));
		(*encodings)[count++] = name;
	}
	return count;
}

int transcript_create(struct transcript **out, const char *list, enum codec_errors errors, bool raw)
{
	struct transcript *transcript = xcheck(calloc(1, sizeof(*transcript)));
	char **encodings;
	size_t count;
	int error;

	transcript->names = xcheck(strdup(list));
	transcript->line = xcheck(malloc(record_size_max(CLIENT_DATAGRAM_MAX)));
	transcript->raw = raw;
	count = split(transcript->names, &encodings);
	error = count ? codec_create(&transcript->codec, encodings, count, errors, CLIENT_DATAGRAM_MAX) : -EINVAL;
	free(encodings);
	if (error) {
		transcript_destroy(transcript);
		return error;
	}
	*out = transcript;
	return 0;
}

void transcript_destroy(struct transcript *transcript)
{
	if (!transcript)
		return;
	codec_destroy(transcript->codec);
	free(transcript->names);
	free(transcript->line);
	free(transcript);
}

void transcript_write(struct transcript *transcript, FILE *out, const struct address *source, const void *data,
		      size_t size)
{
	struct datagram_record record = {.source = source, .payload = data, .size = (uint32_t)size};

	if (transcript->raw)
		fwrite(data, 1, size, out);
	else
		fwrite(transcript->line, 1,
		       record_format(transcript->line, &record, record.size, CLIENT_DATAGRAM_MAX, transcript->codec,
				     LOG_FORMAT_SAID),
		       out);
	fflush(out);
}
