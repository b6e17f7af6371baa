/* SPDX-License-Identifier: Apache-2.0
 *
 * life.c - counts the open uv handles of an object and frees its owner at zero.
 *
 * The object's loop thread; libuv calls on_closed() once for each handle, in a later turn.
 */
#include "core/life.h"

#include <assert.h>

void life_init(struct life *l, void (*gone)(void *owner), void *owner)
{
    *l = (struct life){.gone = gone, .owner = owner};
}

void life_open(struct life *l, uv_handle_t *h)
{
    h->data = l->owner;
    l->n_open++;
}

static void gone_if_empty(struct life *l)
{
    if (l->ended && !l->n_open && l->gone)
        l->gone(l->owner);
}

static void on_closed(uv_handle_t *h)
{
    struct life *l = h->data;
    assert(l->n_open > 0);
    l->n_open--;
    gone_if_empty(l);
}

void life_close(struct life *l, uv_handle_t *h)
{
    if (uv_is_closing(h))
        return;
    assert(l->n_open > 0);
    h->data = l;
    uv_close(h, on_closed);
}

int life_end(struct life *l)
{
    if (l->ended)
        return 0;
    l->ended = 1;
    return 1;
}

void life_done(struct life *l)
{
    assert(l->ended);
    gone_if_empty(l);
}
