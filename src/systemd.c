#include "systemd.h"

#include "build_config.h"

#if HAVE_LIBSYSTEMD

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "clock.h"

bool systemd_built_in(void)
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

/* systemd compares the time with that of its own signal (Type=notify-reload). */
void systemd_notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "000\nSTATUS=loading the configuration",
		   clock_monotonic_ms());
}

#else

bool systemd_built_in(void)
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
