/* Charsets as Python has them, on top of iconv(3).
 *
 * glibc's tables follow vendors, Python's follow unicode.org: for a few charsets they differ in some characters and in
 * what they refuse. What is different is told here, as ranges found by comparing every code of both. */
#ifndef UDPRELAYD_CHARSET_H
#define UDPRELAYD_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum charset_kind {
	CHARSET_UTF8,
	CHARSET_UTF16, /* a byte order mark, or else the machine's order */
	CHARSET_UTF16LE, /* no mark */
	CHARSET_UTF16BE,
	CHARSET_HEX, /* two digits a byte: decodes anything, encodes nothing */
	CHARSET_ICONV, /* iconv knows it */
};

/* Code points that are glibc's on the left and Python's on the right, count of them in a row. */
struct charset_swap {
	uint32_t glibc, python;
	uint32_t count;
};

/* Two-byte codes that glibc takes and Python does not. A single byte b is 0x100 * b to 0x100 * b + 0xff. */
struct charset_refusal {
	uint16_t first, last;
};

struct charset {
	enum charset_kind kind;
	const char *iconv_name;
	bool double_byte; /* a byte from 0x80 on begins a code of two; singles excepted */
	bool four_byte; /* or of four, where the second is a digit (GB18030) */
	uint8_t single[2]; /* single bytes, from and to, beyond ASCII (Shift JIS) */
	const struct charset_swap *swaps;
	size_t swap_count;
	bool mutual; /* the swapped code points stand for each other; else Python has both for one code */
	const struct charset_refusal *refusals;
	size_t refusal_count;
};

/* Finds a charset by the name that a user wrote, "hex" among them. Letters' case, and whether words are joined by '-',
 * by '_' or not at all, makes no difference to the names that Python has. Returns false for an unknown name. */
bool charset_find(const char *name, struct charset *charset);

/* Python's code point for what glibc decoded, and the other way round. */
uint32_t charset_to_python(const struct charset *charset, uint32_t c);
uint32_t charset_to_glibc(const struct charset *charset, uint32_t c);

/* Bytes from the beginning that hold no refused code; all of them, as a rule. */
size_t charset_accepted(const struct charset *charset, const uint8_t *bytes, size_t size);

/* Whether the bytes, left of them, begin a code that goes on beyond them, as Python sees it. */
bool charset_unfinished(const struct charset *charset, const uint8_t *bytes, size_t left);

#endif
