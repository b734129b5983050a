/* Checks of the headers of a request, before its method and path are read. */
#ifndef UDPRELAYD_ADMIN_HTTP_REQUEST_H
#define UDPRELAYD_ADMIN_HTTP_REQUEST_H

#include "base/address.h"
#include "config/config.h"

struct MHD_Connection;

/* Why a request is refused. */
struct request_fault {
	unsigned code; /* HTTP status code */
	const char *message; /* static, one line; NULL: no fault */
};

/* Returns 400 for conflicting lengths (RFC 9112, 6.3) and for a Host header that is missing, repeated or invalid (3.2),
 * and 421 for an unknown host. An HTTP/1.0 request may have no Host header: no browser sends it. bound is the address
 * of the server; the configuration has further hosts. */
struct request_fault http_request_find_fault(struct MHD_Connection *connection, const char *version,
					     const struct address *bound, const struct config *config);

#endif
