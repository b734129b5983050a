/* Charsets: bytes to text, by Python's rules for errors (https://docs.python.org/3/library/codecs.html). */
#ifndef UDPRELAYD_TEXT_CODEC_H
#define UDPRELAYD_TEXT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codec_errors {
	CODEC_STRICT,
	CODEC_REPLACE,
	CODEC_IGNORE,
	CODEC_BACKSLASHREPLACE,
};

/* The rules' names, in that order; the last is NULL. */
extern const char *const codec_errors_names[];

/* Text is UTF-8. Under backslashreplace a byte that did not decode stands in it as the lone surrogate
 * U+DC00 + byte (three bytes, ED B0 80 to ED B3 BF), which no charset decodes to; so it cannot be mistaken for a
 * backslash that somebody wrote. escape.h prints it as \xNN. */
struct codec_text {
	const char *encoding; /* the name, as configured, that decoded it; "hex" where strict decoding failed */
	const char *utf8; /* owned by the codec, valid until its next call; not ended by NUL */
	size_t length; /* bytes */
};

/* Whether encoding can be decoded from and encoded to: any name that iconv knows, Python's common spellings of them
 * ("latin-1", "shift_jis", "utf8"), in any case. "hex" is no charset: see codec_create(). */
bool codec_known(const char *encoding);

/* Decodes with the first of a list of encodings that decodes a payload strictly, and where none does with the first of
 * the list and the rule errors. "hex" in the list decodes anything: two lower-case digits a byte. */
struct codec;

/* For payloads of at most limit bytes. The names are not copied: they must outlive the codec. One thread may use it at
 * a time. Returns 0, -ENOMEM, or -EINVAL for an unknown name. */
int codec_create(struct codec **codec, char *const *encodings, size_t count, enum codec_errors errors, size_t limit);

/* NULL is accepted. */
void codec_destroy(struct codec *codec);

/* Decodes size bytes, at most the limit. Where cut is true the payload goes on beyond them, and a character that they
 * end in the middle of is left out rather than treated as an error. Returns false where the payload does not decode
 * under CODEC_STRICT: then the text is its hex digits. */
bool codec_decode(struct codec *codec, const void *bytes, size_t size, bool cut, struct codec_text *text);

#endif
