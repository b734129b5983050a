/* What an action does with the datagrams of a listener. One struct is one action; the listener's route has it from the
 * start. Nothing else asks which action it is (see action.h for what the configuration knows). */
#ifndef UDPRELAYD_DATAPATH_ACTIONS_H
#define UDPRELAYD_DATAPATH_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/action.h"
#include "datagram_log/record.h"
#include "datapath/delivery.h"
#include "datapath/rx_batch.h"
#include "net/drop_reason.h"

struct rx_context;
struct pipeline;

/* For each batch, the route calls begin, then submit for each train that may go on. After the flush it calls collect
 * for each of those that submit accepted, and at last finish. NULL stands for a function with nothing to do. */
struct action {
	enum verdict verdict; /* of the datagrams that were delivered */
	size_t counter; /* of them: its offset in struct listener_counters */
	const char *ring_warning; /* what a source does whose datagrams are dropped as DROP_RING */
	bool copies_to_peers; /* each train goes to all peers of the listener */
	bool short_turns; /* a batch that is not full ends the turn, since replies wait for theirs */

	void (*begin)(struct pipeline *route, const struct rx_context *arrival);

	/* Puts train number i of the batch into the egress. Returns DROP_NONE, or why it may not go on. */
	enum drop_reason (*submit)(struct pipeline *route, const struct rx_context *arrival, struct train *train,
				   unsigned i);

	/* Reads what became of train number i. */
	void (*collect)(struct pipeline *route, const struct train *train, unsigned i, struct outcome *outcome);

	/* The batch is over: nothing of it waits in the egress. */
	void (*finish)(struct pipeline *route, const struct rx_context *arrival, const struct train *trains,
		       unsigned count);
};

/* The action, or NULL where it is not of this layer: a relay is in relay_action.h. */
const struct action *action_of(enum action_kind kind);

#endif
