#include "base/fd_limit.h"

#include <sys/resource.h>

/* Any process may raise its soft limit up to the hard limit. Only CAP_SYS_RESOURCE permits more, and only up to
 * fs.nr_open (proc(5)). */
uint64_t fd_limit_raise(uint64_t needed)
{
	struct rlimit limit, higher;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= needed)
		return limit.rlim_cur;
	higher = (struct rlimit){needed, limit.rlim_max > needed ? limit.rlim_max : needed};
	if (!setrlimit(RLIMIT_NOFILE, &higher))
		return needed;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_max;
}
