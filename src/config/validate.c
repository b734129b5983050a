#include "config/validate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "config/section_check.h"
#include "config/validate_peer.h"
#include "config/values.h"

/* --- [udprelayd] --- */

static void check_daemon(const struct section_check *check)
{
	const struct config *config = check->config;

	if (section_accepts(check, "group") && !section_entry(check, "user"))
		section_error(check, "group", "has no effect without a user: write `user = NAME`, or remove this line");
	if (section_accepts(check, "user") && !section_entry(check, "group") && !config->user.has_group)
		section_error(check, "user", "no user has the number %u, so its group is unknown: add `group = NAME`",
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

static void report_unreceived_group(const struct section_check *check, const struct listener_config *listener,
				    const struct multicast_config *multicast)
{
	struct address group = multicast->group;
	char text[ADDRESS_TEXT_MAX], ip[INET6_ADDRSTRLEN];
	bool v4 = group.any.sa_family == AF_INET, zone = multicast->interface[0];

	for (size_t i = 0; i < listener->bind_count && !address_port(&group); i++)
		address_set_port(&group, address_port(&listener->binds[i].address));
	inet_ntop(group.any.sa_family, v4 ? (void *)&group.v4.sin_addr : (void *)&group.v6.sin6_addr, ip, sizeof(ip));
	if (v4)
		snprintf(text, sizeof(text), "%s:%u", ip, address_port(&group));
	else if (!zone && address_lacks_zone(&group))
		snprintf(text, sizeof(text), "[::]:%u", address_port(&group));
	else
		snprintf(text, sizeof(text), "[%s%s%s]:%u", ip, zone ? "%" : "", multicast->interface,
			 address_port(&group));
	section_error(check, "address", "no address receives the multicast group `%s`: add `%s` to the list", ip, text);
}

/* interface and freebind apply before a socket is bound, and systemd has already bound the sockets of fd:NAME. */
static void check_systemd_sockets(const struct section_check *check, const struct listener_config *listener)
{
	bool from_systemd = false;

	for (size_t i = 0; i < listener->bind_count; i++)
		from_systemd = from_systemd || listener->binds[i].fd_name;
	if (from_systemd && listener->interface[0])
		section_error(check, "interface",
			      "systemd sets the interface of a fd:NAME socket: remove this line, and write "
			      "BindToDevice= into the .socket unit");
	if (from_systemd && listener->freebind)
		section_error(check, "freebind",
			      "systemd binds a fd:NAME socket: remove this line, and write FreeBind=yes into the "
			      ".socket unit");
}

static void check_network_keys(const struct section_check *check, const struct listener_config *listener)
{
	bool networked = listener_has_family(listener, AF_INET) || listener_has_family(listener, AF_INET6);

	if (!section_accepts(check, "address"))
		return;
	check_systemd_sockets(check, listener);
	if (listener->interface[0] && !networked)
		section_error(check, "interface", "unix: addresses have no interface: remove this line");
	if (listener->allow && !networked)
		section_error(check, "allow", "unix: addresses have no prefixes: remove this line");
	if (listener->deny && !networked)
		section_error(check, "deny", "unix: addresses have no prefixes: remove this line");
	for (size_t i = 0; i < listener->group_count; i++) {
		if (!receives_group(listener, &listener->groups[i].group))
			report_unreceived_group(check, listener, &listener->groups[i]);
	}
	for (size_t i = 0; i < listener->bind_count && !listener->interface[0]; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (address_lacks_zone(&bind->address))
			section_error_at(check, bind->line, "address",
					 "`%s` is link-local: write its interface, as in %.*s%%eth0%s", bind->text,
					 (int)strcspn(bind->text, "]"), bind->text, strchr(bind->text, ']'));
	}
}

/* A backup is used when the other peers are down, so a relay needs a peer that is not a backup. */
static void check_backups(const struct section_check *check, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (!listener->peers[i]->backup)
			return;
	}
	diagnostics_add(
		check->errors, config_line(&listener->peers[0]->lines, "backup"),
		"[peer:%s] backup: every peer of listener `%s` is a backup: remove this line, or that of another "
		"peer",
		listener->peers[0]->name, listener->name);
}

static bool peers_have_same_address(const struct peer_config *a, const struct peer_config *b)
{
	struct address first, second;
	bool fixed = config_peer_fixed_address(a, &first);

	if (fixed != config_peer_fixed_address(b, &second))
		return false;
	if (fixed)
		return address_equal(&first, &second);
	return !strcasecmp(a->host, b->host) && address_port(&a->address) == address_port(&b->address);
}

/* A forward would send each datagram to the address twice. A relay sends it to one peer only. */
static void warn_of_duplicate_peers(const struct section_check *check, const struct listener_config *listener)
{
	for (size_t i = 1; i < listener->peer_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct peer_config *peer = listener->peers[i], *other = listener->peers[j];

			if (!peer->address_text || !other->address_text || !peers_have_same_address(peer, other))
				continue;
			section_warning(check, "peers",
					"`%s` and `%s` have the same address, `%s`, which gets every datagram "
					"twice: remove one of them",
					other->name, peer->name, peer->address_text);
			break;
		}
	}
}

static void check_listener_peers(const struct section_check *check, const struct listener_config *listener)
{
	const struct action_traits *traits = &action_traits[listener->action];
	bool peers = section_entry(check, "peers"), known = section_accepts(check, "action");

	if (known && traits->has_peers && !section_intends(check, SECTION_LISTENER, "peers"))
		section_error(check, "peers",
			      "missing: %s needs at least one peer: write addresses, such as `peers = 192.0.2.1:514`",
			      section_entry(check, "action")->value);
	if (known && !traits->has_peers && peers)
		section_error(check, "peers",
			      "only forward and relay send to peers: remove this line, or write `action = forward` "
			      "or `action = relay`");
	else if (section_accepts(check, "peers") && known && traits->has_sessions)
		check_backups(check, listener);
	if (known && traits->has_peers && !traits->has_sessions)
		warn_of_duplicate_peers(check, listener);
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (listener->peers[i]->listed)
			config_validate_peer_address(check, "peers", listener->peers[i]);
	}
}

static void check_action(const struct section_check *check, const struct listener_config *listener)
{
	static const char *const keys[] = {"balance", "idle_timeout", "max_sessions", "source_sessions", "responses"};

	if (!section_intends(check, SECTION_LISTENER, "action"))
		section_error(check, "action", "missing: write one of " ACTION_CHOICES);
	if (!section_accepts(check, "action") || action_traits[listener->action].has_sessions)
		return;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (section_accepts(check, keys[i]))
			section_error(check, keys[i], "only a relay has sessions: remove this line%s",
				      action_traits[listener->action].has_peers ? ", or write `action = relay`" : "");
	}
}

/* source_limit does not apply to AF_UNIX senders. */
static void check_source_limit(const struct section_check *check, const struct listener_config *listener)
{
	bool networked = listener_has_family(listener, AF_INET) || listener_has_family(listener, AF_INET6);

	if (section_accepts(check, "source_burst") && !listener->source_limit &&
	    (section_accepts(check, "source_limit") || !section_entry(check, "source_limit")))
		section_error(check, "source_burst",
			      "has no effect without a limit: write `source_limit = N` (datagrams per second), or "
			      "remove this line");
	if (section_accepts(check, "address") && listener->source_limit && !networked)
		section_error(check, "source_limit", "has no effect on unix: addresses: remove this line");
}

/* A payload that is decoded as hex digits cannot be converted to the charset of a peer. */
static void check_conversion(const struct section_check *check, const struct listener_config *listener)
{
	bool hex = false;

	for (size_t i = 0; i < listener->encoding_count; i++)
		hex |= !strcasecmp(listener->encodings[i], "hex");
	for (size_t i = 0; hex && i < listener->peer_count; i++) {
		if (listener->peers[i]->encoding)
			section_error(check, "encoding",
				      "`hex` is not a charset, but peer `%s` needs conversion to %s: remove %s",
				      listener->peers[i]->name, listener->peers[i]->encoding,
				      listener->encoding_count == 1 ? "this line" : "`hex` from the list");
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
		section_error_at(check, bind->line, "address",
				 "`%s` is already used by listener `%s` (`%s`): choose another address", bind->text,
				 owner, other->text);
	else if (!strcmp(bind->text, other->text))
		section_error_at(check, bind->line, "address", "`%s` is listed twice: remove one", bind->text);
	else
		section_error_at(check, bind->line, "address", "`%s` covers the same address as `%s`: remove one",
				 bind->text, other->text);
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
	if (!section_intends(check, SECTION_LISTENER, "address"))
		section_error(check, "address", "missing: write the address to listen on, such as `address = *:7788`");
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

	if (!config->http.text && section_accepts(check, "hosts") &&
	    (section_accepts(check, "listen") || !section_entry(check, "listen")))
		section_error(check, "hosts",
			      "has no effect without an address: write `listen = 127.0.0.1:9788`, or remove this line");
	if (!config->http.text || config->http.address.any.sa_family != AF_UNIX)
		return;
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (address_equal(&listener->binds[i].address, &config->http.address))
				section_error(check, "listen",
					      "`%s` is already used by listener `%s`: choose another path",
					      config->http.text, listener->name);
		}
	}
}

void config_validate(const struct config *config, const struct ini_file *file, const struct config_section *sections,
		     struct diagnostics *errors, struct diagnostics *warnings)
{
	struct section_check check = {config, file, errors, warnings, 0};

	for (; check.section < file->section_count; check.section++) {
		const struct config_section *section = &sections[check.section];

		if (section->known && section->kind == SECTION_DAEMON)
			check_daemon(&check);
		else if (section->known && section->kind == SECTION_HTTP)
			check_http(&check);
		else if (section->known && section->kind == SECTION_LISTENER)
			check_listener(&check, &config->listeners[section->index]);
		else if (section->known && section->kind == SECTION_PEER)
			config_validate_peer(&check, &config->peers[section->index]);
	}
}
