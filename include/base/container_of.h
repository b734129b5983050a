/* From a member of a struct to the struct. */
#ifndef UDPRELAYD_BASE_CONTAINER_OF_H
#define UDPRELAYD_BASE_CONTAINER_OF_H

#include <stddef.h>

/* The struct of the given type whose member of that name is at pointer. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
