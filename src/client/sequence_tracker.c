#include "client/sequence_tracker.h"

static bool get(const struct tracker *tracker, uint64_t seq)
{
	uint64_t bit = seq % TRACKER_WINDOW;

	return tracker->seen[bit / 64] >> (bit % 64) & 1;
}

static void set(struct tracker *tracker, uint64_t seq, bool seen)
{
	uint64_t bit = seq % TRACKER_WINDOW;
	uint64_t mask = UINT64_C(1) << (bit % 64);

	if (seen)
		tracker->seen[bit / 64] |= mask;
	else
		tracker->seen[bit / 64] &= ~mask;
}

void tracker_see(struct tracker *tracker, uint64_t seq, struct tally *tally)
{
	if (seq >= tracker->next) {
		uint64_t skipped = seq - tracker->next;

		for (uint64_t i = skipped < TRACKER_WINDOW ? tracker->next : seq - TRACKER_WINDOW; i < seq; i++)
			set(tracker, i, false);
		set(tracker, seq, true);
		tracker->next = seq + 1;
		tally->received++;
	} else if (tracker->next - seq > TRACKER_WINDOW || get(tracker, seq)) {
		tally->duplicated++;
	} else {
		set(tracker, seq, true);
		tally->received++;
		tally->reordered++;
	}
}
