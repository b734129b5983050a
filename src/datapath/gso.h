/* Builds the messages of one sendmmsg(2) from the flows of a socket. Consecutive datagrams of a flow become one message
 * with UDP_SEGMENT (GSO: the kernel or the device cuts it into datagrams), unless their destination refuses GSO. */
#ifndef UDPRELAYD_DATAPATH_GSO_H
#define UDPRELAYD_DATAPATH_GSO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "datapath/tx_batch.h"

/* Messages of one sendmmsg(2), and buffers that they gather from. */
#define TX_MESSAGES 64
#define TX_VECTORS 256

#define TX_CONTROL_SIZE                                                                                                \
	(CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)))

/* Destinations of unconnected sockets whose refusal of GSO is remembered; a power of two. */
#define TX_FALLBACKS 256

/* A datagram of a flow: its chunk, and its place in the chunk. The flow ends where chunk is TX_NONE. */
struct tx_cursor {
	uint32_t chunk, datagram;
};

/* The chunks of a batch with the same destination, in order, and how far they are sent. */
struct tx_flow {
	struct tx_destination destination;
	uint32_t hash; /* hash of the address; 0: the socket is connected */
	uint32_t last; /* chunk */
	struct tx_cursor unsent; /* the first datagram that is neither sent nor dropped */
	bool blocked; /* waits for room in the queue of its receiver, until the next flush */
	struct tx_flow *next; /* next flow of the socket */
};

/* One message: count datagrams of a flow, from begin up to but not including end. */
struct tx_message {
	struct tx_flow *flow;
	struct tx_cursor begin, end;
	uint32_t count;
};

struct tx_messages {
	const struct tx_chunk *chunks; /* chunks of the batch */
	uint64_t now_ms;
	struct mmsghdr headers[TX_MESSAGES];
	struct tx_message items[TX_MESSAGES];
	struct iovec vectors[TX_VECTORS];
	size_t vector_count;
	_Alignas(struct cmsghdr) uint8_t control[TX_MESSAGES][TX_CONTROL_SIZE];
	struct gso_fallback fallbacks[TX_FALLBACKS]; /* refusals of unconnected sockets, by hash of the destination */
};

/* Builds the next messages of the socket, from the first unsent datagram of each flow. Skips blocked flows. Returns the
 * number of messages. */
unsigned gso_build_messages(struct tx_messages *messages, const struct tx_socket *socket);

/* Call it when the kernel refuses to send this message with GSO. Datagrams of this size (or of any size) then go to the
 * destination one by one for ten minutes. */
void gso_disable(struct tx_messages *messages, const struct tx_message *message, bool any_size);

#endif
