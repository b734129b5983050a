#include "daemon/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/session_capacity.h"

/* --- Opening --- */

/* The sockets' addresses, and the groups that they have joined. */
static size_t collect_addresses(const struct listen_sockets *sockets, struct address *addresses)
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
	size_t most = 1;
	struct address *addresses;
	int error;

	for (size_t i = 0; i < sockets->count; i++)
		most += 1 + sockets->items[i].config->group_count;
	addresses = calloc(most, sizeof(*addresses));
	if (!addresses)
		return -ENOMEM;
	error = own_addresses_create(&generation->own, addresses, collect_addresses(sockets, addresses));
	free(addresses);
	return error;
}

/* Local interfaces, and the ports that listeners got, show only now what the configuration leads to. */
static int check_peers(const struct generation *generation)
{
	const struct config *config = generation->config;
	int error = 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		const struct peer_config *peer = &config->peers[i];

		if (peer->host || !own_addresses_reaches_us(generation->own, &peer->address))
			continue;
		log_error(generation->setup->log,
			  "%s:%u: [peer:%s] address: `%s` is one of our own listeners: datagrams would go round in "
			  "circles; write another program's address",
			  config->path, peer->line, peer->name, peer->address_text);
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
	struct listen_sockets *before = generation->before ? &generation->before->sockets : NULL;
	int error = listen_sockets_open(&generation->sockets, generation->config, setup->worker_count, before,
					setup->passed, setup->log);
	int log_error = create_datagram_log(generation);

	return error ? error : log_error;
}

static int create_shared(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;
	const struct generation *before = generation->before;

	return listener_limits_create(&generation->shared, generation->config,
				      session_capacity_reserve(generation->config, setup->worker_count, setup->log),
				      before ? before->shared : NULL, before ? before->config : NULL);
}

static int tell_failure(const struct generation *generation, int error)
{
	log_error(generation->setup->log, "cannot start: %s", strerror(-error));
	return error;
}

static void refuse_port(struct config *config, uint16_t port)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].refuses_default_ports)
			port_set_add(config->listeners[i].refuse_source_ports, port);
	}
}

/* Echo services of other hosts have the same port as ours, whatever that is: only now is it known of each. */
static void refuse_echo_ports(struct generation *generation)
{
	for (size_t i = 0; i < generation->sockets.count; i++) {
		const struct listen_socket *socket = &generation->sockets.items[i];

		if (action_traits(socket->config->action)->reflects && socket->local.any.sa_family != AF_UNIX)
			refuse_port(generation->config, address_port(&socket->local));
	}
}

static int create_tables(struct generation *generation)
{
	int error = create_own_addresses(generation);

	if (!error)
		error = create_shared(generation);
	return error ? tell_failure(generation, error) : 0;
}

int generation_open(struct generation **out, struct generation_setup *setup, struct config *config,
		    struct generation *before)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	int error;

	if (!generation) {
		config_destroy(config);
		return -ENOMEM;
	}
	*generation = (struct generation){.setup = setup, .config = config, .before = before};
	error = open_files(generation);
	if (!error)
		refuse_echo_ports(generation);
	if (!error)
		error = create_tables(generation);
	if (!error)
		error = check_peers(generation);
	if (error)
		generation_destroy(generation);
	else
		*out = generation;
	return error;
}

/* --- Preparing --- */

static void on_peers_changed(struct endpoints_snapshot *snapshot, void *data)
{
	struct generation *generation = data;

	for (unsigned i = 0; i < generation->started; i++)
		worker_set_peers(generation->workers[i], endpoints_snapshot_get(snapshot));
	health_checks_set(generation->checks, snapshot);
	endpoints_snapshot_put(snapshot);
}

static int create_peers(struct generation *generation)
{
	struct generation_setup *setup = generation->setup;
	struct peers_setup peers = {.loop = setup->loop,
				    .config = generation->config,
				    .own = generation->own,
				    .epoch = &setup->news,
				    .before = generation->before ? generation->before->peers : NULL,
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
							 .own = generation->own,
							 .datagram_log = generation->datagram_log,
							 .sockets = &generation->sockets,
							 .peers = generation->peers,
							 .news = &setup->news,
							 .shared = generation->shared,
							 .log = setup->log};
	generation->workers = calloc(setup->worker_count, sizeof(struct worker *));
	if (!generation->workers)
		return -ENOMEM;
	for (unsigned i = 0; i < setup->worker_count && !error; i++)
		error = worker_create(&generation->workers[i], &generation->worker_setup, i);
	return error;
}

static int prepare(struct generation *generation)
{
	const struct generation_setup *setup = generation->setup;
	int error = 0;

	if (generation->datagram_log && generation->before && generation->before->datagram_log)
		datagram_log_pause(generation->datagram_log);
	if (generation->datagram_log)
		error = datagram_log_start(generation->datagram_log);
	if (!error)
		error = create_peers(generation);
	if (!error)
		error = health_checks_create(&generation->checks, setup->loop, generation->config, generation->own,
					     setup->log);
	return error ? error : create_workers(generation);
}

int generation_prepare(struct generation *generation)
{
	int error = prepare(generation);

	return error ? tell_failure(generation, error) : 0;
}

/* --- Starting, and taking over --- */

void generation_retire(struct generation *generation)
{
	health_checks_close(generation->checks);
	if (generation->peers)
		peers_close(generation->peers);
}

static void stop_workers(struct generation *generation, void (*stop)(struct worker *worker))
{
	for (unsigned i = 0; i < generation->started; i++)
		stop(generation->workers[i]);
	for (unsigned i = 0; i < generation->started; i++)
		worker_join(generation->workers[i]);
	generation->started = 0;
}

/* Targets are as the configuration before has them until all sessions know their peers in the new one. */
static void take_over(struct generation *generation)
{
	struct generation *before = generation->before;

	generation_retire(before);
	listen_sockets_stop_receiving(&generation->sockets, &before->sockets);
	stop_workers(before, worker_stop_for_adoption);
	for (unsigned i = 0; i < generation->setup->worker_count; i++)
		worker_adopt(generation->workers[i], before->workers[i]);
	peers_adopt(generation->peers);
	listener_limits_adopt(generation->shared, generation->config);
	listen_sockets_adopt(&generation->sockets, &before->sockets);
	generation->before = NULL;
}

static void start_checks(struct generation *generation)
{
	struct endpoints_snapshot *snapshot = peers_now(generation->peers);

	health_checks_set(generation->checks, snapshot);
	endpoints_snapshot_put(snapshot);
}

int generation_start(struct generation *generation)
{
	int error = 0;

	if (generation->before)
		take_over(generation);
	start_checks(generation);
	while (generation->started < generation->setup->worker_count && !error) {
		error = worker_start(generation->workers[generation->started]);
		generation->started += !error;
	}
	if (!error)
		listen_sockets_save_to_fdstore(&generation->sockets);
	return error ? tell_failure(generation, error) : 0;
}

/* --- End --- */

void generation_close(struct generation *generation)
{
	stop_workers(generation, worker_stop);
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
	listener_limits_destroy(generation->shared, generation->config);
	datagram_log_destroy(generation->datagram_log);
	health_checks_destroy(generation->checks);
	peers_destroy(generation->peers);
	own_addresses_destroy(generation->own);
	listen_sockets_close(&generation->sockets);
	config_destroy(generation->config);
	free(generation);
}
