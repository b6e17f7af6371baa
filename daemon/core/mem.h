/* SPDX-License-Identifier: Apache-2.0
 *
 * mem.h - allocation in the daemon: it aborts when memory is gone, since everything that a
 * stranger can make us allocate is bounded before, and a crash loses nothing.
 *
 * Any thread.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

/* Zeroed memory, freed by free(). */
void *oc_new(size_t n, size_t size);
void *oc_grow(void *p, size_t n, size_t size);
char *oc_strdup(const char *s);
char *oc_strndup(const char *s, size_t n);
void *oc_memdup(const void *p, size_t n);

#define OC_NEW(type) ((type *)oc_new(1, sizeof(type)))
#define OC_BIT(n)    (1u << (n))

/* The struct that a member lies in. */
#define OC_OWNER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
