/* A record of the datagram log: one line per datagram, as text or JSON. */
#ifndef UDPRELAYD_DATAGRAM_LOG_RECORD_H
#define UDPRELAYD_DATAGRAM_LOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/drop_reason.h"
#include "text/codec.h"

enum verdict { VERDICT_SUNK, VERDICT_ECHOED, VERDICT_FORWARDED, VERDICT_RELAYED, VERDICT_ANSWERED, VERDICT_DROPPED };

/* The facts about one datagram. All pointers are borrowed. */
struct datagram_record {
	uint64_t time_us; /* since 1970, UTC */
	const struct listener_config *listener;
	const struct address *source;
	const struct address *destination; /* destination of the received datagram; for a reply of a peer: the client */
	const struct peer_config *peer; /* relay: the peer of the session; may be NULL */
	bool reply; /* a reply of the peer */
	const void *payload;
	uint32_t size; /* payload, in bytes */
	enum verdict verdict;
	enum drop_reason reason; /* VERDICT_DROPPED only */
	uint16_t sent, copies; /* VERDICT_FORWARDED only: number of peers that got it, and number of all peers */
};

/* Returns the maximum size of a line in bytes, in any format, with `shown` bytes of payload. */
size_t record_size_max(uint32_t shown);

/* Writes the line with its newline, without a NUL, and returns its size in bytes. out has record_size_max(shown) bytes.
 * shown is the number of payload bytes in record->payload, at most record->size. codec decodes them.
 * shown_max is the configured limit. If it is 0, the line has no payload, and its encoding is "-" (text) or null
 * (JSON). LOG_FORMAT_MESSAGE needs only source, payload and size of the record. */
size_t record_format(char *out, const struct datagram_record *record, uint32_t shown, uint32_t shown_max,
		     struct codec *codec, enum log_format format);

/* Maximum size of a verdict in bytes: a word, and the name of a peer or drop reason. */
#define RECORD_VERDICT_MAX (16 + PEER_NAME_MAX)

/* Writes the verdict, such as "forwarded:2/3". Returns the end; the text is not always terminated by a NUL. */
char *record_format_verdict(char *out, const struct datagram_record *record);

/* Maximum size in bytes of the line of record_format_dropped(). */
#define RECORD_DROPPED_MAX 128

/* Writes the line that reports `count` missing records. time_us is the time of the line, in microseconds since 1970,
 * UTC. Returns its size in bytes. */
size_t record_format_dropped(char *out, uint64_t time_us, uint64_t count, enum log_format format);

#endif
