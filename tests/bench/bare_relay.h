/* The least that a relay can do, as a measure of what a real one costs. */
#ifndef BARE_RELAY_H
#define BARE_RELAY_H

#include <netinet/in.h>

/* Relays all that comes to the listener, a UDP socket, to the peer, each client by a socket of its own, and the answers
 * back. Neighbours of one size leave together (UDP_SEGMENT). A session is asked for at most so many answers at once, 64
 * or fewer. Clients are told apart by their port alone; nothing is counted, and no session ends. Does not return. */
void bare_relay(int listener, const struct sockaddr_in *peer, int answers);

#endif
