/* Peers: the current endpoints of all peers of one configuration.
 *
 * A peer with a literal address has one endpoint. A peer with a host name has one for each address of the name, which
 * the main loop looks up again and again. The generation owns the peers and uses them on the main loop only; it passes
 * snapshots to the workers. A failed look-up, or a lack of memory, leaves the last addresses in use. */
#ifndef UDPRELAYD_UPSTREAM_PEERS_H
#define UDPRELAYD_UPSTREAM_PEERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/own_addresses.h"
#include "upstream/endpoint.h"

struct peers;

/* Called on the main loop after the addresses of a peer have changed. The callee owns a reference to the snapshot. */
typedef void (*peers_changed)(struct endpoints_snapshot *snapshot, void *data);

/* The caller owns everything here. All of it must outlive the peers, except before: that may be destroyed after
 * peers_adopt(). */
struct peers_setup {
	uv_loop_t *loop;
	const struct config *config;
	const struct own_addresses *own; /* may be NULL; a name with one of these addresses is logged as an error */
	endpoint_epoch *epoch; /* for all endpoints of the peers */
	const struct peers *before; /* peers of the previous configuration, or NULL */
	struct log *log;
	peers_changed changed;
	void *data;
};

/* Creates the peers of the configuration. Look-ups begin with peers_start(). An endpoint of a peer with the same name
 * in before is shared with it, and a host name that before has looked up keeps its addresses until the next look-up
 * ends. Returns 0 or -ENOMEM. */
int peers_create(struct peers **peers, const struct peers_setup *setup);

/* Sets the configuration of all endpoints to that of these peers. No other thread may use the endpoints meanwhile. */
void peers_adopt(struct peers *peers);

/* Starts to look names up. */
void peers_start(struct peers *peers);

/* Returns a new reference to the current snapshot. It is valid before peers_start(), too; names without an address have
 * no endpoint in it. */
struct endpoints_snapshot *peers_now(struct peers *peers);

/* Closes the handles and abandons look-ups in progress; their threads end later, on their own. The loop must run until
 * peers_closed(). A second call does nothing. */
void peers_close(struct peers *peers);

/* Returns whether all handles are closed after peers_close(). */
bool peers_closed(const struct peers *peers);

/* Frees the peers, once they are closed or the loop has ended. Snapshots may outlive them, but no other thread may
 * report failures of the endpoints then. Accepts NULL. */
void peers_destroy(struct peers *peers);

#endif
