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

void systemd_notify_reloading(void)
{
}

#endif
