/* What a forward or a relay would do with a datagram: its peers, what each gets, and which a session goes to. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_PEERS_H
#define UDPRELAYD_ADMIN_EXPLAIN_PEERS_H

#include "admin/explain_report.h"
#include "datagram_log/record.h"

/* The listener is a forward. Tells of each peer, and fills in the verdict of the record. */
void explain_forward(const struct explain_report *explanation, struct datagram_record *record);

/* The listener is a relay. The same; all peers are supposed to be up. Where it is not certain which peer it would be,
 * returns the verdicts that there may be, which free(3) frees; otherwise NULL. */
char *explain_relay(const struct explain_report *explanation, struct datagram_record *record);

#endif
