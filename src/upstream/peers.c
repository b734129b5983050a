#include "upstream/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/resolver.h"

struct peers {
	const struct config *config;
	struct log *log;
	peers_changed changed;
	void *data;
	struct endpoints_snapshot *now;
	endpoint_epoch *news;
	struct resolver *resolvers;
	size_t resolver_count;
};

/* --- Snapshots --- */

/* The same as the last but for one peer, whose targets are changed. */
static struct endpoints_snapshot *snapshot_with(const struct endpoints_snapshot *last, size_t peer,
						const struct peer_endpoints *changed)
{
	struct peer_endpoints *peers = calloc(last->peer_count, sizeof(*peers));
	struct endpoints_snapshot *snapshot;

	if (!peers)
		return NULL;
	for (size_t i = 0; i < last->peer_count; i++)
		peers[i] = i == peer ? *changed : last->peers[i];
	snapshot = endpoints_snapshot_create(peers, last->peer_count);
	free(peers);
	return snapshot;
}

struct endpoints_snapshot *peers_now(struct peers *peers)
{
	return endpoints_snapshot_get(peers->now);
}

/* --- Targets --- */

static struct endpoint *find_target(const struct peer_endpoints *targets, const struct address *address)
{
	for (size_t i = 0; i < targets->count; i++) {
		if (address_equal(&targets->items[i]->address, address))
			return targets->items[i];
	}
	return NULL;
}

/* A target that stays keeps what is known of its health. */
static struct endpoint *target_for(struct peers *peers, const struct peer_config *config, const struct address *address)
{
	struct endpoint *target = find_target(&peers->now->peers[config->index], address);

	return target ? endpoint_get(target) : endpoint_create(config, address, peers->news);
}

static void put_targets(const struct peer_endpoints *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		endpoint_put(targets->items[i]);
}

/* Puts the targets for the addresses into list, which has room for them, with a reference each. */
static int make_targets(struct peers *peers, const struct peer_config *config, const struct address *addresses,
			size_t count, struct peer_endpoints *list)
{
	for (list->count = 0; list->count < count; list->count++) {
		struct endpoint *target = target_for(peers, config, &addresses[list->count]);

		if (!target) {
			put_targets(list);
			return -ENOMEM;
		}
		list->items[list->count] = target;
	}
	return 0;
}

/* Returns 0 or -ENOMEM: then everything is as it was. */
static int set_addresses(struct peers *peers, const struct peer_config *config, const struct address *addresses,
			 size_t count)
{
	struct endpoint *items[RESOLVER_ADDRESSES_MAX];
	struct peer_endpoints list = {.items = items};
	struct endpoints_snapshot *snapshot;
	int error = make_targets(peers, config, addresses, count, &list);

	if (error)
		return error;
	snapshot = snapshot_with(peers->now, config->index, &list);
	put_targets(&list);
	if (!snapshot)
		return -ENOMEM;
	endpoints_snapshot_put(peers->now);
	peers->now = snapshot;
	return 0;
}

static int on_resolved(const struct peer_config *config, const struct address *addresses, size_t count, void *data)
{
	struct peers *peers = data;
	int error = set_addresses(peers, config, addresses, count);

	if (error)
		log_error(peers->log, "peer %s: no memory for the addresses of %s: the last ones stay", config->name,
			  config->host);
	else
		peers->changed(peers_now(peers), peers->data);
	return error;
}

/* --- Life --- */

/* What the peer of that name had under an earlier configuration. */
static const struct peer_endpoints *targets_before(const struct peers *before, const struct peer_config *config)
{
	static const struct peer_endpoints none;
	size_t index = before ? config_find_peer(before->config, config->name) : 0;

	return before && index < before->config->peer_count ? &before->now->peers[index] : &none;
}

/* Peers with a name have no address yet, unless the same name had some. */
static bool keeps_addresses(const struct peers *before, const struct peer_config *config)
{
	const struct peer_endpoints *targets = targets_before(before, config);
	const struct peer_config *earlier = targets->count ? targets->items[0]->peer : NULL;

	return earlier && earlier->host && config->host && !strcmp(earlier->host, config->host) &&
	       address_port(&earlier->address) == address_port(&config->address);
}

/* The target for a peer whose address is written in the configuration, with a reference. */
static struct endpoint *literal_target(struct peers *peers, const struct peers *before,
				       const struct peer_config *config)
{
	struct endpoint *target = find_target(targets_before(before, config), &config->address);

	return target ? endpoint_get(target) : endpoint_create(config, &config->address, peers->news);
}

/* lists and targets have room for all peers. */
static int make_first(struct peers *peers, const struct peers *before, struct peer_endpoints *lists,
		      struct endpoint **targets)
{
	for (size_t i = 0; i < peers->config->peer_count; i++) {
		const struct peer_config *config = &peers->config->peers[i];

		if (keeps_addresses(before, config))
			lists[i] = *targets_before(before, config);
		if (config->host)
			continue;
		targets[i] = literal_target(peers, before, config);
		if (!targets[i])
			return -ENOMEM;
		lists[i] = (struct peer_endpoints){&targets[i], 1};
	}
	return 0;
}

static int create_first(struct peers *peers, const struct peers *before)
{
	size_t count = peers->config->peer_count;
	struct peer_endpoints *lists = calloc(count + 1, sizeof(*lists));
	struct endpoint **targets = calloc(count + 1, sizeof(struct endpoint *));

	if (lists && targets && !make_first(peers, before, lists, targets))
		peers->now = endpoints_snapshot_create(lists, count);
	for (size_t i = 0; targets && i < count; i++)
		endpoint_put(targets[i]);
	free(targets);
	free(lists);
	return peers->now ? 0 : -ENOMEM;
}

/* What it knows already, it need not tell again. */
static void seed(struct resolver *resolver, const struct peer_endpoints *targets)
{
	for (size_t i = 0; i < targets->count && i < RESOLVER_ADDRESSES_MAX; i++)
		resolver->now.addresses[resolver->now.count++] = targets->items[i]->address;
}

static void create_resolvers(struct peers *peers, uv_loop_t *loop, const struct own_addresses *own)
{
	for (size_t i = 0; i < peers->config->peer_count; i++) {
		const struct peer_config *config = &peers->config->peers[i];
		struct resolver *resolver = &peers->resolvers[peers->resolver_count];

		if (!config->host)
			continue;
		*resolver = (struct resolver){.loop = loop,
					      .config = config,
					      .own = own,
					      .log = peers->log,
					      .changed = on_resolved,
					      .data = peers};
		resolver_init(resolver);
		seed(resolver, &peers->now->peers[i]);
		peers->resolver_count++;
	}
}

static size_t count_names(const struct config *config)
{
	size_t names = 0;

	for (size_t i = 0; i < config->peer_count; i++)
		names += config->peers[i].host != NULL;
	return names;
}

int peers_create(struct peers **out, const struct peers_setup *setup)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return -ENOMEM;
	*peers = (struct peers){.config = setup->config,
				.log = setup->log,
				.changed = setup->changed,
				.data = setup->data,
				.news = setup->news};
	peers->resolvers = calloc(count_names(setup->config) + 1, sizeof(*peers->resolvers));
	if (!peers->resolvers || create_first(peers, setup->before)) {
		peers_destroy(peers);
		return -ENOMEM;
	}
	create_resolvers(peers, setup->loop, setup->own);
	*out = peers;
	return 0;
}

void peers_adopt(struct peers *peers)
{
	for (size_t i = 0; i < peers->config->peer_count; i++) {
		for (size_t j = 0; j < peers->now->peers[i].count; j++)
			endpoint_adopt_config(peers->now->peers[i].items[j], &peers->config->peers[i]);
	}
}

void peers_start(struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++)
		resolver_start(&peers->resolvers[i]);
}

void peers_close(struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++)
		resolver_close(&peers->resolvers[i]);
}

bool peers_busy(const struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++) {
		if (peers->resolvers[i].busy)
			return true;
	}
	return false;
}

bool peers_closed(const struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++) {
		if (!peers->resolvers[i].closed)
			return false;
	}
	return !peers_busy(peers);
}

void peers_destroy(struct peers *peers)
{
	if (!peers)
		return;
	endpoints_snapshot_put(peers->now);
	free(peers->resolvers);
	free(peers);
}
