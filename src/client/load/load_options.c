#include "client/load/load_options.h"

#include <getopt.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/address_options.h"
#include "client/load/address_scope.h"
#include "client/load/send_batch.h"

#define FLOWS_MAX 16384
#define DEPTH_MAX 65536
#define RATE_MAX 10000000
#define PEERS_MAX 64

/* Limit for the datagrams in flight of all flows: at the start, all of them are sent at once. */
#define IN_FLIGHT_MAX 262144

#define SECONDS_MIN 0.001
#define SECONDS_MAX 3600

/* Each receiver has a sequence tracker for every flow. This limits their memory. */
#define TRACKERS_MAX 65536

enum { OPTION_IDLE = CLI_LONG_ONLY, OPTION_RECEIVERS, OPTION_ECHO_PEERS, OPTION_HOLD, OPTION_JSON, OPTION_OWN };

const struct cli_option_spec load_option_specs[] = {
	{'f', "flows", "N", "number of sockets to send from, 1 to 16384 (default: 1)"},
	{'d', "depth", "N",
	 "closed loop: number of datagrams of each flow in flight, 1 to 65536,\n"
	 "at most 262144 in all flows; a reply makes room for another one\n"
	 "(default: 1, or a train)"},
	{'r', "rate", "N",
	 "fixed rate: number of datagrams per second, all flows together,\n"
	 "1 to 10000000; replies do not matter; the latency counts from the\n"
	 "time when a datagram was due"},
	{'s', "size", "BYTES", "size of each datagram, 24 to 65507 (default: 64)"},
	{'t', "train", "N", "send trains of this number of datagrams (GSO), 1 to 64 (default: 1)"},
	{'n', "duration", "SECONDS", "time to send, 0.001 to 3600 (default: 10)"},
	{'b', "bind", "ADDR[:PORT]", "send from this address; a port only with one socket"},
	{OPTION_IDLE, "idle", "N", "number of additional sessions that stay silent, up to 16384"},
	{OPTION_RECEIVERS, "receivers", "N",
	 "the target is a forwarder: number of sockets, 1 to 64, that each\n"
	 "receive all copies; their addresses are printed first, in one line"},
	{OPTION_ECHO_PEERS, "echo-peers", "N",
	 "the target is a relay: number of sockets, 1 to 64, that send back\n"
	 "all datagrams; their addresses are printed first, in one line"},
	{OPTION_HOLD, "hold", NULL,
	 "open every session with one datagram, print `ready`, and begin when\n"
	 "a line arrives on standard input"},
	{OPTION_JSON, "json", NULL, "print the result as one JSON object"},
	{'q', "quiet", NULL, "show no progress (it appears only on a terminal)"},
	{'4', "ipv4", NULL, "use only IPv4 addresses of a name"},
	{'6', "ipv6", NULL, "use only IPv6 addresses of a name"},
	{OPTION_OWN, "yes-i-own-it", NULL, "allow a target that is not loopback, private or link-local"},
	{0},
};

/* --- Options --- */

/* The data of load_handle_option(). */
struct load_option_context {
	const struct cli_command *command;
	struct load_options *options;
	const char *bind;
};

static bool load_parse_number(const struct load_option_context *context, int letter, const char *value, unsigned min,
			      unsigned max, unsigned *result)
{
	uint64_t number;

	if (!cli_parse_number(context->command, letter, value, min, max, &number))
		return false;
	*result = (unsigned)number;
	return true;
}

/* Handles an option without an argument. */
static void load_handle_flag(struct load_options *options, int letter)
{
	if (letter == OPTION_HOLD)
		options->hold = true;
	else if (letter == OPTION_JSON)
		options->json = true;
	else if (letter == OPTION_OWN)
		options->target_is_own = true;
	else if (letter == 'q')
		options->quiet = true;
	else
		options->family = letter == '4' ? AF_INET : AF_INET6;
}

static bool load_handle_option(void *data, int letter, const char *value)
{
	struct load_option_context *context = data;
	struct load_plan *plan = &context->options->plan;

	switch (letter) {
	case 'f':
		return load_parse_number(context, letter, value, 1, FLOWS_MAX, &plan->flows);
	case 'd':
		return load_parse_number(context, letter, value, 1, DEPTH_MAX, &plan->depth);
	case 'r':
		return load_parse_number(context, letter, value, 1, RATE_MAX, &plan->rate);
	case 's':
		return load_parse_number(context, letter, value, PROBE_SIZE, LOAD_BYTES_MAX, &plan->size);
	case 't':
		return load_parse_number(context, letter, value, 1, SEND_BATCH_MAX, &plan->train);
	case 'n':
		return cli_parse_seconds(context->command, letter, value, SECONDS_MIN, SECONDS_MAX, &plan->duration_ns);
	case 'b':
		context->bind = value;
		return true;
	case OPTION_IDLE:
		return load_parse_number(context, letter, value, 0, FLOWS_MAX, &plan->idle);
	case OPTION_RECEIVERS:
		return load_parse_number(context, letter, value, 1, PEERS_MAX, &plan->receivers);
	case OPTION_ECHO_PEERS:
		return load_parse_number(context, letter, value, 1, PEERS_MAX, &plan->echo_peers);
	default:
		load_handle_flag(context->options, letter);
		return true;
	}
}

/* --- Addresses --- */

static bool parse_bare_ip(struct address *address, const char *text)
{
	char ip[ADDRESS_HOST_MAX];
	size_t length = strlen(text);
	bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';

	if (length >= sizeof(ip))
		return false;
	strcpy(ip, text + bracketed);
	if (bracketed)
		ip[length - 2] = '\0';
	return !address_from_ip(address, ip, 0);
}

static int load_parse_bind(const struct cli_command *command, const char *text, struct load_plan *plan)
{
	struct address *local = &plan->local;
	char fault[ADDRESS_ERROR_MAX];
	const char *error_text = NULL;

	if (!parse_bare_ip(local, text) && address_parse(local, text))
		error_text = address_error_text(text, false, fault);
	else if (local->any.sa_family == AF_UNIX)
		error_text = "write ADDR or ADDR:PORT: load uses IPv4 or IPv6";
	else if (address_port(local) && load_total_flows(plan) + plan->receivers + plan->echo_peers > 1)
		error_text = "several sockets cannot share one port: remove the port";
	if (error_text)
		cli_value_error(command, 'b', text, "%s", error_text);
	return error_text ? EX_USAGE : -1;
}

/* Finds the local address from which this host sends to the target. Connecting a datagram socket sends nothing. */
static bool find_source_address(const struct address *target, struct address *local)
{
	int fd = socket(target->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = fd >= 0 && !connect(fd, &target->any, target->length);

	local->length = sizeof(*local) - offsetof(struct address, any);
	found = found && !getsockname(fd, &local->any, &local->length);
	if (fd >= 0)
		close(fd);
	address_set_port(local, 0);
	return found;
}

/* Without --bind, only receivers and echo peers need an address, because others send to them. */
static void load_choose_local(struct load_options *options)
{
	struct load_plan *plan = &options->plan;
	int family = options->target_on_stdin ? options->family : plan->target.any.sa_family;

	if (plan->local.length || !(plan->receivers + plan->echo_peers))
		return;
	if (options->target_on_stdin || !find_source_address(&plan->target, &plan->local))
		address_from_ip(&plan->local, family == AF_INET6 ? "::1" : "127.0.0.1", 0);
}

/* Checks that the target is a single host with a usable family and that it seems to belong to the user. */
static int load_check_target(const struct load_options *options, const struct cli_command *command)
{
	const struct address *target = &options->plan.target, *local = &options->plan.local;
	enum address_scope scope;
	char text[ADDRESS_TEXT_MAX];

	address_format(target, text);
	if (target->any.sa_family == AF_UNIX)
		return cli_usage_error(command, "`%s`: load uses IPv4 or IPv6", text);
	if (local->length && local->any.sa_family != target->any.sa_family)
		return cli_usage_error(command, "%s is of another address family than the address to send from", text);
	scope = address_scope_of(target);
	if (scope == SCOPE_MULTICAST)
		cli_error("%s is not the address of one host: write another address", text);
	else if (scope == SCOPE_GLOBAL && !options->target_is_own)
		cli_error("%s is not loopback, private or link-local: add --yes-i-own-it if you may load it", text);
	else
		return -1;
	return EX_USAGE;
}

static int load_parse_target(struct load_options *options, const struct cli_command *command, int argc, char **argv)
{
	int status = 0;

	options->target_on_stdin = optind < argc && !strcmp(argv[optind], "-");
	if (options->target_on_stdin)
		optind++;
	else
		status = address_options_parse_destination(command, argc, argv, options->family, &options->plan.target);
	if (!status && optind < argc)
		return cli_usage_error(command, "unexpected argument `%s`", argv[optind]);
	return status ? status : -1;
}

int load_options_parse_target(struct load_options *options, const struct cli_command *command, char *text)
{
	char *operands[] = {text, NULL};
	int status;

	optind = 0;
	status = address_options_parse_destination(command, 1, operands, options->family, &options->plan.target);
	return status ? status : load_check_target(options, command);
}

/* --- Command line --- */

static int load_check_plan(struct load_plan *plan, const struct cli_command *command)
{
	if (plan->rate && plan->depth)
		return cli_usage_error(command, "--depth and --rate exclude each other: remove one");
	if (!plan->depth)
		plan->depth = plan->train;
	if (plan->depth < plan->train)
		return cli_usage_error(
			command, "--depth %u is smaller than a train of %u datagrams: raise --depth, or lower --train",
			plan->depth, plan->train);
	if (!plan->rate && plan->flows * plan->depth > IN_FLIGHT_MAX)
		return cli_usage_error(command, "%u flows of depth %u are too many: their product may be at most %u",
				       plan->flows, plan->depth, IN_FLIGHT_MAX);
	if (plan->size * plan->train > LOAD_BYTES_MAX)
		return cli_usage_error(command,
				       "%u datagrams of %u bytes are too large for a train: it has at most %u bytes",
				       plan->train, plan->size, LOAD_BYTES_MAX);
	if (plan->receivers && (plan->echo_peers || plan->idle))
		return cli_usage_error(
			command, "--receivers send no replies, but --echo-peers and --idle need replies: remove one");
	if (plan->receivers * plan->flows > TRACKERS_MAX)
		return cli_usage_error(command,
				       "%u receivers of %u flows are too many: their product may be at most %u",
				       plan->receivers, plan->flows, TRACKERS_MAX);
	return -1;
}

int load_options_parse(struct load_options *options, const struct cli_command *command, int argc, char **argv)
{
	struct load_option_context context = {command, options, NULL};
	int status;

	*options = (struct load_options){
		.plan = {.flows = 1, .size = 64, .train = 1, .duration_ns = UINT64_C(10000000000)},
	};
	status = cli_parse_options(command, argc, argv, load_handle_option, &context);
	if (status < 0)
		status = load_check_plan(&options->plan, command);
	if (status < 0 && context.bind)
		status = load_parse_bind(command, context.bind, &options->plan);
	if (status < 0)
		status = load_parse_target(options, command, argc, argv);
	if (status < 0 && !options->target_on_stdin)
		status = load_check_target(options, command);
	if (status < 0)
		load_choose_local(options);
	return status;
}
