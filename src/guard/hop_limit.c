#include "guard/hop_limit.h"

/* The hop limits that are sent, and the budget that each one stands for. Between two of them, routers decrease a hop
 * limit without effect. The last one is wide, for the way from the first forward to the second. */
struct hop_limit_level {
	uint8_t hop_limit;
	uint8_t budget;
};

static const struct hop_limit_level hop_limit_levels[] = {
	{16, 0}, {20, 3}, {24, 6}, {28, 15}, {32, 36}, {36, 75}, {40, 127}, {HOP_LIMIT_MAX, 255},
};

#define LEVELS (sizeof(hop_limit_levels) / sizeof(hop_limit_levels[0]))

/* The largest budget that is passed on if the received hop limit is unknown. */
#define UNKNOWN_BUDGET 15

static size_t hop_limit_budget(uint8_t received)
{
	size_t budget = HOP_LIMIT_BUDGET;

	for (size_t i = LEVELS; received && i-- > 0 && received <= hop_limit_levels[i].hop_limit;)
		budget = hop_limit_levels[i].budget;
	return budget;
}

uint8_t hop_limit_next(uint8_t received, size_t copies)
{
	size_t budget = hop_limit_budget(received);

	for (size_t i = LEVELS; i-- > 0;) {
		const struct hop_limit_level *level = &hop_limit_levels[i];

		if (copies * (1 + level->budget) <= budget && (received || level->budget <= UNKNOWN_BUDGET))
			return level->hop_limit;
	}
	return budget == HOP_LIMIT_BUDGET ? hop_limit_levels[0].hop_limit : 0;
}

/* A larger hop limit never has a smaller result, so equal results are adjacent. */
size_t hop_limit_values(size_t copies)
{
	size_t count = 1; /* for an unknown hop limit */
	int last = -1;

	for (unsigned received = 1; received <= UINT8_MAX; received++) {
		int next = hop_limit_next((uint8_t)received, copies);

		count += next != last;
		last = next;
	}
	return count;
}
