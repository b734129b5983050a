#include "upstream/resolver.h"

#include <stdio.h>

/* A name that does not resolve is tried again after a second, then two, four …, and at the latest after this. */
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 30000

/* --- What the log says --- */

static bool is_own(const struct resolver *resolver, const struct address *address)
{
	return resolver->own && own_addresses_has(resolver->own, address);
}

static void tell_own(const struct resolver *resolver, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	log_error(resolver->log,
		  "peer %s: %s is %s, which is one of our own listeners: datagrams would go round in circles, and are "
		  "dropped",
		  resolver->config->name, resolver->config->host, address_format(address, text));
}

/* The log cuts a line that is too long, and shows that it did. */
static void tell_addresses(const struct resolver *resolver, const struct resolver_result *answer)
{
	char list[LOG_LINE_MAX + ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	size_t length = 0;

	for (size_t i = 0; i < answer->count; i++) {
		const struct address *address = &answer->addresses[i];

		if (is_own(resolver, address))
			tell_own(resolver, address);
		else if (length < LOG_LINE_MAX)
			length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s", length ? ", " : "",
						   address_format(address, text));
	}
	if (length)
		log_info(resolver->log, "peer %s: %s is %s", resolver->config->name, resolver->config->host, list);
	if (answer->more)
		log_warning(resolver->log, "peer %s: %s has more than %d addresses: the others are not used",
			    resolver->config->name, resolver->config->host, RESOLVER_ADDRESSES_MAX);
}

static const char *what_then(const struct resolver *resolver)
{
	switch (resolver->now.count) {
	case 0:
		return "datagrams for it are dropped";
	case 1:
		return "its last address stays in use";
	default:
		return "its last addresses stay in use";
	}
}

/* --- Look-ups --- */

static void look_up(struct resolver *resolver);

static void on_timer(uv_timer_t *timer)
{
	look_up(timer->data);
}

static void look_up_later(struct resolver *resolver)
{
	uint64_t delay = resolver->config->resolve_interval_ms;

	if (resolver->failures) {
		uint64_t backoff = resolver->failures > 5 ? BACKOFF_MAX_MS : BACKOFF_MS << (resolver->failures - 1);
		uint64_t most = delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
		delay = backoff < most ? backoff : most;
	}
	uv_timer_start(&resolver->timer, on_timer, delay, 0);
}

static void failed(struct resolver *resolver, int error)
{
	resolver->failures++;
	if (resolver->failures == 1 || resolver->failures % 10 == 0)
		log_warning(resolver->log, "peer %s: cannot resolve %s: %s; %s, and it is tried again",
			    resolver->config->name, resolver->config->host, uv_strerror(error), what_then(resolver));
}

static void resolved(struct resolver *resolver, const struct resolver_result *answer)
{
	bool same = resolver_results_equal(answer, &resolver->now);

	if (!same && resolver->changed(resolver->config, answer->addresses, answer->count, resolver->data))
		return;
	if (!same || resolver->failures)
		tell_addresses(resolver, answer);
	resolver->failures = 0;
	if (!same)
		resolver->now = *answer;
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct resolver *resolver = request->data;
	struct resolver_result answer;

	resolver->busy = false;
	if (!resolver->closing) {
		resolver_result_read(&answer, &resolver->now, list, address_port(&resolver->config->address));
		if (!status && answer.count)
			resolved(resolver, &answer);
		else
			failed(resolver, status ? status : UV_EAI_NONAME);
		look_up_later(resolver);
	}
	uv_freeaddrinfo(list);
}

static void look_up(struct resolver *resolver)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	int error = uv_getaddrinfo(resolver->loop, &resolver->request, on_answer, resolver->config->host, NULL, &hints);

	resolver->busy = !error;
	if (error) {
		failed(resolver, error);
		look_up_later(resolver);
	}
}

/* --- Life --- */

void resolver_init(struct resolver *resolver)
{
	resolver->request.data = resolver;
	uv_timer_init(resolver->loop, &resolver->timer);
	resolver->timer.data = resolver;
}

void resolver_start(struct resolver *resolver)
{
	look_up(resolver);
}

static void on_closed(uv_handle_t *handle)
{
	struct resolver *resolver = handle->data;

	resolver->closed = true;
}

void resolver_close(struct resolver *resolver)
{
	if (resolver->closing)
		return;
	resolver->closing = true;
	uv_close((uv_handle_t *)&resolver->timer, on_closed);
	if (resolver->busy)
		uv_cancel((uv_req_t *)&resolver->request);
}
