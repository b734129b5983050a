/* The time of day and how it is written. */
#ifndef UDPRELAYD_BASE_CLOCK_H
#define UDPRELAYD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* "2026-11-22T10:42:00.123456Z" and its NUL. */
#define CLOCK_TEXT_MAX 28

/* Microseconds since 1970, UTC. */
uint64_t clock_wall_us(void);

/* Micro- and milliseconds that only go forward. */
uint64_t clock_monotonic_us(void);
uint64_t clock_monotonic_ms(void);

/* Blocks the calling thread, which must not be a loop that others wait for. */
void clock_sleep_ms(uint64_t ms);

/* That many milliseconds from now, for calls that wait until a time of CLOCK_MONOTONIC. */
struct timespec clock_deadline(uint64_t ms);

/* Writes the time in UTC with microseconds (RFC 3339); years from 1970 to 9999. Returns text. */
char *clock_format(uint64_t wall_us, char text[CLOCK_TEXT_MAX]);

#endif
