/* Actions: a listener sinks, echoes, forwards or relays its datagrams. An action is one struct. The worker selects it
 * when it creates the listener's pipeline. No code outside the action's file depends on the kind of action. The
 * configuration knows only the traits in config/action.h. */
#ifndef UDPRELAYD_DATAPATH_ACTIONS_H
#define UDPRELAYD_DATAPATH_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/action.h"
#include "datagram_log/record.h"
#include "datapath/delivery.h"
#include "net/drop_reason.h"
#include "net/train.h"

struct pipeline;
struct rx_context;

/* For each batch the pipeline calls begin once, then submit for each train that the guard admits. After the flush it
 * calls collect for each train that submit accepted, and finish once. begin and finish may be NULL. */
struct action {
	enum verdict verdict; /* verdict in the record of a delivered datagram */
	size_t counter; /* counter of delivered datagrams: its offset in struct listener_counters */
	bool copies_to_peers; /* each train goes to every peer of the listener */
	bool short_turns; /* a batch that is not full ends the listener's turn, so that replies are not delayed */

	void (*begin)(struct pipeline *pipeline, const struct rx_context *rx);

	/* Queues train i of the batch in the transmit batch and sets pipeline->chunks[i]. Returns DROP_NONE or the
	 * reason to drop the train. */
	enum drop_reason (*submit)(struct pipeline *pipeline, const struct rx_context *rx, struct train *train,
				   unsigned i);

	/* Reads the outcome of train i from its chunks. */
	void (*collect)(struct pipeline *pipeline, const struct rx_context *rx, const struct train *train, unsigned i,
			struct outcome *outcome);

	/* The transmit batch is empty again. */
	void (*finish)(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
		       unsigned count);
};

/* Returns the action, or NULL for a relay: that is relay_action in relay/relay_action.h. */
const struct action *action_of(enum action_kind kind);

#endif
