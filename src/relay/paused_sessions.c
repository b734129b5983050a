#include "relay/paused_sessions.h"

#include <stddef.h>
#include <sys/epoll.h>

static struct session *resting_session(struct rest *rest)
{
	return (struct session *)((char *)rest - offsetof(struct session, rest));
}

void paused_sessions_init(struct paused_sessions *resting, int epoll)
{
	resting->epoll = epoll;
	resting->ends.previous = resting->ends.next = &resting->ends;
}

bool paused_sessions_any(const struct paused_sessions *resting)
{
	return resting->ends.next != &resting->ends;
}

static void append(struct paused_sessions *resting, struct session *session)
{
	struct rest *rest = &session->rest, *last = resting->ends.previous;

	*rest = (struct rest){.previous = last, .next = &resting->ends};
	last->next = resting->ends.previous = rest;
}

void paused_sessions_remove(struct session *session)
{
	struct rest *rest = &session->rest;

	if (!session_is_paused(session))
		return;
	rest->previous->next = rest->next;
	rest->next->previous = rest->previous;
	*rest = (struct rest){0};
}

/* Out of epoll altogether: errors of a socket are told even where no event is asked for. */
void paused_sessions_add(struct paused_sessions *resting, struct session *session)
{
	if (!session_is_paused(session) && !epoll_ctl(resting->epoll, EPOLL_CTL_DEL, session->outlet.fd, NULL))
		append(resting, session);
}

void paused_sessions_resume(struct paused_sessions *resting, unsigned count)
{
	struct rest *last = resting->ends.previous, *rest = NULL;

	for (; count && paused_sessions_any(resting) && rest != last; count--) {
		rest = resting->ends.next;
		struct session *session = resting_session(rest);

		paused_sessions_remove(session);
		if (session_watch(session, resting->epoll))
			append(resting, session);
	}
}
