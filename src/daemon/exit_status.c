#include "daemon/exit_status.h"

#include <errno.h>
#include <sysexits.h>

int exit_status(int error)
{
	switch (-error) {
	case 0:
		return 0;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	/* A socket that systemd did not pass. When its unit starts, a datagram starts the daemon again. */
	case EBADF:
		return EX_CONFIG;
	/* A missing address or interface. */
	case EADDRNOTAVAIL:
	case ENODEV:
		return EX_UNAVAILABLE;
	/* A socket path or a log file in a missing, read-only or wrong directory. */
	case EEXIST:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENOENT:
	case ENOTDIR:
	case EROFS:
		return EX_CANTCREAT;
	default:
		return 1;
	}
}
