/* The addresses of a command: the destination, which its operands name, and the source, which --bind names.
 *
 * All functions report errors on standard error and return an exit status. They use optind of getopt(3), so they run
 * after cli_parse_options(). */
#ifndef UDPRELAYD_CLIENT_ADDRESS_OPTIONS_H
#define UDPRELAYD_CLIENT_ADDRESS_OPTIONS_H

#include "base/address.h"
#include "client/cli.h"
#include "client/client_socket.h"

/* clang-format off */
#define ADDRESS_OPTION_SPECS \
	{'b', "bind", "ADDR:PORT", "send from this address (*:PORT: from any address; unix:/path)"}, \
	{'4', "ipv4", NULL, "use only IPv4 addresses of a name"}, \
	{'6', "ipv6", NULL, "use only IPv6 addresses of a name"}
/* clang-format on */

/* Zeroed memory is ready for use. */
struct address_options {
	const char *bind; /* the value of --bind; NULL: any address and port */
	int family; /* AF_INET or AF_INET6 after -4 or -6, else AF_UNSPEC */
	struct address destination, source;
	struct client_socket socket; /* open between address_options_open_socket() and client_socket_close() */
};

/* Handles one option of ADDRESS_OPTION_SPECS. value stays the caller's and must outlive options. Returns false if
 * the letter is another option. */
bool address_options_handle(struct address_options *options, int letter, const char *value);

/* Parses the destination as address_options_parse_destination() does, and the value of --bind. Source and
 * destination must have the same family. Returns 0, or the exit status after an error message. */
int address_options_resolve(struct address_options *options, const struct cli_command *command, int argc, char **argv);

/* Opens options->socket; the caller closes it with client_socket_close(). If the kernel chose the port, prints it on
 * standard error unless quiet is set. Returns 0, or EX_UNAVAILABLE after an error message. */
int address_options_open_socket(struct address_options *options, bool quiet);

/* Parses "HOST PORT", "HOST:PORT" or "unix:/path" at argv[optind] and moves optind past these operands. The host is an
 * address or a name. If a name has several addresses, the function uses the first one with a route from this host, or
 * the first one if none has a route. family is AF_INET or AF_INET6 to accept only that family, else AF_UNSPEC. Looking
 * up a name may block. Returns 0, or EX_USAGE or EX_UNAVAILABLE after an error message. */
int address_options_parse_destination(const struct cli_command *command, int argc, char **argv, int family,
				      struct address *destination);

#endif
