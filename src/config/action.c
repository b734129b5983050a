#include "config/action.h"

const char *const action_names[ACTIONS + 1] = {
	[ACTION_SINK] = "sink",
	[ACTION_ECHO] = "echo",
	[ACTION_FORWARD] = "forward",
	[ACTION_RELAY] = "relay",
};

const struct action_traits action_traits[ACTIONS] = {
	[ACTION_SINK] = {0},
	[ACTION_ECHO] = {.reflects = true, .replies = true, .has_ring_guard = true},
	[ACTION_FORWARD] = {.has_peers = true, .has_ring_guard = true},
	[ACTION_RELAY] = {.has_peers = true, .has_sessions = true, .replies = true, .has_ring_guard = true},
};
