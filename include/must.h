/* Memory without which nothing can go on. For reading the configuration; a datagram's way has none to ask for. */
#ifndef UDPRELAYD_MUST_H
#define UDPRELAYD_MUST_H

#include <stdlib.h>

static inline void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

#endif
