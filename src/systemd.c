#include "systemd.h"

#include "build_config.h"

#if HAVE_LIBSYSTEMD

#include <systemd/sd-daemon.h>

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

#endif
