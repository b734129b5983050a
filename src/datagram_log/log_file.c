#include "datagram_log/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void look(struct log_file *output)
{
	struct stat status, standard;

	if (fstat(output->fd, &status))
		return;
	output->bulk = S_ISREG(status.st_mode);
	output->shared = !fstat(STDERR_FILENO, &standard) && is_same_file(&status, &standard);
}

/* Without O_NONBLOCK a named pipe would be waited for; it makes no difference to files. */
static int open_file(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0640);

	return fd < 0 ? -errno : fd;
}

int log_file_open(struct log_file *output, enum log_target target, const char *path)
{
	*output = (struct log_file){.name = "stderr", .fd = STDERR_FILENO};
	if (target == LOG_TARGET_STDOUT) {
		output->name = "stdout";
		output->fd = STDOUT_FILENO;
	} else if (target == LOG_TARGET_FILE) {
		output->name = output->path = path;
		output->fd = open_file(path, O_EXCL);
		output->created = output->fd >= 0;
		if (output->fd == -EEXIST)
			output->fd = open_file(path, 0);
		if (output->fd < 0)
			return output->fd;
	}
	look(output);
	return 0;
}

static bool is_another_file(int a, int b)
{
	struct stat one, other;

	return !fstat(a, &one) && !fstat(b, &other) && !is_same_file(&one, &other);
}

int log_file_reopen(struct log_file *output)
{
	int fd, another;

	if (!output->path)
		return 0;
	fd = open_file(output->path, 0);
	if (fd < 0)
		return fd;
	another = is_another_file(fd, output->fd);
	close(output->fd);
	output->fd = fd;
	look(output);
	return another;
}

void log_file_close(struct log_file *output)
{
	if (output->path)
		close(output->fd);
	output->fd = -1;
}

/* Returns 0, -EAGAIN where there is no room in time, or another negative errno. */
static int wait_for_room(int fd, int timeout_ms)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};
	int ready = poll(&room, 1, timeout_ms);

	if (ready < 0 && errno != EINTR)
		return -errno;
	return ready > 0 ? 0 : -EAGAIN;
}

/* A pipe that has room has it for PIPE_BUF bytes at least (pipe(7)): so a write of no more does not block. Where nobody
 * knows whether it has, nothing is written. */
ssize_t log_file_write(const struct log_file *output, const char *bytes, size_t size, int timeout_ms)
{
	ssize_t written;
	int error = output->bulk ? 0 : wait_for_room(output->fd, timeout_ms);

	if (error)
		return error;
	if (!output->bulk && size > PIPE_BUF)
		size = PIPE_BUF;
	written = write(output->fd, bytes, size);
	if (written < 0)
		return errno == EINTR ? 0 : -errno;
	return written;
}
