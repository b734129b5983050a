/* `udprelay load`: loads a server and measures what it returns.
 *
 * The order is: parse the command line, open the sockets of receivers and echo peers and print their addresses, connect
 * the flows to the target, open sessions if requested, run the load, print the report. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/fd_limit.h"
#include "client/cli.h"
#include "client/load/generator.h"
#include "client/load/load_options.h"
#include "client/load/load_report.h"

/* Descriptors besides the sockets, including those that libraries open. */
#define OTHER_DESCRIPTORS 32

static int load_run(int argc, char **argv);

const struct cli_command load_command = {
	.name = "load",
	.operands = "HOST PORT",
	.purpose = "Load an echo, a forwarder or a relay, and measure the replies.\n"
		   "\n"
		   "It sends numbered datagrams as fast as replies arrive, or at a fixed rate. It counts\n"
		   "lost, duplicated, reordered and misdelivered datagrams, and it measures the latency.\n"
		   "Load only hosts of your own. If HOST is `-`, the target comes from standard input as\n"
		   "a line HOST:PORT, after the sockets of --receivers or --echo-peers are open. The exit\n"
		   "status is 0 if replies came, 1 for silence, 69 if no program listens there or nothing\n"
		   "can be sent, and 64 if the target is not allowed.\n",
	.options = load_option_specs,
	.example = "-f 20 -d 16 127.0.0.1 7788",
	.run = load_run,
};

/* --- Setup --- */

/* Returns -1 to continue, or the exit status after an error message. */
static int load_raise_fd_limit(const struct load_plan *plan)
{
	unsigned sockets = load_total_flows(plan) + plan->receivers + plan->echo_peers;
	uint64_t granted = fd_limit_raise(sockets + OTHER_DESCRIPTORS);

	if (granted >= sockets + OTHER_DESCRIPTORS)
		return -1;
	cli_error("%u sockets need %u descriptors, but this process may open only %" PRIu64
		  ": lower --flows or --idle, or raise the limit (`ulimit -Hn`)",
		  sockets, sockets + OTHER_DESCRIPTORS, granted);
	return EX_UNAVAILABLE;
}

static void load_print_peers(const struct generator *generator, const struct load_plan *plan)
{
	for (unsigned i = 0; i < plan->receivers + plan->echo_peers; i++) {
		struct address address;
		char text[ADDRESS_TEXT_MAX];

		generator_peer_address(generator, i, &address);
		printf("%s%s", i ? " " : "", address_format(&address, text));
	}
	putchar('\n');
	fflush(stdout);
}

/* Reads a line without its line end. line_name describes the line in the error message. */
static bool load_read_line(char *line, int size, const char *line_name)
{
	if (!fgets(line, size, stdin)) {
		cli_error("standard input ended before %s came", line_name);
		return false;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return true;
}

/* connect(2) fails with EACCES for the broadcast address of a network of this host, which only the kernel knows. */
static int load_report_socket_error(const struct load_plan *plan, int error)
{
	char target[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX] = "";
	bool any_port = !plan->local.length || !address_port(&plan->local);

	address_format(&plan->target, target);
	if (error == EACCES) {
		cli_error("%s is not the address of one host: write another address", target);
		return EX_USAGE;
	}
	if (plan->local.length)
		address_format(&plan->local, local);
	if (any_port && (error == EAGAIN || error == EADDRINUSE))
		cli_error("this host has no local ports left for %u sockets: lower --flows or --idle, or widen "
			  "net.ipv4.ip_local_port_range",
			  load_total_flows(plan));
	else
		cli_error("cannot open a socket%s%s to %s: %s", *local ? " from " : "", local, target, strerror(error));
	return EX_UNAVAILABLE;
}

/* Reads the target if it comes from standard input, and connects the flows. Returns -1 to continue, or the exit status
 * after an error message. */
static int load_connect(struct generator *generator, struct load_options *options)
{
	char line[512];
	int status = -1, error;

	if (options->target_on_stdin) {
		if (!load_read_line(line, sizeof(line), "the target"))
			return 1;
		status = load_options_parse_target(options, &load_command, line);
	}
	if (status >= 0)
		return status;
	error = generator_connect(generator);
	return error ? load_report_socket_error(&options->plan, -error) : -1;
}

/* --- Report --- */

/* Prints the reason if no reply arrived or the load could not continue. Returns the exit status. */
static int load_report_outcome(const struct load_plan *plan, const struct load_result *result)
{
	char target[ADDRESS_TEXT_MAX];

	address_format(&plan->target, target);
	if (plan->train > 1 && (result->error == EINVAL || result->error == EMSGSIZE))
		cli_error("datagrams of %u bytes are too large to be sent to %s as trains: lower --size, or "
			  "remove --train",
			  plan->size, target);
	else if (result->error)
		cli_error("cannot send to %s: %s", target, strerror(result->error));
	else if (result->refused_errno == ECONNREFUSED)
		cli_error("no program listens at %s (ICMP)", target);
	else if (result->refused_errno)
		cli_error("%s cannot be reached (ICMP): %s", target, strerror(result->refused_errno));
	else if (result->counts.received)
		return 0;
	else
		cli_error("no reply came from %s (a sink and a forward send none: for them, use --receivers)", target);
	return result->error || result->refused_errno ? EX_UNAVAILABLE : 1;
}

static void load_print_report(const struct load_options *options, const struct load_result *result)
{
	if (options->json) {
		load_report_json(stdout, &options->plan, result);
		return;
	}
	load_report_plan(stdout, &options->plan);
	load_report_text(stdout, &options->plan, result);
}

/* --- Run --- */

static void load_on_progress(void *data, const struct load_result *result, uint64_t elapsed_ns)
{
	load_progress_show(data, result, elapsed_ns);
}

/* From here on SIGINT and SIGTERM end the load, but the report is still printed. */
static int load_run_generator(struct generator *generator, const struct load_options *options)
{
	const struct load_result *result = generator_result(generator);
	struct load_progress progress = {
		.out = stderr, .plan = &options->plan, .sent = result->sent, .received = result->counts.received};
	bool show_progress = !options->quiet && isatty(STDERR_FILENO);
	struct generator_control control = {.on_progress = show_progress ? load_on_progress : NULL, .data = &progress};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	control.stop_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	generator_run(generator, &control);
	close(control.stop_fd);
	load_progress_clear(&progress);
	load_print_report(options, result);
	return load_report_outcome(&options->plan, result);
}

/* Opens the sessions if --hold or --idle is set. With --hold, then waits for a line on standard input. Returns -1 to
 * continue, or the exit status. */
static int load_open_sessions(struct generator *generator, const struct load_options *options)
{
	char line[512];

	if (!options->hold && !options->plan.idle)
		return -1;
	if (!generator_open_sessions(generator))
		return load_report_outcome(&options->plan, generator_result(generator));
	if (!options->hold)
		return -1;
	puts("ready");
	fflush(stdout);
	return load_read_line(line, sizeof(line), "a line to begin") ? -1 : 1;
}

static int load_use_generator(struct generator *generator, struct load_options *options)
{
	int status;

	if (options->plan.receivers + options->plan.echo_peers)
		load_print_peers(generator, &options->plan);
	status = load_connect(generator, options);
	if (status < 0)
		status = load_open_sessions(generator, options);
	return status < 0 ? load_run_generator(generator, options) : status;
}

static int load_run(int argc, char **argv)
{
	struct load_options options;
	struct generator *generator;
	int status = load_options_parse(&options, &load_command, argc, argv), error;

	if (status < 0)
		status = load_raise_fd_limit(&options.plan);
	if (status >= 0)
		return status;
	error = generator_create(&generator, &options.plan);
	if (error) {
		cli_error("cannot open the sockets: %s", strerror(-error));
		return EX_UNAVAILABLE;
	}
	status = load_use_generator(generator, &options);
	generator_destroy(generator);
	return status;
}
