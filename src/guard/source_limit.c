#include "guard/source_limit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/siphash.h"
#include "guard/gcra_table.h"

struct source_limit {
	struct gcra_table *table;
	struct siphash_key key, sampler_key;
};

int source_limit_create(struct source_limit **out, uint32_t rate, uint32_t burst)
{
	struct source_limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return -ENOMEM;
	if (gcra_table_create(&limit->table, SOURCE_LIMIT_SOURCES, rate, burst)) {
		free(limit);
		return -ENOMEM;
	}
	siphash_key_random(&limit->key);
	siphash_key_random(&limit->sampler_key);
	*out = limit;
	return 0;
}

void source_limit_destroy(struct source_limit *limit)
{
	if (!limit)
		return;
	gcra_table_destroy(limit->table);
	free(limit);
}

bool source_limit_take(struct source_limit *limit, const struct address *source, uint32_t datagrams, uint64_t now_ms)
{
	return source->any.sa_family == AF_UNIX ||
	       gcra_table_take(limit->table, address_source_hash(source, &limit->key), datagrams, now_ms);
}

bool source_limit_sample(const struct source_limit *limit, struct source_limit_sampler *sampler)
{
	uint64_t number = sampler->next++;

	return siphash(&limit->sampler_key, &number, sizeof(number)) % SOURCE_LIMIT_SHARE == 0;
}
