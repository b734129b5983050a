#include "guard/access.h"

#include <arpa/inet.h>

static const enum drop_reason access_reasons[] = {
	[ACCESS_DENIED] = DROP_SOURCE_DENIED,   [ACCESS_NOT_ALLOWED] = DROP_SOURCE_DENIED,
	[ACCESS_NO_REPLY_ACTION] = DROP_NONE,   [ACCESS_UNNAMED] = DROP_NO_RETURN,
	[ACCESS_UNNAMED_ONE_WAY] = DROP_NONE,   [ACCESS_LOOP_GUARD_OFF] = DROP_NONE,
	[ACCESS_NO_HOST] = DROP_SOURCE_ADDRESS, [ACCESS_OWN_ADDRESS] = DROP_LOOP,
	[ACCESS_PORT_ZERO] = DROP_SOURCE_PORT,  [ACCESS_REFUSED_PORT] = DROP_SOURCE_PORT,
	[ACCESS_ADMITTED] = DROP_NONE,
};

/* The unspecified address and the rest of 0/8, multicast, 240/4 and broadcast are not the address of a host. An
 * IPv4-mapped IPv6 address never appears on the wire. */
static bool access_is_no_host(const struct address *source)
{
	if (source->any.sa_family == AF_INET) {
		uint32_t net = ntohl(source->v4.sin_addr.s_addr) >> 24;
		return net == 0 || net >= 224;
	}
	const struct in6_addr *ip = &source->v6.sin6_addr;
	return IN6_IS_ADDR_UNSPECIFIED(ip) || IN6_IS_ADDR_MULTICAST(ip) || IN6_IS_ADDR_V4MAPPED(ip);
}

static enum access_rule access_check_unix(const struct listener_config *config, const struct own_addresses *own,
					  const struct address *source)
{
	bool one_way = action_traits[config->action].has_sessions && !config->responses;

	if (source->length <= sizeof(sa_family_t))
		return one_way ? ACCESS_UNNAMED_ONE_WAY : ACCESS_UNNAMED;
	if (!config->loop_guard)
		return ACCESS_LOOP_GUARD_OFF;
	return own_addresses_has(own, source) ? ACCESS_OWN_ADDRESS : ACCESS_ADMITTED;
}

static enum access_rule access_check_ip(const struct listener_config *config, const struct own_addresses *own,
					const struct address *source)
{
	uint16_t port = address_port(source);

	if (!config->loop_guard)
		return ACCESS_LOOP_GUARD_OFF;
	if (access_is_no_host(source))
		return ACCESS_NO_HOST;
	if (own_addresses_has(own, source))
		return ACCESS_OWN_ADDRESS;
	if (port == 0)
		return ACCESS_PORT_ZERO;
	return port_set_has(config->refuse_source_ports, port) ? ACCESS_REFUSED_PORT : ACCESS_ADMITTED;
}

struct access_decision access_check(const struct listener_config *config, const struct own_addresses *own,
				    const struct address *source)
{
	const struct prefix *denied = config->deny ? prefix_set_find(config->deny, source) : NULL;
	const struct prefix *allowed = config->allow ? prefix_set_find(config->allow, source) : NULL;
	bool is_unix = source->any.sa_family == AF_UNIX;
	enum access_rule rule;

	if (denied)
		return (struct access_decision){access_reasons[ACCESS_DENIED], ACCESS_DENIED, denied};
	if (config->allow && !allowed && !is_unix)
		rule = ACCESS_NOT_ALLOWED;
	else if (!action_traits[config->action].replies)
		rule = ACCESS_NO_REPLY_ACTION;
	else if (is_unix)
		rule = access_check_unix(config, own, source);
	else
		rule = access_check_ip(config, own, source);
	return (struct access_decision){access_reasons[rule], rule, allowed};
}
