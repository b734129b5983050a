/* Arbitrary bytes as a configuration: it is accepted, or the errors are printed as lines that are safe for a
 * terminal. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		__builtin_trap();
}

/* "f.ini:LINE: text" or "f.ini: text", one line each, by line, without control characters. */
static void check_errors(char *errors)
{
	unsigned long before = 0;
	char *line;

	while ((line = strsep(&errors, "\n")) && errors) {
		char *end;
		unsigned long number;

		check(!strncmp(line, "f.ini:", 6));
		number = strtoul(line + 6, &end, 10);
		check(number >= before && !strncmp(end, number ? ": " : " ", number ? 2 : 1));
		before = number;
		for (; *end; end++)
			check((unsigned char)*end >= ' ' && *end != 0x7f);
	}
	check(line && !*line);
}

static void check_listener(const struct config *config, const struct listener_config *listener)
{
	check(listener->index == (size_t)(listener - config->listeners));
	check(listener->bind_count && listener->encoding_count);
	check((listener->action == ACTION_FORWARD || listener->action == ACTION_RELAY) == (listener->peer_count > 0));
	check(listener->action != ACTION_ECHO || listener->refuse_source_ports);
	check(listener->max_datagram && listener->max_datagram <= CONFIG_DATAGRAM_MAX);
	check(listener->balance <= BALANCE_FAILOVER && listener->idle_timeout_ms && listener->max_sessions);
	for (size_t i = 0; i < listener->bind_count; i++)
		check((listener->binds[i].address.length || listener->binds[i].fd_name) && listener->binds[i].line);
	for (size_t i = 0; i < listener->encoding_count; i++)
		check(!strcasecmp(listener->encodings[i], "hex") || codec_is_known(listener->encodings[i]));
}

static void check_payload(const struct payload *payload)
{
	check(!payload->bytes == !payload->size && payload->size <= CONFIG_PAYLOAD_MAX);
}

static void check_peer(const struct peer_config *peer)
{
	check(peer->address.length && peer->address_text);
	check(peer->address.any.sa_family == AF_UNIX || address_port(&peer->address));
	check(peer->weight && peer->fail_timeout_ms && peer->check.rise && peer->check.fall);
	check(peer->check.timeout_ms && peer->check.timeout_ms <= peer->check.interval_ms);
	check_payload(&peer->check.send);
	check_payload(&peer->check.expect);
}

static void check_config(const struct config *config)
{
	check(config->listener_count);
	check((config->datagram_log.target == LOG_TARGET_FILE) == !!config->datagram_log.path);
	for (size_t i = 0; i < config->listener_count; i++)
		check_listener(config, &config->listeners[i]);
	for (size_t i = 0; i < config->peer_count; i++) {
		check(config->peers[i].index == i);
		check_peer(&config->peers[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *in = fmemopen((void *)data, size, "r"), *out;
	struct config *config;
	char *errors;
	size_t length;

	out = open_memstream(&errors, &length);
	check(in && out);
	config = config_load_stream("f.ini", in, out);
	fclose(in);
	fclose(out);
	check(!config == (length > 0) && strlen(errors) == length);
	check_errors(errors);
	if (config)
		check_config(config);
	config_destroy(config);
	free(errors);
	return 0;
}
