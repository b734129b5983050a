/* The action `relay`: each client has a session with one of the listener's peers. */
#ifndef UDPRELAYD_RELAY_RELAY_ACTION_H
#define UDPRELAYD_RELAY_RELAY_ACTION_H

#include "datapath/actions.h"

/* The action_state of its pipeline is a struct relay. */
extern const struct action relay_action;

#endif
