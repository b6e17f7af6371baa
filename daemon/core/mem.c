/* SPDX-License-Identifier: Apache-2.0
 *
 * mem.c - allocates or aborts.
 *
 * Any thread; knows nobody.
 */
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nothing here may allocate. */
static void *must(void *p)
{
    static const char words[] = "ocid: out of memory\n";
    if (p)
        return p;
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0)
        abort();
    abort();
}

void *oc_new(size_t n, size_t size)
{
    return must(calloc(n ? n : 1, size ? size : 1));
}

void *oc_grow(void *p, size_t n, size_t size)
{
    return must(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *oc_strdup(const char *s)
{
    return must(strdup(s));
}

char *oc_strndup(const char *s, size_t n)
{
    return must(strndup(s, n));
}

void *oc_memdup(const void *p, size_t n)
{
    void *copy = must(malloc(n ? n : 1));
    if (n)
        memcpy(copy, p, n);
    return copy;
}
