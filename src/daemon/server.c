#include "daemon/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "admin/http.h"
#include "admin/summary.h"
#include "base/clock.h"
#include "base/systemd.h"
#include "build_config.h"
#include "daemon/generation.h"
#include "daemon/privileges.h"
#include "daemon/retired_generations.h"
#include "daemon/seccomp.h"
#include "daemon/interface_monitor.h"
#include "upstream/name_lookup.h"

enum { SIGNALS = 5 };

static const int signal_numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

struct server {
	struct log *log;
	uv_loop_t loop;
	uv_signal_t signals[SIGNALS];
	uv_timer_t watchdog;
	struct interface_monitor interfaces;
	struct log_limit interfaces_limit;
	uint64_t watchdog_ms; /* what systemd waits before it starts us again; 0: for ever */
	bool on_terminal; /* at the start */
	bool ending;
	int error; /* what ends it before its time */
	bool clean; /* nothing is left that must stay until the process ends */

	struct generation_setup setup;
	struct inherited_sockets passed; /* by systemd */
	struct generation *now; /* the one in force */
	struct retired_generations past; /* those before, which are not quite closed */
	unsigned number; /* of the one in force, from 1 */
	struct status_source view; /* of the one in force */
	struct http_socket http_socket;
	struct http *http;
};

/* For all that tells of the daemon, whenever another generation is in force. */
static void update_view(struct server *server)
{
	const struct generation *now = server->now;

	server->view.config = now->config;
	server->view.generation = server->number;
	server->view.workers = now->workers;
	server->view.worker_count = server->setup.worker_count;
	server->view.datagram_log = now->datagram_log;
	server->view.shared = now->shared;
	server->view.peers = now->peers;
	server->view.sockets = &now->sockets;
}

/* --- Signals --- */

/* A signal whose handle is closed has its default action again: the next one would end us half-way. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < SIGNALS; i++)
		sigaddset(&set, signal_numbers[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* From here the loop runs only until the handles are closed. */
static void begin_end(struct server *server)
{
	if (server->ending)
		return;
	server->ending = true;
	systemd_notify_stopping();
	block_signals();
	for (int i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	http_close(server->http);
	generation_retire(server->now);
}

/* --- Reload --- */

/* Every error, as it would be told at the start. */
static struct config *load(struct server *server, const char *path)
{
	char *errors = NULL, *rest, *line;
	size_t size;
	FILE *stream = open_memstream(&errors, &size);
	struct config *config = stream ? config_load(path, stream) : NULL;

	if (stream)
		fclose(stream);
	for (rest = errors; rest && (line = strsep(&rest, "\n"));) {
		if (*line)
			log_error(server->log, "%s", line);
	}
	free(errors);
	return config;
}

static bool differs(const char *a, const char *b)
{
	return !a != !b || (a && strcmp(a, b) != 0);
}

/* What cannot change while it runs. */
static void tell_unchangeable(const struct server *server, const struct config *config)
{
	const struct config *now = server->now->config;

	if (config->workers != now->workers)
		log_warning(server->log, "%s: [udprelayd] workers: it stays at %u until the next start", config->path,
			    server->setup.worker_count);
	if (differs(config->http.text, now->http.text))
		log_warning(server->log, "%s: [http] listen: it stays as it is until the next start", config->path);
	if (differs(config->user.name, now->user.name) || config->user.gid != now->user.gid)
		log_warning(server->log, "%s: [udprelayd] user, group: they stay as they are until the next start",
			    config->path);
}

/* There is no way back once workers have stopped: an error then ends it all. */
static void replace(struct server *server, struct generation *next)
{
	struct generation *before = server->now;

	server->error = generation_start(next);
	server->now = next;
	server->number++;
	update_view(server);
	log_configure(server->log, next->config->log_level, next->config->log_format);
	retired_generations_add(&server->past, before);
	if (server->error)
		begin_end(server);
	else
		peers_start(next->peers);
}

/* Returns whether the file is in force now; nothing has changed if not. */
static bool load_next(struct server *server)
{
	struct config *config = load(server, server->now->config->path);
	struct generation *next;

	if (!config)
		return false;
	tell_unchangeable(server, config);
	if (generation_open(&next, &server->setup, config, server->now))
		return false;
	if (generation_prepare(next)) {
		retired_generations_add(&server->past, next);
		return false;
	}
	replace(server, next);
	return true;
}

static void tell_ready(const struct server *server, const char *what)
{
	const struct config *config = server->now->config;
	char text[256];

	snprintf(text, sizeof(text), "%s: listeners: %zu, peers: %zu, workers: %u", what, config->listener_count,
		 config->peer_count, server->setup.worker_count);
	log_notice(server->log, "%s", text);
	systemd_notify_ready(text);
}

static void reload(struct server *server)
{
	char text[128];

	systemd_notify_reloading();
	server->view.last_reload_failed = !load_next(server);
	if (!server->view.last_reload_failed) {
		snprintf(text, sizeof(text), "configuration %u in force", server->number);
	} else {
		server->view.reloads_failed++;
		log_error(server->log, "the configuration is not loaded again: see above; the one before stays");
		snprintf(text, sizeof(text), "the last reload failed, configuration %u stays", server->number);
	}
	if (!server->ending)
		tell_ready(server, text);
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
	case SIGUSR2:
		if (server->now->datagram_log)
			datagram_log_reopen(server->now->datagram_log);
		break;
	case SIGHUP:
		if (has_lost_terminal(server))
			begin_end(server);
		else
			reload(server);
		break;
	default:
		begin_end(server);
	}
}

/* --- Start --- */

/* Signals are watched before anything else runs, so that none of them ends the program half-way. */
static int watch_signals(struct server *server)
{
	for (int i = 0; i < SIGNALS; i++) {
		int error = uv_signal_init(&server->loop, &server->signals[i]);

		server->signals[i].data = server;
		if (!error)
			error = uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
		if (error) {
			log_error(server->log, "cannot start: signals: %s", uv_strerror(error));
			return error;
		}
	}
	return 0;
}

/* Addresses, files and descriptors are there, and no thread but the log's runs: from here on it needs no rights. */
static int confine(const struct server *server)
{
	const struct config *config = server->now->config;
	int error;

	privileges_check_files(config, server->log);
	error = privileges_drop(config, server->log);
	if (!error)
		seccomp_install(server->log);
	return error;
}

static int create_http(struct server *server)
{
	int error;

	update_view(server);
	if (!server->now->config->http.text)
		return 0;
	error = http_create(&server->http, &server->loop, &server->http_socket, &server->view);
	if (error)
		log_error(server->log, "cannot start: http: %s", strerror(-error));
	return error;
}

/* --- Watchdog --- */

/* A busy worker's loop turns, too. */
static bool all_turn(const struct server *server)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (unsigned i = 0; i < server->setup.worker_count; i++) {
		if (now_ms > worker_heartbeat_ms(server->now->workers[i]) + server->watchdog_ms)
			return false;
	}
	return true;
}

static void on_watchdog(uv_timer_t *timer)
{
	const struct server *server = timer->data;

	if (all_turn(server))
		systemd_notify_watchdog();
}

/* More often than is asked for, so that one word may come late. */
static void start_watchdog(struct server *server)
{
	uint64_t each_ms = server->watchdog_ms / 3 + 1;

	if (server->watchdog_ms)
		uv_timer_start(&server->watchdog, on_watchdog, each_ms, each_ms);
	uv_unref((uv_handle_t *)&server->watchdog);
}

/* --- Addresses that come and go --- */

static void on_interfaces(void *data)
{
	struct server *server = data;

	if (!own_addresses_refresh(server->now->own))
		log_write_limited(server->log, &server->interfaces_limit, LOG_LEVEL_WARNING,
				  "interfaces have got more than %d other addresses: reload, so that all are known for "
				  "our own",
				  OWN_ADDRESSES_LATER);
}

/* Returns 0, or a negative errno after telling why. */
static int server_start(struct server *server, struct config *config)
{
	int error = generation_open(&server->now, &server->setup, config, NULL);

	if (error)
		return error;
	error = http_socket_open(&server->http_socket, server->now->config, server->log);
	if (error)
		return error;
	if (confine(server))
		return -EPERM;
	error = watch_signals(server);
	if (!error)
		error = generation_prepare(server->now);
	if (!error)
		error = create_http(server);
	return error ? error : generation_start(server->now);
}

/* --- End --- */

static void close_any(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void end_loop(struct server *server)
{
	http_close(server->http);
	uv_walk(&server->loop, close_any, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&server->loop))
		log_error(server->log, "the main loop still has open handles");
	http_destroy(server->http);
}

static unsigned count_workers(const struct config *config)
{
	return config->workers ? config->workers : uv_available_parallelism();
}

/* Runs from start to end. */
static void serve(struct server *server, struct config *config)
{
	server->error = server_start(server, config);
	if (!server->error) {
		tell_ready(server, "udprelayd " UDPRELAYD_VERSION " ready");
		peers_start(server->now->peers);
		start_watchdog(server);
		interface_monitor_start(&server->interfaces, &server->loop, on_interfaces, server, server->log);
		uv_run(&server->loop, UV_RUN_DEFAULT);
	}
	if (server->now)
		generation_close(server->now);
	end_loop(server);
	if (!server->now)
		return;
	server->clean = server->clean && retired_generations_finish(&server->past);
	server->clean &= datagram_log_stop(server->now->datagram_log, PAST_RECORDS_MS);
	if (!server->error)
		summary_write(server->log, &server->view);
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
	server->log = log;
	server->clean = true;
	server->number = 1;
	server->http_socket.fd = -1;
	server->interfaces.fd = -1;
	server->view.start_wall_us = clock_wall_us();
	server->view.start_ms = clock_monotonic_ms();
	server->on_terminal = isatty(STDERR_FILENO);
	inherited_sockets_open(&server->passed, log);
	server->setup = (struct generation_setup){
		.loop = &server->loop, .log = log, .worker_count = count_workers(config), .passed = &server->passed};
	retired_generations_init(&server->past, &server->loop, &server->now);
	uv_timer_init(&server->loop, &server->watchdog);
	server->watchdog.data = server;
	server->watchdog_ms = systemd_watchdog_ms();
	return server;
}

int server_run(struct config *config, struct log *log, bool *clean)
{
	struct server *server;
	int error;

	server = server_create(config, log);
	if (!server) {
		config_destroy(config);
		return 1;
	}
	serve(server, config);
	error = server->error;
	*clean = server->clean;
	if (*clean) {
		if (server->now)
			generation_destroy(server->now);
		interface_monitor_finish(&server->interfaces);
		http_socket_close(&server->http_socket, server->log);
		inherited_sockets_close(&server->passed);
		free(server);
	}
	*clean = *clean && !name_lookup_threads_running();
	return error ? 1 : 0;
}
