/* The sockets of the configuration, bound before any thread runs. */
#ifndef UDPRELAYD_BOUND_H
#define UDPRELAYD_BOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "address.h"
#include "config.h"
#include "log.h"
#include "passed.h"

struct bound_socket {
	const struct listener_config *config;
	struct address asked; /* as the configuration has it; port 0: any */
	struct address local; /* with the port it got */
	unsigned worker; /* that it is for */
	int fd; /* workers have copies of it */
	struct bound_socket *from; /* whose socket it shares; NULL: it was bound anew */
	bool passed; /* systemd keeps it itself: it is a unit's */
	bool stored; /* systemd's store has a copy of it */
	dev_t device; /* of an AF_UNIX socket, its file */
	ino_t inode;
};

struct bound_sockets {
	struct bound_socket *items;
	size_t count;
	size_t listener_count;
	uint64_t *closed_drops; /* of the kernel, by listener: those of sockets that are closed */
	struct log *log;
	bool told; /* that a file stays behind */
};

/* Binds every address of every listener, once for each worker; AF_UNIX addresses and groups are for worker 0 alone,
 * since the kernel does not spread them. Tells log where each listens, and, as one error with file and line, what could
 * not be bound. before (NULL: nothing is) are those of an earlier configuration, for as many workers: a socket of the
 * same address, interface and freebind is not bound again, but shared with them for now. Of passed, what an
 * earlier run stored is not bound again either; fd:NAME gets copies of units' sockets, each for the next worker.
 * Returns 0 or a negative errno, and then none is open but theirs. */
int bound_sockets_open(struct bound_sockets *sockets, const struct config *config, unsigned workers,
		       struct bound_sockets *before, struct passed_sockets *passed, struct log *log);

/* Leaves copies in systemd's store, where the next run finds them. */
void bound_sockets_store(struct bound_sockets *sockets);

/* Whether they all stay open when this process ends, for the next one: systemd has them. */
bool bound_sockets_stay(const struct bound_sockets *sockets);

/* Before the workers of before read for the last time: what is closed for good hears nothing new any more, which is
 * left to sockets that cover its address. */
void bound_sockets_deafen(const struct bound_sockets *sockets, const struct bound_sockets *before);

/* Whether one of sockets shares that socket of before. */
bool bound_sockets_share(const struct bound_sockets *sockets, const struct bound_socket *socket);

/* Takes over for good what is shared with before, with buffers and groups as they are to be from now on, and counts
 * what the kernel has dropped of the others, which are closed and leave the store. These are told, too. */
void bound_sockets_take_over(struct bound_sockets *sockets, struct bound_sockets *before);

/* What the kernel dropped for want of room in receive buffers, by the listener's index. */
uint64_t bound_sockets_drops(const struct bound_sockets *sockets, size_t listener);

/* Closes what is not shared, and removes the files of AF_UNIX sockets, where they are still ours. Whoever
 * has dropped the rights of root may not be permitted to, which is told once: the next start takes such a file away. */
void bound_sockets_close(struct bound_sockets *sockets);

/* The same from the first one on; earlier ones stay. */
void bound_sockets_close_from(struct bound_sockets *sockets, size_t first);

#endif
