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

/* What a message says does not matter, nor what is lost: all addresses are read again. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	const struct interface_monitor *interfaces = poll->data;
	char message[4096];

	(void)status;
	(void)events;
	while (recv(interfaces->fd, message, sizeof(message), 0) >= 0 || errno == ENOBUFS)
		;
	interfaces->changed(interfaces->data);
}

static int start(struct interface_monitor *interfaces, uv_loop_t *loop)
{
	int error;

	interfaces->fd = open_netlink();
	if (interfaces->fd < 0)
		return interfaces->fd;
	error = uv_poll_init(loop, &interfaces->poll, interfaces->fd);
	if (error)
		return error;
	interfaces->poll.data = interfaces;
	uv_unref((uv_handle_t *)&interfaces->poll);
	return uv_poll_start(&interfaces->poll, UV_READABLE, on_readable);
}

void interface_monitor_start(struct interface_monitor *interfaces, uv_loop_t *loop, interface_monitor_changed *changed,
			     void *data, struct log *log)
{
	int error;

	interfaces->changed = changed;
	interfaces->data = data;
	error = start(interfaces, loop);
	if (error && error != -EAFNOSUPPORT)
		log_warning(log, "addresses that come to interfaces later are not known for our own: %s",
			    uv_strerror(error));
	changed(data);
}

void interface_monitor_finish(struct interface_monitor *interfaces)
{
	if (interfaces->fd >= 0)
		close(interfaces->fd);
	interfaces->fd = -1;
}
