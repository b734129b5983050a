#include "relay/paused_sessions.h"

#include <stddef.h>
#include <sys/epoll.h>

static struct session *resting_session(struct rest *rest)
{
	return (struct session *)((char *)rest - offsetof(struct session, rest));
}

void resting_init(struct resting *resting, int epoll)
{
	resting->epoll = epoll;
	resting->ends.previous = resting->ends.next = &resting->ends;
}

bool resting_any(const struct resting *resting)
{
	return resting->ends.next != &resting->ends;
}

static void append(struct resting *resting, struct session *session)
{
	struct rest *rest = &session->rest, *last = resting->ends.previous;

	*rest = (struct rest){.previous = last, .next = &resting->ends};
	last->next = resting->ends.previous = rest;
}

void resting_leave(struct session *session)
{
	struct rest *rest = &session->rest;

	if (!resting_has(session))
		return;
	rest->previous->next = rest->next;
	rest->next->previous = rest->previous;
	*rest = (struct rest){0};
}

/* Out of epoll altogether: errors of a socket are told even where no event is asked for. */
void resting_add(struct resting *resting, struct session *session)
{
	if (!resting_has(session) && !epoll_ctl(resting->epoll, EPOLL_CTL_DEL, session->outlet.fd, NULL))
		append(resting, session);
}

void resting_wake(struct resting *resting, unsigned count)
{
	struct rest *last = resting->ends.previous, *rest = NULL;

	for (; count && resting_any(resting) && rest != last; count--) {
		rest = resting->ends.next;
		struct session *session = resting_session(rest);

		resting_leave(session);
		if (session_watch(session, resting->epoll))
			append(resting, session);
	}
}
