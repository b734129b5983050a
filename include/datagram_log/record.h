/* A record of the datagram log: one datagram, one line. */
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

/* A datagram, as it is told. Everything that it points at is borrowed. */
struct datagram_record {
	uint64_t time_us; /* since 1970, UTC */
	const struct listener_config *listener;
	const struct address *source;
	const struct address *destination; /* the address that the sender wrote to; of a peer's answer, the client */
	const struct peer_config *peer; /* of a relay: whose client's or whose answer it is; or NULL */
	bool answer; /* the peer's */
	const void *payload;
	uint32_t size; /* bytes of the payload */
	enum verdict verdict;
	enum drop_reason reason; /* of VERDICT_DROPPED */
	uint16_t sent, copies; /* of VERDICT_FORWARDED: sent of copies */
};

/* Bytes that a line takes at most, for the larger format, when shown bytes of payload are in it. */
size_t record_size_max(uint32_t shown);

/* Writes the line, its newline included, and returns its bytes. The first shown bytes of the payload (at most its size)
 * are decoded by codec; where shown_max, the configured limit, is 0, the line has no payload and its encoding is "-"
 * (text) or null (JSON). LOG_FORMAT_SAID takes no more of the record than source and payload. */
size_t record_format(char *out, const struct datagram_record *record, uint32_t shown, uint32_t shown_max,
		     struct codec *codec, enum log_format format);

/* Bytes of a verdict at most: a word, and the name of a peer or of a reason. */
#define RECORD_VERDICT_MAX 64

/* Writes the verdict, such as "forwarded:2/3". Returns its end, where there may be no NUL. */
char *record_put_verdict(char *out, const struct datagram_record *record);

/* The line that declares count records missing; at most RECORD_DECLARATION_MAX bytes. */
#define RECORD_DECLARATION_MAX 128

size_t record_format_dropped(char *out, uint64_t time_us, uint64_t count, enum log_format format);

#endif
