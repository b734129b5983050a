/* The set of listeners of one worker: creation, drain at the end, and the search for the socket that replaces one of
 * another set. */
#ifndef UDPRELAYD_WORKER_LISTENERS_H
#define UDPRELAYD_WORKER_LISTENERS_H

#include "net/listen_socket.h"
#include "worker/listener.h"

/* Borrows scheduler and log. max: the number of sockets. Returns 0 or a negative errno. */
int listeners_init(struct listeners *set, struct batch_scheduler *scheduler, size_t max, struct log *log);

/* Listens on a copy of the socket's descriptor. Borrows pipeline. Returns 0 or a negative errno. */
int listeners_add(struct listeners *set, const struct listen_socket *socket, struct pipeline *pipeline);

/* Finds the socket that replaces a socket of another set: the listener of the same name at the same address. The other
 * set must still exist. Returns NULL if there is none. */
struct tx_socket *listeners_find_socket(struct listeners *set, const struct tx_socket *before);

/* Before the end: processes the datagrams in the sockets, until all are empty or limit_ms has passed. A socket that
 * cannot be read is tried again until then. */
void listeners_drain(struct listeners *set, uint64_t limit_ms);

/* Closes the uv_udp_t handles. Call it after batch_scheduler_close(); the loop must run to finish this. */
void listeners_close(struct listeners *set);

/* Frees the listeners after the loop has ended. */
void listeners_finish(struct listeners *set);

#endif
