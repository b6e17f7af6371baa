/* SPDX-License-Identifier: Apache-2.0
 *
 * wipe.c - libcurl's memory, wiped when it is given back: requests with tokens were in it.
 *
 * Any thread. Large blocks are bodies, not headers, and stay as they are. The buffer that TLS sends
 * from is libcurl's for as long as a handle lives; the next request overwrites it.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "xfer/room.h"

enum { WIPE_MOST = 64 * 1024 };

static void wiping_free(void *p)
{
    size_t n = p ? malloc_usable_size(p) : 0;
    if (n <= WIPE_MOST)
        explicit_bzero(p, n);
    free(p);
}

/* realloc() might leave the old block behind as it is. */
static void *wiping_realloc(void *p, size_t n)
{
    size_t had = p ? malloc_usable_size(p) : 0;
    if (had > WIPE_MOST || !p)
        return realloc(p, n);
    void *fresh = malloc(n);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, had < n ? had : n);
    wiping_free(p);
    return fresh;
}

void wipe_init(void)
{
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}
