#include "text/utf8.h"

#include <string.h>

char *utf8_encode(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
		return out;
	}
	if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xe0 | c >> 12);
		} else {
			*out++ = (char)(0xf0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (c & 0x3f));
	return out;
}

int utf8_check(const uint8_t *bytes, size_t left, bool *incomplete)
{
	uint8_t lead = bytes[0], low = 0x80, high = 0xbf;
	int length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;

	*incomplete = false;
	if (!length)
		return -1;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	for (int i = 1; i < length; i++) {
		if ((size_t)i >= left) {
			*incomplete = true;
			return -i;
		}
		if (bytes[i] < low || bytes[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

uint32_t utf8_decode(const uint8_t *bytes, int length)
{
	uint32_t c = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);

	for (int i = 1; i < length; i++)
		c = c << 6 | (bytes[i] & 0x3f);
	return c;
}

size_t utf8_ascii_run(const uint8_t *bytes, size_t size)
{
	size_t i = 0;
	uint64_t word;

	for (; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < size && bytes[i] < 0x80)
		i++;
	return i;
}
