#include "client/probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static_assert(sizeof(struct probe) == PROBE_SIZE, "a probe has no gaps");

void probe_write(void *data, const struct probe *probe)
{
	memcpy(data, probe, PROBE_SIZE);
}

bool probe_read(const void *data, size_t size, uint32_t run, struct probe *probe)
{
	if (size < PROBE_SIZE)
		return false;
	memcpy(probe, data, PROBE_SIZE);
	return probe->run == run;
}

uint64_t probe_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint32_t probe_new_run(void)
{
	uint32_t run;

	if (getrandom(&run, sizeof(run), 0) != sizeof(run))
		abort();
	return run;
}
