/* SPDX-License-Identifier: Apache-2.0
 *
 * life.h - counts the open uv handles of an object and frees its owner at zero.
 *
 * Embedded in every object that owns uv handles. The object's own loop thread only.
 */
#ifndef CORE_LIFE_H
#define CORE_LIFE_H

#include <uv.h>

struct life {
    unsigned n_open;           /* handles whose close callback has not run yet */
    int ended;                 /* life_end() was called */
    void (*gone)(void *owner); /* called once: ended, and no handle is open */
    void *owner;
};

void life_init(struct life *l, void (*gone)(void *owner), void *owner);

/* Counts a handle that was just initialised, and points handle->data at the owner. */
void life_open(struct life *l, uv_handle_t *h);

/* Closes one handle; gone() may run in a later turn of the loop, never before this returns. From
 * here on h->data is the life (life->owner leads on), so a request that closing cancels needs its
 * own data. Nothing happens for a handle that is closing already. */
void life_close(struct life *l, uv_handle_t *h);

/* The owner ends. 1 for the first call, 0 if it is ending already. Without any open handle gone()
 * runs at once, after the caller's last touch: call life_end() first, life_close() for each handle
 * next, life_done() last. */
int life_end(struct life *l);
void life_done(struct life *l);

#endif
