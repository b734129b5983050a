/* The log has two buffers. Callers append lines to one of them; the thread of the log writes the other one and then
 * swaps them. If the pending buffer is full, a line is dropped and counted, so that no caller waits for the output.
 * Before log_start() the caller writes its line itself. log_create() allocates the log; the caller owns it until
 * log_destroy(), which frees nothing while the thread is blocked in a write. */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "base/thread.h"

/* Bytes of lines in each buffer. A buffer has space for one more line, which reports dropped lines. */
#define BUFFER_SIZE 65536

struct log {
	int fd;
	_Atomic(enum log_level) level;
	_Atomic(enum log_format) format;
	bool journal; /* fd leads to the journal */
	pthread_mutex_t output; /* held while bytes are written to fd */
	pthread_t thread;
	bool has_thread;

	pthread_mutex_t mutex; /* protects the fields below */
	pthread_cond_t changed;
	bool stopping, stopped;
	char *pending, *writing; /* buffers */
	size_t pending_size; /* bytes */
	uint64_t dropped_lines;
};

/* --- Output --- */

/* Sleeps for 10 ms if poll(2) fails, so that the caller does not use the CPU in a loop. */
static void log_wait_writable(int fd)
{
	static const struct timespec pause = {.tv_nsec = 10000000};

	if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1) < 0)
		nanosleep(&pause, NULL);
}

/* Drops the remaining bytes after a write error: the log has no other place to report it. */
static void log_write_bytes(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EAGAIN) {
			log_wait_writable(fd);
			continue;
		}
		if (written < 0 && errno != EINTR)
			return;
		if (written > 0) {
			bytes += written;
			size -= (size_t)written;
		}
	}
}

static void log_write_exclusively(struct log *log, const char *bytes, size_t size)
{
	log_begin_output(log);
	log_write_bytes(log->fd, bytes, size);
	log_end_output(log);
}

void log_begin_output(struct log *log)
{
	pthread_mutex_lock(&log->output);
}

void log_end_output(struct log *log)
{
	pthread_mutex_unlock(&log->output);
}

/* --- Thread --- */

/* Appends a line to the pending buffer or drops it. Requires the mutex. */
static void log_append(struct log *log, const char *line, size_t size)
{
	if (log->pending_size + size > BUFFER_SIZE) {
		log->dropped_lines++;
		return;
	}
	memcpy(log->pending + log->pending_size, line, size);
	log->pending_size += size;
	pthread_cond_broadcast(&log->changed);
}

/* Appends a line that reports the dropped lines. The buffer has extra space for it. Requires the mutex. */
static void log_append_dropped(struct log *log)
{
	char text[80];

	snprintf(text, sizeof(text), "%llu lines of this log were lost: its reader was too slow",
		 (unsigned long long)log->dropped_lines);
	log->pending_size +=
		log_line_format(log->pending + log->pending_size, log->journal, log->format, LOG_LEVEL_WARNING, text);
	log->dropped_lines = 0;
}

/* Swaps the buffers and writes the lines. Requires the mutex and releases it while it writes. */
static void log_flush(struct log *log)
{
	char *buffer = log->pending;
	size_t size;

	if (log->dropped_lines)
		log_append_dropped(log);
	size = log->pending_size;
	log->pending = log->writing;
	log->writing = buffer;
	log->pending_size = 0;
	pthread_mutex_unlock(&log->mutex);
	log_write_exclusively(log, buffer, size);
	pthread_mutex_lock(&log->mutex);
}

static void *log_main(void *data)
{
	struct log *log = data;

	pthread_mutex_lock(&log->mutex);
	while (log->pending_size || !log->stopping) {
		if (log->pending_size)
			log_flush(log);
		else
			pthread_cond_wait(&log->changed, &log->mutex);
	}
	log->stopped = true;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

/* --- Messages --- */

static void log_write_message(struct log *log, enum log_level level, const char *text)
{
	char line[LOG_LINE_BUFFER];
	size_t size = log_line_format(line, log->journal, log->format, level, text);

	pthread_mutex_lock(&log->mutex);
	if (log->has_thread)
		log_append(log, line, size);
	else
		log_write_exclusively(log, line, size);
	pthread_mutex_unlock(&log->mutex);
}

void log_configure(struct log *log, enum log_level level, enum log_format format)
{
	log->level = level;
	log->format = format;
}

bool log_is_enabled(const struct log *log, enum log_level level)
{
	return level <= log->level;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list arguments;

	if (level > log->level)
		return;
	va_start(arguments, format);
	log_line_print(text, format, arguments);
	va_end(arguments);
	log_write_message(log, level, text);
}

/* Counts a line. Returns false if the line is held back. At the start of a period, *held_back is the number of lines
 * that were held back in the period before; otherwise it is 0. */
static bool log_limit_admit(struct log_limit *limit, uint32_t *held_back)
{
	uint64_t now_ms = clock_monotonic_ms();

	*held_back = 0;
	if (!limit->written || now_ms - limit->period_start_ms >= LOG_LIMIT_SECONDS * 1000) {
		*held_back = limit->held_back;
		*limit = (struct log_limit){.period_start_ms = now_ms};
	}
	if (limit->written < LOG_LIMIT_BURST) {
		limit->written++;
		return true;
	}
	limit->held_back++;
	return false;
}

void log_write_limited(struct log *log, struct log_limit *limit, enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	uint32_t held_back;
	va_list arguments;

	if (level > log->level || !log_limit_admit(limit, &held_back))
		return;
	va_start(arguments, format);
	log_line_print(text, format, arguments);
	va_end(arguments);
	if (held_back)
		log_write(log, level, "%s (%u similar messages were suppressed)", text, held_back);
	else
		log_write_message(log, level, text);
}

uint64_t log_counter_add(struct log_counter *counter, uint64_t events, uint64_t now_ms, uint64_t *seconds)
{
	uint64_t due;

	counter->events += events;
	if (!counter->events || (counter->line_ms && now_ms - counter->line_ms < LOG_LIMIT_SECONDS * 1000))
		return 0;
	*seconds = counter->line_ms ? (now_ms - counter->line_ms) / 1000 : 0;
	due = counter->events;
	*counter = (struct log_counter){.line_ms = now_ms};
	return due;
}

/* --- Creation --- */

/* JOURNAL_STREAM has the form DEVICE:INODE and identifies the socket of the journal. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && !fstat(fd, &status) &&
	       status.st_dev == device && status.st_ino == inode;
}

int log_create(struct log **out, int fd, enum log_level level, enum log_format format)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return -ENOMEM;
	log->fd = fd;
	log->level = level;
	log->format = format;
	log->journal = is_journal(fd);
	log->pending = malloc(BUFFER_SIZE + LOG_LINE_BUFFER);
	log->writing = malloc(BUFFER_SIZE + LOG_LINE_BUFFER);
	if (!log->pending || !log->writing) {
		free(log->pending);
		free(log->writing);
		free(log);
		return -ENOMEM;
	}
	pthread_mutex_init(&log->output, NULL);
	pthread_mutex_init(&log->mutex, NULL);
	pthread_cond_init(&log->changed, NULL);
	*out = log;
	return 0;
}

int log_start(struct log *log)
{
	int error = thread_start(&log->thread, "log", log_main, log);

	log->has_thread = !error;
	return error;
}

/* Returns false if the thread did not stop in time. */
static bool log_stop_thread(struct log *log, unsigned timeout_ms)
{
	struct timespec deadline;
	bool stopped;

	if (!log->has_thread)
		return true;
	deadline = clock_deadline(timeout_ms);
	pthread_mutex_lock(&log->mutex);
	log->stopping = true;
	pthread_cond_broadcast(&log->changed);
	while (!log->stopped && !pthread_cond_clockwait(&log->changed, &log->mutex, CLOCK_MONOTONIC, &deadline))
		;
	stopped = log->stopped;
	pthread_mutex_unlock(&log->mutex);
	if (stopped)
		pthread_join(log->thread, NULL);
	return stopped;
}

void log_destroy(struct log *log, unsigned timeout_ms)
{
	if (!log || !log_stop_thread(log, timeout_ms))
		return;
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->mutex);
	pthread_mutex_destroy(&log->output);
	free(log->pending);
	free(log->writing);
	free(log);
}
