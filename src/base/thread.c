#include "base/thread.h"

#include <signal.h>

static int thread_create(pthread_t *thread, const pthread_attr_t *attributes, const char *name,
			 void *(*run)(void *data), void *data)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, attributes, run, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(*thread, name);
	return -error;
}

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *data), void *data)
{
	return thread_create(thread, NULL, name, run, data);
}

int thread_start_detached(const char *name, size_t stack_size, void *(*run)(void *data), void *data)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	error = -pthread_attr_setstacksize(&attributes, stack_size);
	if (!error)
		error = thread_create(&thread, &attributes, name, run, data);
	pthread_attr_destroy(&attributes);
	if (!error)
		pthread_detach(thread); /* not earlier: the thread is named while its id is certainly valid */
	return error;
}
