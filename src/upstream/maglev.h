/* Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4): a
 * table that gives every target its share, and moves few others when one comes or goes. The same targets make the same
 * table on every host, in whatever order they are given. */
#ifndef UDPRELAYD_UPSTREAM_MAGLEV_H
#define UDPRELAYD_UPSTREAM_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

/* Entries, a prime. With a hundredth as many targets or fewer, their shares differ by about 1 %. */
#define MAGLEV_SIZE 65537

struct maglev_target {
	uint64_t identity; /* a hash of what tells it from others */
	uint32_t weight; /* its share, from 1 */
};

struct maglev;

/* For at most max targets, of which there may be UINT16_MAX. Returns 0 or -ENOMEM. */
int maglev_create(struct maglev **maglev, size_t max);

/* NULL is accepted. */
void maglev_destroy(struct maglev *maglev);

/* Makes the table anew, for 1 to max targets. */
void maglev_build(struct maglev *maglev, const struct maglev_target *targets, size_t count);

/* The index of the target that a hash belongs to, among those that the table was made for. */
size_t maglev_look_up(const struct maglev *maglev, uint64_t hash);

#endif
