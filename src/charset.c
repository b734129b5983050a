#include "charset.h"

#include <ctype.h>
#include <iconv.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAME_MAX_LENGTH 40

/* Python's GB18030 is of the year 2000, glibc's of 2005: what they have in common changed places with the private use
 * area. */
static const struct charset_swap gb18030_swaps[] = {
	{0xfe10, 0xe78d, 1},  {0xfe12, 0xe78e, 1},  {0xfe11, 0xe78f, 1},  {0xfe13, 0xe790, 7},  {0x1e3f, 0xe7c7, 1},
	{0x20087, 0xe816, 1}, {0x20089, 0xe817, 1}, {0x200cc, 0xe818, 1}, {0x9fb4, 0xe81e, 1},  {0x9fb5, 0xe826, 1},
	{0x9fb6, 0xe82b, 2},  {0x215d7, 0xe831, 1}, {0x9fb8, 0xe832, 1},  {0x2298f, 0xe83b, 1}, {0x9fb9, 0xe843, 1},
	{0x9fba, 0xe854, 1},  {0x241fe, 0xe855, 1}, {0x9fbb, 0xe864, 1},
};

/* Some punctuation, and the kana, Cyrillic and circled numbers of C6A1 to C7FC, which glibc has in the private use
 * area. */
static const struct charset_swap big5_swaps[] = {
	{0x2027, 0x2022, 1}, {0xfe51, 0xff64, 1},  {0xaf, 0x203e, 1},    {0xff5e, 0x223c, 1},  {0x2295, 0x2641, 1},
	{0x2299, 0x2609, 1}, {0x2215, 0xff0f, 1},  {0xfe68, 0xff3c, 1},  {0xffe5, 0xa5, 1},    {0xffe0, 0xa2, 2},
	{0xf6b1, 0x30fe, 1}, {0xf6b2, 0x309d, 2},  {0xf6b4, 0x3005, 1},  {0xf6b5, 0x3041, 83}, {0xf708, 0x30a1, 86},
	{0xf75e, 0x414, 2},  {0xf760, 0x401, 1},   {0xf761, 0x416, 7},   {0xf768, 0x423, 19},  {0xf77b, 0x451, 1},
	{0xf77c, 0x436, 26}, {0xf796, 0x2460, 10}, {0xf7a0, 0x2474, 10},
};

static const struct charset_refusal big5_refusals[] = {
	{0x8000, 0x80ff}, {0xa3e1, 0xa3e1}, {0xc7fd, 0xc7fe}, {0xc840, 0xc87e}, {0xc8a1, 0xc8fe}, {0xf9d6, 0xf9fe},
};

/* A lone 0x80 is the euro sign to Microsoft, and to glibc. */
static const struct charset_refusal gbk_refusals[] = {{0x8000, 0x80ff}};

/* JIS X 0201 has the yen sign and the overline where ASCII has backslash and tilde. */
static const struct charset_swap shift_jis_swaps[] = {{0xa5, '\\', 1}, {0x203e, '~', 1}};

static const struct {
	const char *names; /* as simplify() makes them, each between blanks */
	struct charset charset;
} known[] = {
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
	  .refusals = gbk_refusals,
	  .refusal_count = COUNT(gbk_refusals)}},
	{" gb18030 gb180302000 ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "GB18030",
	  .double_byte = true,
	  .four_byte = true,
	  .swaps = gb18030_swaps,
	  .swap_count = COUNT(gb18030_swaps),
	  .mutual = true}},
	{" big5 big5tw csbig5 ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "BIG5",
	  .double_byte = true,
	  .swaps = big5_swaps,
	  .swap_count = COUNT(big5_swaps),
	  .mutual = true,
	  .refusals = big5_refusals,
	  .refusal_count = COUNT(big5_refusals)}},
	{" shiftjis sjis csshiftjis ",
	 {.kind = CHARSET_ICONV,
	  .iconv_name = "SJIS",
	  .double_byte = true,
	  .single = {0xa1, 0xdf},
	  .swaps = shift_jis_swaps,
	  .swap_count = COUNT(shift_jis_swaps)}},
};

/* Small letters and digits, between two blanks. Returns false where the name has anything else but '-', '_', '.', ':',
 * '(', ')' and '+', or is too long: iconv_open(3) would take options behind a slash. */
static bool simplify(const char *name, char simple[NAME_MAX_LENGTH + 3])
{
	size_t length = 0;

	if (!*name || strlen(name) > NAME_MAX_LENGTH)
		return false;
	simple[length++] = ' ';
	for (; *name; name++) {
		if (isalnum((unsigned char)*name))
			simple[length++] = (char)tolower((unsigned char)*name);
		else if (!strchr("-_.:()+", *name))
			return false;
	}
	simple[length++] = ' ';
	simple[length] = '\0';
	return length > 2;
}

static bool iconv_knows(const char *name)
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

bool charset_find(const char *name, struct charset *charset)
{
	char simple[NAME_MAX_LENGTH + 3];

	if (!simplify(name, simple))
		return false;
	for (size_t i = 0; i < COUNT(known); i++) {
		if (strstr(known[i].names, simple)) {
			*charset = known[i].charset;
			return true;
		}
	}
	*charset = (struct charset){.kind = CHARSET_ICONV, .iconv_name = name};
	return iconv_knows(name);
}

static bool swap_forth(const struct charset *charset, uint32_t *c)
{
	for (size_t i = 0; i < charset->swap_count; i++) {
		const struct charset_swap *swap = &charset->swaps[i];

		if (*c - swap->glibc < swap->count) {
			*c = swap->python + (*c - swap->glibc);
			return true;
		}
	}
	return false;
}

static bool swap_back(const struct charset *charset, uint32_t *c)
{
	for (size_t i = 0; i < charset->swap_count; i++) {
		const struct charset_swap *swap = &charset->swaps[i];

		if (*c - swap->python < swap->count) {
			*c = swap->glibc + (*c - swap->python);
			return true;
		}
	}
	return false;
}

uint32_t charset_to_python(const struct charset *charset, uint32_t c)
{
	if (!swap_forth(charset, &c) && charset->mutual)
		swap_back(charset, &c);
	return c;
}

uint32_t charset_to_glibc(const struct charset *charset, uint32_t c)
{
	if (!swap_back(charset, &c) && charset->mutual)
		swap_forth(charset, &c);
	return c;
}

static bool is_refused(const struct charset *charset, unsigned code)
{
	for (size_t i = 0; i < charset->refusal_count; i++) {
		if (code >= charset->refusals[i].first && code <= charset->refusals[i].last)
			return true;
	}
	return false;
}

size_t charset_accepted(const struct charset *charset, const uint8_t *bytes, size_t size)
{
	size_t i = 0;

	if (!charset->refusal_count)
		return size;
	while (i < size) {
		unsigned second = i + 1 < size ? bytes[i + 1] : 0;

		if (bytes[i] < 0x80) {
			i++;
			continue;
		}
		if (is_refused(charset, bytes[i] << 8u | second))
			return i;
		i += 2;
	}
	return size;
}

bool charset_unfinished(const struct charset *charset, const uint8_t *bytes, size_t left)
{
	if (!charset->double_byte || bytes[0] < 0x80)
		return false;
	if (charset->single[0] && bytes[0] >= charset->single[0] && bytes[0] <= charset->single[1])
		return false;
	return left == 1 || (charset->four_byte && left < 4 && isdigit(bytes[1]));
}
