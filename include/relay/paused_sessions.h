/* Sessions at rest: their sockets cannot be read, and would be named by epoll(7) all the time. So they are not watched
 * for a moment, in the order in which they came. */
#ifndef UDPRELAYD_RELAY_PAUSED_SESSIONS_H
#define UDPRELAYD_RELAY_PAUSED_SESSIONS_H

#include <stdbool.h>

#include "relay/session.h"

/* The ends of the queue, which stays where it is. */
struct resting {
	int epoll; /* that watches sessions */
	struct rest ends;
};

void resting_init(struct resting *resting, int epoll);

bool resting_any(const struct resting *resting);

/* The session, which epoll watches, is not watched until it is woken. */
void resting_add(struct resting *resting, struct session *session);

/* Has epoll watch those again that rest for longest, at most count. Where the kernel refuses they rest on. */
void resting_wake(struct resting *resting, unsigned count);

/* Whether the session is at rest. */
static inline bool resting_has(const struct session *session)
{
	return session->rest.next != NULL;
}

/* The session ends: it need not be at rest. */
void resting_leave(struct session *session);

#endif
