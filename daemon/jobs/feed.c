/* SPDX-License-Identifier: Apache-2.0
 *
 * feed.c - keeps jobs in the order of their last change, and answers those who wait for one.
 *
 * Control loop. Start at feed_touch().
 */
#include "jobs/feed.h"

#include <assert.h>
#include <string.h>

#include "core/mem.h"

static void look(struct deferred *d);

void feed_init(struct feed *f, struct loop *loop, void (*evict)(void *, struct job *), void *arg)
{
    *f = (struct feed){.loop = loop, .evict = evict, .arg = arg};
    f->look.call = look;
    f->epoch = (uint64_t)clock_wall_ms();
}

void feed_fini(struct feed *f)
{
    assert(!f->polls);
    f->head = f->tail = f->final_head = f->final_tail = NULL; /* a look may still be due */
    f->n_final = 0;
}

static void unlink_news(struct feed *f, struct job *j)
{
    *(j->news.prev ? &j->news.prev->news.next : &f->head) = j->news.next;
    *(j->news.next ? &j->news.next->news.prev : &f->tail) = j->news.prev;
    j->in_news = 0;
}

void feed_forget(struct feed *f, struct job *j)
{
    if (!j->in_news)
        return;
    unlink_news(f, j);
}

void feed_touch(struct feed *f, struct job *j)
{
    if (j->in_news)
        unlink_news(f, j);
    j->news.prev = f->tail;
    j->news.next = NULL;
    *(f->tail ? &f->tail->news.next : &f->head) = j;
    f->tail = j;
    j->in_news = 1;
    j->seq = ++f->seq;
    loop_defer(f->loop, &f->look);
}

void feed_final(struct feed *f, struct job *j)
{
    j->lane.prev = f->final_tail;
    j->lane.next = NULL;
    *(f->final_tail ? &f->final_tail->lane.next : &f->final_head) = j;
    f->final_tail = j;
    f->n_final++;
}

void feed_not_final(struct feed *f, struct job *j)
{
    *(j->lane.prev ? &j->lane.prev->lane.next : &f->final_head) = j->lane.next;
    *(j->lane.next ? &j->lane.next->lane.prev : &f->final_tail) = j->lane.prev;
    f->n_final--;
}

/* From both ends at once: what is asked for is nearly always near one of them. */
struct job *feed_after(const struct feed *f, uint64_t since)
{
    struct job *up = f->head, *down = f->tail;
    if (!down || down->seq <= since)
        return NULL;
    while (up->seq <= since) {
        if (!down->news.prev || down->news.prev->seq <= since)
            return down;
        up = up->news.next;
        down = down->news.prev;
    }
    return up;
}

/* What still cleans up behind itself stays in memory, and a set as long as its members. */
static int may_go(const struct job *j)
{
    return !j->run && !(j->tally && (j->tally->n_here || j->tally->n_coming));
}

/* The oldest final jobs leave memory. */
static void evict_some(struct feed *f)
{
    struct job *next;
    for (struct job *j = f->final_head; j && f->n_final > FEED_KEEP; j = next) {
        next = j->lane.next;
        if (!may_go(j))
            continue;
        if (j->seq > f->evicted_seq)
            f->evicted_seq = j->seq;
        f->evict(f->arg, j);
    }
}

static void look(struct deferred *d)
{
    struct feed *f = OC_OWNER(d, struct feed, look);
    struct poll *next;
    for (struct poll *p = f->polls; p; p = next) {
        next = p->next;
        if (!p->life.ended &&
            p->ready(p, p->calm)) { /* an answer may end other polls of its asker */
            feed_poll_end(p);
            p->answer(p);
        }
    }
    evict_some(f);
}

static void on_timeout(uv_timer_t *t)
{
    struct poll *p = OC_OWNER(t, struct poll, timer);
    uint64_t rest = p->rest_ms;
    p->calm = 0;
    p->rest_ms = 0;
    if (rest && !p->ready(p, 0)) {
        uv_timer_start(t, on_timeout, rest, 0);
        return;
    }
    feed_poll_end(p);
    p->answer(p);
}

void feed_poll(struct feed *f, struct poll *p, uint64_t wait_ms, uint64_t calm_ms,
               void (*gone)(void *), void *owner)
{
    uint64_t first = calm_ms && calm_ms < wait_ms ? calm_ms : wait_ms;
    p->feed = f;
    p->calm = calm_ms != 0;
    p->rest_ms = wait_ms - first;
    p->prev = NULL;
    p->next = f->polls;
    if (f->polls)
        f->polls->prev = p;
    f->polls = p;
    life_init(&p->life, gone, owner);
    uv_timer_init(loop_uv(f->loop), &p->timer);
    life_open(&p->life, (uv_handle_t *)&p->timer);
    uv_timer_start(&p->timer, on_timeout, first, 0);
}

void feed_poll_end(struct poll *p)
{
    if (!life_end(&p->life))
        return;
    *(p->prev ? &p->prev->next : &p->feed->polls) = p->next;
    if (p->next)
        p->next->prev = p->prev;
    life_close(&p->life, (uv_handle_t *)&p->timer);
    life_done(&p->life);
}
