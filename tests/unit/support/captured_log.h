/* A log whose lines a test can read. Include cmocka.h before this file. */
#ifndef UDPRELAYD_CAPTURED_LOG_H
#define UDPRELAYD_CAPTURED_LOG_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

struct captured_log {
	struct log *log;
	int fd;
	char text[8192];
};

/* The log has no thread: a line is in the file when log_write() returns. */
static inline void captured_log_open(struct captured_log *captured, enum log_level level)
{
	captured->fd = memfd_create("log", MFD_CLOEXEC);
	assert_true(captured->fd >= 0);
	assert_int_equal(log_create(&captured->log, captured->fd, level, LOG_FORMAT_TEXT), 0);
}

static inline void captured_log_close(struct captured_log *captured)
{
	log_destroy(captured->log, 1000);
	close(captured->fd);
}

/* Returns all lines so far. */
static inline const char *captured_log_text(struct captured_log *captured)
{
	ssize_t size = pread(captured->fd, captured->text, sizeof(captured->text) - 1, 0);

	assert_true(size >= 0);
	captured->text[size] = '\0';
	return captured->text;
}

static inline void assert_logged(struct captured_log *captured, const char *text)
{
	if (!strstr(captured_log_text(captured), text))
		fail_msg("expected `%s`, not `%s`", text, captured->text);
}

static inline void assert_not_logged(struct captured_log *captured, const char *text)
{
	if (strstr(captured_log_text(captured), text))
		fail_msg("unexpected `%s` in `%s`", text, captured->text);
}

#endif
