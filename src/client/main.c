/* udprelay, the client of udprelayd: finds the command that the command line names, and runs it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "build_config.h"
#include "client/cli.h"

static const struct cli_command *const commands[] = {&send_command, &listen_command, &ping_command, &load_command,
						     NULL};

static void client_print_help(FILE *out)
{
	fputs("Usage: udprelay COMMAND …\n"
	      "Send and receive UDP datagrams, and measure loss and latency.\n"
	      "\n",
	      out);
	for (const struct cli_command *const *command = commands; *command; command++)
		fprintf(out, "  %-8s%.*s\n", (*command)->name, (int)strcspn((*command)->purpose, "\n"),
			(*command)->purpose);
	fputs("\n"
	      "  -V, --version    print the version\n"
	      "  -h, --help       print this help; after a COMMAND, that command's\n"
	      "\n"
	      "Exit status: 0 success, 1 failure or missing replies, 64 usage error, 69 no program "
	      "listens there.\n",
	      out);
}

static const struct cli_command *client_find_command(const char *name)
{
	for (const struct cli_command *const *command = commands; *command; command++) {
		if (!strcmp((*command)->name, name))
			return *command;
	}
	return NULL;
}

static int client_reject_command(const char *name)
{
	cli_error("unknown command `%s`", name);
	fputs("Try `udprelay --help`.\n", stderr);
	return EX_USAGE;
}

/* A failed write to standard output must not end in exit status 0. */
static int client_flush_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	cli_error("cannot write to standard output");
	return status ? status : 1;
}

static int client_run(int argc, char **argv)
{
	const struct cli_command *command;

	if (argc < 2) {
		client_print_help(stderr);
		return EX_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		client_print_help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("udprelay %s (libuv %s, editing %s)\n", UDPRELAYD_VERSION, uv_version_string(),
		       HAVE_LIBEDIT ? "yes" : "no");
		return 0;
	}
	command = client_find_command(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : client_reject_command(argv[1]);
}

/* If a standard stream is closed at the start, the first socket would get its number. /dev/null takes the number
 * instead. It is opened in the wrong direction, so that reading and writing still fail. */
static void client_reserve_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char **argv)
{
	client_reserve_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	return client_flush_output(client_run(argc, argv));
}
