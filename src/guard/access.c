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
	[ACCESS_DENIED] = DROP_SOURCE_DENIED,   [ACCESS_NOT_ALLOWED] = DROP_SOURCE_DENIED,
	[ACCESS_NO_REPLY_ACTION] = DROP_NONE,   [ACCESS_UNNAMED] = DROP_NO_RETURN,
	[ACCESS_UNNAMED_ONE_WAY] = DROP_NONE,   [ACCESS_LOOP_GUARD_OFF] = DROP_NONE,
	[ACCESS_NO_HOST] = DROP_SOURCE_ADDRESS, [ACCESS_OWN_ADDRESS] = DROP_LOOP,
	[ACCESS_PORT_ZERO] = DROP_SOURCE_PORT,  [ACCESS_REFUSED_PORT] = DROP_SOURCE_PORT,
	[ACCESS_ADMITTED] = DROP_NONE,
};

/* Of a relay that expects no responses, clients need no name. */
static enum access_rule check_unix(const struct listener_config *config, const struct own_addresses *own,
				   const struct address *source)
{
	if (source->length <= sizeof(sa_family_t))
		return action_traits(config->action)->has_sessions && !config->responses ? ACCESS_UNNAMED_ONE_WAY
											 : ACCESS_UNNAMED;
	if (!config->loop_guard)
		return ACCESS_LOOP_GUARD_OFF;
	return own_addresses_has(own, source) ? ACCESS_OWN_ADDRESS : ACCESS_ADMITTED;
}

static enum access_rule check_ip(const struct listener_config *config, const struct own_addresses *own,
				 const struct address *source)
{
	uint16_t port = address_port(source);

	if (!config->loop_guard)
		return ACCESS_LOOP_GUARD_OFF;
	if (is_unanswerable(source))
		return ACCESS_NO_HOST;
	if (own_addresses_has(own, source))
		return ACCESS_OWN_ADDRESS;
	if (port == 0)
		return ACCESS_PORT_ZERO;
	return port_set_has(config->refuse_source_ports, port) ? ACCESS_REFUSED_PORT : ACCESS_ADMITTED;
}

static struct access_decision decided(enum access_rule ground, const struct prefix *prefix)
{
	return (struct access_decision){reasons[ground], ground, prefix};
}

/* Senders of AF_UNIX have no address that a list could name; who may write to the socket is up to its file. */
struct access_decision access_check(const struct listener_config *config, const struct own_addresses *own,
				    const struct address *source)
{
	bool is_unix = source->any.sa_family == AF_UNIX;
	const struct prefix *denied = prefix_set_find(config->deny, source), *allowed;

	if (denied)
		return decided(ACCESS_DENIED, denied);
	allowed = prefix_set_find(config->allow, source);
	if (config->allow && !allowed && !is_unix)
		return decided(ACCESS_NOT_ALLOWED, NULL);
	if (!action_replies(config->action))
		return decided(ACCESS_NO_REPLY_ACTION, allowed);
	return decided(is_unix ? check_unix(config, own, source) : check_ip(config, own, source), allowed);
}
