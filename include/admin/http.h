/* The HTTP server for /metrics, /healthz and /status.json (RFC 9110, RFC 9112). libmicrohttpd runs on the main loop and
 * has no own thread. The workers do not take part. Without the library at build time, http_create() returns -ENOSYS,
 * and the configuration rejects [http].
 *
 * Only GET and HEAD are served, and only under known hosts (see http_host.h). A request with a missing or invalid Host
 * header, or with conflicting lengths, gets 400 and ends its connection. Limits bound the cost of clients: the number
 * of connections in total and per IP address, the memory per connection, and the time of a request from its first byte
 * to the last byte of the response. The number of lines of a body is proportional to the number of listeners, peers and
 * addresses. */
#ifndef UDPRELAYD_ADMIN_HTTP_H
#define UDPRELAYD_ADMIN_HTTP_H

#include <stdbool.h>
#include <uv.h>

#include "admin/http_socket.h"
#include "admin/status.h"

struct http;

/* Returns true if the program was built with libmicrohttpd. */
bool http_is_built_in(void);

/* Serves requests on socket while the loop runs. On success the server owns the descriptor, and *socket no longer has
 * it. loop and source must outlive the server; the contents of source may change between two iterations of the loop.
 * Returns 0 or a negative errno. */
int http_create(struct http **http, uv_loop_t *loop, struct http_socket *socket, const struct status_source *source);

/* Ends all connections and closes the handles on the loop. A second call does nothing. NULL is accepted. */
void http_close(struct http *http);

/* Frees the server. Call this after http_close() and after the loop has ended. NULL is accepted. */
void http_destroy(struct http *http);

#endif
