/* Converts payloads from one charset to another. Errors are handled as in Python, see codec.h. */
#ifndef UDPRELAYD_TEXT_CONVERTER_H
#define UDPRELAYD_TEXT_CONVERTER_H

#include <stddef.h>
#include <sys/types.h>

#include "text/codec.h"

struct converter;

/* Creates a converter that decodes like a codec (see codec_create()) and encodes to one charset. errors applies to both
 * directions. max_size is the maximum size of a payload in bytes. "hex" is not accepted. The names are not copied; they
 * must outlive the converter. The converter is not thread-safe. Returns 0, -ENOMEM, or -EINVAL for an unknown name. */
int converter_create(struct converter **converter, char *const *from, size_t count, const char *to,
		     enum codec_errors errors, size_t max_size);

/* Accepts NULL. */
void converter_destroy(struct converter *converter);

/* Converts one payload and writes at most capacity bytes to out. Calls are independent: a charset with shift states
 * starts and ends in its initial state in each call. For a character that the charset does not have, CODEC_REPLACE
 * writes '?' and CODEC_BACKSLASHREPLACE writes \xNN, \uNNNN or \UNNNNNNNN, as in Python. A byte that did not decode is
 * written as \xNN. Returns the number of bytes written, -EILSEQ for an error under CODEC_STRICT, or -EMSGSIZE if the
 * result is longer than capacity. */
ssize_t converter_run(struct converter *converter, const void *bytes, size_t size, void *out, size_t capacity);

#endif
