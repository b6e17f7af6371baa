/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.h - bytes that grow up to a ceiling set at init, wiped when they are freed.
 *
 * Any thread, one at a time.
 */
#ifndef PROTO_BUF_H
#define PROTO_BUF_H

#include <stddef.h>

struct oc_buf {
    char *data; /* NULL while nothing was added */
    size_t len, room, ceiling;
    int failed; /* OCID_E_NOMEM or OCID_E_TOO_LARGE of the first add that did not fit, else 0 */
};

void oc_buf_init(struct oc_buf *b, size_t ceiling);

/* Wipes and frees; b is empty and usable again afterwards. NULL is allowed. */
void oc_buf_fini(struct oc_buf *b);

/* Appends n bytes. 0, OCID_E_TOO_LARGE beyond the ceiling, OCID_E_NOMEM. After a failure the
 * buffer refuses everything until oc_buf_clear(), so that a run of adds is checked once. */
int oc_buf_add(struct oc_buf *b, const void *bytes, size_t n);

/* Makes room for n more bytes without adding them; *ret is where they go. Same errors. */
int oc_buf_reserve(struct oc_buf *b, size_t n, char **ret);

/* Takes n bytes away at the front. */
void oc_buf_drop(struct oc_buf *b, size_t n);

/* Empties, keeps the memory and forgets a failure. */
void oc_buf_clear(struct oc_buf *b);

#endif
