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

/* The one that was given back last: its memory is resident, and its lines may still be in a cache. */
struct session *session_pool_take(struct session_pool *pool)
{
	struct session *session;

	if (pool->free) {
		session = session_of(pool->free);
		pool->free = pool->free->chain;
	} else if (pool->touched < pool->max) {
		session = &pool->sessions[pool->touched++];
	} else {
		return NULL;
	}
	memset(session, 0, sizeof(*session));
	session->outlet.fd = -1;
	return session;
}

void session_pool_give(struct session_pool *pool, struct session *session)
{
	session->node.chain = pool->free;
	pool->free = &session->node;
}

int session_watch(struct session *session, int epoll)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, session->outlet.fd, &event) ? -errno : 0;
}
