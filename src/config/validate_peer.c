#include "config/validate_peer.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* --- Peers that are our own listeners --- */

static bool equals_except_port(const struct address *a, const struct address *b)
{
	struct address host = *a;

	address_set_port(&host, address_port(b));
	return address_equal(&host, b);
}

static bool interface_has_address(const struct address *address)
{
	struct ifaddrs *first;
	bool found = false;

	if (getifaddrs(&first))
		return false;
	for (const struct ifaddrs *i = first; i && !found; i = i->ifa_next) {
		struct address own = {.length = sizeof(own.v6)};

		if (!i->ifa_addr || i->ifa_addr->sa_family != address->any.sa_family)
			continue;
		memcpy(&own.any, i->ifa_addr, address->any.sa_family == AF_INET ? sizeof(own.v4) : sizeof(own.v6));
		found = equals_except_port(&own, address);
	}
	freeifaddrs(first);
	return found;
}

/* Returns whether the address belongs to this host: a loopback address, or an address of an interface now. */
static bool is_own_host_address(const struct address *address)
{
	if (address->any.sa_family == AF_INET && ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
		return true;
	if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr))
		return true;
	return address->any.sa_family != AF_UNIX && interface_has_address(address);
}

static bool joins_group(const struct listener_config *listener, const struct address *to)
{
	for (size_t i = 0; i < listener->group_count; i++) {
		if (equals_except_port(&listener->groups[i].group, to))
			return true;
	}
	return false;
}

/* Returns whether a datagram to this address arrives at the bind of the listener. */
static bool reaches_listener(const struct address *to, const struct listener_config *listener,
			     const struct bind_config *bind)
{
	int family = bind->address.any.sa_family;

	if (address_equal(to, &bind->address))
		return true;
	if (address_port(to) != address_port(&bind->address) || !address_is_wildcard(&bind->address))
		return false;
	return (bind->any ? to->any.sa_family != AF_UNIX : to->any.sa_family == family) &&
	       (joins_group(listener, to) || is_own_host_address(to));
}

bool config_peer_fixed_address(const struct peer_config *peer, struct address *address)
{
	*address = peer->address;
	if (!peer->host)
		return true;
	return (!strcasecmp(peer->host, "localhost") || !strcasecmp(peer->host, "localhost.")) &&
	       !address_from_ip(address, "127.0.0.1", address_port(&peer->address));
}

/* The peer may be another program on an address that a wildcard listener covers, so the message names both. */
static void report_loop(const struct section_check *check, const char *key, const struct peer_config *peer,
			const struct listener_config *listener, const struct bind_config *bind)
{
	if (address_is_wildcard(&bind->address))
		section_error_at(check, peer->line, key,
				 "`%s` is our own listener `%s`, which receives on every address: write another port, "
				 "or write a single address instead of `%s` into line %u",
				 peer->address_text, listener->name, bind->text, bind->line);
	else
		section_error_at(check, peer->line, key,
				 "`%s` is our own listener `%s`, so datagrams would loop: write the address of another "
				 "program",
				 peer->address_text, listener->name);
}

static void check_loop(const struct section_check *check, const char *key, const struct peer_config *peer)
{
	struct address address;

	if (!config_peer_fixed_address(peer, &address))
		return;
	for (size_t l = 0; l < check->config->listener_count; l++) {
		const struct listener_config *listener = &check->config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (reaches_listener(&address, listener, &listener->binds[i]))
				report_loop(check, key, peer, listener, &listener->binds[i]);
		}
	}
}

/* --- Health checks --- */

/* A check must end before the next one begins. */
static void check_health_timing(const struct section_check *check, const struct peer_config *peer)
{
	const struct ini_entry *interval = section_entry(check, "check_interval"),
			       *timeout = section_entry(check, "check_timeout");

	if ((interval && !interval->value) || (timeout && !timeout->value) ||
	    peer->check.timeout_ms <= peer->check.interval_ms)
		return;
	section_error(check, timeout ? "check_timeout" : "check_interval",
		      "check_timeout (%" PRIu64 "ms) is longer than check_interval (%" PRIu64
		      "ms): write `check_timeout = %" PRIu64 "ms`, or write `check_interval = %" PRIu64 "ms`",
		      peer->check.timeout_ms, peer->check.interval_ms, peer->check.interval_ms, peer->check.timeout_ms);
}

/* Quotes are bytes of the datagram. */
static void warn_of_quoted_payload(const struct section_check *check, const char *key)
{
	const struct ini_entry *entry = section_accepts(check, key) ? section_entry(check, key) : NULL;
	size_t length = entry ? strlen(entry->value) : 0;

	if (length > 1 && strchr("\"'", *entry->value) && entry->value[length - 1] == *entry->value)
		section_warning(check, key,
				"the quotes are part of the text: remove them, unless the peer expects them");
}

/* Bytes without `hex:` are text. */
static void warn_of_text_that_looks_like_hex(const struct section_check *check, const char *key)
{
	const struct ini_entry *entry = section_accepts(check, key) ? section_entry(check, key) : NULL;
	const char *digits = entry ? entry->value : "";

	if (!strncasecmp(digits, "0x", 2))
		digits += 2;
	else if (strlen(digits) < 5) /* such as a word "ab" */
		return;
	if (*digits && !digits[strspn(digits, "0123456789abcdefABCDEF ")])
		section_warning(check, key, "`%s` is taken as text: write `%s = hex: %s`", entry->value, key, digits);
}

static void check_health_keys(const struct section_check *check, const struct peer_config *peer)
{
	static const char *const keys[] = {"check_send",    "check_expect", "check_interval",
					   "check_timeout", "check_rise",   "check_fall"};

	warn_of_quoted_payload(check, "check_send");
	warn_of_quoted_payload(check, "check_expect");
	warn_of_text_that_looks_like_hex(check, "check_send");
	warn_of_text_that_looks_like_hex(check, "check_expect");
	if (peer->check.on)
		check_health_timing(check, peer);
	if (peer->check.on || (section_entry(check, "check") && !section_accepts(check, "check")))
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (section_accepts(check, keys[i]))
			section_error(check, keys[i],
				      "has no effect without `check = on`: write it, or remove this line");
	}
}

/* --- All checks --- */

/* The listeners that use a peer. */
struct peer_users {
	bool relay, other;
	bool expects_replies; /* a relay does */
};

static struct peer_users find_peer_users(const struct config *config, const struct peer_config *peer)
{
	struct peer_users users = {0};

	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];
		bool relay = action_traits[listener->action].has_sessions;

		for (size_t i = 0; i < listener->peer_count; i++) {
			if (listener->peers[i] != peer)
				continue;
			users.relay |= relay;
			users.other |= !relay;
			users.expects_replies |= relay && listener->responses;
		}
	}
	return users;
}

/* Warnings, because the rest of the file works as it is written. */
static void warn_of_keys_without_effect(const struct section_check *check, const struct peer_config *peer)
{
	static const char *const relay_keys[] = {"weight", "backup", "max_fails", "fail_timeout"};
	struct peer_users users = find_peer_users(check->config, peer);

	if (!users.relay && !users.other)
		section_warning(check, NULL,
				"no listener uses this peer: add `%s` to the peers of one, or remove the section",
				peer->name);
	if (users.expects_replies && peer->check.on && !section_entry(check, "check_expect"))
		section_warning(check, "check",
				"a silent server counts as up: add `check_expect = TEXT`, which a reply contains");
	for (size_t i = 0; users.other && !users.relay && i < sizeof(relay_keys) / sizeof(relay_keys[0]); i++) {
		if (section_accepts(check, relay_keys[i]))
			section_warning(check, relay_keys[i],
					"has no effect, because a forward sends to all its peers: remove this line");
	}
	if (section_accepts(check, "address") && !peer->host && section_accepts(check, "resolve_interval"))
		section_warning(check, "resolve_interval",
				"has no effect, because the address is not a host name: remove this line");
}

void config_validate_peer_address(const struct section_check *check, const char *key, const struct peer_config *peer)
{
	if (address_lacks_zone(&peer->address))
		section_error_at(check, peer->line, key, "`%s` is link-local: write its interface, as in %.*s%%eth0%s",
				 peer->address_text, (int)strcspn(peer->address_text, "]"), peer->address_text,
				 strchr(peer->address_text, ']'));
	check_loop(check, key, peer);
}

void config_validate_peer(const struct section_check *check, const struct peer_config *peer)
{
	check_health_keys(check, peer);
	warn_of_keys_without_effect(check, peer);
	if (!section_intends(check, SECTION_PEER, "address"))
		section_error(check, "address",
			      "missing: write the address of the peer, such as `address = 192.0.2.1:514`");
	if (section_accepts(check, "address"))
		config_validate_peer_address(check, "address", peer);
}
