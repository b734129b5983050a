#include "peer.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* A name that does not resolve is tried again after a second, then two, four …, and at the latest after this. */
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 30000

/* One named peer. */
struct resolver {
	struct peers *peers;
	const struct peer_config *config;
	uv_getaddrinfo_t request;
	uv_timer_t timer;
	bool busy;
	unsigned failures; /* in a row */
	struct address address;
};

struct peers {
	uv_loop_t *loop;
	const struct config *config;
	const struct own_addresses *own;
	struct log *log;
	peers_changed changed;
	void *data;
	bool closing;
	struct resolver *resolvers;
	size_t resolver_count;
};

struct peer_addresses *peer_addresses_get(struct peer_addresses *addresses)
{
	atomic_fetch_add_explicit(&addresses->references, 1, memory_order_relaxed);
	return addresses;
}

void peer_addresses_put(struct peer_addresses *addresses)
{
	if (addresses && atomic_fetch_sub_explicit(&addresses->references, 1, memory_order_acq_rel) == 1)
		free(addresses);
}

static void publish(struct peers *peers)
{
	size_t count = peers->config->peer_count;
	struct peer_addresses *addresses = calloc(1, sizeof(*addresses) + count * sizeof(addresses->items[0]));

	if (!addresses) {
		log_error(peers->log, "no memory for the addresses of peers: the last ones stay");
		return;
	}
	atomic_init(&addresses->references, 1);
	addresses->count = count;
	for (size_t i = 0; i < count; i++) {
		if (!peers->config->peers[i].host)
			addresses->items[i] = peers->config->peers[i].address;
	}
	for (size_t i = 0; i < peers->resolver_count; i++)
		addresses->items[peers->resolvers[i].config->index] = peers->resolvers[i].address;
	peers->changed(addresses, peers->data);
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

/* Name servers that block a name answer so; the kernel would send it to ourselves. */
static bool is_nowhere(const struct address *address)
{
	return address_is_wildcard(address) ||
	       (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr));
}

static bool from_addrinfo(struct address *address, const struct addrinfo *info, uint16_t port)
{
	if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
		return false;
	memset(address, 0, sizeof(*address));
	memcpy(&address->any, info->ai_addr, info->ai_addrlen);
	address->length = info->ai_addrlen;
	address_set_port(address, port);
	return !is_nowhere(address);
}

/* Of several addresses the one in use stays, or else the first is taken: an answer in another order is no change. */
static bool choose(const struct resolver *resolver, const struct addrinfo *answer, struct address *chosen)
{
	uint16_t port = address_port(&resolver->config->address);
	bool any = false;

	for (const struct addrinfo *i = answer; i; i = i->ai_next) {
		struct address address;

		if (!from_addrinfo(&address, i, port))
			continue;
		if (!any)
			*chosen = address;
		any = true;
		if (resolver->address.length && address_equal(&address, &resolver->address)) {
			*chosen = address;
			return true;
		}
	}
	return any;
}

static void failed(struct resolver *resolver, int error)
{
	const struct peer_config *config = resolver->config;

	resolver->failures++;
	if (resolver->failures == 1 || resolver->failures % 10 == 0)
		log_warning(resolver->peers->log, "peer %s: cannot resolve %s: %s; %s, and it is tried again",
			    config->name, config->host, uv_strerror(error),
			    resolver->address.length ? "its last address stays in use"
						     : "datagrams for it are dropped");
}

static void tell_address(const struct resolver *resolver, const struct address *address)
{
	const struct peers *peers = resolver->peers;
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	if (own_addresses_has(peers->own, address))
		log_error(peers->log,
			  "peer %s: %s is %s, which is one of our own listeners: datagrams would go round in circles, "
			  "and are dropped",
			  resolver->config->name, resolver->config->host, text);
	else
		log_info(peers->log, "peer %s: %s is %s", resolver->config->name, resolver->config->host, text);
}

static void resolved(struct resolver *resolver, const struct address *address)
{
	bool same = resolver->address.length && address_equal(address, &resolver->address);

	if (!same || resolver->failures)
		tell_address(resolver, address);
	resolver->failures = 0;
	if (same)
		return;
	resolver->address = *address;
	publish(resolver->peers);
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
	struct resolver *resolver = request->data;
	struct address address;

	resolver->busy = false;
	if (!resolver->peers->closing) {
		if (!status && choose(resolver, answer, &address))
			resolved(resolver, &address);
		else
			failed(resolver, status ? status : UV_EAI_NONAME);
		look_up_later(resolver);
	}
	uv_freeaddrinfo(answer);
}

static void look_up(struct resolver *resolver)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	int error = uv_getaddrinfo(resolver->peers->loop, &resolver->request, on_answer, resolver->config->host, NULL,
				   &hints);

	resolver->busy = !error;
	if (error) {
		failed(resolver, error);
		look_up_later(resolver);
	}
}

/* --- Life --- */

static void resolver_init(struct peers *peers, const struct peer_config *config)
{
	struct resolver *resolver = &peers->resolvers[peers->resolver_count++];

	resolver->peers = peers;
	resolver->config = config;
	resolver->request.data = resolver;
	uv_timer_init(peers->loop, &resolver->timer);
	resolver->timer.data = resolver;
}

int peers_create(struct peers **out, uv_loop_t *loop, const struct config *config, const struct own_addresses *own,
		 struct log *log, peers_changed changed, void *data)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return -ENOMEM;
	*peers = (struct peers){
		.loop = loop, .config = config, .own = own, .log = log, .changed = changed, .data = data};
	peers->resolvers = calloc(config->peer_count + 1, sizeof(*peers->resolvers));
	if (!peers->resolvers) {
		free(peers);
		return -ENOMEM;
	}
	for (size_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].host)
			resolver_init(peers, &config->peers[i]);
	}
	*out = peers;
	return 0;
}

void peers_start(struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++)
		look_up(&peers->resolvers[i]);
}

void peers_close(struct peers *peers)
{
	peers->closing = true;
	for (size_t i = 0; i < peers->resolver_count; i++) {
		uv_close((uv_handle_t *)&peers->resolvers[i].timer, NULL);
		if (peers->resolvers[i].busy)
			uv_cancel((uv_req_t *)&peers->resolvers[i].request);
	}
}

bool peers_busy(const struct peers *peers)
{
	for (size_t i = 0; i < peers->resolver_count; i++) {
		if (peers->resolvers[i].busy)
			return true;
	}
	return false;
}

void peers_destroy(struct peers *peers)
{
	if (!peers)
		return;
	free(peers->resolvers);
	free(peers);
}
