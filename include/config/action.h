/* The actions of a listener: their names in the configuration, and the properties that other modules ask for. The code
 * that carries out the actions is declared in datapath/actions.h and relay/relay_action.h. */
#ifndef UDPRELAYD_CONFIG_ACTION_H
#define UDPRELAYD_CONFIG_ACTION_H

#include <stdbool.h>

enum action_kind {
	ACTION_SINK, /* receives and records datagrams, and sends nothing */
	ACTION_ECHO, /* sends each datagram back to its sender */
	ACTION_FORWARD, /* sends each datagram to all peers, one way */
	ACTION_RELAY, /* sends the datagrams of a client to one peer, and the replies of the peer to the client */
	ACTIONS /* the number of actions */
};

/* The values of the key `action`, as a phrase for error messages. */
#define ACTION_CHOICES "sink, echo, forward or relay"

/* The values of the key `action`, indexed by enum action_kind. The last element is NULL. */
extern const char *const action_names[ACTIONS + 1];

struct action_traits {
	bool has_peers; /* sends to the peers of the listener; the key `peers` is required */
	bool has_sessions; /* one session per client; the keys balance, idle_timeout, max_sessions, responses apply */
	bool reflects; /* sends the payload back to its sender; default refused source ports apply */
	bool replies; /* can send a datagram to the sender of a datagram; loop_guard applies */
	bool has_ring_guard; /* the key ring_guard applies */
};

/* The traits of the actions, indexed by enum action_kind. */
extern const struct action_traits action_traits[ACTIONS];

#endif
