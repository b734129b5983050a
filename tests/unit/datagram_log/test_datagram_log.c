/* The datagram log as a whole: rings, writer thread, and outputs that fail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "datagram_log/datagram_log.h"

#define QUEUE 64
#define TIMEOUT_MS 10000

struct fixture {
	char directory[32], path[64], messages_path[64];
	struct address source, destination;
	struct listener_config listener;
	struct config config;
	struct log *log;
	int messages; /* the operational log */
	struct datagram_log *dlog;
	char text[1 << 20];
};

static char utf8[] = "utf-8", listener_name[] = "echo", config_path[] = "test.ini";

static int set_up(void **state)
{
	static char *encodings[] = {utf8};
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->directory, "/tmp/datagram_log.XXXXXX");
	*state = f;
	if (!mkdtemp(f->directory))
		return -1;
	sprintf(f->path, "%s/log", f->directory);
	sprintf(f->messages_path, "%s/messages", f->directory);
	address_parse(&f->source, "192.0.2.1:1");
	address_parse(&f->destination, "192.0.2.2:2");
	f->listener = (struct listener_config){
		.name = listener_name, .encodings = encodings, .encoding_count = 1, .errors = CODEC_BACKSLASHREPLACE};
	f->config = (struct config){.path = config_path, .listeners = &f->listener, .listener_count = 1};
	f->config.datagram_log.target = LOG_TARGET_FILE;
	f->config.datagram_log.path = f->path;
	f->config.datagram_log.payload = 16;
	f->config.datagram_log.queue = QUEUE;
	f->messages = open(f->messages_path, O_RDWR | O_CREAT | O_APPEND, 0600);
	return log_create(&f->log, f->messages, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	datagram_log_destroy(f->dlog);
	log_destroy(f->log, 1000);
	close(f->messages);
	unlink(f->path);
	unlink(f->messages_path);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void start(struct fixture *f, unsigned workers)
{
	assert_int_equal(datagram_log_create(&f->dlog, &f->config, workers, f->log), 0);
	assert_int_equal(datagram_log_start(f->dlog), 0);
}

static void push(struct fixture *f, unsigned worker, uint64_t time_us)
{
	struct datagram_record record = {.time_us = time_us,
					 .listener = &f->listener,
					 .source = &f->source,
					 .destination = &f->destination,
					 .payload = "hello",
					 .size = 5,
					 .verdict = VERDICT_SUNK};

	record_ring_push(datagram_log_ring(f->dlog, worker), &record);
	record_ring_wake(datagram_log_ring(f->dlog, worker));
}

static const char *contents(struct fixture *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	ssize_t size = fd < 0 ? 0 : read(fd, f->text, sizeof(f->text) - 1);

	close(fd);
	f->text[size < 0 ? 0 : size] = '\0';
	return f->text;
}

/* Waits until the file contains the words. Fails after the timeout. */
static void await_words(struct fixture *f, const char *path, const char *words)
{
	uint64_t end = clock_monotonic_ms() + TIMEOUT_MS;

	while (!strstr(contents(f, path), words)) {
		assert_true(clock_monotonic_ms() < end);
		usleep(1000);
	}
}

static unsigned count(const char *text, const char *words)
{
	unsigned found = 0;

	for (; (text = strstr(text, words)); text++)
		found++;
	return found;
}

/* Returns the sum of N over all lines "records dropped: N". */
static uint64_t reported_drops(const char *text)
{
	uint64_t sum = 0;

	for (; (text = strstr(text, "dropped: ")); text++)
		sum += strtoull(text + strlen("dropped: "), NULL, 10);
	return sum;
}

static void test_records_are_written_at_once(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	push(f, 0, 1);
	await_words(f, f->path, "1970-01-01T00:00:00.000001Z echo 192.0.2.1:1 > 192.0.2.2:2 5B utf-8 sunk \"hello\"\n");
	push(f, 0, 2); /* the writer waits by now, or is about to wait */
	await_words(f, f->path, "1970-01-01T00:00:00.000002Z echo");
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	assert_int_equal(datagram_log_written(f->dlog), 2);
	assert_int_equal(datagram_log_dropped(f->dlog), 0);
}

static void test_records_of_workers_are_merged_by_time(void **state)
{
	struct fixture *f = *state;
	const char *text;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 2, f->log), 0);
	for (unsigned i = 0; i < 10; i++)
		push(f, i % 3 == 0, i);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	text = contents(f, f->path);
	for (unsigned i = 0; i < 10; i++, text = strchr(text, '\n') + 1) {
		char time[CLOCK_TEXT_MAX];
		assert_memory_equal(text, clock_format(i, time), CLOCK_TEXT_MAX - 1);
	}
}

static void test_drops_are_reported_in_the_log(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 1, f->log), 0);
	for (unsigned i = 0; i < QUEUE + 10; i++)
		push(f, 0, i);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	contents(f, f->path);
	assert_int_equal(count(f->text, "sunk"), QUEUE);
	assert_int_equal(reported_drops(f->text), 10);
	assert_int_equal(datagram_log_written(f->dlog), QUEUE);
	assert_int_equal(datagram_log_dropped(f->dlog), 10);
}

static void test_written_and_reported_drops_add_up(void **state)
{
	struct fixture *f = *state;
	const unsigned records = 50000;

	start(f, 2);
	for (unsigned i = 0; i < records; i++)
		push(f, i % 2, i);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	assert_int_equal(datagram_log_written(f->dlog) + datagram_log_dropped(f->dlog), records);
	contents(f, f->path);
	assert_int_equal(reported_drops(f->text), datagram_log_dropped(f->dlog));
}

static void test_a_full_disk_is_logged_once(void **state)
{
	static char full[] = "/dev/full";
	struct fixture *f = *state;

	f->config.datagram_log.path = full;
	start(f, 1);
	for (unsigned i = 0; i < 1000; i++)
		push(f, 0, i);
	await_words(f, f->messages_path, "/dev/full: No space left on device");
	datagram_log_stop(f->dlog, 100);
	assert_int_equal(datagram_log_written(f->dlog), 0);
	assert_int_equal(datagram_log_dropped(f->dlog), 1000);
	contents(f, f->messages_path);
	assert_int_equal(count(f->text, "No space left"), 1);
	assert_int_equal(count(f->text, "the last 1000 records could not be written"), 1);
}

/* The pipe has no room until the test starts to read it. */
static void test_a_stall_is_logged_and_ends(void **state)
{
	struct fixture *f = *state;
	size_t size = 0;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	fcntl(reader, F_SETPIPE_SZ, 4096);
	start(f, 1);
	for (unsigned i = 0; i < 1000; i++)
		push(f, 0, i);
	await_words(f, f->messages_path, "the reader is too slow");
	for (uint64_t end = clock_monotonic_ms() + TIMEOUT_MS; clock_monotonic_ms() < end;) {
		ssize_t got = read(reader, f->text + size, sizeof(f->text) - 1 - size);

		size += got > 0 ? (size_t)got : 0;
		f->text[size] = '\0';
		if (count(f->text, "sunk \"hello\"\n") + reported_drops(f->text) >= 1000)
			break;
	}
	assert_int_equal(count(f->text, "sunk \"hello\"\n") + reported_drops(f->text), 1000);
	assert_true(reported_drops(f->text) > 0);
	await_words(f, f->messages_path, "writing again");
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	close(reader);
}

static void test_stop_does_not_wait_for_a_reader(void **state)
{
	struct fixture *f = *state;
	uint64_t before;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	fcntl(reader, F_SETPIPE_SZ, 4096);
	start(f, 1);
	for (unsigned i = 0; i < 1000; i++)
		push(f, 0, i);
	before = clock_monotonic_ms();
	datagram_log_stop(f->dlog, 50);
	assert_true(clock_monotonic_ms() - before < 5000);
	assert_int_equal(datagram_log_written(f->dlog) + datagram_log_dropped(f->dlog), 1000);
	close(reader);
}

static void ignore(int number)
{
	(void)number;
}

/* A signal every millisecond, while datagram_log_stop() waits for a writer whose pipe is full. */
static void test_signals_do_not_shorten_stop(void **state)
{
	const struct itimerval often = {{.tv_usec = 1000}, {.tv_usec = 1000}}, never = {0};
	const struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
	struct sigaction before;
	struct fixture *f = *state;
	bool ended;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	fcntl(reader, F_SETPIPE_SZ, 4096);
	start(f, 1);
	for (unsigned i = 0; i < 1000; i++)
		push(f, 0, i);
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	ended = datagram_log_stop(f->dlog, 100);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_true(ended);
	close(reader);
}

static void test_reopen_creates_a_moved_file(void **state)
{
	struct fixture *f = *state;
	char moved[80];

	sprintf(moved, "%s.1", f->path);
	start(f, 1);
	push(f, 0, 1);
	await_words(f, f->path, "000001Z");
	assert_int_equal(rename(f->path, moved), 0);
	datagram_log_reopen(f->dlog);
	for (uint64_t end = clock_monotonic_ms() + TIMEOUT_MS; access(f->path, F_OK);)
		assert_true(clock_monotonic_ms() < end);
	push(f, 0, 2);
	await_words(f, f->path, "000002Z");
	assert_null(strstr(contents(f, moved), "000002Z"));
	unlink(moved);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
}

/* A line that a full pipe interrupted continues at the same byte, also after a reopen, since the pipe is the same. */
static void test_reopen_splits_no_line(void **state)
{
	struct fixture *f = *state;
	size_t size = 0;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	fcntl(reader, F_SETPIPE_SZ, 4096);
	start(f, 1);
	for (unsigned i = 0; i < QUEUE; i++)
		push(f, 0, i);
	await_words(f, f->messages_path, "the reader is too slow");
	datagram_log_reopen(f->dlog);
	await_words(f, f->messages_path, "reopened");
	for (uint64_t end = clock_monotonic_ms() + TIMEOUT_MS; clock_monotonic_ms() < end;) {
		ssize_t got = read(reader, f->text + size, sizeof(f->text) - 1 - size);

		size += got > 0 ? (size_t)got : 0;
		f->text[size] = '\0';
		if (count(f->text, "\n") == QUEUE)
			break;
	}
	assert_int_equal(count(f->text, "1970-01-01T"), QUEUE);
	assert_int_equal(count(f->text, " sunk \"hello\"\n"), QUEUE);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	close(reader);
}

static void test_a_paused_writer_waits_for_resume(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 1, f->log), 0);
	datagram_log_pause(f->dlog);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	for (unsigned i = 0; i < 10; i++)
		push(f, 0, i);
	for (uint64_t end = clock_monotonic_ms() + 50; clock_monotonic_ms() < end;)
		assert_string_equal(contents(f, f->path), "");
	assert_int_equal(datagram_log_waiting(f->dlog), 10);
	assert_false(datagram_log_idle(f->dlog));
	datagram_log_resume(f->dlog);
	await_words(f, f->path, "000009Z");
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	assert_int_equal(datagram_log_written(f->dlog), 10);
	assert_int_equal(datagram_log_waiting(f->dlog), 0);
	assert_true(datagram_log_idle(f->dlog));
}

static void test_stop_ends_a_pause(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 1, f->log), 0);
	datagram_log_pause(f->dlog);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	push(f, 0, 7);
	assert_true(datagram_log_stop(f->dlog, TIMEOUT_MS));
	assert_true(datagram_log_ended(f->dlog));
	assert_int_equal(count(contents(f, f->path), "sunk"), 1);
}

static void test_adopted_counters_are_added(void **state)
{
	struct fixture *f = *state;
	struct datagram_log *next;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 1, f->log), 0);
	for (unsigned i = 0; i < QUEUE + 3; i++)
		push(f, 0, i);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	datagram_log_stop(f->dlog, TIMEOUT_MS);
	assert_int_equal(datagram_log_create(&next, &f->config, 1, f->log), 0);
	datagram_log_adopt_counters(next, f->dlog);
	assert_int_equal(datagram_log_written(next), QUEUE);
	assert_int_equal(datagram_log_dropped(next), 3);
	assert_int_equal(datagram_log_waiting(next), 0);
	datagram_log_destroy(next);
}

static volatile sig_atomic_t terminations;

static void count_termination(int number)
{
	(void)number;
	terminations++;
}

static void test_a_vital_pipe_without_reader_ends_the_process(void **state)
{
	const struct sigaction action = {.sa_handler = count_termination};
	struct sigaction before;
	struct fixture *f = *state;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	f->config.datagram_log.exit_on_broken_pipe = true;
	sigaction(SIGTERM, &action, &before);
	start(f, 1);
	close(reader);
	push(f, 0, 1);
	for (uint64_t end = clock_monotonic_ms() + TIMEOUT_MS; !terminations;)
		assert_true(clock_monotonic_ms() < end);
	datagram_log_stop(f->dlog, 0);
	sigaction(SIGTERM, &before, NULL);
	assert_int_equal(datagram_log_dropped(f->dlog), 1);
}

static void test_create_reports_a_file_that_cannot_be_opened(void **state)
{
	struct fixture *f = *state;

	f->config.datagram_log.path = f->directory;
	f->config.datagram_log.line = 7;
	assert_true(datagram_log_create(&f->dlog, &f->config, 1, f->log) < 0);
	contents(f, f->messages_path);
	assert_int_equal(count(f->text, "test.ini:7: [datagram_log] target: cannot write "), 1);
	assert_int_equal(count(f->text, "Is a directory"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records_are_written_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_records_of_workers_are_merged_by_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drops_are_reported_in_the_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_written_and_reported_drops_add_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_disk_is_logged_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_stall_is_logged_and_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop_does_not_wait_for_a_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signals_do_not_shorten_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reopen_creates_a_moved_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reopen_splits_no_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_paused_writer_waits_for_resume, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop_ends_a_pause, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_adopted_counters_are_added, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_vital_pipe_without_reader_ends_the_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_create_reports_a_file_that_cannot_be_opened, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
