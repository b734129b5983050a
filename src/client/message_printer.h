/* Prints received datagrams: one line "ADDR:PORT: TEXT" each, decoded and escaped as in the log of the daemon. */
#ifndef UDPRELAYD_CLIENT_MESSAGE_PRINTER_H
#define UDPRELAYD_CLIENT_MESSAGE_PRINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/address.h"
#include "text/codec.h"

struct message_printer;

/* Creates a printer. encodings is a list separated by commas; the first one that decodes a datagram is used. With
 * raw, only the bytes of the datagrams are written. Returns 0, -ENOMEM, or -EINVAL for an unknown encoding or an
 * empty list. */
int message_printer_create(struct message_printer **printer, const char *encodings, enum codec_errors errors, bool raw);

/* NULL is accepted. */
void message_printer_destroy(struct message_printer *printer);

/* Prints one datagram of at most CLIENT_DATAGRAM_MAX bytes to out and flushes out. The caller checks ferror(out). */
void message_printer_print(struct message_printer *printer, FILE *out, const struct address *source, const void *data,
			   size_t size);

#endif
