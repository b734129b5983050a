/* Clocks, deadlines and the text of a time. */
#ifndef UDPRELAYD_BASE_CLOCK_H
#define UDPRELAYD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Size of "2026-11-22T10:42:00.123456Z", including the NUL. */
#define CLOCK_TEXT_MAX 28

/* Microseconds since 1970, UTC. */
static inline uint64_t clock_wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Microseconds and milliseconds of CLOCK_MONOTONIC. They never go back. */
static inline uint64_t clock_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline uint64_t clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* Blocks the calling thread for at least ms milliseconds. Do not call it in the thread of an event loop. */
void clock_sleep_ms(uint64_t ms);

/* Returns the time of CLOCK_MONOTONIC in ms milliseconds, for calls such as pthread_cond_clockwait(3). */
struct timespec clock_deadline(uint64_t ms);

/* Writes a time in UTC with microseconds (RFC 3339), for years from 1970 to 9999. Returns text. */
char *clock_format(uint64_t wall_us, char text[CLOCK_TEXT_MAX]);

#endif
