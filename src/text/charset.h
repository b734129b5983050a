/* Charsets with Python's conversion tables, built on iconv(3).
 *
 * glibc's tables follow the vendors, Python's tables follow unicode.org. For a few charsets they map some codes
 * differently, or one of them refuses a code that the other accepts. This module lists such codes as overrides with
 * Python's mapping. An override applies even if the installed glibc has the same mapping: glibc changed its GB18030
 * with the editions of the standard. */
#ifndef UDPRELAYD_TEXT_CHARSET_H
#define UDPRELAYD_TEXT_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum charset_kind {
	CHARSET_UTF8,
	CHARSET_UTF16, /* with a byte order mark; little endian if the mark is missing */
	CHARSET_UTF16LE, /* without a byte order mark */
	CHARSET_UTF16BE, /* without a byte order mark */
	CHARSET_HEX, /* two hexadecimal digits per byte; decodes any bytes, cannot encode */
	CHARSET_ICONV, /* converted by iconv(3), except for the overrides */
};

#define CHARSET_NONE 0

/* Maps count consecutive codes, starting at code, to as many consecutive characters, starting at character. The mapping
 * applies in both directions. If several overrides of a charset match, the first one applies. */
struct charset_override {
	uint32_t code; /* the bytes of the code in big endian order; CHARSET_NONE: the characters cannot be encoded */
	uint32_t character; /* CHARSET_NONE: the codes cannot be decoded */
	uint32_t count; /* the codes differ only in the last byte */
};

/* Owns no memory: charset_find() fills it with pointers to static tables and to the caller's name. */
struct charset {
	enum charset_kind kind;
	const char *iconv_name; /* NULL unless the kind is CHARSET_ICONV */
	bool double_byte; /* a byte from 0x80 on starts a two-byte code, unless it is in the range single */
	bool four_byte; /* a code has four bytes if its second byte is a digit (GB18030) */
	uint8_t single[2]; /* first and last of the single-byte codes beyond ASCII (Shift JIS) */
	const struct charset_override *overrides;
	size_t override_count;
	uint64_t override_leads[4]; /* one bit for each byte value that starts the code of an override */
};

/* Finds a charset by its name in the configuration; "hex" is accepted. For the names that Python has, the comparison
 * ignores the case of letters and the separators '-' and '_'. Any other name of at most 40
 * letters, digits and "-_.:()+" is passed to iconv(3) as it is; *charset then points to name, which the caller must
 * keep. Returns false for an unknown name. */
bool charset_find(const char *name, struct charset *charset);

/* Returns true if iconv(3) converts this charset in both directions. */
bool charset_has_module(const char *iconv_name);

/* Returns how many of the leading bytes iconv(3) decodes, or refuses to decode, exactly as Python does. The result is 0
 * if the first code has an override or is incomplete. One call examines a limited number, so more may follow. */
size_t charset_iconv_prefix(const struct charset *charset, const uint8_t *bytes, size_t size);

/* Returns true if the code that starts at bytes has more than left bytes, as Python computes its length. left is at
 * least 1. */
bool charset_is_incomplete(const struct charset *charset, const uint8_t *bytes, size_t left);

/* Looks up the complete code at bytes in the overrides and stores its character in *c. Returns the length of the code,
 * 0 if there is no override, or -1 if an override says that the code cannot be decoded. */
int charset_decode_override(const struct charset *charset, const uint8_t *bytes, size_t left, uint32_t *c);

/* Looks up a character in the overrides and stores its code. Returns the length of the code, 0 if there is no override,
 * or -1 if an override says that the character cannot be encoded. After a result of 0 the caller must check the code
 * that iconv(3) produces with charset_iconv_prefix(): an override may map that code to another character. */
int charset_encode_override(const struct charset *charset, uint32_t c, uint8_t code[4]);

#endif
