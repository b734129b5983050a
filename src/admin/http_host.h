/* The Host header of a request (RFC 9112, 3.2).
 *
 * A web page can have a DNS name that points to the address of this server (DNS rebinding). A browser then sends
 * requests under this name, and the page may read the responses. So only known hosts are served: loopback names and
 * addresses, the bound address, and those of the configuration. */
#ifndef UDPRELAYD_ADMIN_HTTP_HOST_H
#define UDPRELAYD_ADMIN_HTTP_HOST_H

#include <stddef.h>

#include "base/address.h"

enum http_host { HTTP_HOST_KNOWN, HTTP_HOST_UNKNOWN, HTTP_HOST_INVALID };

/* value is the Host header, as HOST or HOST:PORT. The port is not compared, because a tunnel may have another one.
 * names are further names and IP addresses, without a port. Names match in any case, with or without a final dot. If
 * the server is bound to an AF_UNIX address, which no browser can reach, every valid host is known. */
enum http_host http_host_check(const char *value, const struct address *bound, char *const *names, size_t count);

#endif
