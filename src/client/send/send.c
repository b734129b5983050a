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

enum { OPTION_ERRORS = OPTION_WORDS, OPTION_RAW, OPTION_NEWLINE };

static const struct option_spec send_options[] = {
	{'e', "encoding", "NAME", "write in this charset (default: utf-8)"},
	{'d', "decoding", "NAMES", "read answers in these charsets, the first that fits (default: as -e)"},
	{OPTION_ERRORS, "errors", "RULE",
	 "what becomes of characters and bytes that do not fit, as in Python:\n"
	 "strict, replace, ignore or backslashreplace (default: strict for\n"
	 "what is sent, backslashreplace for answers)"},
	{'x', "hex", NULL, "the text is hex digits, two for each byte: '00 ff'"},
	{'f', "file", "FILE", "send the bytes of FILE as one datagram (-: of standard input)"},
	{OPTION_NEWLINE, "newline", NULL, "send a newline behind each text, as netcat does"},
	{'w', "wait", "SECONDS",
	 "wait that long for as many answers as datagrams, and end with\n"
	 "status 1 where they are fewer"},
	{OPTION_RAW, "raw", NULL, "write answers byte by byte, with nothing around them"},
	ENDS_OPTIONS,
	{'q', "quiet", NULL, "do not say which port is sent from"},
	{0},
};

static int send_run(int argc, char **argv);

const struct command command_send = {
	.name = "send",
	.operands = "HOST PORT [TEXT …]",
	.purpose = "Send texts, and show what comes back.\n"
		   "\n"
		   "TEXT is sent as one datagram; without it, each line of standard input is. On a\n"
		   "terminal lines can be edited and called back. HOST PORT may be unix:/path, too.\n",
	.options = send_options,
	.example = "-w 1 192.0.2.1 7788 hello",
	.run = send_run,
};

struct send_request {
	const char *encoding, *decoding, *file;
	enum codec_errors errors;
	bool has_errors, hex, newline, raw, quiet, waits;
	uint64_t wait_ns;

	struct ends ends;
	struct exchange_plan plan;
	uint8_t *data; /* what is sent, unless it is lines */
};

/* --- Options --- */

static bool take_errors(struct send_request *request, const char *value)
{
	unsigned rule;

	if (!value_choice(value, codec_errors_names, &rule))
		return command_wrong_value(&command_send, OPTION_ERRORS, value,
					   "write strict, replace, ignore or backslashreplace");
	request->errors = (enum codec_errors)rule;
	request->has_errors = true;
	return true;
}

static bool take_wait(struct send_request *request, const char *value)
{
	request->waits = true;
	return command_seconds(&command_send, 'w', value, 0, WAIT_MAX, &request->wait_ns);
}

static bool take(void *data, int letter, const char *value)
{
	struct send_request *request = data;

	switch (letter) {
	case 'e':
		request->encoding = value;
		return true;
	case 'd':
		request->decoding = value;
		return true;
	case OPTION_ERRORS:
		return take_errors(request, value);
	case 'x':
		return request->hex = true;
	case 'f':
		request->file = value;
		return true;
	case OPTION_NEWLINE:
		return request->newline = true;
	case 'w':
		return take_wait(request, value);
	case OPTION_RAW:
		return request->raw = true;
	case 'q':
		return request->quiet = true;
	default:
		return ends_take(&request->ends, letter, value);
	}
}

/* --- What is sent --- */

static int open_file(const char *path)
{
	return strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
}

/* Reads at most capacity bytes. Returns how many, or a negative errno. */
static ssize_t read_all(int fd, uint8_t *data, size_t capacity)
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

static int take_file(struct send_request *request)
{
	int fd = open_file(request->file);
	ssize_t size;

	request->data = xcheck(malloc(WORDING_MAX + 1));
	size = fd < 0 ? -errno : read_all(fd, request->data, WORDING_MAX + 1);
	if (fd > STDERR_FILENO)
		close(fd);
	if (size < 0)
		command_tell("cannot read `%s`: %s", request->file, strerror((int)-size));
	else if (size > WORDING_MAX)
		command_tell("`%s` has more bytes than a datagram carries", request->file);
	request->plan.data = request->data;
	request->plan.size = (size_t)size;
	return size < 0 || size > WORDING_MAX;
}

/* All words become one text, as echo(1) has it. */
static char *join(char **words, int count)
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

static int take_text(struct send_request *request, char **words, int count)
{
	char *text = join(words, count);
	const uint8_t *bytes;
	const char *fault;
	ssize_t size = wording_say(request->plan.wording, text, strlen(text), &bytes, &fault);

	if (size < 0)
		command_tell("nothing is sent: %s", fault);
	request->plan.data = bytes;
	request->plan.size = (size_t)size;
	free(text);
	return size < 0;
}

static void take_lines(struct send_request *request)
{
	line_input_create(&request->plan.input, STDIN_FILENO, "> ");
	request->plan.input_fd = STDIN_FILENO;
}

/* Returns 0, or the exit status after telling why. */
static int take_payload(struct send_request *request, char **words, int count)
{
	if (request->file)
		return take_file(request);
	if (count)
		return take_text(request, words, count);
	take_lines(request);
	return 0;
}

/* --- How --- */

static int open_wording(struct send_request *request)
{
	if (!wording_create(&request->plan.wording, request->encoding, request->errors, request->hex, request->newline))
		return 0;
	return command_wrong(&command_send, "--encoding: `%s` is no charset that is known: write such as utf-8 or gbk",
			     request->encoding);
}

static int open_transcript(struct send_request *request)
{
	const char *names = request->decoding ? request->decoding : request->encoding;
	enum codec_errors errors = request->has_errors ? request->errors : CODEC_BACKSLASHREPLACE;

	if (!transcript_create(&request->plan.transcript, names, errors, request->raw))
		return 0;
	return command_wrong(&command_send,
			     "--decoding: `%s` has a charset that is not known: write such as utf-8, gbk", names);
}

static int open_client(struct send_request *request)
{
	int status = ends_open(&request->ends, request->quiet);

	request->plan.client = status ? NULL : &request->ends.client;
	return status;
}

/* What was asked for fits together. */
static int check(const struct send_request *request, int words)
{
	if (request->file && words)
		return command_wrong(&command_send, "there is a text beside --file: write one of them");
	if (request->file && (request->hex || request->newline))
		return command_wrong(&command_send, "--file sends bytes as they are: leave --hex and --newline out");
	return 0;
}

static int set_up(struct send_request *request, int argc, char **argv)
{
	int status = ends_find(&request->ends, &command_send, argc, argv);

	if (!status)
		status = check(request, argc - optind);
	if (!status)
		status = open_wording(request);
	if (!status)
		status = open_transcript(request);
	if (!status)
		status = open_client(request);
	return status ? status : take_payload(request, argv + optind, argc - optind);
}

static void clean_up(struct send_request *request)
{
	if (request->plan.client)
		client_socket_close(&request->ends.client);
	line_input_destroy(request->plan.input);
	transcript_destroy(request->plan.transcript);
	wording_destroy(request->plan.wording);
	free(request->data);
}

static int send_run(int argc, char **argv)
{
	struct send_request request = {.encoding = "utf-8", .errors = CODEC_STRICT};
	int status = command_parse(&command_send, argc, argv, take, &request);

	if (status >= 0)
		return status;
	request.plan.to = &request.ends.to;
	status = set_up(&request, argc, argv);
	if (!status) {
		request.plan.waits = request.waits;
		request.plan.wait_ns = request.wait_ns;
		status = exchange_run(&request.plan);
	}
	clean_up(&request);
	return status;
}
