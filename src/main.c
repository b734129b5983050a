/* The command line of udprelayd: runs the daemon, checks a configuration, or explains a datagram. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "admin/explain.h"
#include "admin/explain_query.h"
#include "admin/http.h"
#include "base/systemd.h"
#include "build_config.h"
#include "config/config.h"
#include "config/diagnostics.h"
#include "daemon/daemon.h"
#include "daemon/seccomp.h"
#include "daemon/start_check.h"

#define DEFAULT_CONFIG UDPRELAYD_SYSCONFDIR "/udprelayd.ini"

#define EXAMPLE "for example: udprelayd -c FILE --explain '192.0.2.7:4242 > echo' 'hello'\n"

/* Value of a long option without a letter: above all character codes. */
enum { OPTION_EXPLAIN = 256 };

struct options {
	const char *config;
	bool check;
	const char *explain; /* "SRC:PORT > LISTENER"; NULL: explain nothing */
	const char *payload; /* for explain; NULL: unknown */
};

static void print_daemon_help(FILE *out)
{
	fputs("Usage: udprelayd [-c FILE] [-t | --explain 'SRC:PORT > LISTENER' [PAYLOAD]]\n"
	      "Receive UDP datagrams, log the sender and the text, and echo, forward or relay them.\n"
	      "\n"
	      "  -c, --config FILE    read FILE (default: " DEFAULT_CONFIG ")\n"
	      "  -t, --check-config   check the configuration, print every error, and exit; also print what a\n"
	      "                       start needs and this host lacks now (status 0: the file is valid)\n"
	      "      --explain WAY    print what would happen to a datagram, and why; WAY is\n"
	      "                       'SRC:PORT > LISTENER', with [IPV6]:PORT, unix:/path or unix: as other\n"
	      "                       sources and the name or an address of the listener; PAYLOAD is a text,\n"
	      "                       'hex: 01 ff', or - for standard input; no socket is opened, but names\n"
	      "                       of peers are looked up\n"
	      "  -V, --version        print the version and the built-in features\n"
	      "  -h, --help           print this help\n"
	      "\n"
	      "Signals: TERM and INT stop the daemon, HUP reloads the configuration, USR1 logs the counters,\n"
	      "USR2 reopens the datagram log.\n"
	      "Exit status: 0 success, 1 failure, 64 usage error, 69 missing address or interface, 73 missing\n"
	      "directory or unusable path, 77 missing permission, 78 configuration error.\n",
	      out);
}

static void print_version(void)
{
	printf("udprelayd %s (libuv %s, systemd %s, seccomp %s, http %s)\n", UDPRELAYD_VERSION, uv_version_string(),
	       systemd_is_built_in() ? "yes" : "no", seccomp_is_built_in() ? "yes" : "no",
	       http_is_built_in() ? "yes" : "no");
}

static void print_unexpected_argument(const char *argument)
{
	char *shown = diagnostics_escape(argument);

	fprintf(stderr, "udprelayd: unexpected argument `%s`\nTry `udprelayd --help`.\n", shown);
	free(shown);
}

/* Handles the arguments after the options: with --explain an optional payload, otherwise none. Returns -1 to continue,
 * or the exit status. */
static int parse_arguments(struct options *options, int argc, char **argv)
{
	if (options->explain && options->check) {
		fputs("udprelayd: -t and --explain exclude each other: remove one\n" EXAMPLE, stderr);
		return EX_USAGE;
	}
	if (options->explain && optind < argc)
		options->payload = argv[optind++];
	if (optind == argc)
		return -1;
	if (options->explain)
		fputs("udprelayd: too many arguments: put the payload in quotes\n" EXAMPLE, stderr);
	else
		print_unexpected_argument(argv[optind]);
	return EX_USAGE;
}

/* Returns -1 to continue, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {{"config", required_argument, NULL, 'c'},
					      {"check-config", no_argument, NULL, 't'},
					      {"explain", required_argument, NULL, OPTION_EXPLAIN},
					      {"version", no_argument, NULL, 'V'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int option;

	while ((option = getopt_long(argc, argv, "c:tVh", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 't':
			options->check = true;
			break;
		case OPTION_EXPLAIN:
			options->explain = optarg;
			break;
		case 'V':
			print_version();
			return 0;
		case 'h':
			print_daemon_help(stdout);
			return 0;
		default:
			fputs("Try `udprelayd --help`.\n", stderr);
			return EX_USAGE;
		}
	}
	return parse_arguments(options, argc, argv);
}

/* Opens /dev/null for each standard stream that is closed. Otherwise a socket would get its number, and the log would
 * write into the socket. */
static void open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int explain_to_user(const struct config *config, const struct options *options)
{
	struct explain_query query;
	int status = explain_query_init(&query, config, options->explain, options->payload, stdin, stderr), error = 0;

	if (!status) {
		error = explain(config, &query, stdout);
		if (!error && (fflush(stdout) || ferror(stdout)))
			error = -EIO;
	}
	explain_query_finish(&query);
	if (!error)
		return status;
	fprintf(stderr, "udprelayd: cannot explain: %s\n", strerror(-error));
	return 1;
}

static void print_warnings(const struct config *config)
{
	const char *line = config->warnings;

	while (*line) {
		int length = (int)strcspn(line, "\n");

		fprintf(stderr, "warning: %.*s\n", length, line);
		line += length + 1;
	}
}

static void print_config_is_good(const struct options *options)
{
	char *path = diagnostics_escape(options->config);

	printf("%s: the configuration is valid\n", path);
	free(path);
}

int main(int argc, char **argv)
{
	struct options options = {.config = DEFAULT_CONFIG};
	struct config *config;
	int status;

	systemd_claim_fds();
	open_standard_streams();
	status = parse_options(&options, argc, argv);
	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	if (!options.check && !options.explain)
		daemon_hold_signals();
	config = config_load(options.config, stderr);
	if (!config)
		return EX_CONFIG;
	if (!options.check && !options.explain)
		return daemon_run(config, "udprelayd");
	status = 0;
	if (options.explain) {
		status = explain_to_user(config, &options);
	} else {
		print_warnings(config);
		start_check(config, stderr);
		print_config_is_good(&options);
	}
	config_destroy(config);
	return status;
}
