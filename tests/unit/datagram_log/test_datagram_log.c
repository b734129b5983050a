/* The datagram log as a whole: rings, writer, and targets that fail. */
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
#define PATIENCE_MS 10000

struct fixture {
	char directory[32], path[64], said_path[64];
	struct address source, destination;
	struct listener_config listener;
	struct config config;
	struct log *log;
	int said; /* what the operational log says */
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
	sprintf(f->said_path, "%s/said", f->directory);
	address_parse(&f->source, "192.0.2.1:1");
	address_parse(&f->destination, "192.0.2.2:2");
	f->listener = (struct listener_config){
		.name = listener_name, .encodings = encodings, .encoding_count = 1, .errors = CODEC_BACKSLASHREPLACE};
	f->config = (struct config){.path = config_path, .listeners = &f->listener, .listener_count = 1};
	f->config.datagram_log.target = LOG_TARGET_FILE;
	f->config.datagram_log.path = f->path;
	f->config.datagram_log.payload = 16;
	f->config.datagram_log.queue = QUEUE;
	f->said = open(f->said_path, O_RDWR | O_CREAT | O_APPEND, 0600);
	return log_create(&f->log, f->said, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	datagram_log_destroy(f->dlog);
	log_destroy(f->log, 1000);
	close(f->said);
	unlink(f->path);
	unlink(f->said_path);
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

/* Waits until the file holds the words; fails when it does not come to that. */
static void await(struct fixture *f, const char *path, const char *words)
{
	uint64_t end = clock_monotonic_ms() + PATIENCE_MS;

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

/* "records dropped: N", summed. */
static uint64_t declared(const char *text)
{
	uint64_t sum = 0;

	for (; (text = strstr(text, "dropped: ")); text++)
		sum += strtoull(text + strlen("dropped: "), NULL, 10);
	return sum;
}

static void records_are_written_as_they_come(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	push(f, 0, 1);
	await(f, f->path, "1970-01-01T00:00:00.000001Z echo 192.0.2.1:1 > 192.0.2.2:2 5B utf-8 sunk \"hello\"\n");
	push(f, 0, 2); /* the writer sleeps by now, or is about to */
	await(f, f->path, "1970-01-01T00:00:00.000002Z echo");
	datagram_log_stop(f->dlog, PATIENCE_MS);
	assert_int_equal(datagram_log_written(f->dlog), 2);
	assert_int_equal(datagram_log_dropped(f->dlog), 0);
}

static void workers_are_merged_by_time(void **state)
{
	struct fixture *f = *state;
	const char *text;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 2, f->log), 0);
	for (unsigned i = 0; i < 10; i++)
		push(f, i % 3 == 0, i);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	datagram_log_stop(f->dlog, PATIENCE_MS);
	text = contents(f, f->path);
	for (unsigned i = 0; i < 10; i++, text = strchr(text, '\n') + 1) {
		char time[CLOCK_TEXT_MAX];
		assert_memory_equal(text, clock_format(i, time), CLOCK_TEXT_MAX - 1);
	}
}

static void what_does_not_fit_is_declared(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(datagram_log_create(&f->dlog, &f->config, 1, f->log), 0);
	for (unsigned i = 0; i < QUEUE + 10; i++)
		push(f, 0, i);
	assert_int_equal(datagram_log_start(f->dlog), 0);
	datagram_log_stop(f->dlog, PATIENCE_MS);
	contents(f, f->path);
	assert_int_equal(count(f->text, "sunk"), QUEUE);
	assert_int_equal(declared(f->text), 10);
	assert_int_equal(datagram_log_written(f->dlog), QUEUE);
	assert_int_equal(datagram_log_dropped(f->dlog), 10);
}

static void written_and_declared_are_all_of_them(void **state)
{
	struct fixture *f = *state;
	const unsigned records = 50000;

	start(f, 2);
	for (unsigned i = 0; i < records; i++)
		push(f, i % 2, i);
	datagram_log_stop(f->dlog, PATIENCE_MS);
	assert_int_equal(datagram_log_written(f->dlog) + datagram_log_dropped(f->dlog), records);
	contents(f, f->path);
	assert_int_equal(declared(f->text), datagram_log_dropped(f->dlog));
}

static void a_full_disk_is_told_once(void **state)
{
	static char full[] = "/dev/full";
	struct fixture *f = *state;

	f->config.datagram_log.path = full;
	start(f, 1);
	for (unsigned i = 0; i < 1000; i++)
		push(f, 0, i);
	await(f, f->said_path, "/dev/full: No space left on device");
	datagram_log_stop(f->dlog, 100);
	assert_int_equal(datagram_log_written(f->dlog), 0);
	assert_int_equal(datagram_log_dropped(f->dlog), 1000);
	contents(f, f->said_path);
	assert_int_equal(count(f->text, "No space left"), 1);
	assert_int_equal(count(f->text, "the last 1000 records could not be written"), 1);
}

/* A pipe that nobody reads, and then somebody does. */
static void a_stall_is_told_and_recovered_from(void **state)
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
	await(f, f->said_path, "nobody takes what is written");
	for (uint64_t end = clock_monotonic_ms() + PATIENCE_MS; clock_monotonic_ms() < end;) {
		ssize_t got = read(reader, f->text + size, sizeof(f->text) - 1 - size);

		size += got > 0 ? (size_t)got : 0;
		f->text[size] = '\0';
		if (count(f->text, "sunk \"hello\"\n") + declared(f->text) >= 1000)
			break;
	}
	assert_int_equal(count(f->text, "sunk \"hello\"\n") + declared(f->text), 1000);
	assert_true(declared(f->text) > 0);
	await(f, f->said_path, "writing again");
	datagram_log_stop(f->dlog, PATIENCE_MS);
	close(reader);
}

static void the_end_does_not_wait_for_a_reader(void **state)
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

/* One every millisecond, while a writer that nobody listens to has a moment to end. */
static void signals_do_not_cut_the_end_short(void **state)
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

static void a_moved_file_is_made_anew(void **state)
{
	struct fixture *f = *state;
	char moved[80];

	sprintf(moved, "%s.1", f->path);
	start(f, 1);
	push(f, 0, 1);
	await(f, f->path, "000001Z");
	assert_int_equal(rename(f->path, moved), 0);
	datagram_log_reopen(f->dlog);
	for (uint64_t end = clock_monotonic_ms() + PATIENCE_MS; access(f->path, F_OK);)
		assert_true(clock_monotonic_ms() < end);
	push(f, 0, 2);
	await(f, f->path, "000002Z");
	assert_null(strstr(contents(f, moved), "000002Z"));
	unlink(moved);
	datagram_log_stop(f->dlog, PATIENCE_MS);
}

/* A line that a stall has cut goes on where it was cut: on SIGHUP too, where there is no other file. */
static void a_reopening_tears_no_line(void **state)
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
	await(f, f->said_path, "nobody takes what is written");
	datagram_log_reopen(f->dlog);
	await(f, f->said_path, "opened anew");
	for (uint64_t end = clock_monotonic_ms() + PATIENCE_MS; clock_monotonic_ms() < end;) {
		ssize_t got = read(reader, f->text + size, sizeof(f->text) - 1 - size);

		size += got > 0 ? (size_t)got : 0;
		f->text[size] = '\0';
		if (count(f->text, "\n") == QUEUE)
			break;
	}
	assert_int_equal(count(f->text, "1970-01-01T"), QUEUE);
	assert_int_equal(count(f->text, " sunk \"hello\"\n"), QUEUE);
	datagram_log_stop(f->dlog, PATIENCE_MS);
	close(reader);
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
	struct fixture *f = *state;

	f->config.datagram_log.path = f->directory;
	f->config.datagram_log.line = 7;
	assert_true(datagram_log_create(&f->dlog, &f->config, 1, f->log) < 0);
	contents(f, f->said_path);
	assert_int_equal(count(f->text, "test.ini:7: [datagram_log] target: cannot write "), 1);
	assert_int_equal(count(f->text, "Is a directory"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_are_written_as_they_come, set_up, tear_down),
		cmocka_unit_test_setup_teardown(workers_are_merged_by_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_does_not_fit_is_declared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(written_and_declared_are_all_of_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_disk_is_told_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stall_is_told_and_recovered_from, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_does_not_wait_for_a_reader, set_up, tear_down),
		cmocka_unit_test_setup_teardown(signals_do_not_cut_the_end_short, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_moved_file_is_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_reopening_tears_no_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_opened_is_an_error, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
