#include "guard/access.h"

#include <arpa/inet.h>

/* 0/8 with the unspecified address, 224/4 and up with multicast, 240/4 and broadcast: none of them is a host. A
 * v4-mapped IPv6 address is never on the wire either. */
static bool is_unanswerable(const struct address *source)
{
	if (source->any.sa_family == AF_INET) {
		uint32_t net = ntohl(source->v4.sin_addr.s_addr) >> 24;
		return net == 0 || net >= 224;
	}
	const struct in6_addr *ip = &source->v6.sin6_addr;
	return IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_MULTICAST(ip) || IN6_IS_ADDR_V4MAPPED(ip);
}

/* By ground. */
static const enum drop_reason reasons[] = {
	[GUARD_IN_DENY] = DROP_SOURCE_DENIED,
	[GUARD_NOT_IN_ALLOW] = DROP_SOURCE_DENIED,
	[GUARD_NO_ANSWERS] = DROP_NONE,
	[GUARD_UNNAMED] = DROP_NO_RETURN,
	[GUARD_UNNAMED_BUT_SILENT] = DROP_NONE,
	[GUARD_OFF] = DROP_NONE,
	[GUARD_NO_HOST] = DROP_SOURCE_ADDRESS,
	[GUARD_OWN] = DROP_LOOP,
	[GUARD_PORT_ZERO] = DROP_SOURCE_PORT,
	[GUARD_REFUSED_PORT] = DROP_SOURCE_PORT,
	[GUARD_GOOD] = DROP_NONE,
};

/* Of a relay that expects no responses, clients need no name. */
static enum guard_ground judge_unix(const struct listener_config *config, const struct own_addresses *own,
				    const struct address *source)
{
	if (source->length <= sizeof(sa_family_t))
		return action_traits(config->action)->has_sessions && !config->responses ? GUARD_UNNAMED_BUT_SILENT
											 : GUARD_UNNAMED;
	if (!config->loop_guard)
		return GUARD_OFF;
	return own_addresses_has(own, source) ? GUARD_OWN : GUARD_GOOD;
}

static enum guard_ground judge_ip(const struct listener_config *config, const struct own_addresses *own,
				  const struct address *source)
{
	uint16_t port = address_port(source);

	if (!config->loop_guard)
		return GUARD_OFF;
	if (is_unanswerable(source))
		return GUARD_NO_HOST;
	if (own_addresses_has(own, source))
		return GUARD_OWN;
	if (port == 0)
		return GUARD_PORT_ZERO;
	return port_set_has(config->refuse_source_ports, port) ? GUARD_REFUSED_PORT : GUARD_GOOD;
}

static struct guard_decision decided(enum guard_ground ground, const struct prefix *prefix)
{
	return (struct guard_decision){reasons[ground], ground, prefix};
}

/* Senders of AF_UNIX have no address that a list could name; who may write to the socket is up to its file. */
struct guard_decision guard_decide(const struct listener_config *config, const struct own_addresses *own,
				   const struct address *source)
{
	bool is_unix = source->any.sa_family == AF_UNIX;
	const struct prefix *denied = prefix_set_find(config->deny, source), *allowed;

	if (denied)
		return decided(GUARD_IN_DENY, denied);
	allowed = prefix_set_find(config->allow, source);
	if (config->allow && !allowed && !is_unix)
		return decided(GUARD_NOT_IN_ALLOW, NULL);
	if (!action_replies(config->action))
		return decided(GUARD_NO_ANSWERS, allowed);
	return decided(is_unix ? judge_unix(config, own, source) : judge_ip(config, own, source), allowed);
}
