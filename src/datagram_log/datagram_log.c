#include "datagram_log/datagram_log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/thread.h"
#include "datagram_log/log_file.h"
#include "datagram_log/record.h"

/* Records are gathered up to this many bytes before they are written. */
#define PIECE_SIZE 65536

/* After a piece the writer rests for a moment, so that workers under load need not wake it for each batch. */
#define REST_MS 1
#define IDLE_MS 60000

/* A target that fails is tried again after this; one that takes nothing is waited for as long before that is told. */
#define RETRY_MS 1000

/* How long a wait for room may last before a request to stop or to reopen is looked for. */
#define ROOM_MS 50

/* While records are being dropped, the log says so this often. */
#define DECLARE_MS 1000

struct datagram_log {
	const struct config *config;
	uint64_t written_before, dropped_before; /* by earlier ones */
	struct log *log;
	struct log_file output;
	struct eventcount waker;
	unsigned ring_count;
	struct record_ring **rings;
	struct codec **codecs; /* by listener */
	struct codec **answer_codecs; /* by peer; NULL where it answers in the listener's charset */

	pthread_t owner; /* who made it, and sees to signals */
	pthread_t thread;
	bool started, stuck, told;
	sem_t ended;
	atomic_bool reopen, held;
	_Atomic uint64_t deadline_ms; /* of the end, monotonic; 0 while it runs */

	/* The writer's own, but for the counters. */
	char *piece;
	bool failing;
	uint64_t stalled_ms; /* monotonic: since when nobody takes anything; 0: somebody does */
	uint64_t declared_ms; /* when drops were declared last */
	counter written, declared; /* records */
	counter unwritten; /* records that were left at the end */
};

/* --- Failure and recovery of the target --- */

static bool is_stopping(const struct datagram_log *dlog)
{
	return atomic_load(&dlog->deadline_ms) != 0;
}

static bool is_over(const struct datagram_log *dlog)
{
	uint64_t deadline = atomic_load(&dlog->deadline_ms);

	return deadline && clock_monotonic_ms() >= deadline;
}

static void tell_failure(struct datagram_log *dlog, const char *why)
{
	if (!dlog->failing)
		log_error(dlog->log, "datagram log: %s: %s: records wait, and are dropped where the queue is full",
			  dlog->output.name, why);
	dlog->failing = true;
}

static void tell_recovery(struct datagram_log *dlog)
{
	if (dlog->failing)
		log_notice(dlog->log, "datagram log: %s: writing again", dlog->output.name);
	dlog->failing = false;
	dlog->stalled_ms = 0;
}

static void on_stall(struct datagram_log *dlog)
{
	uint64_t now = clock_monotonic_ms();

	if (!dlog->stalled_ms)
		dlog->stalled_ms = now;
	else if (now - dlog->stalled_ms >= RETRY_MS)
		tell_failure(dlog, "nobody takes what is written");
}

/* Returns whether there is a new file. */
static bool reopen(struct datagram_log *dlog)
{
	int result;

	if (!atomic_exchange(&dlog->reopen, false))
		return false;
	result = log_file_reopen(&dlog->output);
	if (result < 0)
		log_error(dlog->log, "datagram log: cannot open %s again, so the old file stays: %s", dlog->output.name,
			  strerror(-result));
	else if (dlog->output.path)
		log_info(dlog->log, "datagram log: %s: opened anew", dlog->output.name);
	return result > 0;
}

/* --- Writing --- */

static size_t line_start(const char *bytes, size_t at)
{
	const char *newline = memrchr(bytes, '\n', at);

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

/* Writes all of it, however often the target fails in between: only the end of the log stops it. A line that a failure
 * cut goes on where it was cut, and in a new file from its beginning. Returns the lines written. */
static uint64_t write_lines(struct datagram_log *dlog, const char *bytes, size_t size)
{
	size_t at = 0;

	while (at < size && !is_over(dlog)) {
		if (reopen(dlog))
			at = line_start(bytes, at);
		ssize_t written = log_file_write(&dlog->output, bytes + at, size - at, ROOM_MS);

		if (written == -EAGAIN) {
			on_stall(dlog);
		} else if (written == -EPIPE && dlog->config->datagram_log.vital) {
			pthread_kill(dlog->owner, SIGTERM);
			eventcount_wait(&dlog->waker, ROOM_MS);
		} else if (written < 0) {
			tell_failure(dlog, strerror((int)-written));
			eventcount_wait(&dlog->waker, is_stopping(dlog) ? ROOM_MS : RETRY_MS);
		} else {
			tell_recovery(dlog);
			at += (size_t)written;
		}
	}
	return count_lines(bytes, at);
}

static uint64_t write_in_turn(struct datagram_log *dlog, const char *bytes, size_t size)
{
	uint64_t lines;

	if (!dlog->output.shared)
		return write_lines(dlog, bytes, size);
	log_begin_output(dlog->log);
	lines = write_lines(dlog, bytes, size);
	log_end_output(dlog->log);
	return lines;
}

static uint64_t ring_drops(const struct datagram_log *dlog)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < dlog->ring_count; i++)
		sum += record_ring_dropped(dlog->rings[i]);
	return sum;
}

static void declare_drops(struct datagram_log *dlog, bool now)
{
	uint64_t dropped = ring_drops(dlog), declared = counter_get(&dlog->declared);
	uint64_t time = clock_monotonic_ms();
	char line[RECORD_DECLARATION_MAX];
	size_t size;

	if (dropped == declared || (!now && time - dlog->declared_ms < DECLARE_MS))
		return;
	size = record_format_dropped(line, clock_wall_us(), dropped - declared, dlog->config->datagram_log.format);
	if (!write_in_turn(dlog, line, size))
		return;
	counter_add(&dlog->declared, dropped - declared);
	dlog->declared_ms = time;
}

/* --- Records --- */

/* The ring whose first record is the oldest of all; NULL where all are empty. */
static struct record_ring *oldest(const struct datagram_log *dlog)
{
	struct record_ring *found = NULL;
	uint64_t time_us = 0;

	for (unsigned i = 0; i < dlog->ring_count; i++) {
		uint32_t shown;
		const struct datagram_record *record = record_ring_peek(dlog->rings[i], &shown);

		if (record && (!found || record->time_us < time_us)) {
			found = dlog->rings[i];
			time_us = record->time_us;
		}
	}
	return found;
}

/* A peer with a charset of its own answers in it. */
static struct codec *codec_for(const struct datagram_log *dlog, const struct datagram_record *record)
{
	struct codec *own = record->answer ? dlog->answer_codecs[record->peer->index] : NULL;

	return own ? own : dlog->codecs[record->listener->index];
}

/* Formats what waits, as much as a piece holds. Returns its bytes. */
static size_t gather(struct datagram_log *dlog)
{
	const struct config *config = dlog->config;
	struct record_ring *ring;
	size_t size = 0;

	while (size < PIECE_SIZE && (ring = oldest(dlog))) {
		uint32_t shown;
		const struct datagram_record *record = record_ring_peek(ring, &shown);

		size += record_format(dlog->piece + size, record, shown, config->datagram_log.payload,
				      codec_for(dlog, record), config->datagram_log.format);
		record_ring_pop(ring);
	}
	return size;
}

/* Sleeps until there is something to do. */
static void idle(struct datagram_log *dlog)
{
	declare_drops(dlog, true);
	eventcount_prepare(&dlog->waker);
	if (oldest(dlog) || is_stopping(dlog) || atomic_load(&dlog->reopen))
		eventcount_cancel(&dlog->waker);
	else
		eventcount_wait(&dlog->waker, IDLE_MS);
}

/* Records wait in the rings meanwhile. */
static void await_turn(struct datagram_log *dlog)
{
	while (atomic_load(&dlog->held) && !is_stopping(dlog)) {
		eventcount_prepare(&dlog->waker);
		if (atomic_load(&dlog->held) && !is_stopping(dlog))
			eventcount_wait(&dlog->waker, IDLE_MS);
		else
			eventcount_cancel(&dlog->waker);
	}
}

static void *writer_main(void *data)
{
	struct datagram_log *dlog = data;

	await_turn(dlog);
	while (!is_over(dlog)) {
		bool stopping = is_stopping(dlog);
		size_t size = gather(dlog);

		if (size) {
			counter_add(&dlog->written, write_in_turn(dlog, dlog->piece, size));
			declare_drops(dlog, false);
			if (size < PIECE_SIZE && !stopping)
				eventcount_wait(&dlog->waker, REST_MS);
		} else if (stopping) {
			declare_drops(dlog, true);
			break;
		} else {
			reopen(dlog);
			idle(dlog);
		}
	}
	sem_post(&dlog->ended);
	return NULL;
}

/* --- Life --- */

static int create_rings(struct datagram_log *dlog, unsigned workers)
{
	const struct config *config = dlog->config;
	int error = 0;

	dlog->rings = calloc(workers, sizeof(struct record_ring *));
	if (!dlog->rings)
		return -ENOMEM;
	while (dlog->ring_count < workers && !error) {
		error = record_ring_create(&dlog->rings[dlog->ring_count], config->datagram_log.queue,
					   config->datagram_log.payload, &dlog->waker);
		dlog->ring_count += !error;
	}
	return error;
}

static int create_codecs(struct datagram_log *dlog)
{
	const struct config *config = dlog->config;
	int error = 0;

	dlog->codecs = calloc(config->listener_count + 1, sizeof(struct codec *));
	dlog->answer_codecs = calloc(config->peer_count + 1, sizeof(struct codec *));
	if (!dlog->codecs || !dlog->answer_codecs)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		const struct listener_config *listener = &config->listeners[i];

		error = codec_create(&dlog->codecs[i], listener->encodings, listener->encoding_count, listener->errors,
				     config->datagram_log.payload);
	}
	for (size_t i = 0; i < config->peer_count && !error; i++) {
		const struct peer_config *peer = &config->peers[i];

		if (peer->encoding)
			error = codec_create(&dlog->answer_codecs[i], (char *const *)&peer->encoding, 1,
					     CODEC_BACKSLASHREPLACE, config->datagram_log.payload);
	}
	return error;
}

static const char *remedy(int error)
{
	switch (error) {
	case ENOENT:
		return "create its directory";
	case EISDIR:
		return "add the name of a file";
	case ENXIO:
		return "start the pipe's reader first";
	default:
		return "choose another file, or let this user write to it";
	}
}

/* The user that we are to become will have to open it anew. What was there before stays whose it is: a link may lead
 * to any file of the system. Where that cannot be done, it is told when the file is opened anew. */
static void give_away(const struct datagram_log *dlog)
{
	const struct config *config = dlog->config;

	if (config->user.name && dlog->output.created && geteuid() == 0 &&
	    fchown(dlog->output.fd, config->user.uid, config->user.gid))
		log_info(dlog->log, "datagram log: %s: cannot be given to user %s: %s", dlog->output.name,
			 config->user.name, strerror(errno));
}

static int open_output(struct datagram_log *dlog)
{
	const struct config *config = dlog->config;
	int error = log_file_open(&dlog->output, config->datagram_log.target, config->datagram_log.path);

	if (!error)
		give_away(dlog);
	else
		log_error(dlog->log, "%s:%u: [datagram_log] target: cannot write %s: %s: %s", config->path,
			  config->datagram_log.line, config->datagram_log.path, strerror(-error), remedy(-error));
	return error;
}

static int set_up(struct datagram_log *dlog, unsigned workers)
{
	int error = create_rings(dlog, workers);

	if (!error)
		error = create_codecs(dlog);
	dlog->piece = malloc(PIECE_SIZE + record_size_max(dlog->config->datagram_log.payload));
	return dlog->piece ? error : -ENOMEM;
}

int datagram_log_create(struct datagram_log **out, const struct config *config, unsigned workers, struct log *log)
{
	struct datagram_log *dlog = calloc(1, sizeof(*dlog));
	int error;

	if (!dlog)
		return -ENOMEM;
	dlog->config = config;
	dlog->log = log;
	dlog->owner = pthread_self();
	eventcount_init(&dlog->waker);
	sem_init(&dlog->ended, 0, 0);
	error = open_output(dlog);
	if (!error && set_up(dlog, workers)) {
		error = -ENOMEM;
		log_error(log, "datagram log: no memory for %u records of %u bytes", config->datagram_log.queue,
			  config->datagram_log.payload);
	}
	if (error) {
		datagram_log_destroy(dlog);
		return error;
	}
	*out = dlog;
	return 0;
}

int datagram_log_start(struct datagram_log *dlog)
{
	int error = thread_start(&dlog->thread, "datagram-log", writer_main, dlog);

	dlog->started = !error;
	return error;
}

void datagram_log_pause(struct datagram_log *dlog)
{
	atomic_store(&dlog->held, true);
}

void datagram_log_resume(struct datagram_log *dlog)
{
	atomic_store(&dlog->held, false);
	eventcount_wake(&dlog->waker);
}

struct record_ring *datagram_log_ring(struct datagram_log *dlog, unsigned worker)
{
	return dlog->rings[worker];
}

void datagram_log_reopen(struct datagram_log *dlog)
{
	atomic_store(&dlog->reopen, true);
	eventcount_wake(&dlog->waker);
}

static uint64_t pushed(const struct datagram_log *dlog)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < dlog->ring_count; i++)
		sum += record_ring_pushed(dlog->rings[i]);
	return sum;
}

static void tell_unwritten(struct datagram_log *dlog)
{
	uint64_t unwritten = pushed(dlog) - counter_get(&dlog->written);
	uint64_t undeclared = unwritten + ring_drops(dlog) - counter_get(&dlog->declared);

	counter_add(&dlog->unwritten, unwritten);
	if (undeclared)
		log_error(dlog->log, "datagram log: %s: the last %" PRIu64 " records could not be written",
			  dlog->output.name, undeclared);
}

/* Returns whether the writer has ended in time, whatever signals come meanwhile. */
static bool await_end(struct datagram_log *dlog, const struct timespec *deadline)
{
	while (sem_clockwait(&dlog->ended, CLOCK_MONOTONIC, deadline)) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

bool datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms)
{
	struct timespec deadline = clock_deadline(timeout_ms + 2 * ROOM_MS);

	if (!dlog || !dlog->started)
		return true;
	atomic_store(&dlog->deadline_ms, clock_monotonic_ms() + timeout_ms);
	eventcount_wake(&dlog->waker);
	dlog->stuck = !await_end(dlog, &deadline);
	if (!dlog->stuck)
		pthread_join(dlog->thread, NULL);
	dlog->started = dlog->stuck;
	if (!dlog->told)
		tell_unwritten(dlog);
	dlog->told = true;
	return !dlog->stuck;
}

bool datagram_log_ended(const struct datagram_log *dlog)
{
	int ended = 0;

	if (dlog && dlog->started)
		sem_getvalue((sem_t *)&dlog->ended, &ended);
	return !dlog || !dlog->started || ended;
}

bool datagram_log_idle(const struct datagram_log *dlog)
{
	return counter_get(&dlog->written) + counter_get(&dlog->unwritten) == pushed(dlog);
}

void datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before)
{
	dlog->written_before += datagram_log_written(before);
	dlog->dropped_before += datagram_log_dropped(before);
}

uint64_t datagram_log_written(const struct datagram_log *dlog)
{
	return dlog->written_before + counter_get(&dlog->written);
}

uint64_t datagram_log_dropped(const struct datagram_log *dlog)
{
	return dlog->dropped_before + ring_drops(dlog) + counter_get(&dlog->unwritten);
}

uint64_t datagram_log_waiting(const struct datagram_log *dlog)
{
	uint64_t done = counter_get(&dlog->written) + counter_get(&dlog->unwritten);
	uint64_t all = pushed(dlog);

	return all > done ? all - done : 0;
}

void datagram_log_destroy(struct datagram_log *dlog)
{
	if (!dlog || dlog->stuck)
		return;
	for (size_t i = 0; dlog->codecs && i < dlog->config->listener_count; i++)
		codec_destroy(dlog->codecs[i]);
	for (size_t i = 0; dlog->answer_codecs && i < dlog->config->peer_count; i++)
		codec_destroy(dlog->answer_codecs[i]);
	for (unsigned i = 0; i < dlog->ring_count; i++)
		record_ring_destroy(dlog->rings[i]);
	log_file_close(&dlog->output);
	sem_destroy(&dlog->ended);
	eventcount_finish(&dlog->waker);
	free(dlog->codecs);
	free(dlog->answer_codecs);
	free(dlog->rings);
	free(dlog->piece);
	free(dlog);
}
