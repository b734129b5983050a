/* /metrics, /healthz and /status.json over HTTP (RFC 9110, RFC 9112), by libmicrohttpd on the main loop: it has no
 * thread, and workers know nothing of it. Built without the library there is none, and the configuration asks for none.
 *
 * GET and HEAD are answered, everything else is refused. What clients may cost is bounded: their number, together and
 * for one IP address, the memory of each, and the time that a request may take, from its first byte to the last of the
 * answer. A body has as many lines as the configuration has listeners, peers and addresses, times a constant. */
#ifndef UDPRELAYD_ADMIN_HTTP_H
#define UDPRELAYD_ADMIN_HTTP_H

#include <stdbool.h>
#include <uv.h>

#include "admin/http_socket.h"
#include "admin/status.h"

struct http;

/* Whether the feature is built in. */
bool http_built_in(void);

/* Answers on socket, whose descriptor it takes over where it succeeds, as soon as loop runs. loop and view must
 * outlive it; what the view shows may become something else between two turns of the loop. Returns 0 or a negative
 * errno. */
int http_create(struct http **http, uv_loop_t *loop, struct http_socket *socket, const struct status_source *view);

/* Ends all connections: the loop closes the handles. NULL is accepted, and a second time does nothing. */
void http_close(struct http *http);

/* After http_close(), once the loop has ended. NULL is accepted. */
void http_destroy(struct http *http);

#endif
