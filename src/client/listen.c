/* `udprelay listen`: prints each datagram that arrives at a port.
 *
 * The command writes a configuration with one listener, whose datagrams are logged on standard output, and runs the
 * daemon with it in this process. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/address.h"
#include "base/xalloc.h"
#include "client/cli.h"
#include "config/config.h"
#include "config/values.h"
#include "daemon/daemon.h"
#include "text/codec.h"

/* Records that may wait while standard output is not read. With payloads of the largest size this takes 64 MB. */
#define QUEUE_RECORDS 1024

enum { OPTION_ERRORS = CLI_LONG_ONLY, OPTION_ECHO };

static const struct cli_option_spec listen_option_specs[] = {
	{'e', "encoding", "NAMES", "decode with the first of these charsets that fits (default: utf-8)"},
	{OPTION_ERRORS, "errors", "RULE",
	 "how to treat bytes that do not decode, as in Python: strict, replace,\n"
	 "ignore or backslashreplace (the default)"},
	{OPTION_ECHO, "echo", NULL, "send every datagram back to its source"},
	{'q', "quiet", NULL, "print only datagrams and errors"},
	{0},
};

static int listen_run(int argc, char **argv);

const struct cli_command listen_command = {
	.name = "listen",
	.operands = "[ADDR:]PORT",
	.purpose = "Show each datagram that arrives at a port.\n"
		   "\n"
		   "Without ADDR, it listens on all IPv4 and IPv6 addresses; port 0 takes a free port.\n"
		   "ADDR:PORT may also be unix:/path. This is udprelayd(8) with one listener. Ctrl-C\n"
		   "ends it. If root starts it, it becomes the user nobody when the port is open.\n",
	.options = listen_option_specs,
	.example = "-e utf-8,gbk 7788",
	.run = listen_run,
};

struct listen_options {
	const char *encodings, *errors;
	bool echo, quiet;
};

static bool listen_handle_option(void *data, int letter, const char *value)
{
	struct listen_options *options = data;
	unsigned rule;

	switch (letter) {
	case 'e':
		options->encodings = value;
		return true;
	case OPTION_ERRORS:
		options->errors = value;
		return value_choice(value, codec_errors_names, &rule) ||
		       cli_value_error(&listen_command, letter, value,
				       "write strict, replace, ignore or backslashreplace");
	case OPTION_ECHO:
		return options->echo = true;
	default:
		return options->quiet = true;
	}
}

/* --- Configuration --- */

/* Accepts "ADDR:PORT", "*:PORT" and "unix:/path". */
static bool is_listen_address(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	struct address parsed;
	uint16_t port;

	return !address_parse(&parsed, text) || (!address_split(text, host, &port) && !strcmp(host, "*"));
}

/* A path may contain characters that end or split a value of the configuration. */
static bool fits_into_config_value(const char *address)
{
	return !address[strcspn(address, ",;#\t\n\v\f\r")] && address[strlen(address) - 1] != ' ';
}

/* On success returns 0 and sets *address to the address in the syntax of the configuration; the caller frees it.
 * Otherwise returns EX_USAGE after an error message. */
static int listen_parse_address(const char *text, char **address)
{
	bool only_port = *text && !text[strspn(text, "0123456789")];
	char fault[ADDRESS_ERROR_MAX];
	int status = 0;

	if (asprintf(address, "%s%s", only_port ? "*:" : "", text) < 0)
		abort();
	if (!is_listen_address(*address))
		status = cli_usage_error(&listen_command, "`%s`: %s", text, address_error_text(*address, false, fault));
	else if (!fits_into_config_value(*address))
		status = cli_usage_error(
			&listen_command,
			"`%s`: the path must not contain commas, `;`, `#`, tabs or line ends, and must not end "
			"with a blank",
			text);
	if (status)
		free(*address);
	return status;
}

/* Root privileges are needed only to bind the port. An AF_UNIX socket keeps them, because its file must be removed
 * at the end. */
static const char *listen_user_line(const char *address)
{
	return geteuid() == 0 && strncmp(address, "unix:", 5) != 0 && getpwnam("nobody") ? "user = nobody\n" : "";
}

static char *listen_config_text(const struct listen_options *options, const char *address)
{
	char *text;

	if (asprintf(&text,
		     "[udprelayd]\nworkers = 1\n%s[log]\nlevel = %s\n[datagram_log]\ntarget = stdout\nqueue = %d\n"
		     "payload = %d\n[listener:listen]\naddress = %s\naction = %s\nencoding = %s\nerrors = %s\n",
		     listen_user_line(address), options->quiet ? "error" : "info", QUEUE_RECORDS, CONFIG_DATAGRAM_MAX,
		     address, options->echo ? "echo" : "sink", options->encodings, options->errors) < 0)
		abort();
	return text;
}

static struct config *listen_load_config(const struct listen_options *options, const char *address)
{
	char *text = listen_config_text(options, address);
	FILE *in = xcheck(fmemopen(text, strlen(text), "r"));
	struct config *config = config_load_stream("udprelay listen", in, stderr);

	fclose(in);
	free(text);
	if (!config)
		return NULL;
	config->datagram_log.format = LOG_FORMAT_MESSAGE;
	config->datagram_log.exit_on_broken_pipe = true;
	config->listeners[0].binds[0].line = 0;
	return config;
}

static int listen_run(int argc, char **argv)
{
	struct listen_options options = {.encodings = "utf-8", .errors = "backslashreplace"};
	int status = cli_parse_options(&listen_command, argc, argv, listen_handle_option, &options);
	struct config *config;
	char *address;

	if (status >= 0)
		return status;
	if (argc - optind != 1)
		return cli_usage_error(&listen_command, optind == argc ? "PORT is missing"
								       : "too many arguments: write ADDR:PORT as one");
	/* Invalid charset names and addresses must not reach the configuration text: they could add keys and sections.
	 */
	status = cli_check_charsets(&listen_command, "encoding", options.encodings);
	if (!status)
		status = listen_parse_address(argv[optind], &address);
	if (status)
		return status;
	daemon_hold_signals();
	config = listen_load_config(&options, address);
	free(address);
	if (!config)
		return EX_USAGE;
	return daemon_run(config, "udprelay") ? EX_UNAVAILABLE : 0;
}
