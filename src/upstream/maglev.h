/* Maglev consistent hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
 * section 3.4).
 *
 * A lookup table gives each target its share of the hashes. When a target is added or removed, few hashes move between
 * the other targets. The same targets produce the same table on every host, in any order of the list. */
#ifndef UDPRELAYD_UPSTREAM_MAGLEV_H
#define UDPRELAYD_UPSTREAM_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

/* Number of table entries, a prime. With at most a hundredth as many targets, the shares differ by about 1 %. */
#define MAGLEV_SIZE 65537

struct maglev_target {
	uint64_t identity; /* hash that identifies the target, the same on every host */
	uint32_t weight; /* relative share, at least 1 */
};

struct maglev;

/* Allocates a table for up to max targets; max is at most UINT16_MAX. Returns 0 or -ENOMEM. */
int maglev_create(struct maglev **maglev, size_t max);

/* Accepts NULL. */
void maglev_destroy(struct maglev *maglev);

/* Fills the table again, for 1 to max targets. The array is not used after the call. */
void maglev_build(struct maglev *maglev, const struct maglev_target *targets, size_t count);

/* Returns the index of the target for this hash, in the array that the table was built from. */
size_t maglev_look_up(const struct maglev *maglev, uint64_t hash);

#endif
