/* Starts threads that block all signals, so that only the main thread receives them. */
#ifndef UDPRELAYD_BASE_THREAD_H
#define UDPRELAYD_BASE_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Starts a thread. ps(1) and gdb(1) show its name, which has at most 15 bytes. Returns 0 or a negative errno. */
int thread_start(pthread_t *thread, const char *name, void *(*run)(void *data), void *data);

/* Starts a detached thread likewise, with a stack of stack_size bytes. Returns 0 or a negative errno. */
int thread_start_detached(const char *name, size_t stack_size, void *(*run)(void *data), void *data);

#endif
