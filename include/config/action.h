/* The actions that a listener can have, and what the rest of the program must know about each. What an action does with
 * datagrams is in actions.h. */
#ifndef UDPRELAYD_CONFIG_ACTION_H
#define UDPRELAYD_CONFIG_ACTION_H

#include <stdbool.h>

enum action_kind { ACTION_SINK, ACTION_ECHO, ACTION_FORWARD, ACTION_RELAY, ACTIONS };

/* The values of the key `action`, as a sentence for messages. */
#define ACTION_CHOICES "sink, echo, forward or relay"

/* The values of the key `action`, by enum action_kind; NULL follows the last one. */
extern const char *const action_names[ACTIONS + 1];

struct action_traits {
	bool has_peers; /* sends to the listener's peers: the key `peers` is required */
	bool has_sessions; /* one session for each client: balance, idle_timeout, max_sessions, responses */
	bool reflects; /* sends the payload back to its sender */
	bool has_ring_guard; /* ring_guard applies */
};

const struct action_traits *action_traits(enum action_kind kind);

/* Whether the action sends anything to the sender of a datagram, so that loop_guard applies. */
static inline bool action_replies(enum action_kind kind)
{
	return action_traits(kind)->reflects || action_traits(kind)->has_sessions;
}

#endif
