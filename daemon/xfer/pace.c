/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.c - the limit of bandwidth: a bucket of bytes that all transfers share, both ways.
 *
 * Transfer thread. Who moves bytes takes them out of the bucket, perhaps below zero; while it is
 * empty transfers pause and none with a body begins. A timer tells when there is something in it
 * again. Start at pace_open().
 */
#include <utlist.h>

#include "xfer/room.h"

enum { BURST = 8 /* at most an eighth of a second's bytes gather */, LEAST_MS = 5, MOST_MS = 250 };

static void on_pace(uv_timer_t *t);

static void refill(struct engine *e)
{
    uint64_t now = engine_now_ms(e), rate = e->settings->max_bytes_per_s;
    int64_t most = (int64_t)(rate / BURST);
    e->pace_left += (int64_t)((now - e->pace_at_ms) * rate / 1000);
    e->pace_at_ms = now;
    if (e->pace_left > most)
        e->pace_left = most;
}

int pace_open(struct engine *e)
{
    uint64_t rate = e->settings->max_bytes_per_s;
    if (!rate)
        return 1;
    refill(e);
    if (e->pace_left > 0)
        return 1;
    uint64_t wait_ms = (uint64_t)-e->pace_left * 1000 / rate + LEAST_MS;
    if (!uv_is_active((uv_handle_t *)&e->pace))
        uv_timer_start(&e->pace, on_pace, wait_ms < MOST_MS ? wait_ms : MOST_MS, 0);
    return 0;
}

void pace_take(struct engine *e, uint64_t n)
{
    if (e->settings->max_bytes_per_s)
        e->pace_left -= (int64_t)n;
}

size_t pace_piece(struct engine *e, size_t n)
{
    enum { LEAST = 16 * 1024 };
    size_t most = e->pace_left > LEAST ? (size_t)e->pace_left : LEAST;
    return e->settings->max_bytes_per_s && n > most ? most : n;
}

/* Resuming one may end others, so the list is looked at afresh each time; who pauses again is
 * marked anew and waits for the next turn. */
void pace_resume(struct engine *e)
{
    struct xfer_job *j;
    DL_FOREACH (e->active, j)
        j->pace = j->pace ? PACE_DUE : PACE_NONE;
    do {
        DL_FOREACH (e->active, j)
            if (j->pace == PACE_DUE)
                break;
        if (j) {
            j->pace = PACE_NONE;
            body_resume(j);
        }
    } while (j);
    engine_pump(e);
}

static void on_pace(uv_timer_t *t)
{
    struct engine *e = t->data;
    if (pace_open(e)) /* else it has set the timer again */
        pace_resume(e);
}
