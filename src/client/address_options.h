/* The two ends of a conversation: where a command sends to, and from where; and the options that say so. */
#ifndef UDPRELAYD_CLIENT_ADDRESS_OPTIONS_H
#define UDPRELAYD_CLIENT_ADDRESS_OPTIONS_H

#include "base/address.h"
#include "client/cli.h"
#include "client/client_socket.h"

/* clang-format off */
#define ENDS_OPTIONS \
	{'b', "bind", "ADDR:PORT", "send from there (*:PORT: from any address; unix:/path)"}, \
	{'4', "ipv4", NULL, "take no other address of a name than IPv4"}, \
	{'6', "ipv6", NULL, "take no other address of a name than IPv6"}
/* clang-format on */

/* Zeroed memory is ready for use. */
struct ends {
	const char *bind; /* as written; NULL: from anywhere */
	int family; /* AF_INET or AF_INET6 where no other will do, else AF_UNSPEC */
	struct address to, from;
	struct client_socket client; /* once it is open */
};

/* Takes one of those options. Returns false where it is another one. */
bool ends_take(struct ends *ends, int letter, const char *value);

/* Finds the destination as destination_take() does, and reads where to send from, which must be of its family. Returns
 * 0, or the exit status after telling why. */
int ends_find(struct ends *ends, const struct command *command, int argc, char **argv);

/* Opens the socket, which client_socket_close() closes. Unless it is quiet, a port that the system chose is told on
 * standard error. Returns 0, or EX_UNAVAILABLE after telling why. */
int ends_open(struct ends *ends, bool quiet);

#endif
