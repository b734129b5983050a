/* What is heard, line by line: "ADDR:PORT: TEXT", as the daemon's log decodes and escapes it. */
#ifndef UDPRELAYD_CLIENT_MESSAGE_PRINTER_H
#define UDPRELAYD_CLIENT_MESSAGE_PRINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/address.h"
#include "text/codec.h"

struct transcript;

/* encodings is a list separated by commas; the first that decodes a datagram is used. raw: the bytes are written as
 * they came, with nothing around them. Returns 0, -ENOMEM, or -EINVAL for an encoding that is not known. */
int transcript_create(struct transcript **transcript, const char *encodings, enum codec_errors errors, bool raw);

/* NULL is accepted. */
void transcript_destroy(struct transcript *transcript);

/* Writes one datagram, of at most CLIENT_DATAGRAM_MAX bytes, to out, and flushes that. */
void transcript_write(struct transcript *transcript, FILE *out, const struct address *source, const void *data,
		      size_t size);

#endif
