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

bool probe_read(const void *data, size_t size, uint32_t run_id, struct probe *probe)
{
	if (size < PROBE_SIZE)
		return false;
	memcpy(probe, data, PROBE_SIZE);
	return probe->run_id == run_id;
}

uint64_t probe_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint32_t probe_new_run_id(void)
{
	uint32_t run_id;

	if (getrandom(&run_id, sizeof(run_id), 0) != sizeof(run_id))
		abort();
	return run_id;
}

/* --- Sequence numbers --- */

static bool sequence_tracker_contains(const struct sequence_tracker *tracker, uint64_t seq)
{
	uint64_t bit = seq % SEQUENCE_TRACKER_WINDOW;

	return tracker->seen[bit / 64] >> (bit % 64) & 1;
}

static void sequence_tracker_mark(struct sequence_tracker *tracker, uint64_t seq, bool seen)
{
	uint64_t bit = seq % SEQUENCE_TRACKER_WINDOW;
	uint64_t mask = UINT64_C(1) << (bit % 64);

	if (seen)
		tracker->seen[bit / 64] |= mask;
	else
		tracker->seen[bit / 64] &= ~mask;
}

void sequence_tracker_add(struct sequence_tracker *tracker, uint64_t seq, struct delivery_counts *counts)
{
	if (seq >= tracker->next) {
		uint64_t skipped = seq - tracker->next;

		for (uint64_t i = skipped < SEQUENCE_TRACKER_WINDOW ? tracker->next : seq - SEQUENCE_TRACKER_WINDOW;
		     i < seq; i++)
			sequence_tracker_mark(tracker, i, false);
		sequence_tracker_mark(tracker, seq, true);
		tracker->next = seq + 1;
		counts->received++;
	} else if (tracker->next - seq > SEQUENCE_TRACKER_WINDOW || sequence_tracker_contains(tracker, seq)) {
		counts->duplicated++;
	} else {
		sequence_tracker_mark(tracker, seq, true);
		counts->received++;
		counts->reordered++;
	}
}
