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

#include "build_config.h"
#include "config.h"
#include "http.h"
#include "log.h"
#include "privileges.h"
#include "seccomp_filter.h"
#include "server.h"
#include "systemd.h"

#define DEFAULT_CONFIG UDPRELAYD_SYSCONFDIR "/udprelayd.ini"

/* How long the last lines may take when nobody reads standard error. */
#define END_LOG_MS 200

struct options {
	const char *config;
	bool check;
};

static void print_help(FILE *out)
{
	fputs("Usage: udprelayd [-c FILE] [-t]\n"
	      "Receives UDP datagrams, logs who sent what, and echoes or forwards them.\n"
	      "\n"
	      "  -c, --config FILE    read FILE (default: " DEFAULT_CONFIG ")\n"
	      "  -t, --check-config   check the configuration, print every error, and end\n"
	      "  -V, --version        print the version and what is built in\n"
	      "  -h, --help           print this help\n"
	      "\n"
	      "Signals: TERM and INT end it, USR1 writes the counters to the log, HUP opens the\n"
	      "datagram log anew.\n"
	      "Exit status: 0 ended as asked, 1 failed, 64 wrong command line, 78 wrong configuration.\n",
	      out);
}

static void print_version(void)
{
	printf("udprelayd %s (libuv %s, systemd %s, seccomp %s, http %s)\n", UDPRELAYD_VERSION, uv_version_string(),
	       systemd_built_in() ? "yes" : "no", seccomp_filter_built_in() ? "yes" : "no",
	       http_built_in() ? "yes" : "no");
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {{"config", required_argument, NULL, 'c'},
					      {"check-config", no_argument, NULL, 't'},
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
		case 'V':
			print_version();
			return 0;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			fputs("Try `udprelayd --help`.\n", stderr);
			return EX_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "udprelayd: unexpected argument `%s`\nTry `udprelayd --help`.\n", argv[optind]);
	return EX_USAGE;
}

/* A standard stream that came closed would give its number to a socket, and the log would write into that. */
static void open_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static int run(const struct config *config)
{
	struct log *log;
	bool clean = true;
	int error = privileges_forbid_gain(), status = 1;

	if (error) {
		fprintf(stderr, "udprelayd: cannot forbid new privileges: %s\n", strerror(-error));
		return 1;
	}
	error = log_create(&log, STDERR_FILENO, config->log_level, config->log_format);
	if (!error)
		error = log_start(log);
	if (error) {
		fprintf(stderr, "udprelayd: cannot start the log: %s\n", strerror(-error));
		return 1;
	}
	status = server_run(config, log, &clean);
	if (status == 0)
		log_notice(log, "ended");
	log_destroy(log, END_LOG_MS);
	if (!clean)
		_exit(status);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {.config = DEFAULT_CONFIG};
	struct config *config;
	int status;

	open_standard_streams();
	status = parse_options(&options, argc, argv);
	if (status >= 0)
		return status;
	signal(SIGPIPE, SIG_IGN);
	config = config_load(options.config, stderr);
	if (!config)
		return EX_CONFIG;
	if (options.check)
		printf("%s: the configuration is good\n", options.config);
	status = options.check ? 0 : run(config);
	config_destroy(config);
	return status;
}
