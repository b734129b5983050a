/* Decodes payloads to UTF-8. Errors are handled as in Python (https://docs.python.org/3/library/codecs.html). */
#ifndef UDPRELAYD_TEXT_CODEC_H
#define UDPRELAYD_TEXT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Python's error handlers. */
enum codec_errors {
	CODEC_STRICT, /* the payload does not decode */
	CODEC_REPLACE, /* an error becomes U+FFFD */
	CODEC_IGNORE, /* the bytes of an error are left out */
	CODEC_BACKSLASHREPLACE, /* each byte of an error becomes a lone surrogate, see struct codec_text */
};

/* The names of the error handlers, in the order of the enum. The last entry is NULL. */
extern const char *const codec_errors_names[];

/* A decoded payload in UTF-8.
 *
 * With CODEC_BACKSLASHREPLACE, a byte that did not decode appears as the lone surrogate U+DC00 + byte (three bytes,
 * ED B0 80 to ED B3 BF). No charset decodes to a lone surrogate, so such a byte differs from a backslash in the
 * payload. escape.h prints it as \xNN. */
struct codec_text {
	const char *encoding; /* name, as configured, of the encoding that decoded; "hex" if strict decoding failed */
	const char *utf8; /* owned by the codec, valid until its next call; not terminated by NUL */
	size_t length; /* bytes */
};

/* Returns true if the charset can be decoded and encoded: any name that iconv(3) accepts, and the common spellings of
 * Python ("latin-1", "shift_jis", "utf8") in upper or lower case. "hex" is not a charset, see codec_create(). */
bool codec_is_known(const char *encoding);

/* Returns true if iconv(3) can convert the charset now. A known charset may lack its gconv module, which some systems
 * package separately. */
bool codec_is_installed(const char *encoding);

/* The fix for a known charset without a module. */
#define CODEC_INSTALL_HINT                                                                                             \
	"install the gconv modules of the C library (package libc-gconv-modules-extra or glibc-gconv-extra), or "      \
	"write another charset"

/* Tries a list of encodings. The first one that decodes a payload without errors is used. If none does, the first of
 * the list decodes the payload with the configured error handler. "hex" in the list decodes any payload to two
 * lower-case digits per byte. */
struct codec;

/* Creates a codec for payloads of at most max_size bytes. count is at least 1. The names are not copied; they must
 * outlive the codec. The codec is not thread-safe. Returns 0, -ENOMEM, or -EINVAL for an unknown name. */
int codec_create(struct codec **codec, char *const *encodings, size_t count, enum codec_errors errors, size_t max_size);

/* Accepts NULL. */
void codec_destroy(struct codec *codec);

/* Decodes size bytes, at most max_size. truncated says that the payload had more bytes; an incomplete character at the
 * end is then left out and is not an error. Returns false if the payload does not decode under CODEC_STRICT; the text
 * is then the payload in hexadecimal digits. */
bool codec_decode(struct codec *codec, const void *bytes, size_t size, bool truncated, struct codec_text *text);

#endif
