/* What the encodings of a listener make of a payload, and what the datagram log would show. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_PAYLOAD_H
#define UDPRELAYD_ADMIN_EXPLAIN_PAYLOAD_H

#include "admin/explain_report.h"

/* The payload is known. */
void explain_payload(const struct explain_report *explanation);

#endif
