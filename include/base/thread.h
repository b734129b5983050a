/* Threads that leave signals to the main one. */
#ifndef UDPRELAYD_BASE_THREAD_H
#define UDPRELAYD_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Starts a thread with all signals blocked; name, at most 15 bytes, is what ps and gdb show. Returns 0 or a negative
 * errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *data), void *data);

/* Starts a detached thread likewise, with a stack of stack_size bytes. Returns 0 or a negative errno. */
int thread_start_detached(const char *name, size_t stack_size, void *(*run)(void *data), void *data);

#endif
