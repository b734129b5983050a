/* `udprelay ping`: measures round trips to a server that returns datagrams.
 *
 * This file parses the command line, opens the socket and prints the report. The ping loop measures. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "base/xalloc.h"
#include "client/address_options.h"
#include "client/cli.h"
#include "client/ping/ping_loop.h"
#include "client/ping/ping_report.h"
#include "client/probe.h"

/* Largest UDP payload over IPv4, in bytes. */
#define DATAGRAM_SIZE_MAX 65507

#define COUNT_MAX UINT32_MAX

/* In seconds. The shortest interval is that of ping(8). */
#define INTERVAL_MIN 0.002
#define INTERVAL_MAX 3600
#define TIMEOUT_MAX 3600

enum { OPTION_FLOOD = CLI_LONG_ONLY, OPTION_JSON };

static const struct cli_option_spec ping_option_specs[] = {
	{'c', "count", "N", "number of datagrams to send (default: until interrupted)"},
	{'i', "interval", "SECONDS", "time between datagrams (default: 1, minimum: 0.002)"},
	{'s', "size", "BYTES", "size of each datagram, 24 to 65507 (default: 64)"},
	{'W', "timeout", "SECONDS", "time to wait for the last replies (default: 2)"},
	{OPTION_FLOOD, "flood", NULL,
	 "send the next datagram as soon as a reply arrives, and at least 100 per\n"
	 "second; needs --count"},
	{OPTION_JSON, "json", NULL, "print only one JSON object, at the end"},
	{'q', "quiet", NULL, "print only the summary"},
	ADDRESS_OPTION_SPECS,
	{0},
};

static int ping_run(int argc, char **argv);

const struct cli_command ping_command = {
	.name = "ping",
	.operands = "HOST PORT",
	.purpose = "Measure round trips to an echo: time, loss, duplicates, order.\n"
		   "\n"
		   "Any program that sends datagrams back can be measured. HOST PORT may also be\n"
		   "unix:/path. The exit status is 0 if a reply came, 1 for silence, and 69 if no\n"
		   "program listens there.\n",
	.options = ping_option_specs,
	.example = "-c 5 192.0.2.1 7788",
	.run = ping_run,
};

struct ping_options {
	struct ping_loop_options loop;
	uint64_t size;
	bool has_interval; /* --interval is set */
	bool json, quiet;
	struct address_options addresses;
	struct ping_result *result;
};

/* --- Options --- */

static bool ping_handle_option(void *data, int letter, const char *value)
{
	struct ping_options *options = data;
	struct ping_loop_options *loop = &options->loop;

	switch (letter) {
	case 'c':
		return cli_parse_number(&ping_command, 'c', value, 1, COUNT_MAX, &loop->count);
	case 'i':
		options->has_interval = true;
		return cli_parse_seconds(&ping_command, 'i', value, INTERVAL_MIN, INTERVAL_MAX, &loop->interval_ns);
	case 's':
		return cli_parse_number(&ping_command, 's', value, PROBE_SIZE, DATAGRAM_SIZE_MAX, &options->size);
	case 'W':
		return cli_parse_seconds(&ping_command, 'W', value, 0, TIMEOUT_MAX, &loop->timeout_ns);
	case OPTION_FLOOD:
		return loop->flood = true;
	case OPTION_JSON:
		return options->json = true;
	case 'q':
		return options->quiet = true;
	default:
		return address_options_handle(&options->addresses, letter, value);
	}
}

/* Checks that the options do not contradict each other. */
static int ping_check_options(const struct ping_options *options, int argc, char **argv)
{
	const struct ping_loop_options *loop = &options->loop;

	if (optind < argc)
		return cli_usage_error(&ping_command, "unexpected argument `%s` after HOST and PORT", argv[optind]);
	if (loop->flood && !loop->count)
		return cli_usage_error(&ping_command, "--flood never ends without a count: add --count");
	if (loop->flood && options->has_interval)
		return cli_usage_error(&ping_command, "--flood sends as fast as replies arrive: remove --interval");
	return 0;
}

/* --- Run --- */

static int ping_set_up(struct ping_options *options, int argc, char **argv)
{
	int status = address_options_resolve(&options->addresses, &ping_command, argc, argv);

	if (!status)
		status = ping_check_options(options, argc, argv);
	return status ? status : address_options_open_socket(&options->addresses, options->json || options->quiet);
}

static void ping_print_report(const struct ping_options *options)
{
	if (options->json) {
		ping_report_json(stdout, options->result);
		return;
	}
	ping_report_text(stdout, options->result);
	if (isatty(STDOUT_FILENO))
		ping_report_chart(stdout, options->result);
}

static int ping_measure(struct ping_options *options)
{
	int error;

	options->result->destination = options->addresses.destination;
	options->result->size = options->size;
	options->loop.output = options->json || options->quiet ? NULL : stdout;
	error = ping_loop_run(&options->loop, &options->addresses.socket, options->result);
	client_socket_close(&options->addresses.socket);
	if (error) {
		cli_error("cannot wait for events: %s", uv_strerror(error));
		return 1;
	}
	ping_print_report(options);
	return ping_result_status(options->result);
}

static int ping_run(int argc, char **argv)
{
	struct ping_options options = {
		.loop = {.interval_ns = 1000000000, .timeout_ns = 2000000000},
		.size = 64,
	};
	int status = cli_parse_options(&ping_command, argc, argv, ping_handle_option, &options);

	if (status >= 0)
		return status;
	options.result = xcheck(calloc(1, sizeof(*options.result)));
	status = ping_set_up(&options, argc, argv);
	if (!status)
		status = ping_measure(&options);
	free(options.result);
	return status;
}
