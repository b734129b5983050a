/* The datagram log: who said what to whom. Workers push records into rings, one thread decodes and writes them. */
#ifndef UDPRELAYD_DATAGRAM_LOG_DATAGRAM_LOG_H
#define UDPRELAYD_DATAGRAM_LOG_DATAGRAM_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "config/config.h"
#include "datagram_log/record_ring.h"

struct datagram_log;

/* Opens the target of config (not LOG_TARGET_OFF) and makes a ring for each worker. config and log must outlive it. A
 * target that cannot be written, now or later, is told to log, once, as is its recovery. Returns 0 or a negative errno.
 */
int datagram_log_create(struct datagram_log **dlog, const struct config *config, unsigned workers, struct log *log);

/* Starts the writer thread. Returns 0 or a negative errno. */
int datagram_log_start(struct datagram_log *dlog);

/* Before the start: the writer waits, so that an earlier log's records come first. And any thread, later: it goes on,
 * as it does at datagram_log_stop(). */
void datagram_log_pause(struct datagram_log *dlog);
void datagram_log_resume(struct datagram_log *dlog);

/* A worker's end of it. */
struct record_ring *datagram_log_ring(struct datagram_log *dlog, unsigned worker);

/* Any thread: the writer opens its file by name again before it goes on (for log rotation). */
void datagram_log_reopen(struct datagram_log *dlog);

/* Once the workers have stopped: writes out what waits, for at most timeout_ms. What could not be written is counted as
 * dropped, and told to log. Returns false where the writer is stuck in write(2): then config and log must stay until
 * the process ends. NULL is accepted. */
bool datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms);

/* Whether a log that was stuck when it was stopped is not so any more: then stopping it again takes no time. */
bool datagram_log_ended(const struct datagram_log *dlog);

/* Whether nothing waits to be written, once the workers have stopped. */
bool datagram_log_idle(const struct datagram_log *dlog);

/* From now on, the records of a log that was stopped count as this one's. The thread that asks for the counts. */
void datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before);

/* Any thread: records. After datagram_log_stop(), written + dropped = pushed. */
uint64_t datagram_log_written(const struct datagram_log *dlog);
uint64_t datagram_log_dropped(const struct datagram_log *dlog);

/* Any thread: records that are neither written nor dropped yet. */
uint64_t datagram_log_waiting(const struct datagram_log *dlog);

/* After datagram_log_stop(), or where it was never started. A writer that is stuck in write(2) keeps its memory until
 * the end of the process. NULL is accepted. */
void datagram_log_destroy(struct datagram_log *dlog);

#endif
