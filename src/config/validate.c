#include "config/validate.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "config/values.h"

/* A section under check. */
struct check {
	const struct config *config;
	const struct ini_file *file;
	struct diagnostics *diagnostics;
	size_t section; /* index */
};

static const struct ini_entry *entry(const struct check *check, const char *key)
{
	return ini_file_find(check->file, check->section, key);
}

/* Whether the key was written, and nothing told of it yet. */
static bool is_good(const struct check *check, const char *key)
{
	const struct ini_entry *found = entry(check, key);

	return found && found->value;
}

/* In the line of the key, or of the section where the key is missing. */
static void __attribute__((format(printf, 3, 4)))
wrong(const struct check *check, const char *key, const char *format, ...)
{
	const struct ini_section *section = &check->file->sections[check->section];
	const struct ini_entry *found = entry(check, key);
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(check->diagnostics, found ? found->line : section->line, section->name, key, format,
			      arguments);
	va_end(arguments);
}

/* --- The daemon --- */

static void check_daemon(const struct check *check)
{
	const struct config *config = check->config;

	if (is_good(check, "group") && !entry(check, "user"))
		wrong(check, "group", "does nothing without a user: write `user = NAME`, or remove this line");
	if (is_good(check, "user") && !entry(check, "group") && !config->user.has_group)
		wrong(check, "user", "no user has the number %u, so that it has no group: add `group = NAME`",
		      (unsigned)config->user.uid);
}

/* --- Listeners --- */

static bool has_family(const struct listener_config *listener, int family)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (bind->fd_name || bind->address.any.sa_family == family || (bind->any && family == AF_INET6))
			return true;
	}
	return false;
}

static bool same_ip(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	return a->any.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
					   : IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

/* What is sent to a group comes to sockets that are bound to it, or to all addresses. */
static bool hears(const struct listener_config *listener, const struct address *group)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		const struct address *address = &listener->binds[i].address;
		bool wildcard = address_is_wildcard(address) && address->any.sa_family == group->any.sa_family;

		if (listener->binds[i].fd_name || listener->binds[i].any || wildcard || same_ip(address, group))
			return true;
	}
	return false;
}

static void tell_unheard(const struct check *check, const struct address *group)
{
	char ip[INET6_ADDRSTRLEN];

	if (group->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &group->v4.sin_addr, ip, sizeof(ip));
		wrong(check, "multicast",
		      "no address of the listener hears `%s`: listen on `0.0.0.0:PORT` or `%s:PORT`", ip, ip);
	} else {
		inet_ntop(AF_INET6, &group->v6.sin6_addr, ip, sizeof(ip));
		wrong(check, "multicast", "no address of the listener hears `%s`: listen on `[::]:PORT` or `[%s]:PORT`",
		      ip, ip);
	}
}

/* Only what is not bound yet can be told how. */
static void check_passed(const struct check *check, const struct listener_config *listener)
{
	bool passed = false;

	for (size_t i = 0; i < listener->bind_count; i++)
		passed = passed || listener->binds[i].fd_name;
	if (passed && listener->interface[0])
		wrong(check, "interface",
		      "a socket of fd:NAME has its interface from systemd: remove this, and write BindToDevice= into "
		      "the "
		      ".socket unit");
	if (passed && listener->freebind)
		wrong(check, "freebind",
		      "a socket of fd:NAME is bound by systemd: remove this, and write FreeBind=yes into the .socket "
		      "unit");
}

static void check_network_keys(const struct check *check, const struct listener_config *listener)
{
	bool networked = has_family(listener, AF_INET) || has_family(listener, AF_INET6);

	if (!is_good(check, "address"))
		return;
	check_passed(check, listener);
	if (listener->interface[0] && !networked)
		wrong(check, "interface", "unix: addresses have no interface: remove it");
	if (listener->allow && !networked)
		wrong(check, "allow", "unix: addresses have no prefixes: remove it");
	if (listener->deny && !networked)
		wrong(check, "deny", "unix: addresses have no prefixes: remove it");
	for (size_t i = 0; i < listener->group_count; i++) {
		if (!hears(listener, &listener->groups[i].group))
			tell_unheard(check, &listener->groups[i].group);
	}
	for (size_t i = 0; i < listener->bind_count && !listener->interface[0]; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (address_lacks_zone(&bind->address))
			wrong(check, "address", "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:7788",
			      bind->text);
	}
}

static bool has_peer(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (!strcmp(config->peers[i].name, name))
			return true;
	}
	return false;
}

/* Whether there are all of them. */
static bool check_names(const struct check *check)
{
	char *copy = xcheck(strdup(entry(check, "peers")->value)), *cursor = copy, *item;
	bool good = true;

	while ((item = value_next(&cursor))) {
		if (has_peer(check->config, item))
			continue;
		wrong(check, "peers", "there is no peer `%s`: add a section [peer:%s]", item, item);
		good = false;
	}
	free(copy);
	return good;
}

/* A backup stands in for others. */
static void check_backups(const struct check *check, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (!listener->peers[i]->backup)
			return;
	}
	wrong(check, "peers", "every peer is a backup: remove `backup = on` from one of them");
}

static void check_peers(const struct check *check, const struct listener_config *listener)
{
	const struct action_traits *traits = action_traits(listener->action);
	bool peers = entry(check, "peers"), known = is_good(check, "action");

	if (known && traits->has_peers && !peers)
		wrong(check, "peers", "missing: %s needs to know to whom; write names of [peer:NAME] sections",
		      entry(check, "action")->value);
	if (known && !traits->has_peers && peers)
		wrong(check, "peers",
		      "only forward and relay send to peers: remove it, or write `action = forward` or "
		      "`action = relay`");
	else if (is_good(check, "peers") && check_names(check) && known && traits->has_sessions)
		check_backups(check, listener);
}

static void check_action(const struct check *check, const struct listener_config *listener)
{
	static const char *const keys[] = {"balance", "idle_timeout", "max_sessions", "responses"};

	if (!entry(check, "action"))
		wrong(check, "action", "missing: write what to do, " ACTION_CHOICES);
	if (!is_good(check, "action") || action_traits(listener->action)->has_sessions)
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (is_good(check, keys[i]))
			wrong(check, keys[i], "only a relay has sessions: remove it, or write `action = relay`");
	}
}

/* Senders of AF_UNIX are not limited. */
static void check_source_limit(const struct check *check, const struct listener_config *listener)
{
	bool networked = has_family(listener, AF_INET) || has_family(listener, AF_INET6);

	if (is_good(check, "source_burst") && !listener->source_limit &&
	    (is_good(check, "source_limit") || !entry(check, "source_limit")))
		wrong(check, "source_burst",
		      "does nothing without a limit: write `source_limit = N`, datagrams a second, or remove this "
		      "line");
	if (is_good(check, "address") && listener->source_limit && !networked)
		wrong(check, "source_limit", "senders to unix: addresses are not limited: remove it");
}

/* Hex digits are not text that could be written in another charset. */
static void check_conversion(const struct check *check, const struct listener_config *listener)
{
	bool hex = false;

	for (size_t i = 0; i < listener->encoding_count; i++)
		hex |= !strcasecmp(listener->encodings[i], "hex");
	for (size_t i = 0; hex && i < listener->peer_count; i++) {
		if (listener->peers[i]->encoding)
			wrong(check, "encoding",
			      "`hex` is no charset that peer `%s` could get %s from: remove it from the list",
			      listener->peers[i]->name, listener->peers[i]->encoding);
	}
}

/* The kernel gives a port either to the wildcard or to single addresses. */
static bool addresses_clash(const struct address *a, const struct address *b)
{
	return a->any.sa_family == b->any.sa_family &&
	       (address_is_wildcard(a) || address_is_wildcard(b) || address_equal(a, b));
}

/* Whether not both can be bound. */
static bool binds_clash(const struct bind_config *a, const struct bind_config *b)
{
	uint16_t port = address_port(&a->address);

	if (a->fd_name || b->fd_name)
		return a->fd_name && b->fd_name && !strcmp(a->fd_name, b->fd_name);
	if (a->address.any.sa_family == AF_UNIX || b->address.any.sa_family == AF_UNIX)
		return address_equal(&a->address, &b->address);
	if (!port || port != address_port(&b->address))
		return false;
	return a->any || b->any || addresses_clash(&a->address, &b->address);
}

/* owner is the other listener's name, or NULL. */
static void tell_clash(const struct check *check, const struct bind_config *bind, const char *owner,
		       const struct bind_config *other)
{
	if (owner)
		wrong(check, "address", "`%s` is taken by listener `%s` (`%s`): choose another address", bind->text,
		      owner, other->text);
	else if (!strcmp(bind->text, other->text))
		wrong(check, "address", "`%s` is listed twice: remove one", bind->text);
	else
		wrong(check, "address", "`%s` covers the same address as `%s`: remove one", bind->text, other->text);
}

/* Those of the listeners before this one, and its own before it. */
static void check_clash(const struct check *check, const struct listener_config *listener, size_t i)
{
	const struct bind_config *bind = &listener->binds[i];

	for (size_t l = 0; l <= listener->index; l++) {
		const struct listener_config *other = &check->config->listeners[l];
		size_t count = other == listener ? i : other->bind_count;

		/* Bound to another device, the same address is another one. */
		if (bind->address.any.sa_family != AF_UNIX && listener->interface[0] && other->interface[0] &&
		    strcmp(listener->interface, other->interface))
			continue;
		for (size_t j = 0; j < count; j++) {
			if (!binds_clash(bind, &other->binds[j]))
				continue;
			tell_clash(check, bind, other == listener ? NULL : other->name, &other->binds[j]);
			return;
		}
	}
}

static void check_listener(const struct check *check, const struct listener_config *listener)
{
	if (!entry(check, "address"))
		wrong(check, "address", "missing: write where to listen, such as `address = *:7788`");
	for (size_t i = 0; i < listener->bind_count; i++)
		check_clash(check, listener, i);
	check_action(check, listener);
	check_peers(check, listener);
	check_conversion(check, listener);
	check_network_keys(check, listener);
	check_source_limit(check, listener);
}

/* --- HTTP --- */

static void check_http(const struct check *check)
{
	const struct config *config = check->config;

	if (!config->http.text || config->http.address.any.sa_family != AF_UNIX)
		return;
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (address_equal(&listener->binds[i].address, &config->http.address))
				wrong(check, "listen", "`%s` is taken by listener `%s`: choose another path",
				      config->http.text, listener->name);
		}
	}
}

/* --- Peers --- */

static bool same_host(const struct address *a, const struct address *b)
{
	struct address host = *a;

	address_set_port(&host, address_port(b));
	return address_equal(&host, b);
}

static bool on_an_interface(const struct address *address)
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
		found = same_host(&own, address);
	}
	freeifaddrs(first);
	return found;
}

/* This host's, whatever it is bound to. */
static bool is_local(const struct address *address)
{
	if (address->any.sa_family == AF_INET && ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET)
		return true;
	if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr))
		return true;
	return address->any.sa_family != AF_UNIX && on_an_interface(address);
}

static bool has_group(const struct listener_config *listener, const struct address *to)
{
	for (size_t i = 0; i < listener->group_count; i++) {
		if (same_host(&listener->groups[i].group, to))
			return true;
	}
	return false;
}

/* A datagram to that address would come back to the listener. */
static bool leads_to(const struct address *to, const struct listener_config *listener, const struct bind_config *bind)
{
	int family = bind->address.any.sa_family;

	if (address_equal(to, &bind->address))
		return true;
	if (address_port(to) != address_port(&bind->address) || !address_is_wildcard(&bind->address))
		return false;
	return (bind->any ? to->any.sa_family != AF_UNIX : to->any.sa_family == family) &&
	       (has_group(listener, to) || is_local(to));
}

/* Whether it is known where the peer is, and where. What names lead to shows when they are looked up, but for this one,
 * which is always the same (RFC 6761, 6.3). */
static bool is_known(const struct peer_config *peer, struct address *address)
{
	*address = peer->address;
	if (!peer->host)
		return true;
	return (!strcasecmp(peer->host, "localhost") || !strcasecmp(peer->host, "localhost.")) &&
	       !address_from_ip(address, "127.0.0.1", address_port(&peer->address));
}

static void check_loop(const struct check *check, const struct peer_config *peer)
{
	struct address address;

	if (!is_known(peer, &address))
		return;
	for (size_t l = 0; l < check->config->listener_count; l++) {
		const struct listener_config *listener = &check->config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (leads_to(&address, listener, &listener->binds[i]))
				wrong(check, "address",
				      "`%s` is our own listener `%s`: datagrams would go round in circles; write "
				      "another program's address",
				      peer->address_text, listener->name);
		}
	}
}

/* A check is over before the next one begins. */
static void check_pace(const struct check *check, const struct peer_config *peer)
{
	const struct ini_entry *interval = entry(check, "check_interval"), *timeout = entry(check, "check_timeout");

	if ((interval && !interval->value) || (timeout && !timeout->value) ||
	    peer->check.timeout_ms <= peer->check.interval_ms)
		return;
	wrong(check, timeout ? "check_timeout" : "check_interval",
	      "check_timeout (%" PRIu64 "ms) is longer than check_interval (%" PRIu64
	      "ms): shorten the one, or lengthen the other",
	      peer->check.timeout_ms, peer->check.interval_ms);
}

static void check_health(const struct check *check, const struct peer_config *peer)
{
	static const char *const keys[] = {"check_send",    "check_expect", "check_interval",
					   "check_timeout", "check_rise",   "check_fall"};

	if (peer->check.on)
		check_pace(check, peer);
	if (peer->check.on || (entry(check, "check") && !is_good(check, "check")))
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (is_good(check, keys[i]))
			wrong(check, keys[i], "does nothing without `check = on`: write that, or remove this line");
	}
}

static void check_peer(const struct check *check, const struct peer_config *peer)
{
	check_health(check, peer);
	if (!entry(check, "address"))
		wrong(check, "address", "missing: write where to send to, such as `address = 192.0.2.1:514`");
	if (!is_good(check, "address"))
		return;
	if (address_lacks_zone(&peer->address))
		wrong(check, "address", "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:7788",
		      peer->address_text);
	check_loop(check, peer);
}

void config_validate(const struct config *config, const struct ini_file *file, const struct config_place *places,
		     struct diagnostics *diagnostics)
{
	struct check check = {config, file, diagnostics, 0};

	for (; check.section < file->section_count; check.section++) {
		const struct config_place *place = &places[check.section];

		if (place->known && place->kind == SECTION_DAEMON)
			check_daemon(&check);
		else if (place->known && place->kind == SECTION_HTTP)
			check_http(&check);
		else if (place->known && place->kind == SECTION_LISTENER)
			check_listener(&check, &config->listeners[place->index]);
		else if (place->known && place->kind == SECTION_PEER)
			check_peer(&check, &config->peers[place->index]);
	}
}
