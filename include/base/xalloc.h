/* Memory without which nothing can go on. For reading the configuration; a datagram's way has none to ask for. */
#ifndef UDPRELAYD_BASE_XALLOC_H
#define UDPRELAYD_BASE_XALLOC_H

#include <stdlib.h>

static inline void *xcheck(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Room for one more element in an array that only this has given room, doubled whenever it is full. */
static inline void *xgrow(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : xcheck(realloc(array, (count ? 2 * count : 1) * size));
}

#endif
