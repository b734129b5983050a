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
#include "base/thread.h"
#include "text/escape.h"
#include "text/utf8.h"

/* Bytes that wait while the thread writes as many. */
#define BUFFER_SIZE 65536

/* A message with every byte escaped, twice in JSON, and what stands around it. */
#define MESSAGE_MAX (4 * LOG_LINE_MAX)
#define ENTRY_MAX (2 * MESSAGE_MAX + 128)

struct log {
	int fd;
	_Atomic(enum log_level) level;
	_Atomic(enum log_format) format;
	bool journal;
	pthread_mutex_t output; /* held while bytes go to fd */

	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t changed;
	pthread_t thread;
	bool threaded, ending, ended;
	char *waiting, *writing; /* the buffers change places */
	size_t used; /* of waiting */
	uint64_t lost; /* lines */
};

/* --- A line --- */

/* Valid UTF-8 without what escape.h calls hidden, always ended by NUL. */
static void clean(char out[MESSAGE_MAX + 1], const char *text)
{
	const uint8_t *in = (const uint8_t *)text;
	size_t left = strlen(text);

	while (left) {
		bool unfinished;
		int length = utf8_step(in, left, &unfinished);

		if (length < 0 || *in < ' ' || *in == 0x7f) {
			out += sprintf(out, "\\x%02x", *in);
			length = 1;
		} else if (length > 1 && escape_is_hidden(utf8_get(in, length))) {
			for (int i = 0; i < length; i++)
				out += sprintf(out, "\\x%02x", in[i]);
		} else {
			out = mempcpy(out, in, (size_t)length);
		}
		in += length;
		left -= (size_t)length;
	}
	*out = '\0';
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	return names[level];
}

/* The levels of syslog(3). */
static int priority(enum log_level level)
{
	return level == LOG_LEVEL_ERROR ? 3 : (int)level + 3;
}

static size_t format_json(char *out, const char *time, enum log_level level, const char *message)
{
	char *begin = out;

	out += sprintf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", time, level_name(level));
	out += escape_json(out, message, strlen(message));
	out = stpcpy(out, "\"}\n");
	return (size_t)(out - begin);
}

static size_t format_line(const struct log *log, char out[ENTRY_MAX], enum log_level level, const char *text)
{
	char time[CLOCK_TEXT_MAX], message[MESSAGE_MAX + 1];
	char *begin = out;

	clean(message, text);
	clock_format(clock_wall_us(), time);
	if (log->journal)
		out += sprintf(out, "<%d>", priority(level));
	if (log->format == LOG_FORMAT_JSON)
		out += format_json(out, time, level, message);
	else if (log->journal)
		out += sprintf(out, "%s\n", message);
	else
		out += sprintf(out, "%s %s: %s\n", time, level_name(level), message);
	return (size_t)(out - begin);
}

/* --- Writing --- */

/* Where that cannot be waited for, a moment has to do. */
static void wait_for_room(int fd)
{
	static const struct timespec moment = {.tv_nsec = 10000000};

	if (poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1) < 0)
		nanosleep(&moment, NULL);
}

/* A file that fails loses what was to be written: there is nowhere to say so. */
static void write_out(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EAGAIN) {
			wait_for_room(fd);
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

static void put_now(struct log *log, const char *bytes, size_t size)
{
	log_begin_output(log);
	write_out(log->fd, bytes, size);
	log_end_output(log);
}

/* Under the mutex. */
static void put_waiting(struct log *log, const char *line, size_t size)
{
	if (log->used + size > BUFFER_SIZE) {
		log->lost++;
		return;
	}
	memcpy(log->waiting + log->used, line, size);
	log->used += size;
	pthread_cond_broadcast(&log->changed);
}

/* Behind the lines that found room; the buffers have some more for this. */
static void declare_lost(struct log *log)
{
	char text[80];

	snprintf(text, sizeof(text), "%llu lines of this log were lost: nobody took them",
		 (unsigned long long)log->lost);
	log->used += format_line(log, log->waiting + log->used, LOG_LEVEL_WARNING, text);
	log->lost = 0;
}

static void *log_main(void *data)
{
	struct log *log = data;

	pthread_mutex_lock(&log->mutex);
	while (log->used || !log->ending) {
		if (!log->used) {
			pthread_cond_wait(&log->changed, &log->mutex);
			continue;
		}
		if (log->lost)
			declare_lost(log);
		char *full = log->waiting;
		size_t size = log->used;

		log->waiting = log->writing;
		log->writing = full;
		log->used = 0;
		pthread_mutex_unlock(&log->mutex);
		put_now(log, full, size);
		pthread_mutex_lock(&log->mutex);
	}
	log->ended = true;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

static void write_message(struct log *log, enum log_level level, const char *text)
{
	char line[ENTRY_MAX];
	size_t size = format_line(log, line, level, text);

	pthread_mutex_lock(&log->mutex);
	if (log->threaded)
		put_waiting(log, line, size);
	else
		put_now(log, line, size);
	pthread_mutex_unlock(&log->mutex);
}

/* An ellipsis takes the place of what does not fit; a character that it cuts into is no whole one, and clean() shows
 * what is left of it. */
static void format_message(char text[LOG_LINE_MAX], const char *format, va_list arguments)
{
	static const char ellipsis[] = "…";

	if (vsnprintf(text, LOG_LINE_MAX, format, arguments) >= LOG_LINE_MAX)
		memcpy(text + LOG_LINE_MAX - sizeof(ellipsis), ellipsis, sizeof(ellipsis));
}

void log_configure(struct log *log, enum log_level level, enum log_format format)
{
	log->level = level;
	log->format = format;
}

bool log_wants(const struct log *log, enum log_level level)
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
	format_message(text, format, arguments);
	va_end(arguments);
	write_message(log, level, text);
}

/* Returns false where the line is to be held back. */
static bool limit_admits(struct log_limit *limit, uint32_t *held_back)
{
	uint64_t now = clock_monotonic_ms();

	*held_back = 0;
	if (!limit->written || now - limit->since_ms >= LOG_LIMIT_SECONDS * 1000) {
		*held_back = limit->held_back;
		*limit = (struct log_limit){.since_ms = now};
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

	if (level > log->level || !limit_admits(limit, &held_back))
		return;
	va_start(arguments, format);
	format_message(text, format, arguments);
	va_end(arguments);
	if (held_back)
		log_write(log, level, "%s (%u more like this were held back)", text, held_back);
	else
		write_message(log, level, text);
}

void log_begin_output(struct log *log)
{
	pthread_mutex_lock(&log->output);
}

void log_end_output(struct log *log)
{
	pthread_mutex_unlock(&log->output);
}

/* --- Life --- */

/* JOURNAL_STREAM is "DEVICE:INODE" of the journal's socket. */
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
	log->waiting = malloc(BUFFER_SIZE + ENTRY_MAX);
	log->writing = malloc(BUFFER_SIZE + ENTRY_MAX);
	if (!log->waiting || !log->writing) {
		free(log->waiting);
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

	log->threaded = !error;
	return error;
}

/* Returns false where the thread did not end in time. */
static bool end_thread(struct log *log, unsigned timeout_ms)
{
	struct timespec deadline;
	bool ended;

	if (!log->threaded)
		return true;
	deadline = clock_deadline(timeout_ms);
	pthread_mutex_lock(&log->mutex);
	log->ending = true;
	pthread_cond_broadcast(&log->changed);
	while (!log->ended && !pthread_cond_clockwait(&log->changed, &log->mutex, CLOCK_MONOTONIC, &deadline))
		;
	ended = log->ended;
	pthread_mutex_unlock(&log->mutex);
	if (ended)
		pthread_join(log->thread, NULL);
	return ended;
}

void log_destroy(struct log *log, unsigned timeout_ms)
{
	if (!log || !end_thread(log, timeout_ms))
		return;
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->mutex);
	pthread_mutex_destroy(&log->output);
	free(log->waiting);
	free(log->writing);
	free(log);
}
