/* The writer thread of the datagram log: takes records from the rings of all workers, formats them and writes them.
 * struct datagram_log owns the writer. The writer owns its rings, codecs and buffer. The thread alone uses the file
 * between log_writer_start() and the end of the thread. The thread can be blocked in write(2) on a terminal: then
 * log_writer_stop() returns false, and the writer must not be freed. */
#ifndef UDPRELAYD_DATAGRAM_LOG_LOG_WRITER_H
#define UDPRELAYD_DATAGRAM_LOG_LOG_WRITER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/log.h"
#include "config/config.h"
#include "datagram_log/log_file.h"
#include "datagram_log/record_ring.h"
#include "text/codec.h"

struct log_writer {
	const struct config *config; /* borrowed, like log and file */
	struct log *log;
	struct log_file *file;
	struct eventcount eventcount; /* the thread waits here */
	struct record_ring **rings; /* by worker */
	unsigned ring_count;
	struct codec **codecs; /* by listener */
	struct codec **reply_codecs; /* by peer; NULL: replies are in the encoding of the listener */
	char *buffer; /* WRITE_BUFFER_SIZE bytes, plus the largest line */

	pthread_t creator; /* the thread that called log_writer_init() and handles SIGTERM */
	pthread_t thread;
	sem_t ended; /* posted at the end of the thread */
	atomic_bool reopen_requested;
	atomic_bool paused;
	_Atomic uint64_t deadline_ms; /* monotonic: stop writing then; 0: not stopping */

	/* Used by the thread only; any thread may read the counters. */
	bool failing; /* a failure was logged, and no write has succeeded since */
	uint64_t stalled_ms; /* monotonic: first timeout since the last successful write; 0: none */
	uint64_t drops_reported_ms; /* monotonic: time of the last line about drops */
	counter written; /* records */
	counter drops_reported; /* dropped records that the log has reported */
};

/* Allocates the rings, codecs and buffer. file must be open. Returns 0 or -ENOMEM; log_writer_finish() is needed in
 * both cases. */
int log_writer_init(struct log_writer *writer, const struct config *config, unsigned workers, struct log_file *file,
		    struct log *log);

/* Frees what log_writer_init() allocated. The thread must have ended, or never started. */
void log_writer_finish(struct log_writer *writer);

/* Starts the thread. Returns 0 or a negative errno. */
int log_writer_start(struct log_writer *writer);

/* Before the start: the thread waits until log_writer_resume() or log_writer_stop(). */
void log_writer_pause(struct log_writer *writer);

/* Any thread: ends the pause. */
void log_writer_resume(struct log_writer *writer);

/* Any thread: the writer opens its file by path again before it writes more. */
void log_writer_reopen(struct log_writer *writer);

/* Writes the records in the rings for at most timeout_ms milliseconds and joins the thread. Returns false if the thread
 * is still blocked in write(2) a little later. Then the call can be repeated. */
bool log_writer_stop(struct log_writer *writer, unsigned timeout_ms);

/* Returns whether the thread is at its end, so that log_writer_stop() returns at once. Only before it was joined. */
bool log_writer_ended(const struct log_writer *writer);

/* Any thread: sums over all rings, in records. */
uint64_t log_writer_pushed(const struct log_writer *writer);
uint64_t log_writer_ring_drops(const struct log_writer *writer);

#endif
