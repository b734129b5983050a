/* Where a command sends from: the option -b. */
#ifndef UDPRELAY_BIND_H
#define UDPRELAY_BIND_H

#include "address.h"
#include "udprelay/client_socket.h"
#include "udprelay/command.h"

/* Takes "ADDR:PORT", "*:PORT" or "unix:/path", of to's family. Returns 0, or EX_USAGE after telling why. */
int bind_take(const struct command *command, const char *text, const struct address *to, struct address *from);

/* Tells why no socket could be had, by a positive errno. text is NULL where no -b was given. */
void bind_tell(const char *text, const struct address *to, int error);

/* Tells on standard error which port is sent from, where the system has chosen it. from is NULL without -b. */
void bind_tell_port(const struct client_socket *client, const struct address *from, const struct address *to);

#endif
