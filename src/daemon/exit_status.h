/* The exit status of a daemon that cannot start. */
#ifndef UDPRELAYD_DAEMON_EXIT_STATUS_H
#define UDPRELAYD_DAEMON_EXIT_STATUS_H

/* Returns the exit status for 0 or a negative errno of the start. The systemd unit restarts the daemon after
 * EX_UNAVAILABLE and 1, because an address, an interface or a port may become available. It does not restart after
 * EX_NOPERM, EX_CANTCREAT and EX_CONFIG: an administrator has to change something. */
int exit_status(int error);

#endif
