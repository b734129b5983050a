#include "upstream/resolver.h"

#include <stdio.h>
#include <string.h>

#include "base/container_of.h"

/* Delay after the first failure. It doubles with each further one, up to the maximum or the peer's resolve_interval. */
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 30000

/* --- Log --- */

static bool resolver_is_own_address(const struct resolver *resolver, const struct address *address)
{
	return resolver->own && own_addresses_has(resolver->own, address);
}

static void resolver_log_own_address(const struct resolver *resolver, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	log_error(resolver->log,
		  "peer %s: %s is %s, one of our own listeners, so datagrams would loop: they are dropped",
		  resolver->config->name, resolver->config->host, address_format(address, text));
}

/* The list may be longer than a log line. The log then cuts it and marks the cut. */
static void resolver_log_addresses(const struct resolver *resolver, const struct resolver_result *result)
{
	char list[LOG_LINE_MAX + ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	size_t length = 0;

	for (size_t i = 0; i < result->count; i++) {
		const struct address *address = &result->addresses[i];

		if (resolver_is_own_address(resolver, address))
			resolver_log_own_address(resolver, address);
		else if (length < LOG_LINE_MAX)
			length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", length ? ", " : "",
						   address_format(address, text));
	}
	if (length)
		log_info(resolver->log, "peer %s: %s is %s", resolver->config->name, resolver->config->host, list);
	if (result->more)
		log_warning(resolver->log, "peer %s: %s has more than %d addresses: the others are not used",
			    resolver->config->name, resolver->config->host, RESOLVER_ADDRESSES_MAX);
}

static bool resolver_refuses_other_address(const struct resolver *resolver, const struct resolver_result *result)
{
	return result->refused_kind && (result->refused_kind != resolver->result.refused_kind ||
					!address_equal(&result->refused, &resolver->result.refused));
}

static void resolver_log_refused(const struct resolver *resolver, const struct resolver_result *result)
{
	char text[ADDRESS_TEXT_MAX];

	log_warning(resolver->log, "peer %s: %s is also %s, %s: it is not used", resolver->config->name,
		    resolver->config->host, address_format(&result->refused, text),
		    destination_text(result->refused_kind));
}

static const char *resolver_failure_effect(const struct resolver *resolver)
{
	switch (resolver->result.count) {
	case 0:
		return "datagrams for it are dropped";
	case 1:
		return "its previous address stays in use";
	default:
		return "its previous addresses stay in use";
	}
}

/* --- Look-ups --- */

static void resolver_look_up(struct resolver *resolver);

static void resolver_on_timer(uv_timer_t *timer)
{
	resolver_look_up(timer->data);
}

static void resolver_schedule(struct resolver *resolver)
{
	uint64_t delay = resolver->config->resolve_interval_ms;

	if (resolver->failures) {
		uint64_t backoff = resolver->failures > 5 ? BACKOFF_MAX_MS : BACKOFF_MS << (resolver->failures - 1);
		uint64_t max = delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
		delay = backoff < max ? backoff : max;
	}
	uv_timer_start(&resolver->timer, resolver_on_timer, delay, 0);
}

/* Logs the first of several consecutive failures and every tenth. */
static void resolver_failed(struct resolver *resolver, const char *reason)
{
	resolver->failures++;
	if (resolver->failures == 1 || resolver->failures % 10 == 0)
		log_warning(resolver->log, "peer %s: cannot resolve %s: %s; %s; the look-up is repeated",
			    resolver->config->name, resolver->config->host, reason, resolver_failure_effect(resolver));
}

static void resolver_succeeded(struct resolver *resolver, const struct resolver_result *result)
{
	bool same = resolver_results_equal(result, &resolver->result);

	if (!same && resolver->changed(resolver->config, result->addresses, result->count, resolver->data))
		return;
	if (!same || resolver->failures)
		resolver_log_addresses(resolver, result);
	if (resolver_refuses_other_address(resolver, result))
		resolver_log_refused(resolver, result);
	resolver->failures = 0;
	resolver->no_address = false;
	resolver->result = *result;
}

/* The name exists, but no host has one of its addresses. The last addresses stay in use, as after any failure: a broken
 * or forged name server must not stop a relay. */
static void resolver_found_no_host(struct resolver *resolver, const struct resolver_result *result)
{
	char reason[ADDRESS_TEXT_MAX + 64], text[ADDRESS_TEXT_MAX];

	snprintf(reason, sizeof(reason), "%s is %s", address_format(&result->refused, text),
		 destination_text(result->refused_kind));
	resolver_failed(resolver, reason);
	if (!resolver->result.count && !resolver->no_address)
		resolver->no_address = !resolver->changed(resolver->config, NULL, 0, resolver->data);
}

static void resolver_on_result(struct name_lookup *lookup, const struct name_lookup_result *found)
{
	static const struct name_lookup_result no_address = {.error = EAI_NONAME};
	struct resolver *resolver = container_of(lookup, struct resolver, lookup);
	struct resolver_result result;

	resolver_result_read(&result, &resolver->result, found->list, address_port(&resolver->config->address));
	if (result.count)
		resolver_succeeded(resolver, &result);
	else if (result.refused_kind)
		resolver_found_no_host(resolver, &result);
	else
		resolver_failed(resolver, name_lookup_error_text(found->error ? found : &no_address));
	resolver_schedule(resolver);
}

static void resolver_look_up(struct resolver *resolver)
{
	int error = name_lookup_start(&resolver->lookup, resolver->config->host);

	if (error) {
		resolver_failed(resolver, strerror(-error));
		resolver_schedule(resolver);
	}
}

/* --- Life cycle --- */

void resolver_init(struct resolver *resolver)
{
	name_lookup_init(&resolver->lookup, resolver->loop, resolver_on_result);
	uv_timer_init(resolver->loop, &resolver->timer);
	resolver->timer.data = resolver;
	resolver->open_handles = 2;
}

void resolver_start(struct resolver *resolver)
{
	resolver_look_up(resolver);
}

static void resolver_on_timer_closed(uv_handle_t *handle)
{
	struct resolver *resolver = handle->data;

	resolver->open_handles--;
}

static void resolver_on_lookup_closed(struct name_lookup *lookup)
{
	container_of(lookup, struct resolver, lookup)->open_handles--;
}

void resolver_close(struct resolver *resolver)
{
	if (resolver->closing)
		return;
	resolver->closing = true;
	uv_close((uv_handle_t *)&resolver->timer, resolver_on_timer_closed);
	name_lookup_close(&resolver->lookup, resolver_on_lookup_closed);
}

bool resolver_is_closed(const struct resolver *resolver)
{
	return !resolver->open_handles;
}
