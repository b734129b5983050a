/* Where the peers are: names are looked up on the main loop, again and again. */
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
#include "upstream/endpoints_snapshot.h"

struct peers;

/* Called on the main loop when the addresses of a peer have changed; takes over a reference. */
typedef void (*peers_changed)(struct endpoints_snapshot *snapshot, void *data);

/* Everything is borrowed, but for before, which may go as soon as the peers have taken over. */
struct peers_setup {
	uv_loop_t *loop;
	const struct config *config;
	const struct own_addresses *own; /* NULL: nothing is; a name that leads to one of them is told as an error */
	endpoint_epoch *news; /* that any target of the peers has come up or gone down */
	const struct peers *before; /* those of an earlier configuration, or NULL */
	struct log *log;
	peers_changed changed;
	void *data;
};

/* Makes the look-ups of config's named peers; the first begin with peers_start(). Targets that a peer of the same name
 * had before are shared with that, and a name that was looked up before keeps its addresses for now. Returns 0 or
 * -ENOMEM. */
int peers_create(struct peers **peers, const struct peers_setup *setup);

/* From now on all targets are as this configuration has them. No thread uses them meanwhile. */
void peers_adopt(struct peers *peers);

void peers_start(struct peers *peers);

/* Where the peers are now: another reference. From the beginning, a peer with an address of its own has one target. */
struct endpoints_snapshot *peers_now(struct peers *peers);

/* Closes the timers and cancels the look-ups. One that waits for a name server cannot be cancelled: the loop goes on
 * until it has ended. */
void peers_close(struct peers *peers);

/* Whether a look-up is under way. */
bool peers_busy(const struct peers *peers);

/* Whether all is closed and ended after peers_close(). */
bool peers_closed(const struct peers *peers);

/* Then, or once the loop has ended; no thread tells of targets any more; snapshots may outlive it. NULL is accepted. */
void peers_destroy(struct peers *peers);

#endif
