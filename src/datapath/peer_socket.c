#include "datapath/peer_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/socket.h"

#define RETRY_MS 1000

void peer_socket_init(struct peer_socket *peer, const struct peer_config *config, int send_buffer,
		      const struct own_addresses *own, struct log *log)
{
	*peer = (struct peer_socket){.config = config, .own = own, .log = log, .send_buffer = send_buffer};
	peer->tx = (struct tx_socket){.fd = -1, .connected = true};
	peer_socket_set_address(peer, config->host ? NULL : &config->address);
}

static void peer_socket_close(struct peer_socket *peer)
{
	if (peer->tx.fd >= 0)
		close(peer->tx.fd);
	peer->tx.fd = -1;
	peer->tx.broken = false;
}

void peer_socket_finish(struct peer_socket *peer)
{
	peer_socket_close(peer);
}

static bool peer_socket_reaches_us(const struct peer_socket *peer)
{
	return peer->own && own_addresses_reaches_us(peer->own, &peer->address);
}

void peer_socket_adopt(struct peer_socket *peer, struct peer_socket *before)
{
	peer->counters = before->counters;
	peer->down_log = before->down_log;
	peer->refused_log = before->refused_log;
	if (before->tx.fd < 0 || before->tx.broken || !peer->address.length ||
	    !address_equal(&peer->address, &before->address) || peer_socket_reaches_us(peer))
		return;
	peer->tx = before->tx;
	before->tx.fd = -1;
}

void peer_socket_set_address(struct peer_socket *peer, const struct address *address)
{
	peer->no_address = false;
	if (address && peer->address.length && address_equal(address, &peer->address))
		return;
	/* Chunks may still wait for room in the old socket, so it stays open until it is opened again. */
	peer->tx.broken = peer->tx.fd >= 0;
	peer->retry_ms = 0;
	peer->address.length = 0;
	if (address)
		peer->address = *address;
}

void peer_socket_set_no_address(struct peer_socket *peer)
{
	peer->no_address = true;
}

enum drop_reason peer_socket_check(const struct peer_socket *peer)
{
	if (!peer->address.length)
		return peer->no_address ? DROP_NO_ADDRESS : DROP_UNRESOLVED;
	return peer_socket_reaches_us(peer) ? DROP_LOOP : DROP_NONE;
}

static enum drop_reason peer_socket_open(struct peer_socket *peer, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];
	uint64_t seconds;
	int fd;

	if (now_ms < peer->retry_ms)
		return peer->down;
	peer_socket_close(peer);
	peer->retry_ms = now_ms + RETRY_MS;
	peer->down = peer_socket_check(peer);
	if (peer->down)
		return peer->down;
	fd = socket_open_send_only(&peer->address, peer->send_buffer);
	if (fd < 0) {
		peer->down = drop_reason_from_open(-fd);
		if (log_counter_add(&peer->down_log, 1, clock_monotonic_ms(), &seconds))
			log_warning(peer->log, "peer %s: cannot reach %s: %s; datagrams for it are dropped",
				    peer->config->name, address_format(&peer->address, text), strerror(-fd));
		return peer->down;
	}
	peer->down = DROP_NONE;
	peer->tx.fd = fd;
	peer->tx.gso = peer->address.any.sa_family != AF_UNIX;
	peer->tx.ipv6 = peer->address.any.sa_family == AF_INET6;
	peer->tx.hop_limit = 0;
	peer->tx.fallback.segment = 0;
	return DROP_NONE;
}

/* An interface of this host can get the peer's address after the socket was opened. */
static bool peer_socket_became_own_address(struct peer_socket *peer)
{
	unsigned version = peer->own ? own_addresses_version(peer->own) : 0;
	char text[ADDRESS_TEXT_MAX];

	if (version == peer->own_version)
		return false;
	peer->own_version = version;
	if (!own_addresses_has(peer->own, &peer->address))
		return false;
	log_write_limited(peer->log, &peer->own_log_limit, LOG_LEVEL_ERROR,
			  "peer %s: %s is now one of our own listeners, so datagrams would loop: they are dropped",
			  peer->config->name, address_format(&peer->address, text));
	peer->retry_ms = 0;
	return true;
}

enum drop_reason peer_socket_ensure_open(struct peer_socket *peer, uint64_t now_ms)
{
	if (!peer->address.length)
		return peer_socket_check(peer);
	if (peer->tx.fd >= 0 && !peer->tx.broken && !peer_socket_became_own_address(peer))
		return DROP_NONE;
	return peer_socket_open(peer, now_ms);
}

void peer_socket_report_icmp(struct peer_socket *peer, const struct address *address, uint64_t errors)
{
	uint64_t seconds, due = log_counter_add(&peer->refused_log, errors, clock_monotonic_ms(), &seconds);
	char text[ADDRESS_TEXT_MAX];

	counter_add(&peer->counters.icmp_errors, errors);
	if (!due)
		return;
	address_format(address, text);
	if (seconds)
		log_warning(peer->log,
			    "peer %s: %" PRIu64 " datagrams to %s were refused in the last %" PRIu64
			    " s: no program listens there (ICMP)",
			    peer->config->name, due, text, seconds);
	else
		log_warning(peer->log,
			    "peer %s: an earlier datagram to %s was refused: no program listens there (ICMP)",
			    peer->config->name, text);
}

void peer_socket_collect_icmp(struct peer_socket *peer)
{
	if (!peer->tx.icmp_errors)
		return;
	peer_socket_report_icmp(peer, &peer->address, peer->tx.icmp_errors);
	peer->tx.icmp_errors = 0;
}

void peer_socket_collect_final_error(struct peer_socket *peer)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (peer->tx.fd < 0 || getsockopt(peer->tx.fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return;
	peer->tx.icmp_errors += error == ECONNREFUSED;
	peer_socket_collect_icmp(peer);
}
