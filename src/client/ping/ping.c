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

/* What UDP carries by IPv4. */
#define SIZE_MAX_SENT 65507

#define COUNT_MAX UINT32_MAX

/* Seconds. The shortest interval is that of ping(8). */
#define INTERVAL_MIN 0.002
#define INTERVAL_MAX 3600
#define TIMEOUT_MAX 3600

enum { OPTION_FLOOD = OPTION_WORDS, OPTION_JSON };

static const struct option_spec ping_options[] = {
	{'c', "count", "N", "send so many datagrams (default: until interrupted)"},
	{'i', "interval", "SECONDS", "from one to the next (default: 1, least: 0.002)"},
	{'s', "size", "BYTES", "of each datagram, 24 to 65507 (default: 64)"},
	{'W', "timeout", "SECONDS", "wait that long for the last answers (default: 2)"},
	{OPTION_FLOOD, "flood", NULL,
	 "send the next one as soon as an answer comes, and 100 a second at\n"
	 "least; needs --count"},
	{OPTION_JSON, "json", NULL, "print one JSON object at the end, and nothing else"},
	{'q', "quiet", NULL, "print only the summary"},
	ENDS_OPTIONS,
	{0},
};

static int ping_run(int argc, char **argv);

const struct command command_ping = {
	.name = "ping",
	.operands = "HOST PORT",
	.purpose = "Measure round trips to an echo: time, loss, duplicates, order.\n"
		   "\n"
		   "Whatever sends datagrams back will do. HOST PORT may be unix:/path, too. The exit\n"
		   "status is 0 where an answer came, 1 for silence, 69 where nobody listens.\n",
	.options = ping_options,
	.example = "-c 5 192.0.2.1 7788",
	.run = ping_run,
};

struct ping_request {
	struct pinger_options options;
	uint64_t size;
	bool paced; /* by -i */
	bool json, quiet;
	struct ends ends;
	struct ping_result *result;
};

/* --- Options --- */

static bool take(void *data, int letter, const char *value)
{
	struct ping_request *request = data;
	struct pinger_options *options = &request->options;

	switch (letter) {
	case 'c':
		return command_number(&command_ping, 'c', value, 1, COUNT_MAX, &options->count);
	case 'i':
		request->paced = true;
		return command_seconds(&command_ping, 'i', value, INTERVAL_MIN, INTERVAL_MAX, &options->interval_ns);
	case 's':
		return command_number(&command_ping, 's', value, PROBE_SIZE, SIZE_MAX_SENT, &request->size);
	case 'W':
		return command_seconds(&command_ping, 'W', value, 0, TIMEOUT_MAX, &options->timeout_ns);
	case OPTION_FLOOD:
		return options->flood = true;
	case OPTION_JSON:
		return request->json = true;
	case 'q':
		return request->quiet = true;
	default:
		return ends_take(&request->ends, letter, value);
	}
}

/* What was asked for fits together. */
static int check(const struct ping_request *request, int argc, char **argv)
{
	const struct pinger_options *options = &request->options;

	if (optind < argc)
		return command_wrong(&command_ping, "`%s` stands behind host and port", argv[optind]);
	if (options->flood && !options->count)
		return command_wrong(&command_ping, "--flood has no end: add --count");
	if (options->flood && request->paced)
		return command_wrong(&command_ping, "--flood goes as fast as answers come: leave --interval out");
	return 0;
}

/* --- Running --- */

static int set_up(struct ping_request *request, int argc, char **argv)
{
	int status = ends_find(&request->ends, &command_ping, argc, argv);

	if (!status)
		status = check(request, argc, argv);
	return status ? status : ends_open(&request->ends, request->json || request->quiet);
}

static void report(const struct ping_request *request)
{
	if (request->json) {
		ping_report_json(stdout, request->result);
		return;
	}
	ping_report_text(stdout, request->result);
	if (isatty(STDOUT_FILENO))
		ping_report_drawing(stdout, request->result);
}

static int measure(struct ping_request *request)
{
	int error;

	request->result->to = request->ends.to;
	request->result->size = request->size;
	request->options.lines = request->json || request->quiet ? NULL : stdout;
	error = pinger_run(&request->options, &request->ends.client, request->result);
	client_socket_close(&request->ends.client);
	if (error) {
		command_tell("cannot wait for events: %s", uv_strerror(error));
		return 1;
	}
	report(request);
	return ping_result_status(request->result);
}

static int ping_run(int argc, char **argv)
{
	struct ping_request request = {
		.options = {.interval_ns = 1000000000, .timeout_ns = 2000000000},
		.size = 64,
	};
	int status = command_parse(&command_ping, argc, argv, take, &request);

	if (status >= 0)
		return status;
	request.result = xcheck(calloc(1, sizeof(*request.result)));
	status = set_up(&request, argc, argv);
	if (!status)
		status = measure(&request);
	free(request.result);
	return status;
}
