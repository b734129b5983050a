#include "base/clock.h"

#include <errno.h>

#include "text/fmt.h"

void clock_sleep_ms(uint64_t ms)
{
	struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
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

static char *format_field(char *out, unsigned value, int digits, char separator)
{
	out = fmt_u32_padded(out, value, digits);
	*out++ = separator;
	return out;
}

struct date {
	uint32_t year, month, day;
};

/* Converts days since 1970-01-01 to a date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). An era has 400
 * years. Years start in March here, so that a leap day is the last day of a year. */
static struct date date_from_days(uint32_t days)
{
	uint32_t shifted = days + 719468, era = shifted / 146097, day_of_era = shifted % 146097;
	uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint32_t month = (5 * day_of_year + 2) / 153;
	struct date date = {.year = year_of_era + era * 400, .day = day_of_year - (153 * month + 2) / 5 + 1};

	date.month = month < 10 ? month + 3 : month - 9;
	date.year += date.month <= 2;
	return date;
}

/* Does not use gmtime_r(3), which takes longer than all other fixed parts of a datagram record together. */
char *clock_format(uint64_t wall_us, char text[CLOCK_TEXT_MAX])
{
	uint64_t seconds = wall_us / 1000000;
	uint32_t second_of_day = (uint32_t)(seconds % 86400);
	struct date date = date_from_days((uint32_t)(seconds / 86400));
	char *out = text;

	out = format_field(out, date.year, 4, '-');
	out = format_field(out, date.month, 2, '-');
	out = format_field(out, date.day, 2, 'T');
	out = format_field(out, second_of_day / 3600, 2, ':');
	out = format_field(out, second_of_day / 60 % 60, 2, ':');
	out = format_field(out, second_of_day % 60, 2, '.');
	out = format_field(out, (uint32_t)(wall_us % 1000000), 6, 'Z');
	*out = '\0';
	return text;
}
