#include "server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bound.h"
#include "build_config.h"
#include "capacity.h"
#include "clock.h"
#include "datagram_log.h"
#include "guard.h"
#include "health_check.h"
#include "http.h"
#include "peer.h"
#include "privileges.h"
#include "seccomp_filter.h"
#include "shared.h"
#include "summary.h"
#include "systemd.h"
#include "worker.h"

/* What an end may take: the records that wait, and look-ups that a name server keeps waiting. */
#define END_RECORDS_MS 400
#define END_LOOKUPS_MS 200

enum { SIGNALS = 4 };

static const int signal_numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

struct server {
	const struct config *config;
	struct log *log;
	uv_loop_t loop;
	uv_signal_t signals[SIGNALS];
	uv_timer_t deadline; /* of the end */
	bool on_terminal; /* at the start */
	bool ending;

	struct bound_sockets sockets;
	struct own_addresses *own;
	struct datagram_log *datagram_log;
	struct worker_setup setup;
	struct worker **workers;
	unsigned worker_count, started;
	struct shared *shared; /* by listener */
	struct peers *peers;
	struct health_checks *checks;
	struct server_view view;
	struct http_socket http_socket;
	struct http *http;
};

/* For all that tells of the daemon: once the parts are made, and whenever they become others. */
static void update_view(struct server *server)
{
	server->view.config = server->config;
	server->view.generation++;
	server->view.workers = server->workers;
	server->view.worker_count = server->worker_count;
	server->view.datagram_log = server->datagram_log;
	server->view.shared = server->shared;
	server->view.peers = server->peers;
	server->view.sockets = &server->sockets;
}

/* --- While it runs --- */

static void on_peers_changed(struct peers_snapshot *snapshot, void *data)
{
	struct server *server = data;

	for (unsigned i = 0; i < server->worker_count; i++)
		worker_set_peers(server->workers[i], peers_snapshot_get(snapshot));
	health_checks_set(server->checks, snapshot);
	peers_snapshot_put(snapshot);
}

static void on_deadline(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* A signal whose handle is closed has its default action again: the next one would end us half-way. */
static void block_signals(sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < SIGNALS; i++)
		sigaddset(&set, signal_numbers[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

/* From here the loop runs only until the handles are closed and the look-ups ended, or until the deadline. */
static void begin_end(struct server *server)
{
	if (server->ending)
		return;
	server->ending = true;
	systemd_notify_stopping();
	block_signals(NULL);
	for (int i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	http_close(server->http);
	health_checks_close(server->checks);
	peers_close(server->peers);
	uv_timer_start(&server->deadline, on_deadline, END_LOOKUPS_MS, 0);
	uv_unref((uv_handle_t *)&server->deadline);
}

/* SIGHUP also comes when a terminal is closed, and then nobody is left who could end us. */
static bool has_lost_terminal(const struct server *server)
{
	struct pollfd output = {.fd = STDERR_FILENO};

	return server->on_terminal && poll(&output, 1, 0) == 1 && output.revents & POLLHUP;
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct server *server = handle->data;

	switch (number) {
	case SIGUSR1:
		summary_write(server->log, &server->view);
		break;
	case SIGHUP:
		if (has_lost_terminal(server)) {
			begin_end(server);
			break;
		}
		log_notice(server->log, "the configuration is not loaded again: that is not built yet");
		if (server->datagram_log)
			datagram_log_reopen(server->datagram_log);
		break;
	default:
		begin_end(server);
	}
}

/* --- Start --- */

static int watch_signals(struct server *server)
{
	for (int i = 0; i < SIGNALS; i++) {
		int error = uv_signal_init(&server->loop, &server->signals[i]);

		server->signals[i].data = server;
		if (!error)
			error = uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
		if (error)
			return error;
	}
	return 0;
}

/* The sockets' addresses, and the groups that they have joined. */
static size_t collect_addresses(const struct server *server, struct address *addresses)
{
	size_t count = 0;

	for (size_t i = 0; i < server->sockets.count; i++) {
		const struct bound_socket *socket = &server->sockets.items[i];

		addresses[count++] = socket->local;
		for (size_t g = 0; g < socket->config->group_count; g++) {
			addresses[count] = socket->config->groups[g].group;
			address_set_port(&addresses[count++], address_port(&socket->local));
		}
	}
	return count;
}

static int own_addresses_of(struct server *server)
{
	size_t most = 1;
	struct address *addresses;
	int error;

	for (size_t i = 0; i < server->sockets.count; i++)
		most += 1 + server->sockets.items[i].config->group_count;
	addresses = calloc(most, sizeof(*addresses));
	if (!addresses)
		return UV_ENOMEM;
	error = own_addresses_create(&server->own, addresses, collect_addresses(server, addresses));
	free(addresses);
	return error;
}

static int create_workers(struct server *server)
{
	int error = 0;

	server->setup = (struct worker_setup){.config = server->config,
					      .own = server->own,
					      .datagram_log = server->datagram_log,
					      .sockets = &server->sockets,
					      .peers = server->peers,
					      .shared = server->shared,
					      .log = server->log};
	server->workers = calloc(server->worker_count, sizeof(struct worker *));
	if (!server->workers)
		return UV_ENOMEM;
	for (unsigned i = 0; i < server->worker_count && !error; i++)
		error = worker_create(&server->workers[i], &server->setup, i);
	return error;
}

static int start_workers(struct server *server)
{
	int error = 0;

	while (server->started < server->worker_count && !error) {
		error = worker_start(server->workers[server->started]);
		server->started += !error;
	}
	return error;
}

static int create_datagram_log(struct server *server)
{
	if (server->config->datagram_log.target == LOG_TARGET_OFF)
		return 0;
	return datagram_log_create(&server->datagram_log, server->config, server->worker_count, server->log);
}

static int create_checks(struct server *server)
{
	struct peers_snapshot *snapshot = peers_now(server->peers);
	int error = health_checks_create(&server->checks, &server->loop, server->config, server->own, server->log);

	if (!error)
		health_checks_set(server->checks, snapshot);
	peers_snapshot_put(snapshot);
	return error;
}

/* Signals are watched before anything else runs, so that none of them ends the program half-way. */
static int create_loop(struct server *server)
{
	int error = watch_signals(server);

	uv_timer_init(&server->loop, &server->deadline);
	if (!error)
		error = peers_create(&server->peers, &server->loop, server->config, server->own, server->log,
				     on_peers_changed, server);
	if (!error)
		error = create_checks(server);
	return error;
}

/* Local interfaces, and the ports that listeners got, show only now what the configuration leads to. */
static int check_peers(struct server *server)
{
	const struct config *config = server->config;
	int error = 0;

	for (size_t i = 0; i < config->peer_count; i++) {
		const struct peer_config *peer = &config->peers[i];

		if (peer->host || !own_addresses_leads_back(server->own, &peer->address))
			continue;
		log_error(server->log,
			  "%s:%u: [peer:%s] address: `%s` is one of our own listeners: datagrams would go round in "
			  "circles; write another program's address",
			  config->path, peer->line, peer->name, peer->address_text);
		error = UV_EINVAL;
	}
	return error;
}

/* Addresses, files and descriptors are there, and no thread but the log's runs: from here on it needs no rights. */
static int confine(const struct server *server)
{
	int error;

	privileges_check_files(server->config, server->log);
	error = privileges_drop(server->config, server->log);
	if (!error)
		seccomp_filter_install(server->log);
	return error;
}

static int create_http(struct server *server)
{
	if (!server->config->http.text)
		return 0;
	return http_create(&server->http, &server->loop, &server->http_socket, &server->view);
}

static int start_parts(struct server *server)
{
	int error = 0;

	if (server->datagram_log)
		error = datagram_log_start(server->datagram_log);
	if (!error)
		error = create_loop(server);
	if (!error)
		error = create_workers(server);
	if (!error)
		update_view(server);
	if (!error)
		error = create_http(server);
	if (!error)
		error = start_workers(server);
	return error;
}

/* Returns 0, or a negative errno after telling why. */
static int server_start(struct server *server)
{
	int error = own_addresses_of(server);

	if (!error && check_peers(server))
		return UV_EINVAL;
	if (!error)
		error = shared_create(&server->shared, server->config,
				      capacity_provide(server->config, server->worker_count, server->log));
	if (!error && confine(server))
		return UV_EPERM;
	if (!error)
		error = start_parts(server);
	if (error)
		log_error(server->log, "cannot start: %s", strerror(-error));
	return error;
}

static void tell_ready(const struct server *server)
{
	char text[128];

	snprintf(text, sizeof(text), "listeners: %zu, peers: %zu, workers: %u", server->config->listener_count,
		 server->config->peer_count, server->worker_count);
	log_notice(server->log, "udprelayd %s ready: %s", UDPRELAYD_VERSION, text);
	systemd_notify_ready(text);
}

/* --- End --- */

static void end_workers(struct server *server)
{
	for (unsigned i = 0; i < server->started; i++)
		worker_stop(server->workers[i]);
	for (unsigned i = 0; i < server->started; i++)
		worker_join(server->workers[i]);
}

static void close_any(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Returns false where a look-up is still under way, so that loop and peers must stay as they are. */
static bool end_loop(struct server *server)
{
	if (server->peers && peers_busy(server->peers))
		return false;
	http_close(server->http);
	health_checks_close(server->checks);
	uv_walk(&server->loop, close_any, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&server->loop))
		log_error(server->log, "the main loop still has open handles");
	http_destroy(server->http);
	health_checks_destroy(server->checks);
	server->view.peers = NULL;
	peers_destroy(server->peers);
	return true;
}

static void server_finish(struct server *server)
{
	for (unsigned i = 0; server->workers && i < server->worker_count; i++)
		worker_destroy(server->workers[i]);
	free(server->workers);
	shared_destroy(server->shared, server->config);
	datagram_log_destroy(server->datagram_log);
	own_addresses_destroy(server->own);
	bound_sockets_close(&server->sockets);
	http_socket_close(&server->http_socket, server->log);
}

static unsigned count_workers(const struct config *config)
{
	return config->workers ? config->workers : uv_available_parallelism();
}

/* libuv looks names up in a pool of threads, four unless told otherwise: a name server that does not answer for some
 * peers shall not keep the others waiting. */
static void size_thread_pool(const struct config *config)
{
	char text[16];
	size_t names = 4;

	for (size_t i = 0; i < config->peer_count; i++)
		names += config->peers[i].host != NULL;
	snprintf(text, sizeof(text), "%zu", names < 64 ? names : 64);
	setenv("UV_THREADPOOL_SIZE", text, 0);
}

/* What the user may have to mend: his addresses and his log file. Tells itself what is wrong. */
static int open_files(struct server *server)
{
	int error = bound_sockets_open(&server->sockets, server->config, server->worker_count, server->log);
	int target_error = create_datagram_log(server);
	int http_error = http_socket_open(&server->http_socket, server->config, server->log);

	return error ? error : target_error ? target_error : http_error;
}

/* With the first look-up libuv starts the threads of its pool: signals are not for them. */
static void start_peers(struct server *server)
{
	sigset_t before;

	block_signals(&before);
	peers_start(server->peers);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Runs from start to end. *clean becomes false where something of the server must stay until the process ends. */
static int serve(struct server *server, bool *clean)
{
	int error = server_start(server);

	if (!error) {
		tell_ready(server);
		start_peers(server);
		uv_run(&server->loop, UV_RUN_DEFAULT);
	}
	end_workers(server);
	*clean = end_loop(server);
	if (!datagram_log_stop(server->datagram_log, END_RECORDS_MS))
		*clean = false;
	if (!error)
		summary_write(server->log, &server->view);
	return error;
}

static struct server *server_create(const struct config *config, struct log *log)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server && uv_loop_init(&server->loop)) {
		free(server);
		server = NULL;
	}
	if (!server) {
		log_error(log, "cannot start: %s", strerror(errno));
		return NULL;
	}
	server->config = config;
	server->log = log;
	server->on_terminal = isatty(STDERR_FILENO);
	server->worker_count = count_workers(config);
	server->view.start_wall_us = clock_wall_us();
	server->view.start_ms = clock_monotonic_ms();
	return server;
}

int server_run(const struct config *config, struct log *log, bool *clean)
{
	struct server *server;
	int error;

	*clean = true;
	size_thread_pool(config);
	server = server_create(config, log);
	if (!server)
		return 1;
	error = open_files(server);
	if (!error)
		error = serve(server, clean);
	else
		uv_loop_close(&server->loop);
	server_finish(server);
	if (*clean)
		free(server);
	return error ? 1 : 0;
}
