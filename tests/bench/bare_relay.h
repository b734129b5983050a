/* The least that a relay can do, as a measure of what a real one costs. */
#ifndef BARE_RELAY_H
#define BARE_RELAY_H

#include <netinet/in.h>

/* Relays all datagrams of the listener, a UDP socket, to the peer, and the replies back. Each client has a separate
 * socket. Consecutive datagrams of one size are sent together (UDP_SEGMENT). One read of a session returns at most
 * `answers` replies, up to 64. Only the port identifies a client. The relay has no counters, and no session ends. Does
 * not return. */
void bare_relay(int listener, const struct sockaddr_in *peer, int answers);

#endif
