/* A log that writes into a pipe, for tests of log messages. The file includes cmocka.h before this. */
#ifndef UDPRELAYD_TESTS_LOG_CAPTURE_H
#define UDPRELAYD_TESTS_LOG_CAPTURE_H

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

struct log_capture {
	int fds[2];
	struct log *log;
	char text[16384];
	size_t size;
};

static inline void log_capture_open(struct log_capture *capture)
{
	capture->size = 0;
	assert_int_equal(pipe2(capture->fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(log_create(&capture->log, capture->fds[1], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
}

static inline void log_capture_close(struct log_capture *capture)
{
	log_destroy(capture->log, 1000);
	close(capture->fds[0]);
	close(capture->fds[1]);
}

/* Returns all lines since the capture was opened. */
static inline const char *log_capture_text(struct log_capture *capture)
{
	ssize_t size;

	while ((size = read(capture->fds[0], capture->text + capture->size,
			    sizeof(capture->text) - 1 - capture->size)) > 0)
		capture->size += (size_t)size;
	capture->text[capture->size] = '\0';
	return capture->text;
}

/* Returns the number of lines that contain words. */
static inline unsigned log_capture_count(struct log_capture *capture, const char *words)
{
	unsigned count = 0;

	for (const char *text = log_capture_text(capture); (text = strstr(text, words)); count++) {
		text = strchr(text, '\n');
		if (!text)
			return count + 1;
	}
	return count;
}

#endif
