#include "guard/hop_limit.h"

#include <string.h>

/* The steps for a number of copies, with the largest first; 0 is the end. With n steps and c copies, a datagram that
 * comes back from every peer causes c + c^2 + ... + c^n copies. */
struct hop_limit_steps {
	size_t copies_max;
	uint8_t steps[9];
};

static const struct hop_limit_steps hop_limit_table[] = {
	{1, {60, 48, 36, 28, 20, 14, 8, 4, 0}}, /* 8 copies */
	{2, {60, 48, 36, 28, 20, 12, 6, 0}}, /* 254 */
	{3, {60, 40, 24, 10, 0}}, /* 120 */
	{5, {60, 32, 12, 0}}, /* at most 155 */
	{15, {60, 16, 0}}, /* at most 240 */
	{SIZE_MAX, {16, 0}}, /* a datagram is sent on once */
};

static const uint8_t *hop_limit_steps(size_t copies)
{
	const struct hop_limit_steps *row = hop_limit_table;

	while (copies > row->copies_max)
		row++;
	return row->steps;
}

uint8_t hop_limit_next(uint8_t received, size_t copies)
{
	const uint8_t *step = hop_limit_steps(copies);

	while (*step && received && *step >= received)
		step++;
	return *step;
}

size_t hop_limit_values(size_t copies)
{
	return strlen((const char *)hop_limit_steps(copies)) + 1;
}
