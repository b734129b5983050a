/* Charsets as Python has them, on top of iconv(3).
 *
 * glibc's tables follow vendors, Python's follow unicode.org: for a few charsets they differ in some codes, and in what
 * they refuse. Those codes are told here, by what Python makes of them and whatever glibc does: its GB18030 changed
 * with the standard's editions. */
#ifndef UDPRELAYD_TEXT_CHARSET_H
#define UDPRELAYD_TEXT_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum charset_kind {
	CHARSET_UTF8,
	CHARSET_UTF16, /* a byte order mark, or else little endian */
	CHARSET_UTF16LE, /* no mark */
	CHARSET_UTF16BE,
	CHARSET_HEX, /* two digits a byte: decodes anything, encodes nothing */
	CHARSET_ICONV, /* iconv knows it */
};

#define CHARSET_NONE 0

/* What Python makes of some codes: count of them from code on are as many characters from c on, both ways. The first
 * rule of a charset that holds a code, or a character, counts. */
struct charset_rule {
	uint32_t code; /* its bytes, the first the highest; CHARSET_NONE: the characters cannot be encoded */
	uint32_t c; /* CHARSET_NONE: the codes cannot be decoded */
	uint32_t count; /* they differ in the last byte only */
};

struct charset {
	enum charset_kind kind;
	const char *iconv_name;
	bool double_byte; /* a byte from 0x80 on begins a code of two; singles excepted */
	bool four_byte; /* or of four, where the second is a digit (GB18030) */
	uint8_t single[2]; /* single bytes, from and to, beyond ASCII (Shift JIS) */
	const struct charset_rule *rules;
	size_t rule_count;
	uint64_t override[4]; /* a bit for each byte that a code of the rules begins with */
};

/* Finds a charset by the name that a user wrote, "hex" among them. Letters' case, and whether words are joined by '-',
 * by '_' or not at all, makes no difference to the names that Python has. Returns false for an unknown name. */
bool charset_find(const char *name, struct charset *charset);

/* Bytes from the beginning that glibc decodes, or refuses to decode, as Python does: none where a rule holds the first
 * code or where it is unfinished. There may be more behind them. */
size_t charset_plain(const struct charset *charset, const uint8_t *bytes, size_t size);

/* Whether the bytes, left of them and at least one, begin a code that goes on beyond them, as Python sees it. */
bool charset_unfinished(const struct charset *charset, const uint8_t *bytes, size_t left);

/* What the rules say of the code at bytes, which is not unfinished. Returns its length, 0 where they say nothing of it,
 * or -1 where it cannot be decoded. */
int charset_decode(const struct charset *charset, const uint8_t *bytes, size_t left, uint32_t *c);

/* What the rules say of a character. Returns the length of its code, 0 where they say nothing of it, or -1 where it
 * cannot be encoded. A code that glibc has for it does not count where a rule holds that code: see charset_plain(). */
int charset_encode(const struct charset *charset, uint32_t c, uint8_t code[4]);

#endif
