/* The file of an AF_UNIX socket. Another program may replace the file while the socket is open, so the functions
 * compare device and inode: they remove or use a file only if it is still the same one. */
#ifndef UDPRELAYD_NET_SOCKET_FILE_H
#define UDPRELAYD_NET_SOCKET_FILE_H

#include <sys/types.h>

#include "base/address.h"

struct socket_file {
	dev_t device;
	ino_t inode; /* 0: no file */
};

/* Returns the file that the path of the address has now. There is none if the address is not AF_UNIX, or if nothing is
 * at its path. */
struct socket_file socket_file_read(const struct address *address);

/* Removes the file if it is still at the path of the address. Returns 0, also if there is nothing to remove, or the
 * negative errno of lstat(2) or unlink(2). */
int socket_file_remove(const struct socket_file *file, const struct address *address);

#endif
