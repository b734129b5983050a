#include "text/charset.h"

#include <ctype.h>
#include <iconv.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME_MAX_LENGTH 40

#define NONE CHARSET_NONE

/* Bytes that one call of charset_iconv_prefix() examines. The codec calls it again after each error, so this limits the
 * cost of a payload in which every byte is an error. */
#define WINDOW 64

/* Python implements the edition of 2000. In later editions, which glibc follows, some characters moved from four-byte
 * codes to two-byte codes that had stood for the private use area. */
static const struct charset_override gb18030_overrides[] = {
	{0xa6d9, 0xe78d, 7},      {0xa6ec, 0xe794, 2},      {0xa6f3, 0xe796, 1},      {0xa8bc, 0xe7c7, 1},
	{0xfe51, 0xe816, 3},      {0xfe59, 0xe81e, 1},      {0xfe61, 0xe826, 1},      {0xfe66, 0xe82b, 2},
	{0xfe6c, 0xe831, 2},      {0xfe76, 0xe83b, 1},      {0xfe7e, 0xe843, 1},      {0xfe90, 0xe854, 2},
	{0xfea0, 0xe864, 1},      {0x8135f437, 0x1e3f, 1},  {0x82359037, 0x9fb4, 3},  {0x82359130, 0x9fb7, 5},
	{0x84318236, 0xfe10, 4},  {0x84318330, 0xfe14, 6},  {0x95329031, 0x20087, 1}, {0x95329033, 0x20089, 1},
	{0x95329730, 0x200cc, 1}, {0x9536b937, 0x215d7, 1}, {0x9630ba35, 0x2298f, 1}, {0x9635b630, 0x241fe, 1},
};

/* Three groups: some punctuation; the kana, Cyrillic letters and circled numbers of C6A1 to C7FC, which glibc maps to
 * the private use area; and vendor extensions, which Python refuses. */
static const struct charset_override big5_overrides[] = {
	{0x8000, NONE, 256},  {0xa145, 0x2022, 1},  {0xa14e, 0xff64, 1},  {0xa1c2, 0x203e, 1},  {0xa1e3, 0x223c, 1},
	{0xa1f2, 0x2641, 1},  {0xa1f3, 0x2609, 1},  {0xa241, 0xff0f, 1},  {0xa242, 0xff3c, 1},  {0xa244, 0xa5, 1},
	{0xa246, 0xa2, 2},    {0xa3e1, NONE, 1},    {0xc6a1, 0x30fe, 1},  {0xc6a2, 0x309d, 2},  {0xc6a4, 0x3005, 1},
	{0xc6a5, 0x3041, 83}, {0xc6f8, 0x30a1, 7},  {0xc740, 0x30a8, 63}, {0xc7a1, 0x30e7, 16}, {0xc7b1, 0x414, 2},
	{0xc7b3, 0x401, 1},   {0xc7b4, 0x416, 7},   {0xc7bb, 0x423, 19},  {0xc7ce, 0x451, 1},   {0xc7cf, 0x436, 26},
	{0xc7e9, 0x2460, 10}, {0xc7f3, 0x2474, 10}, {0xc7fd, NONE, 2},    {0xc840, NONE, 191},  {0xf9d6, NONE, 41},
};

/* Python refuses 0x80. Microsoft and glibc decode a single 0x80 as the euro sign. */
static const struct charset_override gbk_overrides[] = {{0x8000, NONE, 256}};

/* JIS X 0201 has the yen sign and the overline where ASCII has the backslash and the tilde. Python decodes these codes
 * as ASCII and encodes all four characters. Python does not encode the full-width cent, pound and not signs; glibc
 * does. */
static const struct charset_override shift_jis_overrides[] = {
	{0x5c, 0x5c, 1}, {0x7e, 0x7e, 1}, {0x5c, 0xa5, 1}, {0x7e, 0x203e, 1}, {NONE, 0xffe0, 3},
};

static const struct {
	const char *names; /* normalized by normalize_name(), each between two blanks */
	struct charset charset;
} known_charsets[] = {
	{" utf8 u8 ", {.kind = CHARSET_UTF8}},
	{" utf16 u16 ", {.kind = CHARSET_UTF16}},
	{" utf16le ", {.kind = CHARSET_UTF16LE}},
	{" utf16be ", {.kind = CHARSET_UTF16BE}},
	{" hex ", {.kind = CHARSET_HEX}},
	{" latin1 iso88591 l1 8859 ", {.kind = CHARSET_ICONV, .iconv_name = "ISO-8859-1"}},
	{" ascii usascii 646 ", {.kind = CHARSET_ICONV, .iconv_name = "ASCII"}},
	{" gbk cp936 936 ms936 ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "GBK",
	  .double_byte = true,
	  .overrides = gbk_overrides,
	  .override_count = COUNT(gbk_overrides)}},
	{" gb18030 gb180302000 ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "GB18030",
	  .double_byte = true,
	  .four_byte = true,
	  .overrides = gb18030_overrides,
	  .override_count = COUNT(gb18030_overrides)}},
	{" big5 big5tw csbig5 ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "BIG5",
	  .double_byte = true,
	  .overrides = big5_overrides,
	  .override_count = COUNT(big5_overrides)}},
	{" shiftjis sjis csshiftjis ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "SJIS",
	  .double_byte = true,
	  .single = {0xa1, 0xdf},
	  .overrides = shift_jis_overrides,
	  .override_count = COUNT(shift_jis_overrides)}},
};

/* Writes the letters in lower case and the digits of a name between two blanks; removes '-', '_', '.', ':', '(', ')'
 * and '+'. Returns false for a name with any other character, without letters and digits, or longer than
 * NAME_MAX_LENGTH. So a slash is rejected: iconv_open(3) reads options after it. */
static bool normalize_name(const char *name, char normalized[NAME_MAX_LENGTH + 3])
{
	size_t length = 0;

	if (!*name || strlen(name) > NAME_MAX_LENGTH)
		return false;
	normalized[length++] = ' ';
	for (; *name; name++) {
		if (isalnum((unsigned char)*name))
			normalized[length++] = (char)tolower((unsigned char)*name);
		else if (!strchr("-_.:()+", *name))
			return false;
	}
	normalized[length++] = ' ';
	normalized[length] = '\0';
	return length > 2;
}

bool charset_has_module(const char *name)
{
	iconv_t decoder = iconv_open("UTF-8", name);
	iconv_t encoder = iconv_open(name, "UTF-8");
	bool both = decoder != (iconv_t)-1 && encoder != (iconv_t)-1;

	if (decoder != (iconv_t)-1)
		iconv_close(decoder);
	if (encoder != (iconv_t)-1)
		iconv_close(encoder);
	return both;
}

static uint8_t lead_byte(uint32_t code)
{
	return (uint8_t)(code > 0xffff ? code >> 24 : code > 0xff ? code >> 8 : code);
}

static void index_override_leads(struct charset *charset)
{
	for (size_t i = 0; i < charset->override_count; i++) {
		uint8_t lead = lead_byte(charset->overrides[i].code);

		if (charset->overrides[i].code != NONE)
			charset->override_leads[lead / 64] |= UINT64_C(1) << (lead % 64);
	}
}

bool charset_find(const char *name, struct charset *charset)
{
	char normalized[NAME_MAX_LENGTH + 3];

	if (!normalize_name(name, normalized))
		return false;
	for (size_t i = 0; i < COUNT(known_charsets); i++) {
		if (strstr(known_charsets[i].names, normalized)) {
			*charset = known_charsets[i].charset;
			index_override_leads(charset);
			return true;
		}
	}
	*charset = (struct charset){.kind = CHARSET_ICONV, .iconv_name = name};
	return charset_has_module(name);
}

/* Returns the length of the code at bytes, which Python derives from its first bytes. The code may be invalid, and it
 * may be longer than left. */
static size_t code_length(const struct charset *charset, const uint8_t *bytes, size_t left)
{
	if (bytes[0] < 0x80 || (bytes[0] >= charset->single[0] && bytes[0] <= charset->single[1]))
		return 1;
	return charset->four_byte && left > 1 && isdigit(bytes[1]) ? 4 : 2;
}

static bool may_have_override(const struct charset *charset, uint8_t lead)
{
	return charset->override_leads[lead / 64] >> (lead % 64) & 1;
}

int charset_decode_override(const struct charset *charset, const uint8_t *bytes, size_t left, uint32_t *c)
{
	size_t length = code_length(charset, bytes, left);
	uint32_t code = 0;

	if (!may_have_override(charset, bytes[0]))
		return 0;
	for (size_t i = 0; i < length; i++)
		code = code << 8 | bytes[i];
	for (size_t i = 0; i < charset->override_count; i++) {
		const struct charset_override *override = &charset->overrides[i];

		if (override->code == NONE || code - override->code >= override->count)
			continue;
		*c = override->character + (code - override->code);
		return override->character == NONE ? -1 : (int)length;
	}
	return 0;
}

int charset_encode_override(const struct charset *charset, uint32_t c, uint8_t code[4])
{
	for (size_t i = 0; i < charset->override_count; i++) {
		const struct charset_override *override = &charset->overrides[i];
		uint32_t value = override->code + (c - override->character);
		int length = value > 0xffff ? 4 : value > 0xff ? 2 : 1;

		if (override->character == NONE || c - override->character >= override->count)
			continue;
		if (override->code == NONE)
			return -1;
		for (int k = 0; k < length; k++)
			code[k] = (uint8_t)(value >> 8 * (length - 1 - k));
		return length;
	}
	return 0;
}

size_t charset_iconv_prefix(const struct charset *charset, const uint8_t *bytes, size_t size)
{
	size_t length;

	if (!charset->double_byte)
		return size;
	if (size > WINDOW)
		size = WINDOW;
	for (size_t i = 0; i < size; i += length) {
		uint32_t c;

		length = code_length(charset, bytes + i, size - i);
		if (length > size - i || charset_decode_override(charset, bytes + i, size - i, &c))
			return i;
	}
	return size;
}

bool charset_is_incomplete(const struct charset *charset, const uint8_t *bytes, size_t left)
{
	return charset->double_byte && code_length(charset, bytes, left) > left;
}
