/* Name look-up: runs getaddrinfo(3) in a separate thread and passes the result to the loop.
 *
 * A name server that does not reply keeps a look-up waiting for 10 s or more. With one thread per look-up, a slow
 * look-up does not delay others. (The thread pool of libuv gives look-ups only half of its threads, and its size is
 * fixed at the start.) getaddrinfo(3) cannot be cancelled: closing a look-up leaves its thread running as an orphan,
 * which discards its result. Orphans count towards the maximum number of threads. */
#ifndef UDPRELAYD_UPSTREAM_NAME_LOOKUP_H
#define UDPRELAYD_UPSTREAM_NAME_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>
#include <uv.h>

/* Maximum number of threads in the process, orphans included. */
#define NAME_LOOKUP_THREADS_MAX 256

struct name_lookup;
struct name_lookup_job;

struct name_lookup_result {
	int error; /* 0 or EAI_... of getaddrinfo(3) */
	int system_error; /* errno if error is EAI_SYSTEM */
	struct addrinfo *list; /* datagram addresses of both families; NULL after an error */
};

/* Called on the loop with the result, which is valid until the function returns. */
typedef void (*name_lookup_done)(struct name_lookup *lookup, const struct name_lookup_result *result);

/* Called on the loop when the look-up is closed. */
typedef void (*name_lookup_closed)(struct name_lookup *lookup);

/* Looks names up, one at a time. The owner embeds it; all fields are private. */
struct name_lookup {
	uv_async_t async;
	name_lookup_done done;
	name_lookup_closed closed;
	struct name_lookup_job *job; /* NULL: no look-up is in progress */
};

/* Adds a handle to the loop. It must be closed before the memory is freed. */
void name_lookup_init(struct name_lookup *lookup, uv_loop_t *loop, name_lookup_done done);

/* Starts to look the name up, which is copied; no look-up may be in progress. Returns 0 and calls done later, unless
 * the look-up is closed first. Returns -EAGAIN if the process has the maximum number of threads, for these or for all
 * purposes, or -ENOMEM; the caller may try again later. */
int name_lookup_start(struct name_lookup *lookup, const char *name);

/* Closes the look-up without waiting for its thread; done is not called after that. The memory may be freed when closed
 * has been called. */
void name_lookup_close(struct name_lookup *lookup, name_lookup_closed closed);

/* Returns whether a thread of a look-up is running, possibly an orphan. Then the process must end with _exit(2):
 * exit(3) would run destructors of libraries that the thread is using. */
bool name_lookup_threads_running(void);

/* Returns a text for the error of a result, which is not 0. The text is valid until the next call of strerror(3). */
const char *name_lookup_error_text(const struct name_lookup_result *result);

#endif
