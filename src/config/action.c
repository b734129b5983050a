#include "config/action.h"

const char *const action_names[ACTIONS + 1] = {
	[ACTION_SINK] = "sink",
	[ACTION_ECHO] = "echo",
	[ACTION_FORWARD] = "forward",
	[ACTION_RELAY] = "relay",
};

static const struct action_traits traits[ACTIONS] = {
	[ACTION_SINK] = {0},
	[ACTION_ECHO] = {.reflects = true, .has_ring_guard = true},
	[ACTION_FORWARD] = {.has_peers = true, .has_ring_guard = true},
	[ACTION_RELAY] = {.has_peers = true, .has_sessions = true},
};

const struct action_traits *action_traits(enum action_kind kind)
{
	return &traits[kind];
}
