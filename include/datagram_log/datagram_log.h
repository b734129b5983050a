/* The datagram log: one record per datagram, written to a file, pipe or standard stream.
 * Workers push records into rings. One writer thread formats the records of all rings in the order of time and writes
 * them. The generation owns the log; config and the operational log must outlive it.
 * Workers never wait for the output. If the output is slow or fails, the rings fill up, and new records are dropped,
 * counted and reported in the datagram log itself. */
#ifndef UDPRELAYD_DATAGRAM_LOG_DATAGRAM_LOG_H
#define UDPRELAYD_DATAGRAM_LOG_DATAGRAM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "config/config.h"
#include "datagram_log/record_ring.h"

struct datagram_log;

/* Opens the target of config (not LOG_TARGET_OFF) and creates a ring for each worker. The calling thread must handle
 * SIGTERM: it gets this signal if datagram_log.exit_on_broken_pipe is set and the reader of the pipe is gone. Errors of
 * the target, now and later, are logged once to log, and so is the recovery. Returns 0 or a negative errno. */
int datagram_log_create(struct datagram_log **dlog, const struct config *config, unsigned workers, struct log *log);

/* Returns a positive errno if the file of the target cannot be written, or 0. Creates no file. */
int datagram_log_probe(const struct config *config);

/* Returns the fix for a target that cannot be written because of this positive errno. The string is static. */
const char *datagram_log_hint(int error);

/* Starts the writer thread. Returns 0 or a negative errno. */
int datagram_log_start(struct datagram_log *dlog);

/* Before datagram_log_start(): the writer waits for datagram_log_resume(), so that an earlier log can write its records
 * first. The rings accept records meanwhile. */
void datagram_log_pause(struct datagram_log *dlog);

/* Any thread: ends the pause. datagram_log_stop() does so, too. */
void datagram_log_resume(struct datagram_log *dlog);

/* Returns the ring of a worker. The datagram log owns it. */
struct record_ring *datagram_log_ring(struct datagram_log *dlog, unsigned worker);

/* Any thread: the writer opens its file by path again before it writes more (log rotation). */
void datagram_log_reopen(struct datagram_log *dlog);

/* After the workers have stopped: writes the records in the rings, for at most timeout_ms milliseconds, and ends the
 * thread. The rest is counted as dropped and logged. Returns false if the writer is blocked in write(2): then config
 * and log must stay valid until datagram_log_ended(), and the call can be repeated. NULL is accepted. */
bool datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms);

/* Returns whether the writer thread has ended, so that datagram_log_stop() returns at once. For a log that was blocked
 * in its first datagram_log_stop(). NULL is accepted. */
bool datagram_log_ended(const struct datagram_log *dlog);

/* After the workers have stopped: whether all records are written. */
bool datagram_log_idle(const struct datagram_log *dlog);

/* Adds the counters of a stopped log to those of dlog. Call it in the thread that reads the counters. */
void datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before);

/* The number of records that were written and dropped, including those of adopted logs. After datagram_log_stop(),
 * written + dropped is the number of records that the workers pushed or tried to push. */
uint64_t datagram_log_written(const struct datagram_log *dlog);
uint64_t datagram_log_dropped(const struct datagram_log *dlog);

/* Any thread: the number of records that are neither written nor dropped yet. */
uint64_t datagram_log_waiting(const struct datagram_log *dlog);

/* Frees the log. Call it after datagram_log_stop(), or if the log was never started. If the writer is blocked in
 * write(2), nothing is freed. NULL is accepted. */
void datagram_log_destroy(struct datagram_log *dlog);

#endif
