#include "base/fd_limit.h"

#include <sys/resource.h>

/* Up to the hard limit everybody may go; beyond it, who has CAP_SYS_RESOURCE. */
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
