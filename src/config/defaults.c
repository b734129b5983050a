#include "config/defaults.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct listener_config config_default_listener(char *name, size_t index)
{
	return (struct listener_config){.name = name,
					.index = index,
					.errors = CODEC_BACKSLASHREPLACE,
					.log_every = 1,
					.receive_buffer = 4 << 20,
					.send_buffer = 4 << 20,
					.max_datagram = 65507,
					.loop_guard = true,
					.ring_guard = true,
					.balance = BALANCE_HASH,
					.idle_timeout_ms = 60 * 1000,
					.max_sessions = 16384,
					.source_sessions = UINT32_MAX, /* config_apply_defaults() replaces it */
					.responses = RESPONSES_UNLIMITED};
}

struct peer_config config_default_peer(char *name, size_t index)
{
	return (struct peer_config){.name = name,
				    .index = index,
				    .resolve_interval_ms = 30 * 1000,
				    .weight = 1,
				    .max_fails = 3,
				    .fail_timeout_ms = 10 * 1000,
				    .check = {.interval_ms = 5 * 1000, .timeout_ms = 2 * 1000, .rise = 2, .fall = 3}};
}

/* --- Defaults that depend on other keys --- */

/* A server that receives an echo may reply to it, which starts an endless exchange. So an echo listener refuses, by
 * default, the ports below 1024, which belong to servers, and the ports of all echo listeners here, because echo
 * services on other hosts are likely to use the same ports. daemon/generation.c adds the ports that the kernel chooses.
 */
static void refuse_server_ports(const struct config *config, struct listener_config *listener)
{
	struct port_set *set = xcheck(calloc(1, sizeof(*set)));

	listener->refuse_source_ports = set;
	listener->has_default_source_ports = true;
	for (uint16_t port = 0; port < 1024; port++)
		port_set_add(set, port);
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *other = &config->listeners[l];

		for (size_t i = 0; action_traits[other->action].reflects && i < other->bind_count; i++)
			port_set_add(set, address_port(&other->binds[i].address));
	}
}

/* Clients of a relay may use any port, except those of services that reply to everything: echo (RFC 862), daytime (RFC
 * 867), quote of the day (RFC 865) and chargen (RFC 864), which sends other data each time. */
static void refuse_small_services(struct listener_config *listener)
{
	static const uint16_t ports[] = {7, 13, 17, 19};

	listener->refuse_source_ports = xcheck(calloc(1, sizeof(*listener->refuse_source_ports)));
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		port_set_add(listener->refuse_source_ports, ports[i]);
}

static void refuse_default_ports(const struct config *config, struct listener_config *listener)
{
	const struct action_traits *traits = &action_traits[listener->action];

	if (listener->refuse_source_ports)
		return;
	if (traits->reflects)
		refuse_server_ports(config, listener);
	else if (traits->replies)
		refuse_small_services(listener);
}

static void limit_source_sessions(struct listener_config *listener)
{
	uint32_t share = listener->max_sessions / SOURCE_SESSIONS_SHARE;

	if (listener->source_sessions == UINT32_MAX)
		listener->source_sessions = share ? share : 1;
}

void config_apply_defaults(struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		struct listener_config *listener = &config->listeners[i];

		if (!listener->encoding_count) {
			listener->encodings = xcheck(calloc(1, sizeof(char *)));
			listener->encodings[listener->encoding_count++] = xcheck(strdup("utf-8"));
		}
		refuse_default_ports(config, listener);
		limit_source_sessions(listener);
	}
}
