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

static const struct command *const commands[] = {&command_send, &command_listen, &command_ping, &command_load, NULL};

static void print_help(FILE *out)
{
	fputs("Usage: udprelay COMMAND …\n"
	      "Sends and receives UDP datagrams, and measures what becomes of them.\n"
	      "\n",
	      out);
	for (const struct command *const *command = commands; *command; command++)
		fprintf(out, "  %-8s%.*s\n", (*command)->name, (int)strcspn((*command)->purpose, "\n"),
			(*command)->purpose);
	fputs("\n"
	      "  -V, --version    print the version\n"
	      "  -h, --help       print this help; after a COMMAND, that command's\n"
	      "\n"
	      "Exit status: 0 as expected, 1 not so, 64 wrong command line, 69 nobody there.\n",
	      out);
}

static const struct command *find_command(const char *name)
{
	for (const struct command *const *command = commands; *command; command++) {
		if (!strcmp((*command)->name, name))
			return *command;
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	command_tell("there is no command `%s`", name);
	fputs("Try `udprelay --help`.\n", stderr);
	return EX_USAGE;
}

/* What could not be written must not pass for success. */
static int finish_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	command_tell("cannot write to standard output");
	return status ? status : 1;
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_help(stderr);
		return EX_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("udprelay %s (libuv %s, editing %s)\n", UDPRELAYD_VERSION, uv_version_string(),
		       HAVE_LIBEDIT ? "yes" : "no");
		return 0;
	}
	command = find_command(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : unknown_command(argv[1]);
}

/* A standard stream that came closed would give its number to a socket. What has it instead is open the other way, so
 * that reading and writing fail as they would have. */
static void hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char **argv)
{
	hold_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	return finish_output(run(argc, argv));
}
