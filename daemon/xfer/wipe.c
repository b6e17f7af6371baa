/* SPDX-License-Identifier: Apache-2.0
 *
 * wipe.c - memory of libcurl and of libcrypto below it, wiped when it is given back: requests with
 * tokens were in it, and the key of an instance.
 *
 * Any thread. It costs a small put 1 to 2 % of its processor time, so it begins with the first
 * token; who signs by an API key sends no secret. Large blocks are bodies, not headers, and stay as
 * they are. What the two keep for a connection is theirs for as long as that lives; the next
 * request overwrites it.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "xfer/room.h"

enum { WIPE_MOST = 64 * 1024 };

static _Atomic int wanted;

void wipe_from_here(void)
{
    wanted = 1;
}

static void wiping_free(void *p)
{
    size_t n = wanted && p ? malloc_usable_size(p) : 0;
    if (n && n <= WIPE_MOST)
        explicit_bzero(p, n);
    free(p);
}

/* realloc() might leave the old block behind as it is. */
static void *wiping_realloc(void *p, size_t n)
{
    size_t had = wanted && p ? malloc_usable_size(p) : 0;
    if (!had || had > WIPE_MOST)
        return realloc(p, n);
    void *fresh = malloc(n);
    if (!fresh)
        return NULL;
    memcpy(fresh, p, had < n ? had : n);
    wiping_free(p);
    return fresh;
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    wiping_free(p);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
    if (p && !n) {
        crypto_free(p, file, line);
        return NULL;
    }
    return wiping_realloc(p, n);
}

void wipe_init(void)
{
    CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free);
    curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}
