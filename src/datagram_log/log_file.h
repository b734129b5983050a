/* Where the datagram log goes: a file, a pipe or a terminal that may be full, slow or gone. */
#ifndef UDPRELAYD_DATAGRAM_LOG_LOG_FILE_H
#define UDPRELAYD_DATAGRAM_LOG_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"

struct log_file {
	const char *name; /* for messages: the path, "stdout" or "stderr"; borrowed */
	const char *path; /* of a file; NULL otherwise */
	int fd;
	bool created; /* the file was not there before log_file_open() */
	bool bulk; /* a regular file: takes any amount at once */
	bool shared; /* standard error goes to the same place */
};

/* Opens the target (not LOG_TARGET_OFF), a file for appending; path outlives the output. Returns 0 or a negative errno.
 */
int log_file_open(struct log_file *output, enum log_target target, const char *path);

/* Opens a file by its name again; on failure the old one stays. Returns 1 where it is another file now, 0 where it is
 * the same, or a negative errno. */
int log_file_reopen(struct log_file *output);

void log_file_close(struct log_file *output);

/* Writes some of the bytes, as soon as any can be, and waits for that at most timeout_ms; a terminal may take longer.
 * Returns how many, -EAGAIN where nobody took any in time, or another negative errno. */
ssize_t log_file_write(const struct log_file *output, const char *bytes, size_t size, int timeout_ms);

#endif
