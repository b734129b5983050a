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
	struct endpoints_snapshot *snapshot;
	endpoint_epoch *epoch;
	struct resolver *resolvers; /* one for each peer with a host name */
	size_t resolver_count;
};

/* --- Snapshots --- */

/* Returns a copy of the snapshot in which one peer has other endpoints, or NULL when out of memory. */
static struct endpoints_snapshot *peers_replace_endpoints(const struct endpoints_snapshot *snapshot, size_t peer,
							  const struct peer_endpoints *endpoints)
{
	struct peer_endpoints *peers = calloc(snapshot->peer_count, sizeof(*peers));
	struct endpoints_snapshot *copy;

	if (!peers)
		return NULL;
	for (size_t i = 0; i < snapshot->peer_count; i++)
		peers[i] = i == peer ? *endpoints : snapshot->peers[i];
	copy = endpoints_snapshot_create(peers, snapshot->peer_count);
	free(peers);
	return copy;
}

struct endpoints_snapshot *peers_now(struct peers *peers)
{
	return endpoints_snapshot_get(peers->snapshot);
}

/* --- Endpoints --- */

static struct endpoint *peers_find_endpoint(const struct peer_endpoints *endpoints, const struct address *address)
{
	for (size_t i = 0; i < endpoints->count; i++) {
		if (address_equal(&endpoints->items[i]->address, address))
			return endpoints->items[i];
	}
	return NULL;
}

/* Returns a reference to the endpoint that known has for the address, with its health, or to a new one. */
static struct endpoint *peers_reuse_endpoint(struct peers *peers, const struct peer_endpoints *known,
					     const struct peer_config *config, const struct address *address)
{
	struct endpoint *endpoint = peers_find_endpoint(known, address);

	return endpoint ? endpoint_get(endpoint) : endpoint_create(config, address, peers->epoch);
}

static void peers_put_endpoints(const struct peer_endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count; i++)
		endpoint_put(endpoints->items[i]);
}

/* Fills list, which has room for count endpoints, with one reference to each. */
static int peers_list_endpoints(struct peers *peers, const struct peer_config *config, const struct address *addresses,
				size_t count, struct peer_endpoints *list)
{
	const struct peer_endpoints *known = &peers->snapshot->peers[config->index];

	for (list->count = 0; list->count < count; list->count++) {
		struct endpoint *endpoint = peers_reuse_endpoint(peers, known, config, &addresses[list->count]);

		if (!endpoint) {
			peers_put_endpoints(list);
			return -ENOMEM;
		}
		list->items[list->count] = endpoint;
	}
	return 0;
}

/* Returns 0, or -ENOMEM and changes nothing. */
static int peers_set_addresses(struct peers *peers, const struct peer_config *config, const struct address *addresses,
			       size_t count)
{
	struct endpoint *items[RESOLVER_ADDRESSES_MAX];
	struct peer_endpoints list = {.items = items, .no_address = !count};
	struct endpoints_snapshot *snapshot;
	int error = peers_list_endpoints(peers, config, addresses, count, &list);

	if (error)
		return error;
	snapshot = peers_replace_endpoints(peers->snapshot, config->index, &list);
	peers_put_endpoints(&list);
	if (!snapshot)
		return -ENOMEM;
	endpoints_snapshot_put(peers->snapshot);
	peers->snapshot = snapshot;
	return 0;
}

static int peers_on_resolved(const struct peer_config *config, const struct address *addresses, size_t count,
			     void *data)
{
	struct peers *peers = data;
	int error = peers_set_addresses(peers, config, addresses, count);

	if (error)
		log_error(peers->log, "peer %s: no memory for the addresses of %s: the previous ones stay in use",
			  config->name, config->host);
	else
		peers->changed(peers_now(peers), peers->data);
	return error;
}

/* --- Creation --- */

/* Returns the endpoints that a peer of this name has in the previous configuration, if any. */
static const struct peer_endpoints *peers_previous_endpoints(const struct peers *before,
							     const struct peer_config *config)
{
	static const struct peer_endpoints none;
	size_t index = before ? config_find_peer(before->config, config->name) : 0;

	return before && index < before->config->peer_count ? &before->snapshot->peers[index] : &none;
}

/* Returns whether a peer with a host name may keep its addresses: it had the same host and port before. */
static bool peers_may_keep_addresses(const struct peer_endpoints *previous, const struct peer_config *config)
{
	return previous->count && peer_config_same_name(previous->items[0]->peer, config);
}

/* Fills lists, the endpoints of each peer. literals stores the endpoints of peers with a literal address; the caller
 * drops these references, also after an error. Both arrays have room for all peers. */
static int peers_list_first_endpoints(struct peers *peers, const struct peers *before, struct peer_endpoints *lists,
				      struct endpoint **literals)
{
	for (size_t i = 0; i < peers->config->peer_count; i++) {
		const struct peer_config *config = &peers->config->peers[i];
		const struct peer_endpoints *previous = peers_previous_endpoints(before, config);

		if (peers_may_keep_addresses(previous, config))
			lists[i] = *previous;
		if (config->host)
			continue;
		literals[i] = peers_reuse_endpoint(peers, previous, config, &config->address);
		if (!literals[i])
			return -ENOMEM;
		lists[i] = (struct peer_endpoints){.items = &literals[i], .count = 1};
	}
	return 0;
}

static int peers_create_first_snapshot(struct peers *peers, const struct peers *before)
{
	size_t count = peers->config->peer_count;
	struct peer_endpoints *lists = calloc(count + 1, sizeof(*lists));
	struct endpoint **literals = calloc(count + 1, sizeof(struct endpoint *));

	if (lists && literals && !peers_list_first_endpoints(peers, before, lists, literals))
		peers->snapshot = endpoints_snapshot_create(lists, count);
	for (size_t i = 0; literals && i < count; i++)
		endpoint_put(literals[i]);
	free(literals);
	free(lists);
	return peers->snapshot ? 0 : -ENOMEM;
}

/* Gives the resolver the addresses in use, so that it reports only a change. */
static void peers_init_result(struct resolver_result *result, const struct peer_endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count && i < RESOLVER_ADDRESSES_MAX; i++)
		result->addresses[result->count++] = endpoints->items[i]->address;
}

static void peers_create_resolvers(struct peers *peers, uv_loop_t *loop, const struct own_addresses *own)
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
					      .changed = peers_on_resolved,
					      .data = peers};
		resolver_init(resolver);
		peers_init_result(&resolver->result, &peers->snapshot->peers[i]);
		peers->resolver_count++;
	}
}

static size_t peers_count_names(const struct config *config)
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
				.epoch = setup->epoch};
	peers->resolvers = calloc(peers_count_names(setup->config) + 1, sizeof(*peers->resolvers));
	if (!peers->resolvers || peers_create_first_snapshot(peers, setup->before)) {
		peers_destroy(peers);
		return -ENOMEM;
	}
	peers_create_resolvers(peers, setup->loop, setup->own);
	*out = peers;
	return 0;
}

/* --- Life cycle --- */

void peers_adopt(struct peers *peers)
{
	for (size_t i = 0; i < peers->config->peer_count; i++) {
		for (size_t j = 0; j < peers->snapshot->peers[i].count; j++)
			endpoint_adopt_config(peers->snapshot->peers[i].items[j], &peers->config->peers[i]);
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

bool peers_closed(const struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++) {
		if (!resolver_is_closed(&peers->resolvers[i]))
			return false;
	}
	return true;
}

void peers_destroy(struct peers *peers)
{
	if (!peers)
		return;
	endpoints_snapshot_put(peers->snapshot);
	free(peers->resolvers);
	free(peers);
}
