/* Setters for peers: the sections [peer:NAME], and the list of peers of a listener. */
#include "config/setters.h"

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/destination.h"
#include "base/xalloc.h"
#include "config/defaults.h"
#include "config/values.h"

/* --- The address of a peer --- */

static enum destination classify_peer_address(const struct address *address)
{
	struct ifaddrs *interfaces;
	enum destination destination;

	if (getifaddrs(&interfaces))
		return destination_classify(address, NULL);
	destination = destination_classify(address, interfaces);
	freeifaddrs(interfaces);
	return destination;
}

static bool report_no_destination(struct config_field *field, const char *value)
{
	return config_field_error(field, "`%s` is not the address of a host: write the address of the peer", value);
}

/* A multicast group is accepted: the file names it on purpose. */
static bool is_literal_destination(struct config_field *field, const struct address *address, const char *value)
{
	switch (classify_peer_address(address)) {
	case DESTINATION_NOBODY:
		return report_no_destination(field, value);
	case DESTINATION_V4_MAPPED:
		return config_field_v4_mapped(field, value, address);
	case DESTINATION_BROADCAST:
		return config_field_error(
			field, "`%s` is a broadcast address, which reaches every host: write the address of one host",
			value);
	default:
		return true;
	}
}

static bool parse_peer_address(struct config_field *field, struct peer_config *peer, const char *value)
{
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_ERROR_MAX];
	uint16_t port;

	peer->line = field->line;
	if (address_parse(&peer->address, value)) {
		bool split = !address_split(value, host, &port);

		if (split && !strcmp(host, "*"))
			return report_no_destination(field, value);
		if (!split || !value_host_name(host))
			return config_field_error(field, "`%s`: %s", value, address_error_text(value, true, fault));
		peer->host = xcheck(strdup(host));
		address_from_ip(&peer->address, "0.0.0.0", port);
	} else if (!is_literal_destination(field, &peer->address, value)) {
		return false;
	}
	if (peer->address.any.sa_family != AF_UNIX && !address_port(&peer->address))
		return config_field_error(field, "`%s` has port 0: write %.*s:PORT", value,
					  (int)(strrchr(value, ':') - value), value);
	peer->address_text = xcheck(strdup(value));
	return true;
}

bool set_peer_address(struct config_field *field, const char *value)
{
	return parse_peer_address(field, field->peer, value);
}

/* --- The other keys of a peer --- */

bool set_peer_encoding(struct config_field *field, const char *value)
{
	if (!strcasecmp(value, "hex"))
		return config_field_error(field, "`hex` is only for the log: write a charset, or remove this line");
	if (strchr(value, ','))
		return config_field_error(field, "`%s` is a list: write one charset of it", value);
	if (!config_field_charset(field, value))
		return false;
	field->peer->encoding = xcheck(strdup(value));
	return true;
}

static struct payload *field_payload(const struct config_field *field)
{
	return (void *)((char *)field->peer + field->key->offset);
}

/* Appends one word of hex digits to the payload. */
static bool append_hex(struct config_field *field, const char *digits)
{
	struct payload *payload = field_payload(field);
	size_t count = strlen(digits) / 2;
	const char *fault;

	payload->bytes = xcheck(realloc(payload->bytes, payload->size + count + 1));
	fault = value_hex(digits, payload->bytes + payload->size);
	if (fault)
		return config_field_error(field, "`%s` %s", digits, fault);
	payload->size += count;
	return true;
}

static bool append_hex_words(struct config_field *field, char *item)
{
	bool valid = true;
	char *word;

	while ((word = strsep(&item, " \t")))
		valid &= append_hex(field, word);
	return valid;
}

/* "hex:" is removed from value. Commas are allowed, because a value continues in the next line only after a comma. */
static bool set_hex_payload(struct config_field *field, const char *value)
{
	value += strspn(value, " \t");
	if (!*value)
		return config_field_error(field,
					  "the bytes after `hex:` are missing: write some, such as `hex: 00 ff`");
	return config_field_each_item(field, value, append_hex_words);
}

static void set_text_payload(struct payload *payload, const char *value)
{
	payload->size = strlen(value);
	payload->bytes = xcheck(malloc(payload->size));
	memcpy(payload->bytes, value, payload->size);
}

bool set_payload(struct config_field *field, const char *value)
{
	struct payload *payload = field_payload(field);

	if (strncasecmp(value, "hex:", 4))
		set_text_payload(payload, value);
	else if (!set_hex_payload(field, value + 4))
		return false;
	if (payload->size > CONFIG_PAYLOAD_MAX)
		return config_field_error(field, "%zu bytes are too many: write at most %d", payload->size,
					  CONFIG_PAYLOAD_MAX);
	return true;
}

/* --- The list of peers of a listener --- */

/* Records and metrics show names as they are. */
static bool is_listed_name(const char *name)
{
	return strlen(name) <= PEER_NAME_MAX && !strpbrk(name, " \t\"\\");
}

/* The name of a listed peer is its address. Different texts of one address give the same name. The caller frees it. */
static char *listed_name(const struct peer_config *peer)
{
	char text[ADDRESS_TEXT_MAX];

	return xcheck(strdup(peer->host ? peer->address_text : address_format(&peer->address, text)));
}

static void listed_peer_finish(struct peer_config *peer)
{
	free(peer->name);
	free(peer->host);
	free(peer->address_text);
}

/* Adds the peer to the configuration, which becomes its owner, unless it is there already. */
static struct peer_config *add_listed_peer(struct config *config, struct peer_config *listed)
{
	size_t index = config_find_peer(config, listed->name);
	struct peer_config *peer = &config->peers[index];

	if (index < config->peer_count) {
		listed_peer_finish(listed);
		return peer;
	}
	*peer = *listed;
	peer->index = config->peer_count++;
	peer->lines.keys = xgrow(NULL, 0, sizeof(*peer->lines.keys));
	peer->lines.keys[peer->lines.count++] = (struct key_line){"address", peer->line};
	return peer;
}

/* Returns the peer of an address in the list, or NULL after adding an error. */
static struct peer_config *find_or_add_listed_peer(struct config_field *field, const char *item)
{
	struct peer_config peer = config_default_peer(NULL, 0);

	peer.listed = true;
	peer.lines.line = field->line;
	if (!parse_peer_address(field, &peer, item)) {
		listed_peer_finish(&peer);
		return NULL;
	}
	peer.name = listed_name(&peer);
	if (is_listed_name(peer.name))
		return add_listed_peer(field->config, &peer);
	config_field_error(field,
			   "`%s` is too long for this list, or has a blank, a quote or a backslash: write a section "
			   "[peer:NAME] with this address",
			   item);
	listed_peer_finish(&peer);
	return NULL;
}

static bool add_peer(struct config_field *field, const char *item, struct peer_config *peer)
{
	struct listener_config *listener = field->listener;

	for (size_t i = 0; i < listener->peer_count; i++) {
		if (listener->peers[i] == peer)
			return config_field_error(field, "`%s` is listed twice: remove one", item);
	}
	*(struct peer_config **)config_array_append(&listener->peers, &listener->peer_count, sizeof(peer)) = peer;
	return true;
}

static struct peer_config *find_peer(struct config *config, const char *name)
{
	size_t index = config_find_peer(config, name);

	return index < config->peer_count ? &config->peers[index] : NULL;
}

/* Returns the name of a section that is similar to the item, or NULL. */
static const char *similar_peer(const struct config *config, const char *item)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		const char *name = config->peers[i].name;

		if (!config->peers[i].listed && value_distance(item, name) <= (strlen(name) + 1) / 4)
			return name;
	}
	return NULL;
}

static bool report_unknown_peer(struct config_field *field, const char *item)
{
	const char *similar = similar_peer(field->config, item);

	if (similar)
		return config_field_error(field, "there is no peer `%s`: write `%s`, or add a section [peer:%s]", item,
					  similar, item);
	return config_field_error(
		field, "there is no peer `%s`: add a section [peer:%s], or write its address and port", item, item);
}

/* All sections are created before their keys are read, so a name that is unknown now has no section. */
static bool add_listener_peer(struct config_field *field, char *item)
{
	struct peer_config *peer = find_peer(field->config, item);

	if (!peer && strncmp(item, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)) && !config_field_word(field, item))
		return false;
	if (!peer && !strncmp(item, "peer:", 5) && find_peer(field->config, item + 5))
		return config_field_error(field, "`%s` is the header of a section: write `%s`", item, item + 5);
	if (!peer && !value_is_address(item))
		return report_unknown_peer(field, item);
	if (!peer)
		peer = find_or_add_listed_peer(field, item);
	return peer && add_peer(field, item, peer);
}

bool set_peers(struct config_field *field, const char *value)
{
	return config_field_each_item(field, value, add_listener_peer);
}
