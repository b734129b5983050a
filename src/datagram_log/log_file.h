/* The output of the datagram log: a file, pipe or terminal. It can be full, slow or closed at any time.
 * The datagram log owns it. After the start only the writer thread uses it. */
#ifndef UDPRELAYD_DATAGRAM_LOG_LOG_FILE_H
#define UDPRELAYD_DATAGRAM_LOG_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/config.h"

struct log_file {
	const char *name; /* for messages: the path, "stdout" or "stderr"; borrowed */
	const char *path; /* path of a file, borrowed; NULL for a standard stream */
	int fd; /* owned if path is set */
	bool created; /* log_file_open() created the file */
	bool regular; /* a regular file: a write of any size does not block */
	bool shared; /* standard error is the same file */
};

/* Opens the target (not LOG_TARGET_OFF), a file for appending. path must outlive the log_file. Returns 0 or a negative
 * errno: -ENXIO for a named pipe without a reader. */
int log_file_open(struct log_file *file, enum log_target target, const char *path);

/* Returns a negative errno if log_file_open() of this path would fail, or 0. Creates no file. */
int log_file_probe(const char *path);

/* Opens a file by its path again. After an error the old file stays open. Returns 1 if it is another file now, 0 if it
 * is the same file or a standard stream, or a negative errno. */
int log_file_reopen(struct log_file *file);

/* Closes a file. A standard stream stays open. */
void log_file_close(struct log_file *file);

/* Writes at least one byte as soon as possible and returns the number of bytes written, at most size. Waits up to
 * timeout_ms milliseconds for room; a write to a terminal may block longer. Returns -EAGAIN after the timeout, 0 after
 * a signal, or another negative errno. */
ssize_t log_file_write(const struct log_file *file, const char *bytes, size_t size, int timeout_ms);

#endif
