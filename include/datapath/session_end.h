/* The reasons for the end of a relay session. The list is complete. */
#ifndef UDPRELAYD_DATAPATH_SESSION_END_H
#define UDPRELAYD_DATAPATH_SESSION_END_H

enum session_end {
	SESSION_END_IDLE, /* no datagram for idle_timeout */
	SESSION_END_ANSWERED, /* all replies came that `responses` permits */
	SESSION_END_PEER_FAILED, /* its client wrote while its endpoint was down */
	SESSION_END_PEER_REMOVED, /* its peer is no longer in the configuration */
	SESSION_END_LISTENER_REMOVED, /* the address that its client writes to is no longer in the configuration */
	SESSION_END_REPLACED, /* max_sessions or source_sessions: a new client took its place, because it does not
				 converse */
	SESSION_END_RELAY_ENDED, /* the daemon ends, or the listener's action is no longer relay */
	SESSION_ENDS, /* number of reasons */
};

/* Returns the name, such as "idle": the label of the metrics. Static. */
const char *session_end_name(enum session_end end);

/* Returns the text for the log. Static. */
const char *session_end_text(enum session_end end);

#endif
