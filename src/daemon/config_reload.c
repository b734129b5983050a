#include "daemon/config_reload.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void log_lines(char *text, struct log *log)
{
	const char *line;

	while (text && (line = strsep(&text, "\n"))) {
		if (*line)
			log_error(log, "%s", line);
	}
}

struct config *config_reload_read(const char *path, struct log *log)
{
	char *errors = NULL;
	size_t size;
	FILE *stream = open_memstream(&errors, &size);
	struct config *config = stream ? config_load(path, stream) : NULL;

	if (stream)
		fclose(stream);
	log_lines(errors, log);
	free(errors);
	return config;
}

/* Either text may be NULL. */
static bool texts_differ(const char *a, const char *b)
{
	return !a != !b || (a && strcmp(a, b) != 0);
}

void config_reload_check_fixed_keys(const struct config *active, const struct config *next, unsigned worker_count,
				    struct log *log)
{
	if (next->workers != active->workers)
		log_warning(log, "%s: [udprelayd] workers: it stays at %u until the next start", next->path,
			    worker_count);
	if (texts_differ(next->http.text, active->http.text))
		log_warning(log, "%s: [http] listen: it stays as it is until the next start", next->path);
	if (texts_differ(next->user.name, active->user.name) || next->user.gid != active->user.gid)
		log_warning(log, "%s: [udprelayd] user, group: they stay as they are until the next start", next->path);
}
