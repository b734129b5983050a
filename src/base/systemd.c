#include "base/systemd.h"

#include <stdlib.h>

#include "build_config.h"

/* sd_notify(3) defines the variable. A build without libsystemd can also be started by systemd. */
bool systemd_is_manager(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

#if HAVE_LIBSYSTEMD

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

bool systemd_is_built_in(void)
{
	return true;
}

void systemd_notify_ready(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void systemd_notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=ending");
}

uint64_t systemd_watchdog_ms(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(0, &us) > 0 ? us / 1000 : 0;
}

void systemd_notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

static struct {
	int count; /* or a negative errno */
	char **names;
} claimed_fds;

void systemd_claim_fds(void)
{
	claimed_fds.count = sd_listen_fds_with_names(1, &claimed_fds.names);
}

int systemd_listen_fds(int *first, char ***names)
{
	int count = claimed_fds.count;

	*first = SD_LISTEN_FDS_START;
	*names = count > 0 ? claimed_fds.names : NULL;
	claimed_fds.count = 0;
	return count;
}

/* FDPOLL=0 stops systemd from polling the stored socket. Otherwise systemd removes the socket after its first error,
 * for example an ICMP error. */
bool systemd_store_add(const char *name, int fd)
{
	char text[512];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return sd_pid_notify_with_fds(0, 0, text, &fd, 1) > 0;
}

void systemd_store_remove(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* With Type=notify-reload, systemd ignores this message if its time is earlier than that of the reload signal. */
void systemd_notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=loading the configuration",
		   clock_monotonic_us());
}

#else

#include <stddef.h>

void systemd_claim_fds(void)
{
}

int systemd_listen_fds(int *first, char ***names)
{
	*first = 0;
	*names = NULL;
	return 0;
}

bool systemd_store_add(const char *name, int fd)
{
	(void)name;
	(void)fd;
	return false;
}

void systemd_store_remove(const char *name)
{
	(void)name;
}

bool systemd_is_built_in(void)
{
	return false;
}

void systemd_notify_ready(const char *status)
{
	(void)status;
}

void systemd_notify_stopping(void)
{
}

uint64_t systemd_watchdog_ms(void)
{
	return 0;
}

void systemd_notify_watchdog(void)
{
}

void systemd_notify_reloading(void)
{
}

#endif
