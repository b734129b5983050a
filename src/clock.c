#include "clock.h"

uint64_t clock_wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct timespec clock_deadline(uint64_t ms)
{
	struct timespec deadline;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += (time_t)(ms / 1000);
	deadline.tv_nsec += (long)(ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	return deadline;
}

static char *put_digits(char *out, unsigned value, int digits, char after)
{
	for (int i = digits; i--; value /= 10)
		out[i] = (char)('0' + value % 10);
	out[digits] = after;
	return out + digits + 1;
}

char *clock_format(uint64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char *out = text;

	gmtime_r(&seconds, &tm);
	out = put_digits(out, (unsigned)tm.tm_year + 1900, 4, '-');
	out = put_digits(out, (unsigned)tm.tm_mon + 1, 2, '-');
	out = put_digits(out, (unsigned)tm.tm_mday, 2, 'T');
	out = put_digits(out, (unsigned)tm.tm_hour, 2, ':');
	out = put_digits(out, (unsigned)tm.tm_min, 2, ':');
	out = put_digits(out, (unsigned)tm.tm_sec, 2, '.');
	out = put_digits(out, (unsigned)(wall_us % 1000000), 6, 'Z');
	*out = '\0';
	return text;
}
