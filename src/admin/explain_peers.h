/* --explain for a forward or a relay: reports the peers, the bytes for each peer, and the peer of a new session. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_PEERS_H
#define UDPRELAYD_ADMIN_EXPLAIN_PEERS_H

#include "admin/explain_report.h"
#include "datagram_log/record.h"

/* Reports each peer of a forward, and sets the verdict of the record. */
void explain_forward(const struct explain_report *report, struct datagram_record *record);

/* Reports each peer of a relay and the new session, and sets the verdict of the record. Assumes that all peers are up.
 * If the choice of the peer depends on more than the client, returns the list of possible verdicts, which the caller
 * frees; otherwise returns NULL. */
char *explain_relay(const struct explain_report *report, struct datagram_record *record);

#endif
