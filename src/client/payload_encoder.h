/* Converts text of the user to the payload of a datagram. */
#ifndef UDPRELAYD_CLIENT_PAYLOAD_ENCODER_H
#define UDPRELAYD_CLIENT_PAYLOAD_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "text/codec.h"

/* The largest UDP payload in bytes. Over IPv4 only 65507 bytes are possible; there the kernel rejects the datagram. */
#define PAYLOAD_MAX 65527

struct payload_encoder;

/* Creates an encoder for UTF-8 text. errors are the rules of Python's str.encode(). With hex the text is hex digits,
 * two for each byte, and encoding is not used. With newline, a newline follows each text; hex ignores it. encoding
 * stays the caller's and must outlive the encoder. Returns 0, -ENOMEM, or -EINVAL for an unknown encoding. */
int payload_encoder_create(struct payload_encoder **encoder, const char *encoding, enum codec_errors errors, bool hex,
			   bool newline);

/* NULL is accepted. */
void payload_encoder_destroy(struct payload_encoder *encoder);

/* Encodes length bytes of text. Returns the size of the payload and sets *bytes, or returns -1 and sets *error_text
 * to an error message. Both belong to the encoder and are valid until the next call. */
ssize_t payload_encode(struct payload_encoder *encoder, const char *text, size_t length, const uint8_t **bytes,
		       const char **error_text);

#endif
