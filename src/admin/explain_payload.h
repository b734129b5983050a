/* --explain: how the encodings of a listener decode a payload, and what the datagram log would show. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_PAYLOAD_H
#define UDPRELAYD_ADMIN_EXPLAIN_PAYLOAD_H

#include "admin/explain_report.h"

/* Reports each encoding and the log record. The query must have a payload. */
void explain_payload(const struct explain_report *report);

#endif
