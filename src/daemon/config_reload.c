#include "daemon/config_reload.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* Logs each line of the text, which may be NULL. */
static void config_reload_log_lines(const char *text, enum log_level level, struct log *log)
{
	while (text && *text) {
		int length = (int)strcspn(text, "\n");

		log_write(log, level, "%.*s", length, text);
		text += length + (text[length] == '\n');
	}
}

void config_reload_log_warnings(const struct config *config, struct log *log)
{
	config_reload_log_lines(config->warnings, LOG_LEVEL_WARNING, log);
}

struct config *config_reload_read(const char *path, struct log *log)
{
	char *errors = NULL;
	size_t size;
	FILE *stream = open_memstream(&errors, &size);
	struct config *config = stream ? config_load(path, stream) : NULL;

	if (stream)
		fclose(stream);
	config_reload_log_lines(errors, LOG_LEVEL_ERROR, log);
	free(errors);
	if (config)
		config_reload_log_warnings(config, log);
	return config;
}

/* Either text may be NULL. */
static bool texts_differ(const char *a, const char *b)
{
	return !a != !b || (a && strcmp(a, b) != 0);
}

static bool is_user_changed(const struct config *active, const struct config *next)
{
	return texts_differ(next->user.name, active->user.name) || next->user.gid != active->user.gid;
}

static void replace_text(char **text, const char *other)
{
	free(*text);
	*text = other ? xcheck(strdup(other)) : NULL;
}

void config_reload_keep_fixed_keys(const struct config *active, struct config *next, unsigned worker_count,
				   struct log *log)
{
	if (next->workers != active->workers)
		log_warning(log,
			    "%s: [udprelayd] workers: a reload cannot change it: %u stay until the daemon is "
			    "restarted",
			    next->path, worker_count);
	if (texts_differ(next->http.text, active->http.text))
		log_warning(log, "%s: [http] listen: a reload cannot change it: restart the daemon", next->path);
	if (is_user_changed(active, next))
		log_warning(log, "%s: [udprelayd] user, group: a reload cannot change them: restart the daemon",
			    next->path);
	next->workers = active->workers;
	replace_text(&next->http.text, active->http.text);
	next->http.address = active->http.address;
	replace_text(&next->user.name, active->user.name);
	next->user.uid = active->user.uid;
	next->user.gid = active->user.gid;
	next->user.has_group = active->user.has_group;
}
