/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.c - the only way between threads: post a batch, wake a loop.
 *
 * Posts come from any thread, the reader's half belongs to the reader. The wake-up is sent under
 * the lock: after mailbox_close() no poster can touch the handle any more.
 */
#include "core/mailbox.h"

#include <assert.h>
#include <stddef.h>

#include "core/mem.h"

void mail_list_init(struct mail_list *l)
{
    *l = (struct mail_list){.tail = &l->head};
}

void mail_list_add(struct mail_list *l, struct mail *m)
{
    m->next = NULL;
    *l->tail = m;
    l->tail = &m->next;
    l->n++;
}

struct mail *mail_list_pop(struct mail_list *l)
{
    struct mail *m = l->head;
    if (!m)
        return NULL;
    l->head = m->next;
    if (!l->head)
        l->tail = &l->head;
    l->n--;
    m->next = NULL;
    return m;
}

/* Puts all of from behind to; from is empty afterwards. */
static void append(struct mail_list *to, struct mail_list *from)
{
    if (!from->head)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->n += from->n;
    mail_list_init(from);
}

static void take_all(struct mailbox *m, struct mail_list *batch)
{
    mail_list_init(batch);
    append(batch, &m->waiting);
}

void mailbox_init(struct mailbox *m)
{
    *m = (struct mailbox){0};
    mail_list_init(&m->waiting);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->arrived, NULL);
}

void mailbox_fini(struct mailbox *m)
{
    if (!m)
        return;
    pthread_cond_destroy(&m->arrived);
    pthread_mutex_destroy(&m->lock);
}

static void on_wake(uv_async_t *wake)
{
    struct mailbox *m = OC_OWNER(wake, struct mailbox, wake);
    struct mail_list batch;
    mailbox_poll(m, &batch);
    if (batch.n)
        m->on_mail(m->owner, &batch);
}

static void mailbox_gone(void *arg)
{
    struct mailbox *m = arg;
    mailbox_fini(m);
    if (m->on_closed)
        m->on_closed(m->owner);
}

int mailbox_open(struct mailbox *m, uv_loop_t *loop,
                 void (*on_mail)(void *owner, struct mail_list *batch), void *owner)
{
    mailbox_init(m);
    m->loop = loop;
    m->on_mail = on_mail;
    m->owner = owner;
    life_init(&m->life, mailbox_gone, m);
    int rc = uv_async_init(loop, &m->wake, on_wake);
    if (rc < 0) {
        mailbox_fini(m);
        return rc;
    }
    life_open(&m->life, (uv_handle_t *)&m->wake);
    return 0;
}

void mailbox_close(struct mailbox *m)
{
    if (!life_end(&m->life))
        return;
    mailbox_stop(m);
    life_close(&m->life, (uv_handle_t *)&m->wake);
    life_done(&m->life);
}

int mailbox_take(struct mailbox *m, struct mail_list *batch)
{
    assert(!m->loop);
    pthread_mutex_lock(&m->lock);
    while (!m->waiting.n && !m->stopped)
        pthread_cond_wait(&m->arrived, &m->lock);
    take_all(m, batch);
    pthread_mutex_unlock(&m->lock);
    return batch->n > 0;
}

void mailbox_poll(struct mailbox *m, struct mail_list *batch)
{
    pthread_mutex_lock(&m->lock);
    take_all(m, batch);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_stop(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->stopped = 1;
    pthread_cond_broadcast(&m->arrived);
    pthread_mutex_unlock(&m->lock);
}

/* Under the lock. Who finds letters waiting knows that the reader was woken for those. */
static void wake_reader(struct mailbox *m, int was_empty)
{
    if (!was_empty || m->stopped)
        return;
    if (m->loop)
        uv_async_send(&m->wake);
    else
        pthread_cond_signal(&m->arrived);
}

void mailbox_post(struct mailbox *m, struct mail *one)
{
    pthread_mutex_lock(&m->lock);
    int was_empty = !m->waiting.n;
    mail_list_add(&m->waiting, one);
    wake_reader(m, was_empty);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_post_all(struct mailbox *m, struct mail_list *batch)
{
    if (!batch->n)
        return;
    pthread_mutex_lock(&m->lock);
    int was_empty = !m->waiting.n;
    append(&m->waiting, batch);
    wake_reader(m, was_empty);
    pthread_mutex_unlock(&m->lock);
}
