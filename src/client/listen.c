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

/* Records that may wait while nobody reads standard output: with payloads of any size, 64 MB at most. */
#define QUEUE 1024

enum { OPTION_ERRORS = OPTION_WORDS, OPTION_ECHO };

static const struct option_spec listen_options[] = {
	{'e', "encoding", "NAMES", "read datagrams in these charsets, the first that fits (default: utf-8)"},
	{OPTION_ERRORS, "errors", "RULE",
	 "what becomes of bytes that do not fit, as in Python: strict, replace,\n"
	 "ignore or backslashreplace (the default)"},
	{OPTION_ECHO, "echo", NULL, "send every datagram back to where it came from"},
	{'q', "quiet", NULL, "say nothing but what is wrong, beside the datagrams"},
	{0},
};

static int listen_run(int argc, char **argv);

const struct command command_listen = {
	.name = "listen",
	.operands = "[ADDR:]PORT",
	.purpose = "Show each datagram that comes to a port.\n"
		   "\n"
		   "Without ADDR, on all addresses of IPv4 and IPv6; port 0 takes any free one.\n"
		   "ADDR:PORT may be unix:/path, too. This is udprelayd(8) with a listener of its own,\n"
		   "and ends with Ctrl-C. Root becomes nobody as soon as the port is open.\n",
	.options = listen_options,
	.example = "-e utf-8,gbk 7788",
	.run = listen_run,
};

struct listen_request {
	const char *encodings, *errors;
	bool echo, quiet;
};

static bool take(void *data, int letter, const char *value)
{
	struct listen_request *request = data;
	unsigned rule;

	switch (letter) {
	case 'e':
		request->encodings = value;
		return true;
	case OPTION_ERRORS:
		request->errors = value;
		return value_choice(value, codec_errors_names, &rule) ||
		       command_wrong_value(&command_listen, letter, value,
					   "write strict, replace, ignore or backslashreplace");
	case OPTION_ECHO:
		return request->echo = true;
	default:
		return request->quiet = true;
	}
}

/* --- As a configuration --- */

/* Whatever is no address or list of charsets must not reach the configuration, where it might say more. */
static int check_encodings(const char *list)
{
	char *copy = xcheck(strdup(list)), *cursor = copy, *name;
	int status = 0;

	while (!status && (name = value_next(&cursor))) {
		if (strcasecmp(name, "hex") && !codec_known(name))
			status = command_wrong(&command_listen,
					       "--encoding: `%s` is no charset that is known: write such as utf-8, gbk",
					       name);
	}
	free(copy);
	return status;
}

/* "ADDR:PORT", "*:PORT" or "unix:/path". */
static bool is_address(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	struct address parsed;
	uint16_t port;

	return !address_parse(&parsed, text) || (!address_split(text, host, &port) && !strcmp(host, "*"));
}

/* What a path may have, and a value of the configuration may not. */
static bool can_be_written(const char *address)
{
	return !address[strcspn(address, ",;#\t\n\v\f\r")] && address[strlen(address) - 1] != ' ';
}

/* Returns 0 with the address as the configuration has it, to be freed; or EX_USAGE. */
static int read_address(const char *text, char **address)
{
	bool port_alone = *text && !text[strspn(text, "0123456789")];
	char fault[ADDRESS_FAULT_MAX];
	int status = 0;

	if (asprintf(address, "%s%s", port_alone ? "*:" : "", text) < 0)
		abort();
	if (!is_address(*address))
		status = command_wrong(&command_listen, "`%s`: %s", text, address_fault(*address, false, fault));
	else if (!can_be_written(*address))
		status = command_wrong(&command_listen,
				       "`%s`: leave commas, `;`, `#`, tabs, line ends and a last blank out of the path",
				       text);
	if (status)
		free(*address);
	return status;
}

/* Root needs its rights for the port only. A unix: socket it must be able to remove at the end. */
static const char *user_line(const char *address)
{
	return geteuid() == 0 && strncmp(address, "unix:", 5) != 0 && getpwnam("nobody") ? "user = nobody\n" : "";
}

static char *write_config(const struct listen_request *request, const char *address)
{
	char *text;

	if (asprintf(&text,
		     "[udprelayd]\nworkers = 1\n%s[log]\nlevel = %s\n[datagram_log]\ntarget = stdout\nqueue = %d\n"
		     "payload = %d\n[listener:listen]\naddress = %s\naction = %s\nencoding = %s\nerrors = %s\n",
		     user_line(address), request->quiet ? "error" : "info", QUEUE, CONFIG_DATAGRAM_MAX, address,
		     request->echo ? "echo" : "sink", request->encodings, request->errors) < 0)
		abort();
	return text;
}

static struct config *make_config(const struct listen_request *request, const char *address)
{
	char *text = write_config(request, address);
	FILE *in = xcheck(fmemopen(text, strlen(text), "r"));
	struct config *config = config_load_stream("udprelay listen", in, stderr);

	fclose(in);
	free(text);
	if (!config)
		return NULL;
	config->datagram_log.format = LOG_FORMAT_SAID;
	config->datagram_log.vital = true;
	config->listeners[0].binds[0].line = 0;
	return config;
}

static int listen_run(int argc, char **argv)
{
	struct listen_request request = {.encodings = "utf-8", .errors = "backslashreplace"};
	int status = command_parse(&command_listen, argc, argv, take, &request);
	struct config *config;
	char *address;

	if (status >= 0)
		return status;
	if (argc - optind != 1)
		return command_wrong(&command_listen, optind == argc
							      ? "there is no port to listen on"
							      : "there is more than one word: write ADDR:PORT as one");
	status = check_encodings(request.encodings);
	if (!status)
		status = read_address(argv[optind], &address);
	if (status)
		return status;
	config = make_config(&request, address);
	free(address);
	if (!config)
		return EX_USAGE;
	return daemon_run(config, "udprelay") ? EX_UNAVAILABLE : 0;
}
