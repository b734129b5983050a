/* The operational log: what the daemon says of itself, on standard error. */
#ifndef UDPRELAYD_BASE_LOG_H
#define UDPRELAYD_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
	LOG_FORMAT_SAID, /* of datagrams only: "SOURCE: PAYLOAD" */
};

struct log;

/* Writes to fd, which stays the caller's: "TIME LEVEL: MESSAGE", or a JSON object with time, level and message. Where
 * the journal reads fd (JOURNAL_STREAM names it, systemd.exec(5)) a line of text begins with the <N> of sd-daemon(3)
 * instead, and the journal's own clock tells the time. Returns 0 or a negative errno. */
int log_create(struct log **log, int fd, enum log_level level, enum log_format format);

/* From here a thread of the log's own does the writing, so that no caller waits for a terminal or a pipe that stalled.
 * What does not fit into its buffer is dropped and counted, and the log says how many. Returns 0 or a negative errno.
 */
int log_start(struct log *log);

/* Writes out what waits, for at most timeout_ms, and frees the log. Where its thread is stuck in a write by then,
 * nothing is freed, and it may be called again. Other threads must have stopped using it. NULL is accepted. */
void log_destroy(struct log *log, unsigned timeout_ms);

/* Any thread: other settings, for the lines from now on. */
void log_configure(struct log *log, enum log_level level, enum log_format format);

/* One line, without the newline; what goes beyond LOG_LINE_MAX bytes is cut, and an ellipsis says so. Control
 * characters and bytes that are not UTF-8 are written \xNN. Thread-safe, never blocks after log_start(). */
#define LOG_LINE_MAX 2048

void log_write(struct log *log, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Whether lines of this level are written, for what takes time to say. */
bool log_wants(const struct log *log, enum log_level level);

#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(log, ...) log_write(log, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A bound for one kind of message: LOG_LIMIT_BURST lines in LOG_LIMIT_SECONDS. The first line of the next period says
 * how many were held back. Zeroed memory is ready for use; one thread uses it. */
#define LOG_LIMIT_BURST 5
#define LOG_LIMIT_SECONDS 10

struct log_limit {
	uint64_t since_ms; /* monotonic */
	uint32_t written;
	uint32_t held_back;
};

void log_write_limited(struct log *log, struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Another writer of the same file takes turns with the log between these two, so that no line is torn. The turn may be
 * long in coming where nobody reads the file. */
void log_begin_output(struct log *log);
void log_end_output(struct log *log);

#endif
