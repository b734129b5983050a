#include "datapath/session_end.h"

static const struct {
	const char *name, *text;
} session_ends[SESSION_ENDS] = {
	[SESSION_END_IDLE] = {"idle", "idle"},
	[SESSION_END_ANSWERED] = {"answered", "answered"},
	[SESSION_END_PEER_FAILED] = {"peer_failed", "its peer is down"},
	[SESSION_END_PEER_REMOVED] = {"peer_removed", "its peer was removed from the configuration"},
	[SESSION_END_LISTENER_REMOVED] = {"listener_removed", "the listener of its client was removed"},
	[SESSION_END_REPLACED] = {"replaced", "a new client took its place (max_sessions, source_sessions)"},
	[SESSION_END_RELAY_ENDED] = {"relay_ended", "the relay ends"},
};

const char *session_end_name(enum session_end end)
{
	return session_ends[end].name;
}

const char *session_end_text(enum session_end end)
{
	return session_ends[end].text;
}
