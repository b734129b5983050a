#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/load/generator.h"
#include "client/load/load_options.h"
#include "client/load/load_report.h"
#include "base/fd_limit.h"

/* What is open beside the sockets, and what libraries open. */
#define OTHER_DESCRIPTORS 32

static int load_run(int argc, char **argv);

const struct command command_load = {
	.name = "load",
	.operands = "HOST PORT",
	.purpose = "Load an echo, a forwarder or a relay, and measure what comes back.\n"
		   "\n"
		   "Numbered datagrams leave as fast as answers come, or at a rate. What is lost,\n"
		   "doubled, out of order or misdelivered is counted, and the latency is measured.\n"
		   "The target must be a host of your own. Where HOST is `-`, the target is read from\n"
		   "standard input, a line HOST:PORT, once the sockets of --receivers or --echo-peers\n"
		   "are there. The exit status is 0 where answers came, 1 for silence, 69 where nobody\n"
		   "listens (any more) or nothing can be sent, 64 for a target that may not be loaded.\n",
	.options = load_option_specs,
	.example = "-f 20 -d 16 127.0.0.1 7788",
	.run = load_run,
};

/* --- Before --- */

static int provide_descriptors(const struct load_plan *plan)
{
	unsigned sockets = load_flows_all(plan) + plan->receivers + plan->echo_peers;
	uint64_t granted = fd_limit_raise(sockets + OTHER_DESCRIPTORS);

	if (granted >= sockets + OTHER_DESCRIPTORS)
		return -1;
	command_tell("%u sockets need %u descriptors, but this process may open only %" PRIu64
		     ": lower --flows or --idle, or raise the limit (`ulimit -Hn`)",
		     sockets, sockets + OTHER_DESCRIPTORS, granted);
	return EX_UNAVAILABLE;
}

static void print_peers(const struct generator *generator, const struct load_plan *plan)
{
	for (unsigned i = 0; i < plan->receivers + plan->echo_peers; i++) {
		struct address address;
		char text[ADDRESS_TEXT_MAX];

		generator_peer(generator, i, &address);
		printf("%s%s", i ? " " : "", address_format(&address, text));
	}
	putchar('\n');
	fflush(stdout);
}

/* Without its end. */
static bool read_line(char *line, int size, const char *what)
{
	if (!fgets(line, size, stdin)) {
		command_tell("standard input ended before %s came", what);
		return false;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return true;
}

/* The kernel knows which addresses are the broadcast ones of a network. */
static int tell_no_socket(const struct load_plan *plan, int error)
{
	char target[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX] = "";
	bool any_port = !plan->local.length || !address_port(&plan->local);

	address_format(&plan->target, target);
	if (error == EACCES) {
		command_tell("%s is many hosts': a load goes to one", target);
		return EX_USAGE;
	}
	if (plan->local.length)
		address_format(&plan->local, local);
	if (any_port && (error == EAGAIN || error == EADDRINUSE))
		command_tell("this host has no local ports left for %u sockets: lower --flows or --idle, or widen "
			     "net.ipv4.ip_local_port_range",
			     load_flows_all(plan));
	else
		command_tell("cannot open a socket%s%s to %s: %s", *local ? " from " : "", local, target,
			     strerror(error));
	return EX_UNAVAILABLE;
}

static int aim(struct generator *generator, struct load_options *options)
{
	char line[512];
	int status = -1, error;

	if (options->target_later) {
		if (!read_line(line, sizeof(line), "the target"))
			return 1;
		status = load_options_aim(options, &command_load, line);
	}
	if (status >= 0)
		return status;
	error = generator_aim(generator);
	return error ? tell_no_socket(&options->plan, -error) : -1;
}

/* --- After --- */

/* What there is to say beside the numbers; returns the exit status. */
static int conclude(const struct load_plan *plan, const struct load_result *result)
{
	char target[ADDRESS_TEXT_MAX];

	address_format(&plan->target, target);
	if (plan->train > 1 && (result->error == EINVAL || result->error == EMSGSIZE))
		command_tell(
			"datagrams of %u bytes are too large to go to %s as trains: lower --size or leave --train out",
			plan->size, target);
	else if (result->error)
		command_tell("cannot send to %s: %s", target, strerror(result->error));
	else if (result->refusal == ECONNREFUSED)
		command_tell("nobody listens at %s (ICMP)", target);
	else if (result->refusal)
		command_tell("%s cannot be reached (ICMP): %s", target, strerror(result->refusal));
	else if (result->tally.received)
		return 0;
	else
		command_tell("nothing came back from %s", target);
	return result->error || result->refusal ? EX_UNAVAILABLE : 1;
}

static void report(const struct load_options *options, const struct load_result *result)
{
	if (options->json) {
		load_report_json(stdout, &options->plan, result);
		return;
	}
	load_report_plan(stdout, &options->plan);
	load_report_text(stdout, &options->plan, result);
}

/* --- Running --- */

static void show_progress(void *data, const struct load_result *result, uint64_t elapsed_ns)
{
	load_progress_show(data, result, elapsed_ns);
}

/* From here on SIGINT and SIGTERM end the load, and not the report. */
static int run(struct generator *generator, const struct load_options *options)
{
	const struct load_result *result = generator_result(generator);
	struct load_progress progress = {
		.out = stderr, .plan = &options->plan, .sent = result->sent, .received = result->tally.received};
	bool shows = !options->quiet && isatty(STDERR_FILENO);
	struct generator_watch watch = {.look = shows ? show_progress : NULL, .data = &progress};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	watch.stop_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	generator_run(generator, &watch);
	close(watch.stop_fd);
	load_progress_end(&progress);
	report(options, result);
	return conclude(&options->plan, result);
}

/* Opens the sessions where that is wanted, and waits until the load is. */
static int hold(struct generator *generator, const struct load_options *options)
{
	char line[512];

	if (!options->hold && !options->plan.idle)
		return -1;
	if (!generator_greet(generator))
		return conclude(&options->plan, generator_result(generator));
	if (!options->hold)
		return -1;
	puts("ready");
	fflush(stdout);
	return read_line(line, sizeof(line), "a line to begin") ? -1 : 1;
}

static int load_with(struct generator *generator, struct load_options *options)
{
	int status;

	if (options->plan.receivers + options->plan.echo_peers)
		print_peers(generator, &options->plan);
	status = aim(generator, options);
	if (status < 0)
		status = hold(generator, options);
	return status < 0 ? run(generator, options) : status;
}

static int load_run(int argc, char **argv)
{
	struct load_options options;
	struct generator *generator;
	int status = load_options_take(&options, &command_load, argc, argv), error;

	if (status < 0)
		status = provide_descriptors(&options.plan);
	if (status >= 0)
		return status;
	error = generator_create(&generator, &options.plan);
	if (error) {
		command_tell("cannot open the sockets: %s", strerror(-error));
		return EX_UNAVAILABLE;
	}
	status = load_with(generator, &options);
	generator_destroy(generator);
	return status;
}
