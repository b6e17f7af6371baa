/* SPDX-License-Identifier: Apache-2.0
 *
 * failing.h - an allocator whose nth call fails, for test_…alloc.c. Included once in a program.
 *
 *   for (failing_begin(1); … ; failing_begin(n + 1)) until failing_end() says that none failed.
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

/* Threads that the test does not mean are left alone. */
static _Thread_local long failing_at;
static _Thread_local int failing_hit;

/* From now on the nth allocation of this thread fails; 0: none. */
static inline void failing_begin(long nth)
{
    failing_at = nth;
    failing_hit = 0;
}

/* Back to normal. 1 if an allocation failed. */
static inline int failing_end(void)
{
    failing_at = 0;
    return failing_hit;
}

static int failing_now(void)
{
    if (failing_at > 0 && --failing_at == 0)
        failing_hit = 1;
    else
        return 0;
    return 1;
}

void *__wrap_malloc(size_t n)
{
    return failing_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return failing_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return failing_now() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return failing_now() ? NULL : __real_strdup(s);
}

#endif
