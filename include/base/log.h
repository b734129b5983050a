/* The operational log of the daemon, on standard error. */
#ifndef UDPRELAYD_BASE_LOG_H
#define UDPRELAYD_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
	LOG_FORMAT_MESSAGE, /* "SOURCE: PAYLOAD", only for the datagram log */
};

struct log;

/* Creates a log that writes to fd; the caller keeps ownership of fd. A line is "TIME LEVEL: MESSAGE" or a JSON object
 * with time, level and message. If fd leads to the journal (JOURNAL_STREAM, systemd.exec(5)), a line starts with the
 * priority <N> of sd-daemon(3), and a text line has no time and level: the journal adds its own time. Returns 0 or a
 * negative errno. */
int log_create(struct log **log, int fd, enum log_level level, enum log_format format);

/* Starts a thread that writes the lines, so that a terminal or pipe that does not accept data never blocks a caller.
 * Lines that do not fit into the buffer are dropped and counted; the log reports their number. Returns 0 or a negative
 * errno. */
int log_start(struct log *log);

/* Writes the buffered lines for at most timeout_ms and frees the log. Other threads must no longer use the log. If the
 * thread of the log is still blocked in a write after this time, nothing is freed, and the function may be called
 * again. Accepts NULL. */
void log_destroy(struct log *log, unsigned timeout_ms);

/* Changes the settings for all later lines. Thread-safe. */
void log_configure(struct log *log, enum log_level level, enum log_format format);

/* Size of the buffer for a message, including the NUL. A longer message is cut off and ends in an ellipsis. */
#define LOG_LINE_MAX 2048

/* Writes one message, given without a newline. Control characters, invisible characters and bytes that are not UTF-8
 * appear as \xNN. Thread-safe. Never blocks after log_start(). */
void log_write(struct log *log, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Returns true if the log writes lines of this level. For messages that take time to prepare. */
bool log_is_enabled(const struct log *log, enum log_level level);

#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(log, ...) log_write(log, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Limits one kind of message to LOG_LIMIT_BURST lines in LOG_LIMIT_SECONDS. The first line of the next period reports
 * how many lines were held back. Zeroed memory is ready for use. Each limit belongs to one thread. */
#define LOG_LIMIT_BURST 5
#define LOG_LIMIT_SECONDS 60

struct log_limit {
	uint64_t period_start_ms; /* CLOCK_MONOTONIC */
	uint32_t written; /* lines in this period */
	uint32_t held_back; /* lines in this period */
};

void log_write_limited(struct log *log, struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Events that are logged at the first one, and then once in LOG_LIMIT_SECONDS with their number. Zeroed memory is ready
 * for use. Each counter belongs to one thread. */
struct log_counter {
	uint64_t line_ms; /* CLOCK_MONOTONIC; the last line; 0: none yet */
	uint64_t events; /* since that line */
};

/* Counts events. Returns 0, or the number of events that the caller must log now. *seconds is the time since the line
 * before, or 0 for the first line. now_ms is not 0. */
uint64_t log_counter_add(struct log_counter *counter, uint64_t events, uint64_t now_ms, uint64_t *seconds);

/* Gives the caller exclusive use of the output until log_end_output(). For another writer of the same file, so that the
 * lines of both stay complete. Waits while the log writes, which can take long if the reader of a pipe is stopped. */
void log_begin_output(struct log *log);
void log_end_output(struct log *log);

#endif
