/* A library for LD_PRELOAD. It writes down which functions the workers of a daemon enter and leave, where the daemon is
 * built with -finstrument-functions: such a program calls the two hooks below, and libc has empty ones.
 *
 * The environment variable TRACE_FILE names a file that trace.py makes. It begins with a struct head; the events
 * follow. The program that maps the file starts and stops the trace with head.on. After its start the library makes no
 * system call, except one per thread for the thread's name. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The threads whose names begin so are traced. */
#define PREFIX "worker-"

#define ENTER 1
#define EXIT 2

/* trace.py knows both structures. */
struct head {
	_Atomic uint32_t on;
	uint32_t unused;
	_Atomic uint64_t count; /* of events; those beyond the room are lost */
};

struct event {
	uint64_t function;
	_Atomic uint64_t kind; /* the last that is written: 0 is an event that is not complete */
};

static struct head *head;
static struct event *events;
static uint64_t room;

static __thread enum { UNKNOWN, TRACED, LEFT_OUT } thread_is;

void __cyg_profile_func_enter(void *function, void *caller);
void __cyg_profile_func_exit(void *function, void *caller);

__attribute__((constructor, no_instrument_function)) static void map_file(void)
{
	const char *path = getenv("TRACE_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	struct stat status;
	void *map;

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && status.st_size > (off_t)sizeof(struct head)) {
		map = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map != MAP_FAILED) {
			room = ((size_t)status.st_size - sizeof(struct head)) / sizeof(struct event);
			events = (struct event *)((struct head *)map + 1);
			head = map;
		}
	}
	close(fd);
}

__attribute__((no_instrument_function)) static int is_traced(void)
{
	char name[16] = "";

	if (thread_is == UNKNOWN) {
		pthread_getname_np(pthread_self(), name, sizeof(name));
		thread_is = strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? TRACED : LEFT_OUT;
	}
	return thread_is == TRACED;
}

__attribute__((no_instrument_function)) static void append(void *function, uint64_t kind)
{
	uint64_t i;

	if (!head || !atomic_load_explicit(&head->on, memory_order_acquire) || !is_traced())
		return;
	i = atomic_fetch_add_explicit(&head->count, 1, memory_order_relaxed);
	if (i >= room)
		return;
	events[i].function = (uint64_t)(uintptr_t)function;
	atomic_store_explicit(&events[i].kind, kind, memory_order_release);
}

__attribute__((no_instrument_function)) void __cyg_profile_func_enter(void *function, void *caller)
{
	(void)caller;
	append(function, ENTER);
}

__attribute__((no_instrument_function)) void __cyg_profile_func_exit(void *function, void *caller)
{
	(void)caller;
	append(function, EXIT);
}
