#include "config/setters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/systemd.h"
#include "base/xalloc.h"
#include "build_config.h"
#include "config/values.h"

bool config_field_v4_mapped(struct config_field *field, const char *text, const struct address *address)
{
	struct address v4 = {.length = sizeof(v4.v4), .v4 = {.sin_family = AF_INET}};
	char fix[ADDRESS_TEXT_MAX];

	v4.v4.sin_addr = address_mapped_v4(&address->v6.sin6_addr);
	address_set_port(&v4, address_port(address));
	return config_field_error(field, "`%s` is an IPv4-mapped IPv6 address: write %s", text,
				  address_format(&v4, fix));
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
	const char *colon = strrchr(value, ':');

	return config_field_error(field,
				  "`%s` shows the names and addresses of listeners and peers to every host: write one "
				  "address, such as 127.0.0.1:%s",
				  value, colon ? colon + 1 : value);
}

static bool parse_http_address(struct config_field *field, const char *value, struct address *address)
{
	char fault[ADDRESS_ERROR_MAX];

	if (lacks_host(value))
		return report_open_to_all(field, value);
	if (address_parse(address, value))
		return config_field_error(field, "`%s`: %s", value, address_error_text(value, false, fault));
	if (address_is_v4_mapped(address))
		return config_field_v4_mapped(field, value, address);
	if (address_is_wildcard(address))
		return report_open_to_all(field, value);
	if (address_is_multicast(address))
		return config_field_error(
			field, "`%s` is a multicast group: write an address of this host, such as 127.0.0.1:%u", value,
			address_port(address));
	if (address_lacks_zone(address))
		return config_field_error(field, "`%s` is link-local: write its interface, as in %.*s%%eth0%s", value,
					  (int)strcspn(value, "]"), value, strchr(value, ']'));
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

	if (!config_field_word(field, item))
		return false;
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
		return config_field_error(field, "`%s` needs a udprelayd that is built with systemd: write an address",
					  item);
	if (!is_fd_name(name))
		return config_field_error(
			field,
			"`%s` does not name a socket: write fd:NAME, with the FileDescriptorName= of the .socket unit",
			item);
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
	if (strncmp(item, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)) && !config_field_word(field, item))
		return false;
	if (!address_split(item, host, &port) && !strcmp(host, "*")) {
		bind.any = true;
		address_from_ip(&bind.address, "0.0.0.0", port);
	} else if (address_parse(&bind.address, item)) {
		return config_field_error(field, "`%s`: %s", item, address_error_text(item, false, fault));
	}
	if (address_is_v4_mapped(&bind.address))
		return config_field_v4_mapped(field, item, &bind.address);
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
	struct multicast_config group = {.line = field->line};
	char *zone = strchr(item, '%');

	if (!config_field_word(field, item))
		return false;
	if (zone)
		*zone++ = '\0';
	if (address_from_ip(&group.group, item, 0) || !address_is_multicast(&group.group))
		return config_field_error(
			field,
			"`%s` is not a multicast group: write one of 224.0.0.0/4 or ff00::/8, with %%INTERFACE "
			"after it if needed",
			item);
	if (zone && !value_interface(zone, group.interface))
		return config_field_error(field, "`%s` is not the name of an interface: write one that `ip link` lists",
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
	return config_field_each_item(field, value, add_multicast_group);
}

static bool add_refused_ports(struct config_field *field, char *item)
{
	return value_ports(item, field->listener->refuse_source_ports) || config_field_invalid(field, item);
}

bool set_refuse_source_ports(struct config_field *field, const char *value)
{
	field->listener->refuse_source_ports = xcheck(calloc(1, sizeof(*field->listener->refuse_source_ports)));
	return !strcasecmp(value, "none") || config_field_each_item(field, value, add_refused_ports);
}

/* The prefixes of a list while it is read. */
struct prefix_list {
	struct prefix *prefixes;
	size_t count;
};

static bool add_prefix(struct config_field *field, char *item)
{
	struct prefix_list *list = field->list;
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefix;

	if (!prefix_parse(&prefix, item, fault))
		return config_field_error(field, "`%s`: %s", item, fault);
	prefix.line = field->line;
	*(struct prefix *)config_array_append(&list->prefixes, &list->count, sizeof(prefix)) = prefix;
	return true;
}

bool set_prefixes(struct config_field *field, const char *value)
{
	struct prefix_set **set = (void *)((char *)field->listener + field->key->offset);
	struct prefix_list list = {0};
	bool valid;

	field->list = &list;
	valid = config_field_each_item(field, value, add_prefix);
	if (valid)
		*set = prefix_set_create(list.prefixes, list.count);
	free(list.prefixes);
	return valid;
}
