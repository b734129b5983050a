/* Sessions at rest: their sockets cannot be read, and would be named by epoll(7) all the time. So they are not watched
 * for a moment, in the order in which they came. */
#ifndef UDPRELAYD_RELAY_PAUSED_SESSIONS_H
#define UDPRELAYD_RELAY_PAUSED_SESSIONS_H

#include <stdbool.h>

#include "relay/session.h"

/* The ends of the queue, which stays where it is. */
struct paused_sessions {
	int epoll; /* that watches sessions */
	struct rest ends;
};

void paused_sessions_init(struct paused_sessions *resting, int epoll);

bool paused_sessions_any(const struct paused_sessions *resting);

/* The session, which epoll watches, is not watched until it is woken. */
void paused_sessions_add(struct paused_sessions *resting, struct session *session);

/* Has epoll watch those again that rest for longest, at most count. Where the kernel refuses they rest on. */
void paused_sessions_resume(struct paused_sessions *resting, unsigned count);

/* Whether the session is at rest. */
static inline bool session_is_paused(const struct session *session)
{
	return session->rest.next != NULL;
}

/* The session ends: it need not be at rest. */
void paused_sessions_remove(struct session *session);

#endif
