#include "daemon/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/session_capacity.h"

/* --- Open --- */

/* Writes the address of each socket and of the groups that it has joined. Returns the number of addresses. */
static size_t collect_own_addresses(const struct listen_sockets *sockets, struct address *addresses)
{
	size_t count = 0;

	for (size_t i = 0; i < sockets->count; i++) {
		const struct listen_socket *socket = &sockets->items[i];

		addresses[count++] = socket->local;
		for (size_t g = 0; g < socket->config->group_count; g++) {
			addresses[count] = socket->config->groups[g].group;
			address_set_port(&addresses[count++], address_port(&socket->local));
		}
	}
	return count;
}

static int create_own_addresses(struct generation *generation)
{
	const struct listen_sockets *sockets = &generation->sockets;
	size_t max = 1;
	struct address *addresses;
	int error;

	for (size_t i = 0; i < sockets->count; i++)
		max += 1 + sockets->items[i].config->group_count;
	addresses = calloc(max, sizeof(*addresses));
	if (!addresses)
		return -ENOMEM;
	error = own_addresses_create(&generation->own_addresses, addresses, collect_own_addresses(sockets, addresses));
	free(addresses);
	return error;
}

/* Logs the error at the key that has the address: a listed peer is in the key `peers` of its first listener. */
static void log_own_peer(const struct generation *generation, const struct peer_config *peer)
{
	const struct config *config = generation->config;
	const char *section = "peer", *name = peer->name, *key = "address";

	for (size_t l = config->listener_count; peer->listed && l--;) {
		for (size_t i = 0; i < config->listeners[l].peer_count; i++) {
			if (config->listeners[l].peers[i] != peer)
				continue;
			section = "listener";
			name = config->listeners[l].name;
			key = "peers";
		}
	}
	log_error(generation->setup->log,
		  "%s:%u: [%s:%s] %s: `%s` is one of our own listeners, so datagrams would loop: "
		  "write the address of another program",
		  config->path, peer->line, section, name, key, peer->address_text);
}

/* Rejects peers at our own addresses. Validation of the file cannot find them: they depend on the interfaces of this
 * host and on ports that the kernel chooses. */
static int check_peer_addresses(const struct generation *generation)
{
	const struct config *config = generation->config;
	int error = 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		const struct peer_config *peer = &config->peers[i];

		if (peer->host || !own_addresses_reaches_us(generation->own_addresses, &peer->address))
			continue;
		log_own_peer(generation, peer);
		error = -EINVAL;
	}
	return error;
}

static int create_datagram_log(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;

	if (generation->config->datagram_log.target == LOG_TARGET_OFF)
		return 0;
	return datagram_log_create(&generation->datagram_log, generation->config, setup->worker_count, setup->log);
}

static int open_files(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;
	struct listen_sockets *previous = generation->previous ? &generation->previous->sockets : NULL;
	int error = listen_sockets_open(&generation->sockets, generation->config, setup->worker_count, previous,
					setup->inherited, setup->log);
	int log_error = create_datagram_log(generation);

	return error ? error : log_error;
}

static int create_limits(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;
	const struct generation *previous = generation->previous;

	return listener_limits_create(&generation->limits, generation->config,
				      session_capacity_reserve(generation->config, setup->worker_count, setup->log),
				      previous ? previous->limits : NULL, previous ? previous->config : NULL);
}

static int generation_log_failure(const struct generation *generation, int error)
{
	log_error(generation->setup->log, "cannot start: %s", strerror(-error));
	return error;
}

static void refuse_source_port(struct config *config, uint16_t port)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].has_default_source_ports)
			port_set_add(config->listeners[i].refuse_source_ports, port);
	}
}

/* Refuses the port of each echo listener as a source port: echo services of other hosts usually have the same port.
 * Until the bind, a port that the kernel chooses is unknown. */
static void refuse_echo_ports(struct generation *generation)
{
	for (size_t i = 0; i < generation->sockets.count; i++) {
		const struct listen_socket *socket = &generation->sockets.items[i];

		if (action_traits[socket->config->action].reflects && socket->local.any.sa_family != AF_UNIX)
			refuse_source_port(generation->config, address_port(&socket->local));
	}
}

static int create_tables(struct generation *generation)
{
	int error = create_own_addresses(generation);

	if (!error)
		error = create_limits(generation);
	return error ? generation_log_failure(generation, error) : 0;
}

int generation_open(struct generation **out, struct generation_setup *setup, struct config *config,
		    struct generation *previous)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	int error;

	if (!generation) {
		config_destroy(config);
		return -ENOMEM;
	}
	*generation = (struct generation){.setup = setup, .config = config, .previous = previous};
	error = open_files(generation);
	if (!error)
		refuse_echo_ports(generation);
	if (!error)
		error = create_tables(generation);
	if (!error)
		error = check_peer_addresses(generation);
	if (error)
		generation_destroy(generation);
	else
		*out = generation;
	return error;
}

/* --- Prepare --- */

static void on_peers_changed(struct endpoints_snapshot *snapshot, void *data)
{
	struct generation *generation = data;

	for (unsigned i = 0; i < generation->workers_started; i++)
		worker_set_peers(generation->workers[i], endpoints_snapshot_get(snapshot));
	health_checks_set(generation->checks, snapshot);
	endpoints_snapshot_put(snapshot);
}

static int create_peers(struct generation *generation)
{
	struct generation_setup *setup = generation->setup;
	struct peers_setup peers = {.loop = setup->loop,
				    .config = generation->config,
				    .own = generation->own_addresses,
				    .epoch = &setup->epoch,
				    .before = generation->previous ? generation->previous->peers : NULL,
				    .log = setup->log,
				    .changed = on_peers_changed,
				    .data = generation};

	return peers_create(&generation->peers, &peers);
}

static int create_workers(struct generation *generation)
{
	struct generation_setup *setup = generation->setup;
	int error = 0;

	generation->worker_setup = (struct worker_setup){.config = generation->config,
							 .own = generation->own_addresses,
							 .datagram_log = generation->datagram_log,
							 .sockets = &generation->sockets,
							 .peers = generation->peers,
							 .epoch = &setup->epoch,
							 .limits = generation->limits,
							 .log = setup->log};
	generation->workers = calloc(setup->worker_count, sizeof(struct worker *));
	if (!generation->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < setup->worker_count && !error; i++)
		error = worker_create(&generation->workers[i], &generation->worker_setup, i);
	return error;
}

static int create_parts(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;
	int error = 0;

	if (generation->datagram_log && generation->previous && generation->previous->datagram_log)
		datagram_log_pause(generation->datagram_log);
	if (generation->datagram_log)
		error = datagram_log_start(generation->datagram_log);
	if (!error)
		error = create_peers(generation);
	if (!error)
		error = health_checks_create(&generation->checks, setup->loop, generation->config,
					     generation->own_addresses, setup->log);
	return error ? error : create_workers(generation);
}

int generation_prepare(struct generation *generation)
{
	int error = create_parts(generation);

	return error ? generation_log_failure(generation, error) : 0;
}

/* --- Start --- */

void generation_retire(struct generation *generation)
{
	health_checks_close(generation->checks);
	if (generation->peers)
		peers_close(generation->peers);
}

static void stop_and_join_workers(struct generation *generation, void (*stop)(struct worker *worker))
{
	for (unsigned i = 0; i < generation->workers_started; i++)
		stop(generation->workers[i]);
	for (unsigned i = 0; i < generation->workers_started; i++)
		worker_join(generation->workers[i]);
	generation->workers_started = 0;
}

/* The order matters: endpoints keep the settings of the previous configuration until all sessions refer to the peers of
 * the new one. */
static void adopt_previous(struct generation *generation)
{
	struct generation *previous = generation->previous;

	generation_retire(previous);
	listen_sockets_stop_receiving(&generation->sockets, &previous->sockets);
	stop_and_join_workers(previous, worker_stop_for_adoption);
	for (unsigned i = 0; i < generation->setup->worker_count; i++)
		worker_adopt(generation->workers[i], previous->workers[i]);
	peers_adopt(generation->peers);
	listener_limits_adopt(generation->limits, generation->config);
	listen_sockets_adopt(&generation->sockets, &previous->sockets);
	generation->previous = NULL;
}

static void start_health_checks(struct generation *generation)
{
	struct endpoints_snapshot *snapshot = peers_now(generation->peers);

	health_checks_set(generation->checks, snapshot);
	endpoints_snapshot_put(snapshot);
}

int generation_start(struct generation *generation)
{
	int error = 0;

	if (generation->previous)
		adopt_previous(generation);
	start_health_checks(generation);
	while (generation->workers_started < generation->setup->worker_count && !error) {
		error = worker_start(generation->workers[generation->workers_started]);
		generation->workers_started += !error;
	}
	if (!error)
		listen_sockets_save_to_fdstore(&generation->sockets);
	return error ? generation_log_failure(generation, error) : 0;
}

/* --- Close --- */

void generation_close(struct generation *generation)
{
	stop_and_join_workers(generation, worker_stop);
	generation_retire(generation);
}

bool generation_closed(const struct generation *generation)
{
	return health_checks_closed(generation->checks) && (!generation->peers || peers_closed(generation->peers));
}

bool generation_log_flushed(const struct generation *generation)
{
	return !generation->datagram_log || datagram_log_idle(generation->datagram_log);
}

void generation_destroy(struct generation *generation)
{
	for (unsigned i = 0; generation->workers && i < generation->setup->worker_count; i++)
		worker_destroy(generation->workers[i]);
	free(generation->workers);
	listener_limits_destroy(generation->limits, generation->config);
	datagram_log_destroy(generation->datagram_log);
	health_checks_destroy(generation->checks);
	peers_destroy(generation->peers);
	own_addresses_destroy(generation->own_addresses);
	listen_sockets_close(&generation->sockets);
	config_destroy(generation->config);
	free(generation);
}
