#include "upstream/name_lookup.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/thread.h"

/* The default of 8 MiB would reserve 2 GiB of address space for the maximum number of threads. */
#define STACK_SIZE (1024 * 1024)

/* Threads that are running. The limit belongs to the process: orphans outlive the resolvers that started them. */
static atomic_uint name_lookup_threads;

/* Shared by the loop and the thread. The thread frees an orphan, the loop any other job. */
struct name_lookup_job {
	pthread_mutex_t mutex; /* guards lookup and finished */
	struct name_lookup *lookup; /* NULL: the job is an orphan */
	bool finished; /* result is final; the last access of the thread is to unlock the mutex */
	struct name_lookup_result result;
	char name[];
};

static struct name_lookup_job *name_lookup_job_create(struct name_lookup *lookup, const char *name)
{
	size_t size = strlen(name) + 1;
	struct name_lookup_job *job = calloc(1, sizeof(*job) + size);

	if (!job)
		return NULL;
	pthread_mutex_init(&job->mutex, NULL);
	job->lookup = lookup;
	memcpy(job->name, name, size);
	return job;
}

static void name_lookup_job_destroy(struct name_lookup_job *job)
{
	if (job->result.list)
		freeaddrinfo(job->result.list);
	pthread_mutex_destroy(&job->mutex);
	free(job);
}

/* --- Thread --- */

static void name_lookup_job_run(struct name_lookup_job *job)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;
	int error = getaddrinfo(job->name, NULL, &hints, &list);

	job->result = (struct name_lookup_result){
		.error = error, .system_error = error == EAI_SYSTEM ? errno : 0, .list = error ? NULL : list};
}

/* Passes the job to the loop. Returns false if it is an orphan. The mutex keeps the handle open while it is used. */
static bool name_lookup_job_finish(struct name_lookup_job *job)
{
	bool has_owner;

	pthread_mutex_lock(&job->mutex);
	has_owner = job->lookup;
	job->finished = true;
	if (has_owner)
		uv_async_send(&job->lookup->async);
	pthread_mutex_unlock(&job->mutex);
	return has_owner;
}

static void *name_lookup_thread(void *data)
{
	struct name_lookup_job *job = data;

	name_lookup_job_run(job);
	if (!name_lookup_job_finish(job))
		name_lookup_job_destroy(job);
	atomic_fetch_sub(&name_lookup_threads, 1);
	return NULL;
}

/* --- Loop --- */

static bool name_lookup_job_has_finished(struct name_lookup_job *job)
{
	bool finished;

	pthread_mutex_lock(&job->mutex);
	finished = job->finished;
	pthread_mutex_unlock(&job->mutex);
	return finished;
}

static void name_lookup_on_finished(uv_async_t *async)
{
	struct name_lookup *lookup = container_of(async, struct name_lookup, async);
	struct name_lookup_job *job = lookup->job;

	if (!job || !name_lookup_job_has_finished(job))
		return;
	lookup->job = NULL;
	lookup->done(lookup, &job->result);
	name_lookup_job_destroy(job);
}

void name_lookup_init(struct name_lookup *lookup, uv_loop_t *loop, name_lookup_done done)
{
	*lookup = (struct name_lookup){.done = done};
	/* It cannot fail: uv_loop_init() has opened the descriptor that all async handles of a loop share. */
	if (uv_async_init(loop, &lookup->async, name_lookup_on_finished))
		abort();
}

int name_lookup_start(struct name_lookup *lookup, const char *name)
{
	struct name_lookup_job *job;
	int error;

	assert(!lookup->job);
	if (atomic_load(&name_lookup_threads) >= NAME_LOOKUP_THREADS_MAX)
		return -EAGAIN;
	job = name_lookup_job_create(lookup, name);
	if (!job)
		return -ENOMEM;
	atomic_fetch_add(&name_lookup_threads, 1);
	error = thread_start_detached("name-lookup", STACK_SIZE, name_lookup_thread, job);
	if (error) {
		atomic_fetch_sub(&name_lookup_threads, 1);
		name_lookup_job_destroy(job);
		return error;
	}
	lookup->job = job;
	return 0;
}

/* Makes an orphan of a job whose thread is running. Returns false if the thread has finished. */
static bool name_lookup_job_abandon(struct name_lookup_job *job)
{
	bool running;

	pthread_mutex_lock(&job->mutex);
	running = !job->finished;
	job->lookup = NULL;
	pthread_mutex_unlock(&job->mutex);
	return running;
}

static void name_lookup_on_closed(uv_handle_t *handle)
{
	struct name_lookup *lookup = container_of(handle, struct name_lookup, async);

	lookup->closed(lookup);
}

void name_lookup_close(struct name_lookup *lookup, name_lookup_closed closed)
{
	if (lookup->job && !name_lookup_job_abandon(lookup->job))
		name_lookup_job_destroy(lookup->job);
	lookup->job = NULL;
	lookup->closed = closed;
	uv_close((uv_handle_t *)&lookup->async, name_lookup_on_closed);
}

const char *name_lookup_error_text(const struct name_lookup_result *result)
{
	return result->error == EAI_SYSTEM ? strerror(result->system_error) : gai_strerror(result->error);
}

bool name_lookup_threads_running(void)
{
	return atomic_load(&name_lookup_threads);
}
