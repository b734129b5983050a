/* Payloads from one charset to another, by Python's rules for errors. */
#ifndef UDPRELAYD_TEXT_CONVERTER_H
#define UDPRELAYD_TEXT_CONVERTER_H

#include <stddef.h>
#include <sys/types.h>

#include "text/codec.h"

struct converter;

/* Decodes as codec_create() has it and encodes to one charset; errors holds for both. "hex" is refused. The names are
 * not copied. Returns 0, -ENOMEM, or -EINVAL for an unknown name. */
int converter_create(struct converter **converter, char *const *from, size_t count, const char *to,
		     enum codec_errors errors, size_t limit);

/* NULL is accepted. */
void converter_destroy(struct converter *converter);

/* Writes at most capacity bytes to out. Each call stands alone: no shift state is carried over, and what the encoding
 * wants at the end is written. As in Python, replace writes '?' for a character that cannot be said, and
 * backslashreplace \xNN, \uNNNN or \UNNNNNNNN; a byte that did not decode is \xNN. Returns the bytes written, -EILSEQ
 * under CODEC_STRICT, or -EMSGSIZE where they do not fit. */
ssize_t converter_run(struct converter *converter, const void *bytes, size_t size, void *out, size_t capacity);

#endif
