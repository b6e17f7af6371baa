/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.c - bytes with a ceiling. Used by the codec, sessions and the client library.
 *
 * Any thread, one at a time. Never aborts: libocid lives in other people's processes.
 */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#include "ocid/error.h"

void oc_buf_init(struct oc_buf *b, size_t ceiling)
{
    *b = (struct oc_buf){.ceiling = ceiling};
}

void oc_buf_fini(struct oc_buf *b)
{
    if (!b)
        return;
    if (b->data)
        explicit_bzero(b->data, b->room);
    free(b->data);
    oc_buf_init(b, b->ceiling);
}

/* Not realloc(): the old copy would stay in the heap unwiped. */
static int grow(struct oc_buf *b, size_t want)
{
    size_t room = b->room ? b->room : 256;
    while (room < want)
        room *= 2;
    if (room > b->ceiling)
        room = b->ceiling;
    char *data = malloc(room);
    if (!data)
        return OCID_E_NOMEM;
    if (b->data) {
        memcpy(data, b->data, b->len);
        explicit_bzero(b->data, b->room);
        free(b->data);
    }
    b->data = data;
    b->room = room;
    return 0;
}

int oc_buf_reserve(struct oc_buf *b, size_t n, char **ret)
{
    if (b->failed)
        return b->failed;
    if (n > b->ceiling - b->len)
        return b->failed = OCID_E_TOO_LARGE;
    if (b->len + n > b->room && (b->failed = grow(b, b->len + n)))
        return b->failed;
    *ret = b->data + b->len;
    return 0;
}

int oc_buf_add(struct oc_buf *b, const void *bytes, size_t n)
{
    char *to;
    if (!n)
        return b->failed;
    int rc = oc_buf_reserve(b, n, &to);
    if (rc)
        return rc;
    memcpy(to, bytes, n);
    b->len += n;
    return 0;
}

void oc_buf_drop(struct oc_buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void oc_buf_clear(struct oc_buf *b)
{
    b->len = 0;
    b->failed = 0;
}
