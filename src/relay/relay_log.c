/* The log messages of a relay about its sessions. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "relay/relay_private.h"

struct session_text {
	char client[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX], endpoint[ADDRESS_TEXT_MAX];
};

static void session_format(const struct session *session, struct session_text *text)
{
	address_format(&session->node.client, text->client);
	address_format(&session->node.local, text->local);
	address_format(&session->endpoint_ref->endpoint->address, text->endpoint);
}

void relay_log_start(const struct relay *relay, const struct session *session)
{
	struct session_text text;

	if (!log_is_enabled(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	session_format(session, &text);
	log_debug(relay->setup.log, "listener %s: session of %s at %s with peer %s (%s) started",
		  relay->setup.config->name, text.client, text.local, session->endpoint_ref->endpoint->peer->name,
		  text.endpoint);
}

void relay_log_end(const struct relay *relay, const struct session *session, enum session_end end)
{
	struct session_text text;

	if (!log_is_enabled(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	session_format(session, &text);
	log_debug(relay->setup.log,
		  "listener %s: session of %s at %s with peer %s (%s) ended: %s; datagrams=%" PRIu64
		  " answers=%" PRIu64,
		  relay->setup.config->name, text.client, text.local, session->endpoint_ref->endpoint->peer->name,
		  text.endpoint, session_end_text(end), session->datagrams, session->replies);
}

void relay_log_open_error(struct relay *relay, const struct endpoint *endpoint, int error)
{
	char text[ADDRESS_TEXT_MAX];

	log_write_limited(
		relay->setup.log, &relay->open_log_limit, LOG_LEVEL_WARNING,
		"listener %s: cannot begin a session with peer %s (%s): %s; its client's datagrams are dropped",
		relay->setup.config->name, endpoint->peer->name, address_format(&endpoint->address, text),
		error == EAGAIN || error == EADDRINUSE ? "no local port is free" : strerror(error));
}

void relay_log_receive_error(struct relay *relay, const struct session *session, int error)
{
	log_write_limited(relay->setup.log, &relay->receive_log_limit, LOG_LEVEL_ERROR,
			  "listener %s: receiving replies of peer %s: %s", relay->setup.config->name,
			  session->endpoint_ref->endpoint->peer->name, strerror(error));
}
