/* Where a command sends to. */
#ifndef UDPRELAYD_CLIENT_DESTINATION_H
#define UDPRELAYD_CLIENT_DESTINATION_H

#include "base/address.h"
#include "client/cli.h"

/* Takes "HOST PORT", "HOST:PORT" or "unix:/path" from the operands at argv[optind], and moves optind behind them. The
 * host is an address or a name, of which the first address is taken that this host has a way to. family: AF_INET or
 * AF_INET6 where no other will do, else AF_UNSPEC. Returns 0, or EX_USAGE or EX_UNAVAILABLE after telling why. */
int destination_take(const struct command *command, int argc, char **argv, int family, struct address *to);

#endif
