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

int socket_file_remove(const struct socket_file *file, const struct address *address)
{
	struct socket_file now = socket_file_read(address);

	if (!now.inode || now.device != file->device || now.inode != file->inode)
		return 0;
	return unlink(address->local.sun_path) && errno != ENOENT ? -errno : 0;
}
