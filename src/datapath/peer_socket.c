#include "datapath/peer_socket.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "net/train.h"

#define RETRY_MS 1000

void peer_socket_init(struct peer_socket *link, const struct peer_config *config, int send_buffer,
		      const struct own_addresses *own, struct log *log)
{
	*link = (struct peer_socket){.config = config, .own = own, .log = log, .send_buffer = send_buffer};
	link->outlet = (struct tx_socket){.fd = -1, .connected = true};
	peer_socket_set_address(link, config->host ? NULL : &config->address);
}

static void link_close(struct peer_socket *link)
{
	if (link->outlet.fd >= 0)
		close(link->outlet.fd);
	link->outlet.fd = -1;
	link->outlet.broken = false;
}

void peer_socket_finish(struct peer_socket *link)
{
	link_close(link);
}

static bool has_own_address(const struct peer_socket *link)
{
	return link->own && own_addresses_reaches_us(link->own, &link->address);
}

void peer_socket_adopt(struct peer_socket *link, struct peer_socket *before)
{
	link->counters = before->counters;
	if (before->outlet.fd < 0 || before->outlet.broken || !link->address.length ||
	    !address_equal(&link->address, &before->address) || has_own_address(link))
		return;
	link->outlet = before->outlet;
	before->outlet.fd = -1;
}

void peer_socket_set_address(struct peer_socket *link, const struct address *address)
{
	if (address && link->address.length && address_equal(address, &link->address))
		return;
	/* Copies may still wait for room in the old socket: it is closed when it is opened anew. */
	link->outlet.broken = link->outlet.fd >= 0;
	link->retry_ms = 0;
	link->address.length = 0;
	if (address)
		link->address = *address;
}

enum drop_reason peer_socket_check(const struct peer_socket *link)
{
	if (!link->address.length)
		return DROP_UNRESOLVED;
	return has_own_address(link) ? DROP_LOOP : DROP_NONE;
}

static enum drop_reason link_open(struct peer_socket *link, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];
	int fd;

	if (now_ms < link->retry_ms)
		return link->down;
	link_close(link);
	link->retry_ms = now_ms + RETRY_MS;
	link->down = peer_socket_check(link);
	if (link->down)
		return link->down;
	fd = socket_open_send_only(&link->address, link->send_buffer);
	if (fd < 0) {
		link->down = drop_reason_from_open(-fd);
		log_write_limited(link->log, &link->down_limit, LOG_LEVEL_WARNING,
				  "peer %s: cannot reach %s: %s; datagrams for it are dropped", link->config->name,
				  address_format(&link->address, text), strerror(-fd));
		return link->down;
	}
	link->down = DROP_NONE;
	link->outlet.fd = fd;
	link->outlet.gso = link->address.any.sa_family != AF_UNIX;
	link->outlet.refusal.segment = 0;
	return DROP_NONE;
}

/* The address may have come to an interface of this host since the socket was opened. */
static bool has_come_here(struct peer_socket *link)
{
	unsigned version = link->own ? own_addresses_version(link->own) : 0;
	char text[ADDRESS_TEXT_MAX];

	if (version == link->own_version)
		return false;
	link->own_version = version;
	if (!own_addresses_has(link->own, &link->address))
		return false;
	log_write_limited(link->log, &link->down_limit, LOG_LEVEL_ERROR,
			  "peer %s: %s has become one of our own listeners: datagrams would go round in circles, and "
			  "are dropped",
			  link->config->name, address_format(&link->address, text));
	link->retry_ms = 0;
	return true;
}

enum drop_reason peer_socket_ensure_open(struct peer_socket *link, uint64_t now_ms)
{
	if (!link->address.length)
		return DROP_UNRESOLVED;
	if (link->outlet.fd >= 0 && !link->outlet.broken && !has_come_here(link))
		return DROP_NONE;
	return link_open(link, now_ms);
}

static uint64_t bytes_failed(const struct tx_chunk *copy)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < copy->count; i++) {
		uint32_t size = i + 1u < copy->count ? copy->segment : copy->size - i * copy->segment;
		bytes += tx_chunk_dropped(copy, i) ? size : 0;
	}
	return bytes;
}

void peer_socket_count_sent(struct peer_socket *link, const struct tx_chunk *copy)
{
	struct peer_counters *counters = &link->counters;
	uint32_t failed = tx_chunk_drops(copy);
	uint64_t bytes = copy->size - (failed ? bytes_failed(copy) : 0);

	counter_add(&counters->submitted, copy->count);
	counter_add(&counters->sent, copy->count - failed);
	counter_add(&counters->sent_bytes, bytes);
	if (failed)
		counter_add(&counters->dropped[copy->reason], failed);
}

void peer_socket_report_icmp(struct peer_socket *link, const struct address *address, uint64_t errors)
{
	char text[ADDRESS_TEXT_MAX];

	counter_add(&link->counters.icmp_errors, errors);
	log_write_limited(link->log, &link->icmp_limit, LOG_LEVEL_WARNING,
			  "peer %s: an earlier datagram to %s was refused: nobody was listening there (ICMP)",
			  link->config->name, address_format(address, text));
}

void peer_socket_collect_icmp(struct peer_socket *link)
{
	if (!link->outlet.icmp_errors)
		return;
	peer_socket_report_icmp(link, &link->address, link->outlet.icmp_errors);
	link->outlet.icmp_errors = 0;
}

void peer_socket_collect_final_error(struct peer_socket *link)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (link->outlet.fd < 0 || getsockopt(link->outlet.fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return;
	link->outlet.icmp_errors += error == ECONNREFUSED;
	peer_socket_collect_icmp(link);
}
