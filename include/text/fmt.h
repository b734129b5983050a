/* Formats numbers without printf(3), for text that is written per datagram. The caller provides enough space. Each
 * function returns the end of what it wrote and does not write a NUL. */
#ifndef UDPRELAYD_TEXT_FMT_H
#define UDPRELAYD_TEXT_FMT_H

#include <stdint.h>

/* Writes the lowest decimal digits of the value, padded with zeros. */
static inline char *fmt_u32_padded(char *out, uint32_t value, int digits)
{
	for (int i = digits; i--; value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + digits;
}

/* Writes the value like %u of printf(3), at most 10 bytes. */
static inline char *fmt_u32(char *out, uint32_t value)
{
	int digits = 1;

	for (uint32_t left = value; left >= 10; left /= 10)
		digits++;
	return fmt_u32_padded(out, value, digits);
}

/* Writes the lowest hexadecimal digits of the value, at most 8, padded with zeros. */
static inline char *fmt_hex(char *out, uint32_t value, int digits)
{
	for (int i = digits; i--;)
		*out++ = "0123456789abcdef"[value >> (4 * i) & 15];
	return out;
}

#endif
