/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h - the only way between threads: post a batch, wake a loop.
 *
 * A mailbox belongs to one reader. Anybody may post; a post costs a mutex, and a wake-up only if
 * the reader had nothing waiting. Letters are intrusive (struct mail is the first member or found
 * by OC_OWNER) and owned by whoever holds them: the poster until the post, the reader after it.
 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include <pthread.h>
#include <uv.h>

#include "core/life.h"

struct mail {
    struct mail *next;
};

/* A list of letters in the order of posting. */
struct mail_list {
    struct mail *head, **tail;
    unsigned n;
};

void mail_list_init(struct mail_list *l);
void mail_list_add(struct mail_list *l, struct mail *m);
struct mail *mail_list_pop(struct mail_list *l);

struct mailbox {
    pthread_mutex_t lock;
    struct mail_list waiting; /* under lock */
    int stopped;              /* under lock; nobody reads any more */
    pthread_cond_t arrived;   /* for readers without a loop */
    uv_async_t wake;          /* for readers on a loop */
    struct life life;
    uv_loop_t *loop; /* NULL: the reader blocks in mailbox_take() */
    void (*on_mail)(void *owner, struct mail_list *batch);
    void (*on_closed)(void *owner); /* set after mailbox_open(); NULL: nobody is told */
    void *owner;
};

/* A reader on a loop: on_mail gets everything that has gathered, once a turn; it takes all of it.
 * 0 or a uv error. */
int mailbox_open(struct mailbox *m, uv_loop_t *loop,
                 void (*on_mail)(void *owner, struct mail_list *batch), void *owner);

/* Closes the loop's end: later posts are kept and never read. m must live, and the posters must
 * have stopped, when on_closed() comes, in a later turn of the loop. Twice is once. */
void mailbox_close(struct mailbox *m);

/* A reader that is a plain thread. */
void mailbox_init(struct mailbox *m);
void mailbox_fini(struct mailbox *m);

/* Blocks until letters have come; moves all of them to *batch. 0 once the mailbox was stopped and
 * is empty, else 1. */
int mailbox_take(struct mailbox *m, struct mail_list *batch);

/* Like mailbox_take(), without blocking: what has gathered now, perhaps nothing. */
void mailbox_poll(struct mailbox *m, struct mail_list *batch);
void mailbox_stop(struct mailbox *m);

void mailbox_post(struct mailbox *m, struct mail *one);

/* Moves the whole list; *batch is empty afterwards. */
void mailbox_post_all(struct mailbox *m, struct mail_list *batch);

#endif
