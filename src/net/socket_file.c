#include "net/socket_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct socket_file socket_file_read(const struct address *address)
{
	struct stat status;

	if (address->any.sa_family != AF_UNIX || lstat(address->local.sun_path, &status))
		return (struct socket_file){0};
	return (struct socket_file){status.st_dev, status.st_ino};
}

/* The directory may be closed to the user that the process became. */
int socket_file_remove(const struct socket_file *file, const struct address *address)
{
	struct stat status;

	if (!file->inode)
		return 0;
	if (lstat(address->local.sun_path, &status))
		return errno == ENOENT ? 0 : -errno;
	if (status.st_dev != file->device || status.st_ino != file->inode)
		return 0;
	return unlink(address->local.sun_path) && errno != ENOENT ? -errno : 0;
}
