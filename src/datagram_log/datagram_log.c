#include "datagram_log/datagram_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "datagram_log/log_file.h"
#include "datagram_log/log_writer.h"
#include "text/codec.h"

struct datagram_log {
	const struct config *config;
	struct log *log;
	struct log_file file;
	struct log_writer writer;
	bool started; /* the writer thread runs, or is blocked */
	bool blocked; /* the last datagram_log_stop() timed out: the thread uses this memory */
	bool unwritten_reported;
	counter unwritten; /* records left in the rings by the first datagram_log_stop() */
	uint64_t adopted_written, adopted_dropped; /* records of earlier logs */
};

/* --- Opening and closing --- */

const char *datagram_log_hint(int error)
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

int datagram_log_probe(const struct config *config)
{
	return config->datagram_log.target == LOG_TARGET_FILE ? -log_file_probe(config->datagram_log.path) : 0;
}

/* Gives a new file to the user that the process will run as, because that user has to open it again. An existing file
 * keeps its owner: a symbolic link may lead to any file of the system. If that user cannot open the file, the error is
 * logged when it is opened again. */
static void change_file_owner(const struct datagram_log *dlog)
{
	const struct config *config = dlog->config;

	if (config->user.name && dlog->file.created && geteuid() == 0 &&
	    fchown(dlog->file.fd, config->user.uid, config->user.gid))
		log_info(dlog->log, "datagram log: cannot change the owner of %s to user %s: %s", dlog->file.name,
			 config->user.name, strerror(errno));
}

static int open_log_file(struct datagram_log *dlog)
{
	const struct config *config = dlog->config;
	int error = log_file_open(&dlog->file, config->datagram_log.target, config->datagram_log.path);

	if (!error)
		change_file_owner(dlog);
	else
		log_error(dlog->log, "%s:%u: [datagram_log] target: cannot write %s: %s: %s", config->path,
			  config->datagram_log.line, config->datagram_log.path, strerror(-error),
			  datagram_log_hint(-error));
	return error;
}

static void log_writer_error(const struct config *config, int error, struct log *log)
{
	if (error == -ENOMEM)
		log_error(
			log,
			"datagram log: no memory for %u records of %u bytes: lower queue or payload in [datagram_log]",
			config->datagram_log.queue, config->datagram_log.payload);
	else
		log_error(log, "datagram log: cannot open a charset of the configuration: %s: " CODEC_INSTALL_HINT,
			  strerror(-error));
}

int datagram_log_create(struct datagram_log **out, const struct config *config, unsigned workers, struct log *log)
{
	struct datagram_log *dlog = calloc(1, sizeof(*dlog));
	int error;

	if (!dlog)
		return -ENOMEM;
	dlog->config = config;
	dlog->log = log;
	error = open_log_file(dlog);
	if (error) {
		free(dlog);
		return error;
	}
	error = log_writer_init(&dlog->writer, config, workers, &dlog->file, log);
	if (error) {
		log_writer_error(config, error, log);
		datagram_log_destroy(dlog);
		return error;
	}
	*out = dlog;
	return 0;
}

void datagram_log_destroy(struct datagram_log *dlog)
{
	if (!dlog || dlog->blocked)
		return;
	log_writer_finish(&dlog->writer);
	log_file_close(&dlog->file);
	free(dlog);
}

struct record_ring *datagram_log_ring(struct datagram_log *dlog, unsigned worker)
{
	return dlog->writer.rings[worker];
}

/* --- The writer thread --- */

int datagram_log_start(struct datagram_log *dlog)
{
	int error = log_writer_start(&dlog->writer);

	dlog->started = !error;
	return error;
}

void datagram_log_pause(struct datagram_log *dlog)
{
	log_writer_pause(&dlog->writer);
}

void datagram_log_resume(struct datagram_log *dlog)
{
	log_writer_resume(&dlog->writer);
}

void datagram_log_reopen(struct datagram_log *dlog)
{
	log_writer_reopen(&dlog->writer);
}

/* Counts the records left in the rings as dropped. Logs how many records are missing in the datagram log without a line
 * that reports them. */
static void count_unwritten(struct datagram_log *dlog)
{
	const struct log_writer *writer = &dlog->writer;
	uint64_t unwritten = log_writer_pushed(writer) - counter_get(&writer->written);
	uint64_t unreported = unwritten + log_writer_ring_drops(writer) - counter_get(&writer->drops_reported);

	counter_add(&dlog->unwritten, unwritten);
	if (unreported)
		log_error(dlog->log, "datagram log: %s: the last %" PRIu64 " records could not be written",
			  dlog->file.name, unreported);
}

bool datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms)
{
	if (!dlog || !dlog->started)
		return true;
	dlog->blocked = !log_writer_stop(&dlog->writer, timeout_ms);
	dlog->started = dlog->blocked;
	if (!dlog->unwritten_reported)
		count_unwritten(dlog);
	dlog->unwritten_reported = true;
	return !dlog->blocked;
}

bool datagram_log_ended(const struct datagram_log *dlog)
{
	return !dlog || !dlog->started || log_writer_ended(&dlog->writer);
}

/* --- Counters --- */

bool datagram_log_idle(const struct datagram_log *dlog)
{
	return counter_get(&dlog->writer.written) + counter_get(&dlog->unwritten) == log_writer_pushed(&dlog->writer);
}

void datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before)
{
	dlog->adopted_written += datagram_log_written(before);
	dlog->adopted_dropped += datagram_log_dropped(before);
}

uint64_t datagram_log_written(const struct datagram_log *dlog)
{
	return dlog->adopted_written + counter_get(&dlog->writer.written);
}

uint64_t datagram_log_dropped(const struct datagram_log *dlog)
{
	return dlog->adopted_dropped + log_writer_ring_drops(&dlog->writer) + counter_get(&dlog->unwritten);
}

uint64_t datagram_log_waiting(const struct datagram_log *dlog)
{
	uint64_t done = counter_get(&dlog->writer.written) + counter_get(&dlog->unwritten);
	uint64_t pushed = log_writer_pushed(&dlog->writer);

	return pushed > done ? pushed - done : 0;
}
