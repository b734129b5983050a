/* Text into a buffer that has room for it: each call returns the end of what it wrote, without a NUL. */
#ifndef UDPRELAYD_TEXT_FMT_H
#define UDPRELAYD_TEXT_FMT_H

#include <stdint.h>

/* The last digits decimal digits of the value, zeros in front. */
static inline char *fmt_u32_padded(char *out, uint32_t value, int digits)
{
	for (int i = digits; i--; value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + digits;
}

/* As printf(3) with %u. */
static inline char *fmt_u32(char *out, uint32_t value)
{
	int digits = 1;

	for (uint32_t left = value; left >= 10; left /= 10)
		digits++;
	return fmt_u32_padded(out, value, digits);
}

/* The last digits hexadecimal digits of the value. */
static inline char *fmt_hex(char *out, uint32_t value, int digits)
{
	for (int i = digits; i--;)
		*out++ = "0123456789abcdef"[value >> (4 * i) & 15];
	return out;
}

#endif
