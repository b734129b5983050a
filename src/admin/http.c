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

#include "admin/prometheus.h"
#include "admin/status_json.h"
#include "base/clock.h"

/* For the headers of a request and of its answer. */
#define CONNECTION_MEMORY 8192

/* What a request may take, and how long a connection may wait for its next. */
#define REQUEST_MS 10000

/* Rates are those since the last sample but one. */
#define TICK_MS 1000

/* Where no descriptor is left for a connection, the next attempt comes so much later. */
#define PAUSE_MS 100

struct connection {
	bool open;
	int fd; /* libmicrohttpd's */
	uint64_t since_ms; /* its beginning, or the end of the last request */
};

struct http {
	const struct status_source *view;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t due; /* the daemon has something to do, whether there is input or not */
	uv_timer_t tick;
	struct connection connections[HTTP_CONNECTIONS_MAX];
	bool has_room; /* a connection has ended in this run */
	struct status *newer, *older; /* samples; NULL: none yet */
	bool closed;
};

/* --- Pages --- */

struct page {
	const char *path, *type;
	unsigned (*write)(struct http *http, FILE *out, const struct status *status); /* returns the HTTP status */
};

static unsigned write_metrics(struct http *http, FILE *out, const struct status *status)
{
	(void)http;
	prometheus_write(out, status);
	return MHD_HTTP_OK;
}

static void put_line(const char *line, void *data)
{
	fprintf(data, "%s\n", line);
}

static unsigned write_health(struct http *http, FILE *out, const struct status *status)
{
	(void)http;
	if (status_health_problems(status, put_line, out))
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	put_line("ok", out);
	return MHD_HTTP_OK;
}

static unsigned write_status(struct http *http, FILE *out, const struct status *status)
{
	status_json_write(out, status, http->older ? http->older : http->newer);
	return MHD_HTTP_OK;
}

#define TEXT_TYPE "text/plain; charset=utf-8"

static const struct page pages[] = {
	{"/metrics", METRICS_TEXT_TYPE, write_metrics},
	{"/healthz", TEXT_TYPE, write_health},
	{"/status.json", "application/json", write_status},
};

/* What there is memory for. Returns the body, or NULL. */
static char *write_page(struct http *http, const struct page *page, unsigned *code, size_t *size)
{
	struct status *status = status_collect(http->view);
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

/* Takes over response, which may be NULL: then the connection is ended. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, const char *type,
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

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned code, const char *why)
{
	return answer(connection, code, TEXT_TYPE,
		      MHD_create_response_from_buffer(strlen(why), (void *)why, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result answer_page(struct http *http, struct MHD_Connection *connection, const struct page *page)
{
	unsigned code = MHD_HTTP_OK;
	size_t size;
	char *body = write_page(http, page, &code, &size);
	struct MHD_Response *response =
		body ? MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE) : NULL;

	if (!response) {
		free(body);
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory\n");
	}
	return answer(connection, code, page->type, response);
}

static bool has_body(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return (length && strcmp(length, "0")) ||
	       MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result answer_request(struct http *http, struct MHD_Connection *connection, const char *path,
				      const char *method)
{
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
	if (has_body(connection))
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "a body is not expected\n");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!strcmp(path, pages[i].path))
			return answer_page(http, connection, &pages[i]);
	}
	return refuse(connection, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz and /status.json\n");
}

/* It comes when the headers are read, and again at the end of the request. An answer to the headers alone ends the
 * connection: that is for those which announce a body, so that it is not read. */
static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				  const char *version, const char *body, size_t *body_size, void **request)
{
	bool begins = !*request;

	(void)version;
	(void)body;
	(void)body_size;
	*request = data;
	if (begins && !has_body(connection))
		return MHD_YES;
	return answer_request(data, connection, path, method);
}

/* --- Connections --- */

static void open_connection(struct http *http, struct MHD_Connection *handle, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct connection *connection = &http->connections[i];

		if (connection->open)
			continue;
		*connection = (struct connection){true, info->connect_fd, clock_monotonic_ms()};
		*context = connection;
		return;
	}
}

static void on_connection(void *data, struct MHD_Connection *handle, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct connection *connection = *context;
	struct http *http = data;

	http->has_room |= code == MHD_CONNECTION_NOTIFY_CLOSED;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		open_connection(http, handle, context);
	else if (connection)
		connection->open = false;
}

static void on_completed(void *data, struct MHD_Connection *handle, void **request,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *connection = info ? info->socket_context : NULL;

	(void)data;
	(void)request;
	(void)code;
	if (connection)
		connection->since_ms = clock_monotonic_ms();
}

/* The library's own time-out begins anew with each byte. It finds these connections ended. */
static void end_slow_connections(struct http *http)
{
	uint64_t now_ms = clock_monotonic_ms();

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		const struct connection *connection = &http->connections[i];

		if (connection->open && now_ms - connection->since_ms >= REQUEST_MS)
			shutdown(connection->fd, SHUT_RDWR);
	}
}

/* --- The loop --- */

static void run(struct http *http);

static void on_due(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static unsigned count_connections(const struct http *http)
{
	unsigned open = 0;

	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		open += http->connections[i].open;
	return open;
}

static int epoll_of(const struct http *http)
{
	return MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

/* Whether somebody waits who could not be let in, for want of a descriptor: that would be reported all the time. With
 * connections open, the library itself waits until one of them ends. */
static bool is_stuck(const struct http *http)
{
	struct pollfd input = {.fd = epoll_of(http), .events = POLLIN};

	return !count_connections(http) && poll(&input, 1, 0) == 1;
}

/* Where all connections were taken, the library lets in others at the beginning of a run, and ends those that are over
 * behind that: so there is to be another. */
static void run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;

	http->has_room = false;
	MHD_run(http->daemon);
	if (is_stuck(http)) {
		uv_poll_stop(&http->poll);
		uv_timer_start(&http->due, on_due, PAUSE_MS, 0);
		return;
	}
	uv_poll_start(&http->poll, UV_READABLE, on_poll);
	if (http->has_room || MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
		uv_timer_start(&http->due, on_due, wait_ms, 0);
	else
		uv_timer_stop(&http->due);
}

static void take_sample(struct http *http)
{
	status_destroy(http->older);
	http->older = http->newer;
	http->newer = status_collect(http->view);
}

static void on_tick(uv_timer_t *timer)
{
	end_slow_connections(timer->data);
	take_sample(timer->data);
}

/* --- Life --- */

bool http_built_in(void)
{
	return true;
}

static struct MHD_Daemon *start_daemon(struct http *http, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
				MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_EACH,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_NOTIFY_COMPLETED,
				on_completed, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static int watch(struct http *http, uv_loop_t *loop)
{
	int error = uv_poll_init(loop, &http->poll, epoll_of(http));

	if (error)
		return error;
	uv_timer_init(loop, &http->due);
	uv_timer_init(loop, &http->tick);
	http->poll.data = http->due.data = http->tick.data = http;
	uv_timer_start(&http->tick, on_tick, TICK_MS, TICK_MS);
	return uv_poll_start(&http->poll, UV_READABLE, on_poll);
}

int http_create(struct http **out, uv_loop_t *loop, struct http_socket *socket, const struct status_source *view)
{
	struct http *http = calloc(1, sizeof(*http));
	int error;

	if (!http)
		return -ENOMEM;
	http->view = view;
	http->daemon = start_daemon(http, socket->fd);
	if (!http->daemon) {
		error = errno ? -errno : -ENOMEM;
		free(http);
		return error;
	}
	socket->fd = -1;
	error = watch(http, loop);
	if (error) {
		MHD_stop_daemon(http->daemon);
		free(http);
		return error;
	}
	take_sample(http);
	*out = http;
	return 0;
}

void http_close(struct http *http)
{
	if (!http || http->closed)
		return;
	http->closed = true;
	uv_close((uv_handle_t *)&http->poll, NULL);
	uv_close((uv_handle_t *)&http->due, NULL);
	uv_close((uv_handle_t *)&http->tick, NULL);
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

bool http_built_in(void)
{
	return false;
}

int http_create(struct http **http, uv_loop_t *loop, struct http_socket *socket, const struct status_source *view)
{
	(void)http;
	(void)loop;
	(void)socket;
	(void)view;
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
