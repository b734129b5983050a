#include "admin/http.h"

#include "build_config.h"

#if HAVE_LIBMICROHTTPD

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/http_request.h"
#include "admin/prometheus.h"
#include "admin/status_json.h"
#include "base/clock.h"

/* For the headers of a request and of its response. */
#define CONNECTION_MEMORY_BYTES 8192

/* Time limit of a request, and of the wait for the next request on a connection. */
#define REQUEST_TIMEOUT_MS 10000

/* Interval of the samples for rates. A rate is the average since the second-last sample, which is one to two seconds
 * old. */
#define SAMPLE_INTERVAL_MS 1000

/* Delay before the next attempt to accept a connection when the process is out of descriptors. */
#define ACCEPT_RETRY_MS 100

struct http_connection {
	bool open;
	int fd; /* owned by libmicrohttpd */
	uint64_t timeout_start_ms; /* start of the connection, or end of its last request */
};

struct http {
	const struct status_source *source;
	struct address local; /* address of the listening socket */
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t run_timer; /* the next time that libmicrohttpd must run without input */
	uv_timer_t sample_timer;
	struct http_connection connections[HTTP_CONNECTIONS_MAX];
	bool connection_ended; /* in this run of libmicrohttpd */
	struct status *newer, *older; /* samples; NULL: none yet */
	bool closed;
};

/* --- Pages --- */

struct http_page {
	const char *path, *type;
	unsigned (*write)(struct http *http, FILE *out, const struct status *status); /* returns the HTTP status code */
};

static unsigned write_metrics(struct http *http, FILE *out, const struct status *status)
{
	(void)http;
	prometheus_write(out, status);
	return MHD_HTTP_OK;
}

static void write_line(const char *line, void *data)
{
	fprintf(data, "%s\n", line);
}

static unsigned write_health(struct http *http, FILE *out, const struct status *status)
{
	(void)http;
	if (status_health_problems(status, write_line, out))
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	write_line("ok", out);
	return MHD_HTTP_OK;
}

static unsigned write_status(struct http *http, FILE *out, const struct status *status)
{
	status_json_write(out, status, http->older ? http->older : http->newer);
	return MHD_HTTP_OK;
}

#define TEXT_TYPE "text/plain; charset=utf-8"

static const struct http_page pages[] = {
	{"/metrics", PROMETHEUS_CONTENT_TYPE, write_metrics},
	{"/healthz", TEXT_TYPE, write_health},
	{"/status.json", "application/json", write_status},
};

/* Returns the body, which the caller frees, or NULL when out of memory. */
static char *render_page(struct http *http, const struct http_page *page, unsigned *code, size_t *size)
{
	struct status *status = status_collect(http->source);
	char *body = NULL;
	FILE *out = status ? open_memstream(&body, size) : NULL;

	if (out)
		*code = page->write(http, out, status);
	if (out && (ferror(out) | fclose(out))) {
		free(body);
		body = NULL;
	}
	status_destroy(status);
	return body;
}

/* --- Requests --- */

/* Queues the response and drops it. If response is NULL, the library closes the connection. */
static enum MHD_Result http_respond(struct MHD_Connection *connection, unsigned code, const char *type,
				    struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result http_respond_error(struct MHD_Connection *connection, unsigned code, const char *message)
{
	return http_respond(connection, code, TEXT_TYPE,
			    MHD_create_response_from_buffer(strlen(message), (void *)message, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result http_respond_page(struct http *http, struct MHD_Connection *connection,
					 const struct http_page *page)
{
	unsigned code = MHD_HTTP_OK;
	size_t size;
	char *body = render_page(http, page, &code, &size);
	struct MHD_Response *response =
		body ? MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE) : NULL;

	if (!response) {
		free(body);
		return http_respond_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory\n");
	}
	return http_respond(connection, code, page->type, response);
}

static bool request_has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0")) ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result http_handle_request(struct http *http, struct MHD_Connection *connection, const char *path,
					   const char *method)
{
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return http_respond_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "use GET or HEAD\n");
	if (request_has_body(connection))
		return http_respond_error(connection, MHD_HTTP_BAD_REQUEST, "a request must not have a body\n");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!strcmp(path, pages[i].path))
			return http_respond_page(http, connection, &pages[i]);
	}
	return http_respond_error(connection, MHD_HTTP_NOT_FOUND,
				  "not found: the paths are /metrics, /healthz and /status.json\n");
}

/* libmicrohttpd calls this after the headers and again at the end of the request. A response to the headers closes the
 * connection. This is used for faulty requests, and for requests that announce a body, so that the body is not read. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				  const char *version, const char *body, size_t *body_size, void **request)
{
	const struct http *http = data;
	struct request_fault fault = {0};
	bool first_call = !*request;

	(void)body;
	(void)body_size;
	*request = data;
	if (first_call)
		fault = http_request_find_fault(connection, version, &http->local, http->source->config);
	if (fault.message)
		return http_respond_error(connection, fault.code, fault.message);
	if (first_call && !request_has_body(connection))
		return MHD_YES;
	return http_handle_request(data, connection, path, method);
}

/* --- Connections --- */

static void add_connection(struct http *http, struct MHD_Connection *handle, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct http_connection *connection = &http->connections[i];

		if (connection->open)
			continue;
		*connection = (struct http_connection){true, info->connect_fd, clock_monotonic_ms()};
		*context = connection;
		return;
	}
}

static void on_connection(void *data, struct MHD_Connection *handle, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_connection *connection = *context;
	struct http *http = data;

	http->connection_ended |= code == MHD_CONNECTION_NOTIFY_CLOSED;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		add_connection(http, handle, context);
	else if (connection)
		connection->open = false;
}

static void on_completed(void *data, struct MHD_Connection *handle, void **request,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http_connection *connection = info ? info->socket_context : NULL;

	(void)data;
	(void)request;
	(void)code;
	if (connection)
		connection->timeout_start_ms = clock_monotonic_ms();
}

/* The timeout of libmicrohttpd restarts with each byte, so it cannot limit a request. After the shutdown, the library
 * closes these connections. */
static void end_slow_connections(struct http *http)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		const struct http_connection *connection = &http->connections[i];

		if (connection->open && now_ms - connection->timeout_start_ms >= REQUEST_TIMEOUT_MS)
			shutdown(connection->fd, SHUT_RDWR);
	}
}

/* --- Event loop --- */

static void http_run(struct http *http);

static void on_run_timer(uv_timer_t *timer)
{
	http_run(timer->data);
}

static void http_on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	http_run(poll->data);
}

static unsigned count_connections(const struct http *http)
{
	unsigned open = 0;

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		open += http->connections[i].open;
	return open;
}

static int http_epoll_fd(const struct http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

/* Returns true if a connection cannot be accepted because the process is out of descriptors. The epoll descriptor then
 * stays readable, so polling it would use all CPU time. With open connections the library itself waits until one of
 * them ends. */
static bool is_accept_blocked(const struct http *http)
{
	struct pollfd input = {.fd = http_epoll_fd(http), .events = POLLIN};

	return !count_connections(http) && poll(&input, 1, 0) == 1;
}

/* The library accepts connections at the start of MHD_run(), and removes ended ones at its end. If a connection has
 * ended while all were in use, waiting clients need another run. */
static void http_run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;

	http->connection_ended = false;
	MHD_run(http->daemon);
	if (is_accept_blocked(http)) {
		uv_poll_stop(&http->poll);
		uv_timer_start(&http->run_timer, on_run_timer, ACCEPT_RETRY_MS, 0);
		return;
	}
	uv_poll_start(&http->poll, UV_READABLE, http_on_readable);
	if (http->connection_ended || MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&http->run_timer, on_run_timer, wait_ms, 0);
	else
		uv_timer_stop(&http->run_timer);
}

static void take_status_sample(struct http *http)
{
	status_destroy(http->older);
	http->older = http->newer;
	http->newer = status_collect(http->source);
}

static void on_sample_timer(uv_timer_t *timer)
{
	end_slow_connections(timer->data);
	take_status_sample(timer->data);
}

/* --- Create and destroy --- */

bool http_is_built_in(void)
{
	return true;
}

static struct MHD_Daemon *start_mhd_daemon(struct http *http, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_EACH,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
				on_completed, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static int watch_mhd_daemon(struct http *http, uv_loop_t *loop)
{
	int error = uv_poll_init(loop, &http->poll, http_epoll_fd(http));

	if (error)
		return error;
	uv_timer_init(loop, &http->run_timer);
	uv_timer_init(loop, &http->sample_timer);
	http->poll.data = http->run_timer.data = http->sample_timer.data = http;
	uv_timer_start(&http->sample_timer, on_sample_timer, SAMPLE_INTERVAL_MS, SAMPLE_INTERVAL_MS);
	return uv_poll_start(&http->poll, UV_READABLE, http_on_readable);
}

int http_create(struct http **out, uv_loop_t *loop, struct http_socket *socket, const struct status_source *source)
{
	struct http *http = calloc(1, sizeof(*http));
	int error;

	if (!http)
		return -ENOMEM;
	http->source = source;
	http->local = socket->local;
	http->daemon = start_mhd_daemon(http, socket->fd);
	if (!http->daemon) {
		error = errno ? -errno : -ENOMEM;
		free(http);
		return error;
	}
	socket->fd = -1;
	error = watch_mhd_daemon(http, loop);
	if (error) {
		MHD_stop_daemon(http->daemon);
		free(http);
		return error;
	}
	take_status_sample(http);
	*out = http;
	return 0;
}

void http_close(struct http *http)
{
	if (!http || http->closed)
		return;
	http->closed = true;
	uv_close((uv_handle_t *)&http->poll, NULL);
	uv_close((uv_handle_t *)&http->run_timer, NULL);
	uv_close((uv_handle_t *)&http->sample_timer, NULL);
	MHD_stop_daemon(http->daemon);
}

void http_destroy(struct http *http)
{
	if (!http)
		return;
	status_destroy(http->older);
	status_destroy(http->newer);
	free(http);
}

#else

#include <errno.h>

bool http_is_built_in(void)
{
	return false;
}

int http_create(struct http **http, uv_loop_t *loop, struct http_socket *socket, const struct status_source *source)
{
	(void)http;
	(void)loop;
	(void)socket;
	(void)source;
	return -ENOSYS;
}

void http_close(struct http *http)
{
	(void)http;
}

void http_destroy(struct http *http)
{
	(void)http;
}

#endif
