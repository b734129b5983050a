/* From what a user writes to the bytes of a datagram. */
#ifndef UDPRELAYD_CLIENT_PAYLOAD_ENCODER_H
#define UDPRELAYD_CLIENT_PAYLOAD_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "text/codec.h"

/* The most that UDP carries: beyond IPv4's 65507 it is the kernel that refuses. */
#define WORDING_MAX 65527

struct wording;

/* Text is UTF-8 and becomes encoding, by Python's rules for errors (str.encode()); or with hex it is digits, two for
 * each byte, and encoding does not count. newline: one more stands behind each text. Returns 0, -ENOMEM, or -EINVAL for
 * an encoding that is not known. */
int wording_create(struct wording **wording, const char *encoding, enum codec_errors errors, bool hex, bool newline);

/* NULL is accepted. */
void wording_destroy(struct wording *wording);

/* The bytes stand in *bytes until the next call. Returns how many, or -1; then *fault says what is wrong with the text,
 * until the next call. */
ssize_t wording_say(struct wording *wording, const char *text, size_t length, const uint8_t **bytes,
		    const char **fault);

#endif
