#include "daemon/interface_monitor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns a socket, or a negative errno. */
static int open_netlink(void)
{
	const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
					   .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), error;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&groups, sizeof(groups)))
		return fd;
	error = -errno;
	close(fd);
	return error;
}

/* Discards all messages. Lost messages (ENOBUFS) do no harm, because on_change reads all addresses again. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	const struct interface_monitor *monitor = poll->data;
	char message[4096];

	(void)status;
	(void)events;
	while (recv(monitor->fd, message, sizeof(message), 0) >= 0 || errno == ENOBUFS)
		;
	monitor->on_change(monitor->data);
}

static int open_monitor(struct interface_monitor *monitor, uv_loop_t *loop)
{
	int error;

	monitor->fd = open_netlink();
	if (monitor->fd < 0)
		return monitor->fd;
	error = uv_poll_init(loop, &monitor->poll, monitor->fd);
	if (error)
		return error;
	monitor->poll.data = monitor;
	uv_unref((uv_handle_t *)&monitor->poll);
	return uv_poll_start(&monitor->poll, UV_READABLE, on_readable);
}

void interface_monitor_start(struct interface_monitor *monitor, uv_loop_t *loop, interface_monitor_changed *on_change,
			     void *data, struct log *log)
{
	int error;

	monitor->on_change = on_change;
	monitor->data = data;
	error = open_monitor(monitor, loop);
	if (error && error != -EAFNOSUPPORT)
		log_warning(log,
			    "cannot watch the interfaces: %s: the loop guard does not know addresses that are "
			    "added later",
			    uv_strerror(error));
	on_change(data);
}

void interface_monitor_finish(struct interface_monitor *monitor)
{
	if (monitor->fd >= 0)
		close(monitor->fd);
	monitor->fd = -1;
}
