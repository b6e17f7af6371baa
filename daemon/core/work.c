/* SPDX-License-Identifier: Apache-2.0
 *
 * work.c - the only door to the I/O pool: a quota a mount, first come first served.
 *
 * Gates belong to their loop threads; the table of mounts is shared by all of them, under a lock.
 * A mount's free slot goes to whoever waits longest; if that is another gate's work, it is sent
 * there as a letter, since uv_queue_work() may be called by the loop's own thread only.
 */
#include "core/work.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

struct mount {
    dev_t dev;
    unsigned n_running, quota;
    int stuck;         /* until nobody waits for it any more */
    uint64_t moved_ms; /* when a work of it has begun or ended last */
    struct mail_list waiting;
    struct mount *next;
};

struct work_gate {
    uv_loop_t *loop;
    unsigned quota;
    unsigned n_pending;
    struct mailbox granted; /* works that waited here and got their slot from another gate */
};

static pthread_mutex_t mounts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mount *mounts; /* those with works; a handful, so a list does */
static unsigned n_recovered;

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Under the lock. */
static struct mount *mount_find(dev_t dev)
{
    struct mount *m = mounts;
    while (m && m->dev != dev)
        m = m->next;
    if (m)
        return m;
    m = OC_NEW(struct mount);
    m->dev = dev;
    m->next = mounts;
    mail_list_init(&m->waiting);
    return mounts = m;
}

static void mount_drop(struct mount *m)
{
    struct mount **at = &mounts;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    free(m);
}

static struct work *work_of(struct mail *m)
{
    return OC_OWNER(m, struct work, mail);
}

/* Takes a slot, or queues w: 1 if it may start. */
static int slot_take(struct work *w)
{
    if (!w->mount)
        return 1;
    pthread_mutex_lock(&mounts_lock);
    struct mount *m = mount_find(w->mount);
    int free_slot = m->n_running < w->gate->quota && !m->waiting.n;
    m->quota = w->gate->quota;
    if (free_slot) {
        m->n_running++;
        m->moved_ms = now_ms();
    } else {
        mail_list_add(&m->waiting, &w->mail);
    }
    pthread_mutex_unlock(&mounts_lock);
    return free_slot;
}

/* Gives a slot back; moves those whose turn it is to *next, their slots taken. */
static void slot_give(dev_t dev, struct mail_list *next)
{
    mail_list_init(next);
    if (!dev)
        return;
    pthread_mutex_lock(&mounts_lock);
    struct mount *m = mount_find(dev);
    assert(m->n_running > 0);
    m->n_running--;
    m->moved_ms = now_ms();
    while (m->waiting.n && m->n_running < work_of(m->waiting.head)->gate->quota) {
        mail_list_add(next, mail_list_pop(&m->waiting));
        m->n_running++;
    }
    if (m->stuck && !m->waiting.n) {
        m->stuck = 0;
        n_recovered++;
    }
    if (!m->n_running && !m->waiting.n)
        mount_drop(m);
    pthread_mutex_unlock(&mounts_lock);
}

static void on_run(uv_work_t *req)
{
    for (struct work *w = OC_OWNER(req, struct work, req); w; w = w->with)
        w->run(w);
}

static void on_ran(uv_work_t *req, int status);

static void start(struct work *w)
{
    int rc = uv_queue_work(w->gate->loop, &w->req, on_run, on_ran);
    assert(rc == 0);
    (void)rc;
}

static void on_ran(uv_work_t *req, int status)
{
    struct work *w = OC_OWNER(req, struct work, req);
    struct work_gate *g = w->gate;
    assert(status == 0); /* nobody cancels: what runs cannot be stopped */
    (void)status;

    struct mail_list next;
    slot_give(w->mount, &next);
    for (struct mail *m; (m = mail_list_pop(&next));) {
        struct work_gate *to = work_of(m)->gate;
        if (to == g)
            start(work_of(m));
        else
            mailbox_post(&to->granted, m);
    }
    if (!--g->n_pending)
        uv_unref((uv_handle_t *)&g->granted.wake);
    for (struct work *next_of_chain; w; w = next_of_chain) {
        next_of_chain = w->with;
        w->with = NULL;
        w->done(w);
    }
}

static void on_granted(void *owner, struct mail_list *batch)
{
    (void)owner;
    for (struct mail *m; (m = mail_list_pop(batch));)
        start(work_of(m));
}

struct work_gate *work_gate_new(uv_loop_t *loop, unsigned quota_per_mount)
{
    struct work_gate *g = OC_NEW(struct work_gate);
    g->loop = loop;
    g->quota = quota_per_mount ? quota_per_mount : 1;
    if (mailbox_open(&g->granted, loop, on_granted, g) < 0)
        abort(); /* no descriptor for an eventfd was left at start */
    g->granted.on_closed = free;
    uv_unref((uv_handle_t *)&g->granted.wake);
    return g;
}

void work_gate_free(struct work_gate *g)
{
    if (!g)
        return;
    assert(!g->n_pending);
    mailbox_close(&g->granted);
}

void work_submit(struct work_gate *g, struct work *w, dev_t mount)
{
    w->gate = g;
    w->mount = mount;
    if (!g->n_pending++)
        uv_ref((uv_handle_t *)&g->granted.wake);
    if (slot_take(w))
        start(w);
}

enum work_pace work_pace_of(dev_t mount)
{
    enum work_pace pace = WORK_MOVES;
    if (!mount)
        return pace;
    pthread_mutex_lock(&mounts_lock);
    struct mount *m = mounts;
    while (m && m->dev != mount)
        m = m->next;
    int still = m && m->n_running && now_ms() - m->moved_ms >= WORK_STILL_MS;
    if (still && m->n_running >= m->quota)
        m->stuck = 1;
    if (m)
        pace = m->stuck ? WORK_STUCK : still ? WORK_STILL : WORK_MOVES;
    pthread_mutex_unlock(&mounts_lock);
    return pace;
}

unsigned work_n_recovered(void)
{
    pthread_mutex_lock(&mounts_lock);
    unsigned n = n_recovered;
    pthread_mutex_unlock(&mounts_lock);
    return n;
}

unsigned work_pending(const struct work_gate *g)
{
    return g->n_pending;
}

void work_pool_size(unsigned n_threads)
{
    char text[16];
    snprintf(text, sizeof text, "%u", n_threads);
    setenv("UV_THREADPOOL_SIZE", text, 1);
}
