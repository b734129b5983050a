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

/* The addresses of all peers at one moment, shared by the threads and never changed. */
struct peer_addresses {
	atomic_uint references;
	size_t count;
	struct address items[]; /* by the peer's index; length 0: unknown */
};

/* Takes another reference. */
struct peer_addresses *peer_addresses_get(struct peer_addresses *addresses);

/* Drops one; the last frees. NULL is accepted. */
void peer_addresses_put(struct peer_addresses *addresses);

struct peers;

/* Called on the main loop when an address has become known or another one; takes over a reference. */
typedef void (*peers_changed)(struct peer_addresses *addresses, void *data);

/* Makes the look-ups of config's named peers on loop; the first begin with peers_start(). A name that turns out to be
 * an address of own is told as an error. Returns 0 or -ENOMEM. */
int peers_create(struct peers **peers, uv_loop_t *loop, const struct config *config, const struct own_addresses *own,
		 struct log *log, peers_changed changed, void *data);
void peers_start(struct peers *peers);

/* Closes the timers and cancels the look-ups. One that waits for a name server cannot be cancelled: the loop goes on
 * until it has ended. */
void peers_close(struct peers *peers);

/* Whether a look-up is under way. */
bool peers_busy(const struct peers *peers);

/* Once the loop has ended. NULL is accepted. */
void peers_destroy(struct peers *peers);

#endif
