#include "datagram_log/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_access.h"

static bool is_same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Determines the kind of the open file. */
static void inspect_file(struct log_file *file)
{
	struct stat status, standard_error;

	if (fstat(file->fd, &status))
		return;
	file->regular = S_ISREG(status.st_mode);
	file->shared = !fstat(STDERR_FILENO, &standard_error) && is_same_inode(&status, &standard_error);
}

/* Without O_NONBLOCK, open(2) of a named pipe waits for a reader. The flag has no effect on regular files. */
static int open_for_append(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0640);

	return fd < 0 ? -errno : fd;
}

int log_file_open(struct log_file *file, enum log_target target, const char *path)
{
	*file = (struct log_file){.name = "stderr", .fd = STDERR_FILENO};
	if (target == LOG_TARGET_STDOUT) {
		file->name = "stdout";
		file->fd = STDOUT_FILENO;
	} else if (target == LOG_TARGET_FILE) {
		file->name = file->path = path;
		file->fd = open_for_append(path, O_EXCL);
		file->created = file->fd >= 0;
		if (file->fd == -EEXIST)
			file->fd = open_for_append(path, 0);
		if (file->fd < 0)
			return file->fd;
	}
	inspect_file(file);
	return 0;
}

int log_file_probe(const char *path)
{
	struct stat status;

	if (!stat(path, &status)) {
		if (S_ISDIR(status.st_mode))
			return -EISDIR;
		return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) ? -errno : 0;
	}
	return errno == ENOENT ? file_access_check_creation(path) : -errno;
}

static bool is_another_file(int fd, int other_fd)
{
	struct stat one, other;

	return !fstat(fd, &one) && !fstat(other_fd, &other) && !is_same_inode(&one, &other);
}

int log_file_reopen(struct log_file *file)
{
	int fd, replaced;

	if (!file->path)
		return 0;
	fd = open_for_append(file->path, 0);
	if (fd < 0)
		return fd;
	replaced = is_another_file(fd, file->fd);
	close(file->fd);
	file->fd = fd;
	inspect_file(file);
	return replaced;
}

void log_file_close(struct log_file *file)
{
	if (file->path)
		close(file->fd);
	file->fd = -1;
}

/* Returns 0, -EAGAIN after the timeout, or another negative errno. */
static int wait_until_writable(int fd, int timeout_ms)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int ready = poll(&writable, 1, timeout_ms);

	if (ready < 0 && errno != EINTR)
		return -errno;
	return ready > 0 ? 0 : -EAGAIN;
}

/* A pipe that is writable has room for at least PIPE_BUF bytes (pipe(7)), so that a write of this size does not block.
 * The function writes only after poll(2) has reported room. */
ssize_t log_file_write(const struct log_file *file, const char *bytes, size_t size, int timeout_ms)
{
	ssize_t written;
	int error = file->regular ? 0 : wait_until_writable(file->fd, timeout_ms);

	if (error)
		return error;
	if (!file->regular && size > PIPE_BUF)
		size = PIPE_BUF;
	written = write(file->fd, bytes, size);
	if (written < 0)
		return errno == EINTR ? 0 : -errno;
	return written;
}
