/* Allocation that aborts when out of memory. Used while the configuration is read; the data path does not allocate with
 * it. The caller frees the memory with free(3). */
#ifndef UDPRELAYD_BASE_XALLOC_H
#define UDPRELAYD_BASE_XALLOC_H

#include <stdlib.h>
#include <string.h>

/* Returns memory, the result of an allocation. Aborts if it is NULL. */
static inline void *xcheck(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Returns zeroed memory like calloc(3). */
static inline void *xcalloc(size_t count, size_t size)
{
	return xcheck(calloc(count, size));
}

/* Returns a copy of the text like strdup(3). */
static inline char *xstrdup(const char *text)
{
	return (char *)xcheck(strdup(text));
}

/* Returns the array with space for one more element. count is the number of elements, size their size in bytes. The
 * array starts as NULL and only this function may allocate it: it doubles the space if count is a power of two. */
static inline void *xgrow(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : xcheck(realloc(array, (count ? 2 * count : 1) * size));
}

#endif
