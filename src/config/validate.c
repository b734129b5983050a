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

/* The section that is being checked. */
struct section_check {
	const struct config *config;
	const struct ini_file *file;
	struct diagnostics *diagnostics;
	size_t section; /* index */
};

/* Returns the entry of the key, also if its value was rejected, or NULL if the section does not have the key. */
static const struct ini_entry *entry_of(const struct section_check *check, const char *key)
{
	return ini_file_find(check->file, check->section, key);
}

/* Returns whether the section has the key with a value that was not rejected. */
static bool is_accepted(const struct section_check *check, const char *key)
{
	const struct ini_entry *found = entry_of(check, key);

	return found && found->value;
}

static void add_error(const struct section_check *check, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds an error with the line of the key, or the line of the section if the key is missing. */
static void add_error(const struct section_check *check, const char *key, const char *format, ...)
{
	const struct ini_section *section = &check->file->sections[check->section];
	const struct ini_entry *found = entry_of(check, key);
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(check->diagnostics, found ? found->line : section->line, section->name, key, format,
			      arguments);
	va_end(arguments);
}

/* --- [udprelayd] --- */

static void check_daemon(const struct section_check *check)
{
	const struct config *config = check->config;

	if (is_accepted(check, "group") && !entry_of(check, "user"))
		add_error(check, "group", "does nothing without a user: write `user = NAME`, or remove this line");
	if (is_accepted(check, "user") && !entry_of(check, "group") && !config->user.has_group)
		add_error(check, "user", "no user has the number %u, so that it has no group: add `group = NAME`",
			  (unsigned)config->user.uid);
}

/* --- [listener:NAME] --- */

static bool listener_has_family(const struct listener_config *listener, int family)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (bind->fd_name || bind->address.any.sa_family == family || (bind->any && family == AF_INET6))
			return true;
	}
	return false;
}

/* A socket receives the datagrams of a group if it is bound to the address of the group or to the wildcard address. The
 * addresses of fd:NAME sockets are not known yet, so they count as suitable. */
static bool receives_group(const struct listener_config *listener, const struct address *group)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		const struct address *address = &listener->binds[i].address;
		bool wildcard = address_is_wildcard(address) && address->any.sa_family == group->any.sa_family;

		if (listener->binds[i].fd_name || listener->binds[i].any || wildcard ||
		    address_same_host(address, group))
			return true;
	}
	return false;
}

static void report_unreceived_group(const struct section_check *check, const struct address *group)
{
	char ip[INET6_ADDRSTRLEN];

	if (group->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &group->v4.sin_addr, ip, sizeof(ip));
		add_error(check, "multicast",
			  "no address of the listener hears `%s`: listen on `0.0.0.0:PORT` or `%s:PORT`", ip, ip);
	} else {
		inet_ntop(AF_INET6, &group->v6.sin6_addr, ip, sizeof(ip));
		add_error(check, "multicast",
			  "no address of the listener hears `%s`: listen on `[::]:PORT` or `[%s]:PORT`", ip, ip);
	}
}

/* interface and freebind apply before a socket is bound, and systemd has already bound the sockets of fd:NAME. */
static void check_systemd_sockets(const struct section_check *check, const struct listener_config *listener)
{
	bool from_systemd = false;

	for (size_t i = 0; i < listener->bind_count; i++)
		from_systemd = from_systemd || listener->binds[i].fd_name;
	if (from_systemd && listener->interface[0])
		add_error(check, "interface",
			  "a socket of fd:NAME has its interface from systemd: remove this, "
			  "and write BindToDevice= into the .socket unit");
	if (from_systemd && listener->freebind)
		add_error(check, "freebind",
			  "a socket of fd:NAME is bound by systemd: remove this, "
			  "and write FreeBind=yes into the .socket unit");
}

static void check_network_keys(const struct section_check *check, const struct listener_config *listener)
{
	bool networked = listener_has_family(listener, AF_INET) || listener_has_family(listener, AF_INET6);

	if (!is_accepted(check, "address"))
		return;
	check_systemd_sockets(check, listener);
	if (listener->interface[0] && !networked)
		add_error(check, "interface", "unix: addresses have no interface: remove it");
	if (listener->allow && !networked)
		add_error(check, "allow", "unix: addresses have no prefixes: remove it");
	if (listener->deny && !networked)
		add_error(check, "deny", "unix: addresses have no prefixes: remove it");
	for (size_t i = 0; i < listener->group_count; i++) {
		if (!receives_group(listener, &listener->groups[i].group))
			report_unreceived_group(check, &listener->groups[i].group);
	}
	for (size_t i = 0; i < listener->bind_count && !listener->interface[0]; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (address_lacks_zone(&bind->address))
			add_error(check, "address",
				  "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:7788", bind->text);
	}
}

/* Returns whether all peers that the key `peers` names exist. */
static bool check_peer_names(const struct section_check *check)
{
	char *copy = xcheck(strdup(entry_of(check, "peers")->value)), *cursor = copy, *item;
	bool valid = true;

	while ((item = value_next_item(&cursor))) {
		if (config_find_peer(check->config, item) < check->config->peer_count)
			continue;
		add_error(check, "peers", "there is no peer `%s`: add a section [peer:%s]", item, item);
		valid = false;
	}
	free(copy);
	return valid;
}

/* A backup is used when the other peers are down, so a relay needs a peer that is not a backup. */
static void check_backups(const struct section_check *check, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (!listener->peers[i]->backup)
			return;
	}
	add_error(check, "peers", "every peer is a backup: remove `backup = on` from one of them");
}

static void check_listener_peers(const struct section_check *check, const struct listener_config *listener)
{
	const struct action_traits *traits = &action_traits[listener->action];
	bool peers = entry_of(check, "peers"), known = is_accepted(check, "action");

	if (known && traits->has_peers && !peers)
		add_error(check, "peers", "missing: %s needs to know to whom; write names of [peer:NAME] sections",
			  entry_of(check, "action")->value);
	if (known && !traits->has_peers && peers)
		add_error(check, "peers",
			  "only forward and relay send to peers: remove it, or write `action = forward` or "
			  "`action = relay`");
	else if (is_accepted(check, "peers") && check_peer_names(check) && known && traits->has_sessions)
		check_backups(check, listener);
}

static void check_action(const struct section_check *check, const struct listener_config *listener)
{
	static const char *const keys[] = {"balance", "idle_timeout", "max_sessions", "responses"};

	if (!entry_of(check, "action"))
		add_error(check, "action", "missing: write what to do, " ACTION_CHOICES);
	if (!is_accepted(check, "action") || action_traits[listener->action].has_sessions)
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (is_accepted(check, keys[i]))
			add_error(check, keys[i], "only a relay has sessions: remove it, or write `action = relay`");
	}
}

/* source_limit does not apply to AF_UNIX senders. */
static void check_source_limit(const struct section_check *check, const struct listener_config *listener)
{
	bool networked = listener_has_family(listener, AF_INET) || listener_has_family(listener, AF_INET6);

	if (is_accepted(check, "source_burst") && !listener->source_limit &&
	    (is_accepted(check, "source_limit") || !entry_of(check, "source_limit")))
		add_error(check, "source_burst",
			  "does nothing without a limit: write `source_limit = N`, datagrams a second, or remove this "
			  "line");
	if (is_accepted(check, "address") && listener->source_limit && !networked)
		add_error(check, "source_limit", "senders to unix: addresses are not limited: remove it");
}

/* A payload that is decoded as hex digits cannot be converted to the charset of a peer. */
static void check_conversion(const struct section_check *check, const struct listener_config *listener)
{
	bool hex = false;

	for (size_t i = 0; i < listener->encoding_count; i++)
		hex |= !strcasecmp(listener->encodings[i], "hex");
	for (size_t i = 0; hex && i < listener->peer_count; i++) {
		if (listener->peers[i]->encoding)
			add_error(check, "encoding",
				  "`hex` is no charset that peer `%s` could get %s from: remove it from the list",
				  listener->peers[i]->name, listener->peers[i]->encoding);
	}
}

/* The kernel binds a port of a family either to the wildcard address or to single addresses. */
static bool addresses_conflict(const struct address *a, const struct address *b)
{
	return a->any.sa_family == b->any.sa_family &&
	       (address_is_wildcard(a) || address_is_wildcard(b) || address_equal(a, b));
}

/* Returns whether at most one of the two can be bound. */
static bool binds_conflict(const struct bind_config *a, const struct bind_config *b)
{
	uint16_t port = address_port(&a->address);

	if (a->fd_name || b->fd_name)
		return a->fd_name && b->fd_name && !strcmp(a->fd_name, b->fd_name);
	if (a->address.any.sa_family == AF_UNIX || b->address.any.sa_family == AF_UNIX)
		return address_equal(&a->address, &b->address);
	if (!port || port != address_port(&b->address))
		return false;
	return a->any || b->any || addresses_conflict(&a->address, &b->address);
}

/* owner is the name of the listener that has the other bind, or NULL if it is the same listener. */
static void report_conflict(const struct section_check *check, const struct bind_config *bind, const char *owner,
			    const struct bind_config *other)
{
	if (owner)
		add_error(check, "address", "`%s` is taken by listener `%s` (`%s`): choose another address", bind->text,
			  owner, other->text);
	else if (!strcmp(bind->text, other->text))
		add_error(check, "address", "`%s` is listed twice: remove one", bind->text);
	else
		add_error(check, "address", "`%s` covers the same address as `%s`: remove one", bind->text,
			  other->text);
}

/* Compares bind number i with the binds before it: those of earlier listeners and the earlier ones of this listener.
 * Reports only the first conflict. */
static void check_bind_conflict(const struct section_check *check, const struct listener_config *listener, size_t i)
{
	const struct bind_config *bind = &listener->binds[i];

	for (size_t l = 0; l <= listener->index; l++) {
		const struct listener_config *other = &check->config->listeners[l];
		size_t count = other == listener ? i : other->bind_count;

		/* Sockets that are bound to different devices can have the same address. */
		if (bind->address.any.sa_family != AF_UNIX && listener->interface[0] && other->interface[0] &&
		    strcmp(listener->interface, other->interface))
			continue;
		for (size_t j = 0; j < count; j++) {
			if (!binds_conflict(bind, &other->binds[j]))
				continue;
			report_conflict(check, bind, other == listener ? NULL : other->name, &other->binds[j]);
			return;
		}
	}
}

static void check_listener(const struct section_check *check, const struct listener_config *listener)
{
	if (!entry_of(check, "address"))
		add_error(check, "address", "missing: write where to listen, such as `address = *:7788`");
	for (size_t i = 0; i < listener->bind_count; i++)
		check_bind_conflict(check, listener, i);
	check_action(check, listener);
	check_listener_peers(check, listener);
	check_conversion(check, listener);
	check_network_keys(check, listener);
	check_source_limit(check, listener);
}

/* --- [http] --- */

static void check_http(const struct section_check *check)
{
	const struct config *config = check->config;

	if (!config->http.text || config->http.address.any.sa_family != AF_UNIX)
		return;
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (address_equal(&listener->binds[i].address, &config->http.address))
				add_error(check, "listen", "`%s` is taken by listener `%s`: choose another path",
					  config->http.text, listener->name);
		}
	}
}

/* --- [peer:NAME] --- */

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

/* Writes the address of the peer and returns true if it is known without resolving. The addresses of names are checked
 * when they are resolved, except for localhost, which is always a loopback address (RFC 6761, section 6.3). */
static bool find_fixed_address(const struct peer_config *peer, struct address *address)
{
	*address = peer->address;
	if (!peer->host)
		return true;
	return (!strcasecmp(peer->host, "localhost") || !strcasecmp(peer->host, "localhost.")) &&
	       !address_from_ip(address, "127.0.0.1", address_port(&peer->address));
}

static void check_loop(const struct section_check *check, const struct peer_config *peer)
{
	struct address address;

	if (!find_fixed_address(peer, &address))
		return;
	for (size_t l = 0; l < check->config->listener_count; l++) {
		const struct listener_config *listener = &check->config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (reaches_listener(&address, listener, &listener->binds[i]))
				add_error(check, "address",
					  "`%s` is our own listener `%s`: datagrams would go round in circles; write "
					  "another program's address",
					  peer->address_text, listener->name);
		}
	}
}

/* A check must end before the next one begins. */
static void check_health_timing(const struct section_check *check, const struct peer_config *peer)
{
	const struct ini_entry *interval = entry_of(check, "check_interval"),
			       *timeout = entry_of(check, "check_timeout");

	if ((interval && !interval->value) || (timeout && !timeout->value) ||
	    peer->check.timeout_ms <= peer->check.interval_ms)
		return;
	add_error(check, timeout ? "check_timeout" : "check_interval",
		  "check_timeout (%" PRIu64 "ms) is longer than check_interval (%" PRIu64
		  "ms): shorten the one, or lengthen the other",
		  peer->check.timeout_ms, peer->check.interval_ms);
}

static void check_health_keys(const struct section_check *check, const struct peer_config *peer)
{
	static const char *const keys[] = {"check_send",    "check_expect", "check_interval",
					   "check_timeout", "check_rise",   "check_fall"};

	if (peer->check.on)
		check_health_timing(check, peer);
	if (peer->check.on || (entry_of(check, "check") && !is_accepted(check, "check")))
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (is_accepted(check, keys[i]))
			add_error(check, keys[i], "does nothing without `check = on`: write that, or remove this line");
	}
}

static void check_peer(const struct section_check *check, const struct peer_config *peer)
{
	check_health_keys(check, peer);
	if (!entry_of(check, "address"))
		add_error(check, "address", "missing: write where to send to, such as `address = 192.0.2.1:514`");
	if (!is_accepted(check, "address"))
		return;
	if (address_lacks_zone(&peer->address))
		add_error(check, "address", "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:7788",
			  peer->address_text);
	check_loop(check, peer);
}

void config_validate(const struct config *config, const struct ini_file *file, const struct config_section *sections,
		     struct diagnostics *diagnostics)
{
	struct section_check check = {config, file, diagnostics, 0};

	for (; check.section < file->section_count; check.section++) {
		const struct config_section *section = &sections[check.section];

		if (section->known && section->kind == SECTION_DAEMON)
			check_daemon(&check);
		else if (section->known && section->kind == SECTION_HTTP)
			check_http(&check);
		else if (section->known && section->kind == SECTION_LISTENER)
			check_listener(&check, &config->listeners[section->index]);
		else if (section->known && section->kind == SECTION_PEER)
			check_peer(&check, &config->peers[section->index]);
	}
}
