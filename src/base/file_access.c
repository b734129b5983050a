#include "base/file_access.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

int file_access_check_creation(const char *path)
{
	char *copy = xcheck(strdup(path));
	int directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC), error = 0;

	if (directory < 0 || faccessat(directory, ".", W_OK | X_OK, AT_EACCESS))
		error = -errno;
	if (directory >= 0)
		close(directory);
	free(copy);
	return error;
}
