/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_codec.c - any bytes as any message: read or refused, and what is read is written the same.
 *
 * The first byte chooses the message. Bytes that do not pass ocp_check() are unpacked all the same:
 * that must be harmless, too.
 */
#include <assert.h>

#include "proto/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was understood, packed, is read again and packs to the same bytes. */
static void settle(struct walk *w, const struct ocp_desc *d, const struct oc_buf *one)
{
    struct oc_buf *two = walk_buf(w);
    struct oc_err err;
    size_t len;
    assert(!ocp_check(one->data, one->len, &len, &err) && len == one->len);
    assert(!walk_again(w, d, one->data, one->len, two, &err));
    assert(two->len == one->len && !memcmp(two->data, one->data, one->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct walk w = {0};
    struct oc_err err = {0};
    size_t n_messages = 0, len = 0;
    while (ocp_messages[n_messages])
        n_messages++;
    if (!size || size > 2000) /* the walk's memory is for small ones */
        return 0;
    const struct ocp_desc *d = ocp_messages[data[0] % n_messages];
    char *exact = malloc(size); /* the sanitizer sees one byte beyond */
    if (!exact)
        return 0;
    memcpy(exact, data + 1, size - 1);
    exact = realloc(exact, size > 1 ? size - 1 : 1);

    int checked = ocp_check(exact, size - 1, &len, &err);
    assert(checked ? err.text[0] && checked == OCID_E_PROTOCOL : len <= size - 1);
    struct oc_buf *one = walk_buf(&w);
    int rc = walk_again(&w, d, exact, size - 1, one, &err);
    assert(rc == 0 || rc == OCID_E_INVALID);
    if (!rc && !checked)
        settle(&w, d, one);
    free(exact);
    walk_fini(&w);
    return 0;
}
