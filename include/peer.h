/* Where the peers are: names are looked up on the main loop, again and again. */
#ifndef UDPRELAYD_PEER_H
#define UDPRELAYD_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "address.h"
#include "config.h"
#include "guard.h"
#include "log.h"
#include "peers_snapshot.h"
#include "target.h"

struct peers;

/* Called on the main loop when the addresses of a peer have changed; takes over a reference. */
typedef void (*peers_changed)(struct peers_snapshot *snapshot, void *data);

/* Makes the look-ups of config's named peers on loop; the first begin with peers_start(). A name that turns out to be
 * an address of own (NULL: nothing is) is told as an error. Returns 0 or -ENOMEM. */
int peers_create(struct peers **peers, uv_loop_t *loop, const struct config *config, const struct own_addresses *own,
		 struct log *log, peers_changed changed, void *data);
void peers_start(struct peers *peers);

/* Where the peers are now: another reference. From the beginning, a peer with an address of its own has one target. */
struct peers_snapshot *peers_now(struct peers *peers);

/* What tells that any target of the peers has come up or gone down; lives as long as they. */
const target_news *peers_news(const struct peers *peers);

/* Closes the timers and cancels the look-ups. One that waits for a name server cannot be cancelled: the loop goes on
 * until it has ended. */
void peers_close(struct peers *peers);

/* Whether a look-up is under way. */
bool peers_busy(const struct peers *peers);

/* Once the loop has ended and no thread tells of targets any more; snapshots may outlive it. NULL is accepted. */
void peers_destroy(struct peers *peers);

#endif
