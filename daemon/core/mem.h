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
#include <stdlib.h>

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

/* Ends a local at each return: OC_AUTO(oci_profile) once after the declaration of
 * oci_profile_free() (or OC_AUTO_BY with another name), then oc_auto(oci_profile) p = ...;
 * oc_auto_mem stands before a pointer that free() frees. */
#define OC_AUTO(type) OC_AUTO_BY(type, type##_free)
#define OC_AUTO_BY(type, end)                                                                      \
    static inline void type##_auto(struct type **p)                                                \
    {                                                                                              \
        end(*p);                                                                                   \
    }
#define oc_auto(type) __attribute__((cleanup(type##_auto))) struct type *
#define oc_auto_mem   __attribute__((cleanup(oc_mem_auto)))

/* Takes a value out of a local: nothing is left there to be freed. */
#define oc_take(p)                                                                                 \
    __extension__({                                                                                \
        __typeof__(p) oc_taken = (p);                                                              \
        (p) = NULL;                                                                                \
        oc_taken;                                                                                  \
    })

static inline void oc_mem_auto(void *p)
{
    free(*(void **)p);
}

#endif
