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
#include "daemon/config_reload.h"
#include "daemon/drop_monitor.h"
#include "daemon/exit_status.h"
#include "daemon/generation.h"
#include "daemon/interface_monitor.h"
#include "daemon/privileges.h"
#include "daemon/retired_generations.h"
#include "daemon/seccomp.h"
#include "upstream/name_lookup.h"

enum { SIGNAL_COUNT = 5 };

static const int signal_numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

struct server {
	struct log *log;
	uv_loop_t loop;
	uv_signal_t signals[SIGNAL_COUNT];
	uv_timer_t watchdog;
	struct interface_monitor interface_monitor;
	struct drop_monitor drop_monitor;
	struct log_limit own_addresses_limit;
	uint64_t watchdog_ms; /* systemd restarts the daemon after this time without a notification; 0: no watchdog */
	bool on_terminal; /* standard error was a terminal at the start */
	bool shutting_down;
	int error; /* negative errno that ends the server */
	bool clean; /* everything can be freed, see server_run() */

	struct generation_setup setup;
	struct inherited_sockets inherited; /* from systemd */
	struct generation *active;
	struct retired_generations retired;
	unsigned generation_number; /* number of the active generation; the first one is 1 */
	struct status_source status_source; /* status of the active generation */
	struct http_socket http_socket;
	struct http *http;
};

/* Makes HTTP, the summary and the monitor show the active generation. Call this after each change of server->active. */
static void update_status_source(struct server *server)
{
	const struct generation *active = server->active;

	server->status_source.config = active->config;
	server->status_source.generation = server->generation_number;
	server->status_source.workers = active->workers;
	server->status_source.worker_count = server->setup.worker_count;
	server->status_source.datagram_log = active->datagram_log;
	server->status_source.limits = active->limits;
	server->status_source.peers = active->peers;
	server->status_source.sockets = &active->sockets;
	drop_monitor_watch(&server->drop_monitor, active->config, &active->sockets);
}

/* --- Signals --- */

/* how is SIG_BLOCK or SIG_UNBLOCK. */
static void mask_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		sigaddset(&set, signal_numbers[i]);
	pthread_sigmask(how, &set, NULL);
}

/* From here on the loop runs only until the handles are closed. */
static void begin_shutdown(struct server *server, const char *reason)
{
	if (server->shutting_down)
		return;
	server->shutting_down = true;
	log_notice(server->log, "ending: %s", reason);
	systemd_notify_stopping();
	/* Closing a signal handle restores the default action of the signal. The next signal would kill the process in
	 * the middle of the shutdown. */
	mask_signals(SIG_BLOCK);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	http_close(server->http);
	generation_retire(server->active);
}

/* --- Reload --- */

/* This cannot be undone, because the workers of the previous generation stop. So an error ends the server. */
static void activate_generation(struct server *server, struct generation *next)
{
	struct generation *previous = server->active;

	server->error = generation_start(next);
	server->active = next;
	server->generation_number++;
	update_status_source(server);
	log_configure(server->log, next->config->log_level, next->config->log_format);
	retired_generations_add(&server->retired, previous);
	if (server->error)
		begin_shutdown(server, "the reload failed");
	else
		peers_start(next->peers);
}

/* Returns true if the new configuration is active. Otherwise nothing has changed. */
static bool load_next_generation(struct server *server)
{
	struct config *config = config_reload_read(server->active->config->path, server->log);
	struct generation *next;

	if (!config)
		return false;
	config_reload_keep_fixed_keys(server->active->config, config, server->setup.worker_count, server->log);
	if (generation_open(&next, &server->setup, config, server->active))
		return false;
	if (generation_prepare(next)) {
		retired_generations_add(&server->retired, next);
		return false;
	}
	activate_generation(server, next);
	return true;
}

static void report_ready(const struct server *server, const char *event)
{
	const struct config *config = server->active->config;
	char text[256];

	snprintf(text, sizeof(text), "%s: listeners: %zu, peers: %zu, workers: %u", event, config->listener_count,
		 config->peer_count, server->setup.worker_count);
	log_notice(server->log, "%s", text);
	systemd_notify_ready(text);
}

static void server_reload(struct server *server)
{
	char text[128];

	systemd_notify_reloading();
	server->status_source.last_reload_failed = !load_next_generation(server);
	if (!server->status_source.last_reload_failed) {
		snprintf(text, sizeof(text), "configuration %u active", server->generation_number);
	} else {
		server->status_source.reloads_failed++;
		log_error(server->log, "reload failed, see the errors above; the previous configuration stays active");
		snprintf(text, sizeof(text), "the last reload failed, configuration %u stays active",
			 server->generation_number);
	}
	if (!server->shutting_down)
		report_ready(server, text);
}

/* The kernel also sends SIGHUP when the terminal is closed. The daemon must then exit, because the user can no longer
 * stop it. */
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
		summary_write(server->log, &server->status_source);
		break;
	case SIGUSR2:
		if (server->active->datagram_log)
			datagram_log_reopen(server->active->datagram_log);
		break;
	case SIGHUP:
		if (has_lost_terminal(server))
			begin_shutdown(server, "the terminal was closed");
		else
			server_reload(server);
		break;
	default:
		begin_shutdown(server, number == SIGINT ? "SIGINT received" : "SIGTERM received");
	}
}

/* --- Start --- */

/* Runs before the other parts start, so that a signal during the start does not kill the process. */
static int watch_signals(struct server *server)
{
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		int error = uv_signal_init(&server->loop, &server->signals[i]);

		server->signals[i].data = server;
		if (!error)
			error = uv_signal_start(&server->signals[i], on_signal, signal_numbers[i]);
		if (error) {
			log_error(server->log, "cannot start: signals: %s", uv_strerror(error));
			return error;
		}
	}
	mask_signals(SIG_UNBLOCK); /* see daemon_hold_signals() */
	return 0;
}

/* Drops privileges and installs the system call filter. All addresses, files and descriptors are open, and only the log
 * thread is running. */
static int restrict_process(const struct server *server)
{
	const struct config *config = server->active->config;
	int error;

	privileges_check_files(config, server->log);
	error = privileges_drop(config, server->log);
	if (error)
		return error;
	privileges_check_reload(config, server->log);
	seccomp_install(server->log);
	return 0;
}

static int create_http(struct server *server)
{
	int error;

	update_status_source(server);
	if (!server->active->config->http.text)
		return 0;
	error = http_create(&server->http, &server->loop, &server->http_socket, &server->status_source);
	if (error)
		log_error(server->log, "cannot start: http: %s", strerror(-error));
	return error;
}

/* --- Watchdog --- */

/* Returns true if the heartbeat of each worker is recent. A busy worker also updates its heartbeat. */
static bool all_workers_run(const struct server *server)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (unsigned i = 0; i < server->setup.worker_count; i++) {
		if (now_ms > worker_heartbeat_ms(server->active->workers[i]) + server->watchdog_ms)
			return false;
	}
	return true;
}

static void on_watchdog(uv_timer_t *timer)
{
	const struct server *server = timer->data;

	if (all_workers_run(server))
		systemd_notify_watchdog();
}

/* Notifies three times as often as systemd requires, so that a notification may be late. */
static void start_watchdog(struct server *server)
{
	uint64_t interval_ms = server->watchdog_ms / 3 + 1;

	if (server->watchdog_ms)
		uv_timer_start(&server->watchdog, on_watchdog, interval_ms, interval_ms);
	uv_unref((uv_handle_t *)&server->watchdog);
}

/* --- Addresses of interfaces --- */

static void on_addresses_changed(void *data)
{
	struct server *server = data;

	if (!own_addresses_refresh(server->active->own_addresses))
		log_write_limited(
			server->log, &server->own_addresses_limit, LOG_LEVEL_WARNING,
			"interfaces have more than %d new addresses: reload, so that the loop guard knows all "
			"of them",
			OWN_ADDRESSES_LATER);
}

/* Returns 0, or a negative errno after logging the reason. */
static int server_start(struct server *server, struct config *config)
{
	int error = generation_open(&server->active, &server->setup, config, NULL);

	if (error)
		return error;
	error = http_socket_open(&server->http_socket, server->active->config, server->log);
	if (error)
		return error;
	if (restrict_process(server))
		return -EPERM;
	error = watch_signals(server);
	if (!error)
		error = generation_prepare(server->active);
	if (!error)
		error = create_http(server);
	return error ? error : generation_start(server->active);
}

/* --- Shutdown --- */

static void close_handle(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void server_close_loop(struct server *server)
{
	http_close(server->http);
	uv_walk(&server->loop, close_handle, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&server->loop))
		log_error(server->log, "the main loop still has open handles");
	http_destroy(server->http);
}

static unsigned count_workers(const struct config *config)
{
	return config->workers ? config->workers : uv_available_parallelism();
}

/* Runs the server from start to shutdown. */
static void server_serve(struct server *server, struct config *config)
{
	server->error = server_start(server, config);
	if (!server->error) {
		peers_start(server->active->peers);
		start_watchdog(server);
		drop_monitor_start(&server->drop_monitor, &server->loop, server->log);
		interface_monitor_start(&server->interface_monitor, &server->loop, on_addresses_changed, server,
					server->log);
		report_ready(server, "udprelayd " UDPRELAYD_VERSION " ready");
		uv_run(&server->loop, UV_RUN_DEFAULT);
	}
	if (server->active)
		generation_close(server->active);
	server_close_loop(server);
	if (!server->active)
		return;
	server->clean = server->clean && retired_generations_finish(&server->retired);
	server->clean &= datagram_log_stop(server->active->datagram_log, DATAGRAM_LOG_STOP_MS);
	if (!server->error)
		summary_write(server->log, &server->status_source);
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
	server->generation_number = 1;
	server->http_socket.fd = -1;
	server->interface_monitor.fd = -1;
	server->status_source.start_wall_us = clock_wall_us();
	server->status_source.start_ms = clock_monotonic_ms();
	server->on_terminal = isatty(STDERR_FILENO);
	inherited_sockets_open(&server->inherited, log);
	server->setup = (struct generation_setup){.loop = &server->loop,
						  .log = log,
						  .worker_count = count_workers(config),
						  .inherited = &server->inherited};
	retired_generations_init(&server->retired, &server->loop, &server->active);
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
	server_serve(server, config);
	error = server->error;
	*clean = server->clean;
	if (*clean) {
		if (server->active)
			generation_destroy(server->active);
		interface_monitor_finish(&server->interface_monitor);
		drop_monitor_finish(&server->drop_monitor);
		http_socket_close(&server->http_socket, server->log);
		inherited_sockets_close(&server->inherited);
		free(server);
	}
	*clean = *clean && !name_lookup_threads_running();
	return exit_status(error);
}
