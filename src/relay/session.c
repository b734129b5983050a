#include "relay/session.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

int session_pool_init(struct session_pool *pool, size_t max)
{
	void *memory = mmap(NULL, max * sizeof(struct session), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*pool = (struct session_pool){0};
	if (memory == MAP_FAILED)
		return -ENOMEM;
	pool->sessions = memory;
	pool->max = max;
	return 0;
}

void session_pool_finish(struct session_pool *pool)
{
	if (pool->sessions)
		munmap(pool->sessions, pool->max * sizeof(struct session));
	*pool = (struct session_pool){0};
}

/* Prefers the session that was returned last: its memory is resident and perhaps cached. */
struct session *session_pool_take(struct session_pool *pool)
{
	struct session *session;

	if (!SLIST_EMPTY(&pool->free)) {
		session = session_of(SLIST_FIRST(&pool->free));
		SLIST_REMOVE_HEAD(&pool->free, chain);
	} else if (pool->touched < pool->max) {
		session = &pool->sessions[pool->touched++];
	} else {
		return NULL;
	}
	memset(session, 0, sizeof(*session));
	session->tx.fd = -1;
	return session;
}

void session_pool_give(struct session_pool *pool, struct session *session)
{
	SLIST_INSERT_HEAD(&pool->free, &session->node, chain);
}

int session_watch(struct session *session, int epoll)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, session->tx.fd, &event) ? -errno : 0;
}

/* --- Paused sessions --- */

void paused_sessions_init(struct paused_sessions *paused, int epoll)
{
	paused->epoll = epoll;
	TAILQ_INIT(&paused->list);
}

bool paused_sessions_any(const struct paused_sessions *paused)
{
	return !TAILQ_EMPTY(&paused->list);
}

/* Removes the socket from epoll: epoll reports errors of a socket even if no event is requested. */
void paused_sessions_add(struct paused_sessions *paused, struct session *session)
{
	if (!session->paused && !epoll_ctl(paused->epoll, EPOLL_CTL_DEL, session->tx.fd, NULL))
		paused_sessions_add_unwatched(paused, session);
}

void paused_sessions_add_unwatched(struct paused_sessions *paused, struct session *session)
{
	session->paused = true;
	TAILQ_INSERT_TAIL(&paused->list, session, paused_link);
}

void paused_sessions_remove(struct paused_sessions *paused, struct session *session)
{
	if (!session->paused)
		return;
	session->paused = false;
	TAILQ_REMOVE(&paused->list, session, paused_link);
}

void paused_sessions_resume(struct paused_sessions *paused, unsigned max)
{
	struct session *last = TAILQ_EMPTY(&paused->list) ? NULL : TAILQ_LAST(&paused->list, paused_list);
	struct session *session = NULL;

	for (; max && session != last; max--) {
		session = TAILQ_FIRST(&paused->list);
		paused_sessions_remove(paused, session);
		if (session_watch(session, paused->epoll))
			paused_sessions_add_unwatched(paused, session);
	}
}
