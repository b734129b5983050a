#include "config/setters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/systemd.h"
#include "base/xalloc.h"
#include "build_config.h"
#include "config/values.h"

bool config_field_v4_mapped(struct config_field *field, const char *text)
{
	return config_field_error(field, "`%s` is an IPv4-mapped IPv6 address: write the IPv4 address", text);
}

/* --- [http] --- */

/* Matches "*:9100", "9100" and ":9100": a port without a host, which would mean all addresses of the host. */
static bool lacks_host(const char *value)
{
	const char *digits = value + (*value == ':');
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	if (!address_split(value, host, &port) && !strcmp(host, "*"))
		return true;
	return *digits && !digits[strspn(digits, "0123456789")];
}

static bool report_open_to_all(struct config_field *field, const char *value)
{
	return config_field_error(field,
				  "`%s` shows the names and addresses of listeners and peers to every host: write one "
				  "address, such as 127.0.0.1:9100",
				  value);
}

static bool parse_http_address(struct config_field *field, const char *value, struct address *address)
{
	char fault[ADDRESS_ERROR_MAX];

	if (lacks_host(value))
		return report_open_to_all(field, value);
	if (address_parse(address, value))
		return config_field_error(field, "`%s`: %s", value, address_error_text(value, false, fault));
	if (address_is_v4_mapped(address))
		return config_field_v4_mapped(field, value);
	if (address_is_wildcard(address))
		return report_open_to_all(field, value);
	if (address_is_multicast(address))
		return config_field_error(field, "`%s` is a multicast group: write an address of this host", value);
	if (address_lacks_zone(address))
		return config_field_error(field, "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:9100",
					  value);
	return true;
}

bool set_http_listen(struct config_field *field, const char *value)
{
	struct config *config = field->config;

	if (!strcasecmp(value, "off"))
		return true;
	if (!parse_http_address(field, value, &config->http.address))
		return false;
	if (!HAVE_LIBMICROHTTPD)
		return config_field_error(field,
					  "this udprelayd was built without libmicrohttpd: write off, or build it with "
					  "libmicrohttpd-dev installed");
	config->http.text = xcheck(strdup(value));
	config->http.line = field->line;
	return true;
}

/* Accepts an IP address without brackets, or a name. */
static bool is_http_host(const char *item)
{
	char text[ADDRESS_HOST_MAX + 8], host[ADDRESS_HOST_MAX];
	struct address address;
	uint16_t port;

	if (!address_from_ip(&address, item, 0))
		return true;
	return snprintf(text, sizeof(text), "%s:1", item) < (int)sizeof(text) && !address_split(text, host, &port) &&
	       value_host_name(host);
}

static bool add_http_host(struct config_field *field, char *item)
{
	struct config *config = field->config;

	if (!is_http_host(item))
		return config_field_error(
			field,
			"`%s` is not a host name: write a name or an IP address as in a URL, without port and "
			"brackets",
			item);
	*(char **)config_array_append(&config->http.hosts, &config->http.host_count, sizeof(char *)) =
		xcheck(strdup(item));
	return true;
}

bool set_http_hosts(struct config_field *field, const char *value)
{
	return config_field_each_item(field, value, add_http_host);
}

/* --- [listener:NAME] --- */

static void append_bind(struct listener_config *listener, struct bind_config bind, const char *text)
{
	bind.text = xcheck(strdup(text));
	*(struct bind_config *)config_array_append(&listener->binds, &listener->bind_count, sizeof(bind)) = bind;
}

/* The rules of FileDescriptorName= in systemd.socket(5). */
static bool is_fd_name(const char *name)
{
	size_t length = strlen(name);

	for (const char *c = name; *c; c++) {
		if (*c <= ' ' || *c > '~' || *c == ':')
			return false;
	}
	return length && length <= 255;
}

static bool add_systemd_bind(struct config_field *field, const char *item)
{
	const char *name = item + 3;

	if (!systemd_is_built_in())
		return config_field_error(field, "`%s`: this udprelayd is built without systemd: write an address",
					  item);
	if (!is_fd_name(name))
		return config_field_error(
			field, "`%s`: write fd:NAME, with the FileDescriptorName= of the .socket unit", item);
	append_bind(field->listener, (struct bind_config){.line = field->line, .fd_name = xcheck(strdup(name))}, item);
	return true;
}

static bool add_listener_address(struct config_field *field, char *item)
{
	struct bind_config bind = {.line = field->line};
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_ERROR_MAX];
	uint16_t port;

	if (!strncmp(item, "fd:", 3))
		return add_systemd_bind(field, item);
	if (!address_split(item, host, &port) && !strcmp(host, "*")) {
		bind.any = true;
		address_from_ip(&bind.address, "0.0.0.0", port);
	} else if (address_parse(&bind.address, item)) {
		return config_field_error(field, "`%s`: %s", item, address_error_text(item, false, fault));
	}
	if (address_is_v4_mapped(&bind.address))
		return config_field_v4_mapped(field, item);
	append_bind(field->listener, bind, item);
	return true;
}

bool set_listener_address(struct config_field *field, const char *value)
{
	return config_field_each_item(field, value, add_listener_address);
}

bool set_interface(struct config_field *field, const char *value)
{
	field->listener->interface_line = field->line;
	return value_interface(value, field->listener->interface);
}

static bool add_multicast_group(struct config_field *field, char *item)
{
	struct listener_config *listener = field->listener;
	struct multicast_config group = {0};
	char *zone = strchr(item, '%');

	if (zone)
		*zone++ = '\0';
	if (address_from_ip(&group.group, item, 0) || !address_is_multicast(&group.group))
		return config_field_error(
			field,
			"`%s` is not a multicast group: write one of 224.0.0.0/4 or ff00::/8, with %%INTERFACE "
			"after it if needed",
			item);
	if (zone && !value_interface(zone, group.interface))
		return config_field_error(field, "`%s` is not the name of an interface: `ip link` lists the interfaces",
					  zone);
	for (size_t i = 0; i < listener->group_count; i++) {
		const struct multicast_config *other = &listener->groups[i];

		if (address_equal(&other->group, &group.group) && !strcmp(other->interface, group.interface))
			return config_field_error(field, "`%s%s%s` is listed twice: remove one", item, zone ? "%" : "",
						  group.interface);
	}
	*(struct multicast_config *)config_array_append(&listener->groups, &listener->group_count, sizeof(group)) =
		group;
	return true;
}

bool set_multicast(struct config_field *field, const char *value)
{
	field->listener->multicast_line = field->line;
	return config_field_each_item(field, value, add_multicast_group);
}

bool set_refuse_source_ports(struct config_field *field, const char *value)
{
	struct port_set set = {0};

	if (strcasecmp(value, "none") && !value_ports(value, &set))
		return false;
	field->listener->refuse_source_ports = xcheck(malloc(sizeof(set)));
	*field->listener->refuse_source_ports = set;
	return true;
}

/* The prefixes of a list while it is read. */
struct prefix_list {
	struct prefix *prefixes;
	size_t count;
};

static bool add_prefix(struct config_field *field, struct prefix_list *list, const char *item)
{
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefix;

	if (!*item)
		return config_field_error(field, "the list has an empty item: remove a comma");
	if (!prefix_parse(&prefix, item, fault))
		return config_field_error(field, "`%s`: %s", item, fault);
	prefix.line = field->line;
	*(struct prefix *)config_array_append(&list->prefixes, &list->count, sizeof(prefix)) = prefix;
	return true;
}

/* The list may span many lines, so an error names the line of the item and not the line of the key. */
bool set_prefixes(struct config_field *field, const char *value)
{
	struct prefix_set **set = (void *)((char *)field->listener + field->key->offset);
	char *copy = xcheck(strdup(value)), *cursor = copy, *item;
	struct prefix_list list = {0};
	bool valid = true;

	while ((item = value_next_item(&cursor))) {
		field->line = ini_entry_line(field->entry, (size_t)(item - copy));
		valid &= add_prefix(field, &list, item);
	}
	field->line = field->entry->line;
	if (valid)
		*set = prefix_set_create(list.prefixes, list.count);
	free(list.prefixes);
	free(copy);
	return valid;
}
