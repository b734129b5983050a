#include "datagram_log/log_writer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "datagram_log/record.h"

/* Bytes of formatted lines that are collected for one write. The line that reaches this size is still added. */
#define WRITE_BUFFER_SIZE 65536

/* Pause after a write that emptied the rings. Workers under load then need not wake the writer for each batch. */
#define BATCH_PAUSE_MS 1

/* Longest wait for a record. */
#define IDLE_WAIT_MS 60000

/* Interval of retries after a write error. A target that accepts no byte for this time is reported as failing. */
#define RETRY_MS 1000

/* Longest wait in one write, and delay until a request to stop or reopen is noticed. */
#define WRITE_WAIT_MS 50

/* Interval of the lines that report dropped records. */
#define DROP_REPORT_MS 1000

static bool writer_is_stopping(const struct log_writer *writer)
{
	return atomic_load(&writer->deadline_ms) != 0;
}

static bool writer_deadline_has_passed(const struct log_writer *writer)
{
	uint64_t deadline = atomic_load(&writer->deadline_ms);

	return deadline && clock_monotonic_ms() >= deadline;
}

/* --- Failure and recovery of the target --- */

/* Logs the first failure only. */
static void writer_report_failure(struct log_writer *writer, const char *reason)
{
	if (!writer->failing)
		log_error(writer->log,
			  "datagram log: cannot write to %s: %s: records wait, and are dropped when the queue is "
			  "full",
			  writer->file->name, reason);
	writer->failing = true;
}

static void writer_report_recovery(struct log_writer *writer)
{
	if (writer->failing)
		log_notice(writer->log, "datagram log: %s: writing again", writer->file->name);
	writer->failing = false;
	writer->stalled_ms = 0;
}

static void writer_on_write_timeout(struct log_writer *writer)
{
	uint64_t now = clock_monotonic_ms();

	if (!writer->stalled_ms)
		writer->stalled_ms = now;
	else if (now - writer->stalled_ms >= RETRY_MS)
		writer_report_failure(writer, "the reader is too slow");
}

/* With datagram_log.exit_on_broken_pipe the process ends when the reader of the pipe is gone. */
static void writer_on_write_error(struct log_writer *writer, int error)
{
	if (error == EPIPE && writer->config->datagram_log.exit_on_broken_pipe) {
		pthread_kill(writer->creator, SIGTERM);
		eventcount_wait(&writer->eventcount, WRITE_WAIT_MS);
		return;
	}
	writer_report_failure(writer, strerror(error));
	eventcount_wait(&writer->eventcount, writer_is_stopping(writer) ? WRITE_WAIT_MS : RETRY_MS);
}

/* Opens the file again if this was requested. Returns whether it is another file now. */
static bool writer_reopen_file(struct log_writer *writer)
{
	int result;

	if (!atomic_exchange(&writer->reopen_requested, false))
		return false;
	result = log_file_reopen(writer->file);
	if (result < 0)
		log_error(writer->log, "datagram log: cannot reopen %s, the old file stays open: %s",
			  writer->file->name, strerror(-result));
	else if (writer->file->path)
		log_info(writer->log, "datagram log: %s: reopened", writer->file->name);
	return result > 0;
}

/* --- Writing --- */

/* Returns the position after the last newline before `position`: the start of an interrupted line. */
static size_t find_line_start(const char *bytes, size_t position)
{
	const char *newline = memrchr(bytes, '\n', position);

	return newline ? (size_t)(newline + 1 - bytes) : 0;
}

static uint64_t count_lines(const char *bytes, size_t size)
{
	const char *end = bytes + size;
	uint64_t lines = 0;

	for (; (bytes = memchr(bytes, '\n', (size_t)(end - bytes))); bytes++)
		lines++;
	return lines;
}

/* Writes all bytes, and retries after each error until the deadline of log_writer_stop(). An interrupted line continues
 * where it was interrupted, but in another file it starts again. Returns the number of complete lines written. */
static uint64_t write_lines(struct log_writer *writer, const char *bytes, size_t size)
{
	size_t position = 0;

	while (position < size && !writer_deadline_has_passed(writer)) {
		if (writer_reopen_file(writer))
			position = find_line_start(bytes, position);
		ssize_t written = log_file_write(writer->file, bytes + position, size - position, WRITE_WAIT_MS);

		if (written == -EAGAIN) {
			writer_on_write_timeout(writer);
		} else if (written < 0) {
			writer_on_write_error(writer, (int)-written);
		} else {
			writer_report_recovery(writer);
			position += (size_t)written;
		}
	}
	return count_lines(bytes, position);
}

/* Takes turns with the operational log if both write to the same file, so that no line is split. */
static uint64_t write_whole_lines(struct log_writer *writer, const char *bytes, size_t size)
{
	uint64_t lines;

	if (!writer->file->shared)
		return write_lines(writer, bytes, size);
	log_begin_output(writer->log);
	lines = write_lines(writer, bytes, size);
	log_end_output(writer->log);
	return lines;
}

/* Writes a line that reports the records dropped since the last such line; at most one per DROP_REPORT_MS, unless
 * immediately is set. */
static void writer_report_drops(struct log_writer *writer, bool immediately)
{
	uint64_t dropped = log_writer_ring_drops(writer), reported = counter_get(&writer->drops_reported);
	uint64_t now = clock_monotonic_ms();
	char line[RECORD_DROPPED_MAX];
	size_t size;

	if (dropped == reported || (!immediately && now - writer->drops_reported_ms < DROP_REPORT_MS))
		return;
	size = record_format_dropped(line, clock_wall_us(), dropped - reported, writer->config->datagram_log.format);
	if (!write_whole_lines(writer, line, size))
		return;
	counter_add(&writer->drops_reported, dropped - reported);
	writer->drops_reported_ms = now;
}

/* --- Records --- */

/* Returns the ring whose first record is the oldest of all rings, or NULL if all are empty. */
static struct record_ring *find_oldest_ring(const struct log_writer *writer)
{
	struct record_ring *oldest = NULL;
	uint64_t time_us = 0;

	for (unsigned i = 0; i < writer->ring_count; i++) {
		uint32_t shown;
		const struct datagram_record *record = record_ring_peek(writer->rings[i], &shown);

		if (record && (!oldest || record->time_us < time_us)) {
			oldest = writer->rings[i];
			time_us = record->time_us;
		}
	}
	return oldest;
}

/* If the peer has an encoding, its replies are in this encoding. */
static struct codec *record_codec(const struct log_writer *writer, const struct datagram_record *record)
{
	struct codec *own = record->reply ? writer->reply_codecs[record->peer->index] : NULL;

	return own ? own : writer->codecs[record->listener->index];
}

/* Moves records from the rings into the buffer, as lines, until the buffer is full or the rings are empty. Returns the
 * bytes in the buffer. */
static size_t format_waiting_records(struct log_writer *writer)
{
	const struct config *config = writer->config;
	struct record_ring *ring;
	size_t size = 0;

	while (size < WRITE_BUFFER_SIZE && (ring = find_oldest_ring(writer))) {
		uint32_t shown;
		const struct datagram_record *record = record_ring_peek(ring, &shown);

		size += record_format(writer->buffer + size, record, shown, config->datagram_log.payload,
				      record_codec(writer, record), config->datagram_log.format);
		record_ring_pop(ring);
	}
	return size;
}

/* --- The thread --- */

/* Waits until there is a record or a request. */
static void writer_wait_for_work(struct log_writer *writer)
{
	writer_report_drops(writer, true);
	eventcount_prepare(&writer->eventcount);
	if (find_oldest_ring(writer) || writer_is_stopping(writer) || atomic_load(&writer->reopen_requested))
		eventcount_cancel(&writer->eventcount);
	else
		eventcount_wait(&writer->eventcount, IDLE_WAIT_MS);
}

static void writer_wait_for_resume(struct log_writer *writer)
{
	while (atomic_load(&writer->paused) && !writer_is_stopping(writer)) {
		eventcount_prepare(&writer->eventcount);
		if (atomic_load(&writer->paused) && !writer_is_stopping(writer))
			eventcount_wait(&writer->eventcount, IDLE_WAIT_MS);
		else
			eventcount_cancel(&writer->eventcount);
	}
}

static void *log_writer_main(void *data)
{
	struct log_writer *writer = data;

	writer_wait_for_resume(writer);
	while (!writer_deadline_has_passed(writer)) {
		bool stopping = writer_is_stopping(writer);
		size_t size = format_waiting_records(writer);

		if (size) {
			counter_add(&writer->written, write_whole_lines(writer, writer->buffer, size));
			writer_report_drops(writer, false);
			if (size < WRITE_BUFFER_SIZE && !stopping)
				eventcount_wait(&writer->eventcount, BATCH_PAUSE_MS);
		} else if (stopping) {
			writer_report_drops(writer, true);
			break;
		} else {
			writer_reopen_file(writer);
			writer_wait_for_work(writer);
		}
	}
	sem_post(&writer->ended);
	return NULL;
}

int log_writer_start(struct log_writer *writer)
{
	return thread_start(&writer->thread, "datagram-log", log_writer_main, writer);
}

void log_writer_pause(struct log_writer *writer)
{
	atomic_store(&writer->paused, true);
}

void log_writer_resume(struct log_writer *writer)
{
	atomic_store(&writer->paused, false);
	eventcount_wake(&writer->eventcount);
}

void log_writer_reopen(struct log_writer *writer)
{
	atomic_store(&writer->reopen_requested, true);
	eventcount_wake(&writer->eventcount);
}

/* Returns false after the deadline. Signals do not shorten the wait. */
static bool wait_for_thread_end(struct log_writer *writer, const struct timespec *deadline)
{
	while (sem_clockwait(&writer->ended, CLOCK_MONOTONIC, deadline)) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

bool log_writer_stop(struct log_writer *writer, unsigned timeout_ms)
{
	struct timespec deadline = clock_deadline(timeout_ms + 2 * WRITE_WAIT_MS);

	atomic_store(&writer->deadline_ms, clock_monotonic_ms() + timeout_ms);
	eventcount_wake(&writer->eventcount);
	if (!wait_for_thread_end(writer, &deadline))
		return false;
	pthread_join(writer->thread, NULL);
	return true;
}

bool log_writer_ended(const struct log_writer *writer)
{
	int ended = 0;

	sem_getvalue((sem_t *)&writer->ended, &ended);
	return ended;
}

uint64_t log_writer_pushed(const struct log_writer *writer)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < writer->ring_count; i++)
		sum += record_ring_pushed(writer->rings[i]);
	return sum;
}

uint64_t log_writer_ring_drops(const struct log_writer *writer)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < writer->ring_count; i++)
		sum += record_ring_dropped(writer->rings[i]);
	return sum;
}

/* --- Setup --- */

static int create_rings(struct log_writer *writer, unsigned workers)
{
	const struct config *config = writer->config;
	int error = 0;

	writer->rings = calloc(workers, sizeof(struct record_ring *));
	if (!writer->rings)
		return -ENOMEM;
	while (writer->ring_count < workers && !error) {
		error = record_ring_create(&writer->rings[writer->ring_count], config->datagram_log.queue,
					   config->datagram_log.payload, &writer->eventcount);
		writer->ring_count += !error;
	}
	return error;
}

static int create_codecs(struct log_writer *writer)
{
	const struct config *config = writer->config;
	int error = 0;

	writer->codecs = calloc(config->listener_count + 1, sizeof(struct codec *));
	writer->reply_codecs = calloc(config->peer_count + 1, sizeof(struct codec *));
	if (!writer->codecs || !writer->reply_codecs)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		const struct listener_config *listener = &config->listeners[i];

		error = codec_create(&writer->codecs[i], listener->encodings, listener->encoding_count,
				     listener->errors, config->datagram_log.payload);
	}
	for (size_t i = 0; i < config->peer_count && !error; i++) {
		const struct peer_config *peer = &config->peers[i];

		if (peer->encoding)
			error = codec_create(&writer->reply_codecs[i], (char *const *)&peer->encoding, 1,
					     CODEC_BACKSLASHREPLACE, config->datagram_log.payload);
	}
	return error;
}

int log_writer_init(struct log_writer *writer, const struct config *config, unsigned workers, struct log_file *file,
		    struct log *log)
{
	int error;

	*writer = (struct log_writer){.config = config, .log = log, .file = file, .creator = pthread_self()};
	eventcount_init(&writer->eventcount);
	sem_init(&writer->ended, 0, 0);
	error = create_rings(writer, workers);
	if (!error)
		error = create_codecs(writer);
	writer->buffer = malloc(WRITE_BUFFER_SIZE + record_size_max(config->datagram_log.payload));
	if (!error && !writer->buffer)
		error = -ENOMEM;
	return error;
}

void log_writer_finish(struct log_writer *writer)
{
	for (size_t i = 0; writer->codecs && i < writer->config->listener_count; i++)
		codec_destroy(writer->codecs[i]);
	for (size_t i = 0; writer->reply_codecs && i < writer->config->peer_count; i++)
		codec_destroy(writer->reply_codecs[i]);
	for (unsigned i = 0; i < writer->ring_count; i++)
		record_ring_destroy(writer->rings[i]);
	sem_destroy(&writer->ended);
	eventcount_finish(&writer->eventcount);
	free(writer->codecs);
	free(writer->reply_codecs);
	free(writer->rings);
	free(writer->buffer);
}
