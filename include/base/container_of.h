/* Finds the struct that contains a member. */
#ifndef UDPRELAYD_BASE_CONTAINER_OF_H
#define UDPRELAYD_BASE_CONTAINER_OF_H

#include <stddef.h>

/* pointer points to the given member of a struct of the given type; the result points to this struct. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
