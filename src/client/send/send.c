/* `udprelay send`: sends texts as datagrams and prints the replies.
 *
 * This file parses the command line and prepares the payload, the socket, the encoder and the printer. The send loop
 * does the rest. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "client/address_options.h"
#include "client/cli.h"
#include "client/send/send_loop.h"
#include "config/values.h"

#define WAIT_MAX 86400 /* seconds */

enum { OPTION_ERRORS = CLI_LONG_ONLY, OPTION_RAW, OPTION_NEWLINE };

static const struct cli_option_spec send_option_specs[] = {
	{'e', "encoding", "NAME", "write in this charset (default: utf-8)"},
	{'d', "decoding", "NAMES", "decode replies with the first of these charsets that fits (default: as -e)"},
	{OPTION_ERRORS, "errors", "RULE",
	 "how to treat characters and bytes that do not fit, as in Python:\n"
	 "strict, replace, ignore or backslashreplace (default: strict for\n"
	 "texts to send, backslashreplace for replies)"},
	{'x', "hex", NULL, "the text is hex digits, two for each byte: '00 ff'"},
	{'f', "file", "FILE", "send the bytes of FILE as one datagram (-: of standard input)"},
	{OPTION_NEWLINE, "newline", NULL, "add a newline to each text, as netcat does"},
	{'w', "wait", "SECONDS",
	 "time to wait for as many replies as datagrams; the exit status is 1\n"
	 "if fewer come"},
	{OPTION_RAW, "raw", NULL, "write the bytes of replies unchanged, with nothing around them"},
	ADDRESS_OPTION_SPECS,
	{'q', "quiet", NULL, "do not print the port to send from"},
	{0},
};

static int send_run(int argc, char **argv);

const struct cli_command send_command = {
	.name = "send",
	.operands = "HOST PORT [TEXT …]",
	.purpose = "Send texts, and show the replies.\n"
		   "\n"
		   "Each TEXT is sent as one datagram. Without TEXT, each line of standard input is sent.\n"
		   "On a terminal, lines can be edited and recalled. HOST PORT may also be unix:/path.\n",
	.options = send_option_specs,
	.example = "-w 1 192.0.2.1 7788 hello",
	.run = send_run,
};

struct send_options {
	const char *encoding, *decoding, *file;
	enum codec_errors errors;
	bool has_errors, hex, newline, raw, quiet, wait_for_replies;
	uint64_t wait_ns;

	struct address_options addresses;
	struct send_loop_plan plan;
	uint8_t *data; /* the file content, if --file is set */
};

/* --- Options --- */

static bool send_handle_errors_option(struct send_options *options, const char *value)
{
	unsigned rule;

	if (!value_choice(value, codec_errors_names, &rule))
		return cli_value_error(&send_command, OPTION_ERRORS, value,
				       "write strict, replace, ignore or backslashreplace");
	options->errors = (enum codec_errors)rule;
	options->has_errors = true;
	return true;
}

static bool send_handle_wait_option(struct send_options *options, const char *value)
{
	options->wait_for_replies = true;
	return cli_parse_seconds(&send_command, 'w', value, 0, WAIT_MAX, &options->wait_ns);
}

static bool send_handle_option(void *data, int letter, const char *value)
{
	struct send_options *options = data;

	switch (letter) {
	case 'e':
		options->encoding = value;
		return true;
	case 'd':
		options->decoding = value;
		return true;
	case OPTION_ERRORS:
		return send_handle_errors_option(options, value);
	case 'x':
		return options->hex = true;
	case 'f':
		options->file = value;
		return true;
	case OPTION_NEWLINE:
		return options->newline = true;
	case 'w':
		return send_handle_wait_option(options, value);
	case OPTION_RAW:
		return options->raw = true;
	case 'q':
		return options->quiet = true;
	default:
		return address_options_handle(&options->addresses, letter, value);
	}
}

/* --- Payload --- */

static int send_open_file(const char *path)
{
	return strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
}

/* Reads up to capacity bytes. Returns their number, or a negative errno. */
static ssize_t send_read_fd(int fd, uint8_t *data, size_t capacity)
{
	size_t size = 0;
	ssize_t more = 1;

	while (size < capacity && more) {
		more = read(fd, data + size, capacity - size);
		if (more < 0 && errno != EINTR)
			return -errno;
		size += more > 0 ? (size_t)more : 0;
	}
	return (ssize_t)size;
}

static int send_read_file(struct send_options *options)
{
	int fd = send_open_file(options->file);
	ssize_t size;

	options->data = xcheck(malloc(PAYLOAD_MAX + 1));
	size = fd < 0 ? -errno : send_read_fd(fd, options->data, PAYLOAD_MAX + 1);
	if (fd > STDERR_FILENO)
		close(fd);
	if (size < 0)
		cli_error("cannot read `%s`: %s", options->file, strerror((int)-size));
	else if (size > PAYLOAD_MAX)
		cli_error("`%s` has more bytes than a datagram can carry", options->file);
	options->plan.data = options->data;
	options->plan.size = (size_t)size;
	return size < 0 || size > PAYLOAD_MAX;
}

/* Joins the words with blanks, as echo(1) does. */
static char *join_words(char **words, int count)
{
	size_t size = 1;
	char *text, *end;

	for (int i = 0; i < count; i++)
		size += strlen(words[i]) + 1;
	text = end = xcheck(malloc(size));
	*end = '\0';
	for (int i = 0; i < count; i++)
		end = stpcpy(stpcpy(end, i ? " " : ""), words[i]);
	return text;
}

static int send_encode_words(struct send_options *options, char **words, int count)
{
	char *text = join_words(words, count);
	const uint8_t *bytes;
	const char *error_text;
	ssize_t size = payload_encode(options->plan.encoder, text, strlen(text), &bytes, &error_text);

	if (size < 0)
		cli_error("cannot send: %s", error_text);
	options->plan.data = bytes;
	options->plan.size = (size_t)size;
	free(text);
	return size < 0;
}

static void send_open_input(struct send_options *options)
{
	line_input_create(&options->plan.input, STDIN_FILENO, "> ");
	options->plan.input_fd = STDIN_FILENO;
}

/* Returns 0, or the exit status after an error message. */
static int send_prepare_payload(struct send_options *options, char **words, int count)
{
	if (options->file)
		return send_read_file(options);
	if (count)
		return send_encode_words(options, words, count);
	send_open_input(options);
	return 0;
}

/* --- Setup --- */

static int send_create_encoder(struct send_options *options)
{
	int status = cli_check_charsets(&send_command, "encoding", options->encoding);

	if (status)
		return status;
	if (!payload_encoder_create(&options->plan.encoder, options->encoding, options->errors, options->hex,
				    options->newline))
		return 0;
	return cli_usage_error(&send_command, "--encoding: unknown charset `%s`: write one such as utf-8 or gbk",
			       options->encoding);
}

static int send_create_printer(struct send_options *options)
{
	const char *names = options->decoding ? options->decoding : options->encoding;
	enum codec_errors errors = options->has_errors ? options->errors : CODEC_BACKSLASHREPLACE;
	int status = cli_check_charsets(&send_command, options->decoding ? "decoding" : "encoding", names);

	if (status)
		return status;
	if (!message_printer_create(&options->plan.printer, names, errors, options->raw))
		return 0;
	return cli_usage_error(&send_command, "--decoding: unknown charset in `%s`: write charsets such as utf-8, gbk",
			       names);
}

static int send_open_socket(struct send_options *options)
{
	int status = address_options_open_socket(&options->addresses, options->quiet);

	options->plan.socket = status ? NULL : &options->addresses.socket;
	return status;
}

/* Checks that options and operands do not contradict each other. */
static int send_check_options(const struct send_options *options, int words)
{
	if (options->file && words)
		return cli_usage_error(&send_command, "TEXT and --file exclude each other: remove one");
	if (options->file && (options->hex || options->newline))
		return cli_usage_error(&send_command, "--file sends bytes unchanged: remove --hex and --newline");
	return 0;
}

static int send_set_up(struct send_options *options, int argc, char **argv)
{
	int status = address_options_resolve(&options->addresses, &send_command, argc, argv);

	if (!status)
		status = send_check_options(options, argc - optind);
	if (!status)
		status = send_create_encoder(options);
	if (!status)
		status = send_create_printer(options);
	if (!status)
		status = send_open_socket(options);
	return status ? status : send_prepare_payload(options, argv + optind, argc - optind);
}

static void send_clean_up(struct send_options *options)
{
	if (options->plan.socket)
		client_socket_close(&options->addresses.socket);
	line_input_destroy(options->plan.input);
	message_printer_destroy(options->plan.printer);
	payload_encoder_destroy(options->plan.encoder);
	free(options->data);
}

static int send_run(int argc, char **argv)
{
	struct send_options options = {.encoding = "utf-8", .errors = CODEC_STRICT};
	int status = cli_parse_options(&send_command, argc, argv, send_handle_option, &options);

	if (status >= 0)
		return status;
	options.plan.destination = &options.addresses.destination;
	status = send_set_up(&options, argc, argv);
	if (!status) {
		options.plan.wait_for_replies = options.wait_for_replies;
		options.plan.wait_ns = options.wait_ns;
		status = send_loop_run(&options.plan);
	}
	send_clean_up(&options);
	return status;
}
