#include "client/load/load_options.h"

#include <getopt.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/destination.h"
#include "client/load/address_scope.h"
#include "client/load/send_batch.h"

#define FLOWS_MAX 16384
#define DEPTH_MAX 65536
#define RATE_MAX 10000000
#define PEERS_MAX 64

/* Datagrams of all flows that may be under way: they leave at once in the beginning. */
#define UNDER_WAY_MAX 262144

#define SECONDS_MIN 0.001
#define SECONDS_MAX 3600

/* What a receiver knows of every flow takes memory. */
#define TRACKED_MAX 65536

enum { OPTION_IDLE = OPTION_WORDS, OPTION_RECEIVERS, OPTION_ECHO_PEERS, OPTION_HOLD, OPTION_JSON, OPTION_OWN };

const struct option_spec load_option_specs[] = {
	{'f', "flows", "N", "send from so many sockets, 1 to 16384 (default: 1)"},
	{'d', "depth", "N",
	 "closed loop: keep so many datagrams of each flow under way, 1 to\n"
	 "65536, at most 262144 of all; what comes back makes room for more\n"
	 "(default: 1, or a train)"},
	{'r', "rate", "N",
	 "paced instead: send so many datagrams a second, all flows together,\n"
	 "1 to 10000000, whatever comes back; the latency counts from when a\n"
	 "datagram was due"},
	{'s', "size", "BYTES", "of each datagram, 24 to 65507 (default: 64)"},
	{'t', "train", "N", "send trains of so many datagrams (GSO), 1 to 64 (default: 1)"},
	{'n', "duration", "SECONDS", "send that long, 0.001 to 3600 (default: 10)"},
	{'b', "bind", "ADDR[:PORT]", "send from there; a port only where there is one socket"},
	{OPTION_IDLE, "idle", "N", "open so many sessions more, up to 16384, that then keep silent"},
	{OPTION_RECEIVERS, "receivers", "N",
	 "the target is a forwarder: so many sockets, 1 to 64, hear each all\n"
	 "that is sent; their addresses are printed first, in a line"},
	{OPTION_ECHO_PEERS, "echo-peers", "N",
	 "the target is a relay: so many sockets, 1 to 64, send back what\n"
	 "they hear; their addresses are printed first, in a line"},
	{OPTION_HOLD, "hold", NULL,
	 "open every session by one datagram, print `ready`, and begin when\n"
	 "a line comes on standard input"},
	{OPTION_JSON, "json", NULL, "print the result as one JSON object"},
	{'q', "quiet", NULL, "show no progress (which only a terminal sees)"},
	{'4', "ipv4", NULL, "take no other address of a name than IPv4"},
	{'6', "ipv6", NULL, "take no other address of a name than IPv6"},
	{OPTION_OWN, "yes-i-own-it", NULL, "send to an address that is neither loopback, private nor link-local"},
	{0},
};

/* --- Options --- */

/* What takes the options. */
struct taking {
	const struct command *command;
	struct load_options *options;
	const char *bind;
};

static bool take_number(const struct taking *taking, int letter, const char *value, unsigned min, unsigned max,
			unsigned *result)
{
	uint64_t number;

	if (!command_number(taking->command, letter, value, min, max, &number))
		return false;
	*result = (unsigned)number;
	return true;
}

/* What has no value. */
static void take_switch(struct load_options *options, int letter)
{
	if (letter == OPTION_HOLD)
		options->hold = true;
	else if (letter == OPTION_JSON)
		options->json = true;
	else if (letter == OPTION_OWN)
		options->own = true;
	else if (letter == 'q')
		options->quiet = true;
	else
		options->family = letter == '4' ? AF_INET : AF_INET6;
}

static bool take(void *data, int letter, const char *value)
{
	struct taking *taking = data;
	struct load_plan *plan = &taking->options->plan;

	switch (letter) {
	case 'f':
		return take_number(taking, letter, value, 1, FLOWS_MAX, &plan->flows);
	case 'd':
		return take_number(taking, letter, value, 1, DEPTH_MAX, &plan->depth);
	case 'r':
		return take_number(taking, letter, value, 1, RATE_MAX, &plan->rate);
	case 's':
		return take_number(taking, letter, value, PROBE_SIZE, LOAD_BYTES_MAX, &plan->size);
	case 't':
		return take_number(taking, letter, value, 1, BURST_MAX, &plan->train);
	case 'n':
		return command_seconds(taking->command, letter, value, SECONDS_MIN, SECONDS_MAX, &plan->duration_ns);
	case 'b':
		taking->bind = value;
		return true;
	case OPTION_IDLE:
		return take_number(taking, letter, value, 0, FLOWS_MAX, &plan->idle);
	case OPTION_RECEIVERS:
		return take_number(taking, letter, value, 1, PEERS_MAX, &plan->receivers);
	case OPTION_ECHO_PEERS:
		return take_number(taking, letter, value, 1, PEERS_MAX, &plan->echo_peers);
	default:
		take_switch(taking->options, letter);
		return true;
	}
}

/* --- Addresses --- */

static bool is_bare_ip(struct address *address, const char *text)
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

static int take_bind(const struct command *command, const char *text, struct load_plan *plan)
{
	struct address *local = &plan->local;
	char fault[ADDRESS_FAULT_MAX];
	const char *wrong = NULL;

	if (!is_bare_ip(local, text) && address_parse(local, text))
		wrong = address_fault(text, false, fault);
	else if (local->any.sa_family == AF_UNIX)
		wrong = "write ADDR or ADDR:PORT: load goes by IPv4 or IPv6";
	else if (address_port(local) && load_flows_all(plan) + plan->receivers + plan->echo_peers > 1)
		wrong = "a port is for one socket, and there are more: leave it out";
	if (wrong)
		command_wrong_value(command, 'b', text, "%s", wrong);
	return wrong ? EX_USAGE : -1;
}

/* What this host sends to the target from; connecting a datagram socket sends nothing. */
static bool find_way(const struct address *target, struct address *local)
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

/* Without -b, only what others are to write to needs an address. */
static void choose_local(struct load_options *options)
{
	struct load_plan *plan = &options->plan;
	int family = options->target_later ? options->family : plan->target.any.sa_family;

	if (plan->local.length || !(plan->receivers + plan->echo_peers))
		return;
	if (options->target_later || !find_way(&plan->target, &plan->local))
		address_from_ip(&plan->local, family == AF_INET6 ? "::1" : "127.0.0.1", 0);
}

/* Whether the target may be loaded, by what it is and by whose it seems to be. */
static int check_target(const struct load_options *options, const struct command *command)
{
	const struct address *target = &options->plan.target, *local = &options->plan.local;
	enum scope scope;
	char text[ADDRESS_TEXT_MAX];

	address_format(target, text);
	if (target->any.sa_family == AF_UNIX)
		return command_wrong(command, "`%s`: load goes by IPv4 or IPv6", text);
	if (local->length && local->any.sa_family != target->any.sa_family)
		return command_wrong(command, "%s is not of the family of what is sent from", text);
	scope = scope_of(target);
	if (scope == SCOPE_MANY)
		command_tell("%s is many hosts': a load goes to one", text);
	else if (scope == SCOPE_FAR && !options->own)
		command_tell(
			"%s is neither loopback, private nor link-local: add --yes-i-own-it if it is yours to load",
			text);
	else
		return -1;
	return EX_USAGE;
}

static int take_target(struct load_options *options, const struct command *command, int argc, char **argv)
{
	int status = 0;

	options->target_later = optind < argc && !strcmp(argv[optind], "-");
	if (options->target_later)
		optind++;
	else
		status = destination_take(command, argc, argv, options->family, &options->plan.target);
	if (!status && optind < argc)
		return command_wrong(command, "`%s` is one word too many", argv[optind]);
	return status ? status : -1;
}

int load_options_aim(struct load_options *options, const struct command *command, char *text)
{
	char *operands[] = {text, NULL};
	int status;

	optind = 0;
	status = destination_take(command, 1, operands, options->family, &options->plan.target);
	return status ? status : check_target(options, command);
}

/* --- All --- */

static int check_plan(struct load_plan *plan, const struct command *command)
{
	if (plan->rate && plan->depth)
		return command_wrong(command, "--depth is a closed loop's, and --rate makes it none: leave one out");
	if (!plan->depth)
		plan->depth = plan->train;
	if (plan->depth < plan->train)
		return command_wrong(command, "a window of %u datagrams (--depth) holds no train of %u", plan->depth,
				     plan->train);
	if (!plan->rate && plan->flows * plan->depth > UNDER_WAY_MAX)
		return command_wrong(command, "%u flows of depth %u are too many: their product may be %u", plan->flows,
				     plan->depth, UNDER_WAY_MAX);
	if (plan->size * plan->train > LOAD_BYTES_MAX)
		return command_wrong(command, "%u datagrams of %u bytes are no train: it has at most %u bytes",
				     plan->train, plan->size, LOAD_BYTES_MAX);
	if (plan->receivers && (plan->echo_peers || plan->idle))
		return command_wrong(command, "what goes to --receivers does not come back, as --echo-peers and --idle "
					      "want it");
	if (plan->receivers * plan->flows > TRACKED_MAX)
		return command_wrong(command, "%u receivers of %u flows are too many: their product may be %u",
				     plan->receivers, plan->flows, TRACKED_MAX);
	return -1;
}

int load_options_take(struct load_options *options, const struct command *command, int argc, char **argv)
{
	struct taking taking = {command, options, NULL};
	int status;

	*options = (struct load_options){
		.plan = {.flows = 1, .size = 64, .train = 1, .duration_ns = UINT64_C(10000000000)},
	};
	status = command_parse(command, argc, argv, take, &taking);
	if (status < 0)
		status = check_plan(&options->plan, command);
	if (status < 0 && taking.bind)
		status = take_bind(command, taking.bind, &options->plan);
	if (status < 0)
		status = take_target(options, command, argc, argv);
	if (status < 0 && !options->target_later)
		status = check_target(options, command);
	if (status < 0)
		choose_local(options);
	return status;
}
