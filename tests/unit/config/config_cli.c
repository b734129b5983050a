/* Prints the keys, values and drop reasons of the daemon, so that test_documented_keys.py can compare them with the
 * documentation:
 *
 *     config_cli keys             a line for each key: [SECTION] KEY
 *     config_cli values FILE      a line for each key of each section that FILE creates: [SECTION] KEY VALUE
 *     config_cli reasons          a line for each drop reason
 *
 * A value is printed as it is stored in the configuration, for example a duration in milliseconds. "unset" means that
 * nothing is stored. Exits with 78 if the configuration is invalid, and with 64 after wrong arguments.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/setters.h"
#include "net/drop_reason.h"

/* The section whose keys are printed. At most one of listener and peer is set. */
struct section {
	const struct config *config;
	const struct listener_config *listener; /* NULL: none */
	const struct peer_config *peer;
};

static const char *or_unset(const char *text)
{
	return text && *text ? text : "unset";
}

static void print_item(size_t i, const char *text)
{
	printf("%s%s", i ? ", " : "", text);
}

static void print_nothing(size_t count)
{
	if (!count)
		fputs("unset", stdout);
}

/* --- Values that are more than a number. `field` is the member of the section's struct. --- */

static void print_user(const struct section *section, const void *field)
{
	(void)field;
	fputs(or_unset(section->config->user.name), stdout);
}

static void print_group(const struct section *section, const void *field)
{
	(void)field;
	if (section->config->user.has_group)
		printf("%u", (unsigned)section->config->user.gid);
	else
		fputs("unset", stdout);
}

static void print_target(const struct section *section, const void *field)
{
	(void)field;
	printf("%d %s", (int)section->config->datagram_log.target, or_unset(section->config->datagram_log.path));
}

static void print_listener_address(const struct section *section, const void *field)
{
	(void)field;
	for (size_t i = 0; i < section->listener->bind_count; i++)
		print_item(i, section->listener->binds[i].text);
}

static void print_peers(const struct section *section, const void *field)
{
	(void)field;
	for (size_t i = 0; i < section->listener->peer_count; i++)
		print_item(i, section->listener->peers[i]->name);
	print_nothing(section->listener->peer_count);
}

static void print_listener_encoding(const struct section *section, const void *field)
{
	(void)field;
	for (size_t i = 0; i < section->listener->encoding_count; i++)
		print_item(i, section->listener->encodings[i]);
	print_nothing(section->listener->encoding_count);
}

static void print_log(const struct section *section, const void *field)
{
	(void)field;
	printf("1/%" PRIu32, section->listener->log_every);
}

static void print_interface(const struct section *section, const void *field)
{
	(void)field;
	fputs(or_unset(section->listener->interface), stdout);
}

static void print_multicast(const struct section *section, const void *field)
{
	char text[ADDRESS_TEXT_MAX];

	(void)field;
	for (size_t i = 0; i < section->listener->group_count; i++) {
		const struct multicast_config *group = &section->listener->groups[i];

		print_item(i, address_format(&group->group, text));
		printf("%%%s", group->interface);
	}
	print_nothing(section->listener->group_count);
}

static void print_refuse_source_ports(const struct section *section, const void *field)
{
	unsigned count = 0;

	(void)field;
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		if (port_set_has(section->listener->refuse_source_ports, (uint16_t)port))
			printf("%s%u", count++ ? "," : "", port);
	}
	if (!count)
		fputs("none", stdout);
}

static void print_prefixes(const struct section *section, const void *field)
{
	(void)section;
	fputs(*(struct prefix_set *const *)field ? "set" : "unset", stdout);
}

static void print_peer_address(const struct section *section, const void *field)
{
	(void)field;
	fputs(or_unset(section->peer->address_text), stdout);
}

static void print_peer_encoding(const struct section *section, const void *field)
{
	(void)field;
	fputs(or_unset(section->peer->encoding), stdout);
}

static void print_payload(const struct section *section, const void *field)
{
	const struct payload *payload = field;

	(void)section;
	for (size_t i = 0; i < payload->size; i++)
		printf("%02x", payload->bytes[i]);
	print_nothing(payload->size);
}

static void print_http_listen(const struct section *section, const void *field)
{
	(void)field;
	fputs(section->config->http.text ? section->config->http.text : "off", stdout);
}

static void print_http_hosts(const struct section *section, const void *field)
{
	(void)field;
	for (size_t i = 0; i < section->config->http.host_count; i++)
		print_item(i, section->config->http.hosts[i]);
	print_nothing(section->config->http.host_count);
}

static const struct {
	bool (*set)(struct config_field *field, const char *value);
	void (*print)(const struct section *section, const void *field);
} printers[] = {
	{set_user, print_user},
	{set_group, print_group},
	{set_target, print_target},
	{set_http_listen, print_http_listen},
	{set_http_hosts, print_http_hosts},
	{set_listener_address, print_listener_address},
	{set_peers, print_peers},
	{set_listener_encoding, print_listener_encoding},
	{set_log, print_log},
	{set_interface, print_interface},
	{set_multicast, print_multicast},
	{set_refuse_source_ports, print_refuse_source_ports},
	{set_prefixes, print_prefixes},
	{set_peer_address, print_peer_address},
	{set_peer_encoding, print_peer_encoding},
	{set_payload, print_payload},
};

/* --- Keys --- */

static void print_number(const struct config_key *key, const void *field)
{
	uint64_t number = 0;

	if (key->size == sizeof(bool))
		number = *(const bool *)field;
	else if (key->size == sizeof(uint32_t))
		number = *(const uint32_t *)field;
	else if (key->size == sizeof(uint64_t))
		number = *(const uint64_t *)field;
	else {
		fprintf(stderr, "%s %s: nothing prints its value: add it to printers[]\n",
			config_section_text(key->section), key->name);
		exit(1);
	}
	printf("%" PRIu64, number);
}

static void print_value(const struct section *section, const struct config_key *key)
{
	const char *data = section->listener ? (const char *)section->listener
			   : section->peer   ? (const char *)section->peer
					     : (const char *)section->config;
	const void *field = data + key->offset;

	for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
		if (printers[i].set == key->set) {
			printers[i].print(section, field);
			return;
		}
	}
	print_number(key, field);
}

static void print_values(const struct section *section, enum section_kind kind, const char *head)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_key_at(i)); i++) {
		if (key->section != kind)
			continue;
		printf("[%s] %s ", head, key->name);
		print_value(section, key);
		putchar('\n');
	}
}

static int values(const char *path)
{
	struct config *config = config_load(path, stderr);
	char head[64];

	if (!config)
		return 78;
	print_values(&(struct section){.config = config}, SECTION_DAEMON, "udprelayd");
	print_values(&(struct section){.config = config}, SECTION_LOG, "log");
	print_values(&(struct section){.config = config}, SECTION_DATAGRAM_LOG, "datagram_log");
	print_values(&(struct section){.config = config}, SECTION_HTTP, "http");
	for (size_t i = 0; i < config->listener_count; i++) {
		snprintf(head, sizeof(head), "listener:%s", config->listeners[i].name);
		print_values(&(struct section){config, &config->listeners[i], NULL}, SECTION_LISTENER, head);
	}
	for (size_t i = 0; i < config->peer_count; i++) {
		snprintf(head, sizeof(head), "peer:%s", config->peers[i].name);
		print_values(&(struct section){config, NULL, &config->peers[i]}, SECTION_PEER, head);
	}
	config_destroy(config);
	return 0;
}

static int keys(void)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_key_at(i)); i++)
		printf("%s %s\n", config_section_text(key->section), key->name);
	return 0;
}

static int reasons(void)
{
	for (int i = DROP_NONE + 1; i < DROP_REASONS; i++)
		puts(drop_reason_name((enum drop_reason)i));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "values"))
		return values(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "keys"))
		return keys();
	if (argc == 2 && !strcmp(argv[1], "reasons"))
		return reasons();
	return 64;
}
