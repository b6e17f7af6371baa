/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mailbox.c - no letter is lost, doubled or out of its poster's order; meant for TSan, too.
 */
#include "core/unit.h"

#include <stdlib.h>

#include "core/mailbox.h"
#include "core/mem.h"

enum { N_POSTERS = 4, N_EACH = 5000, BATCH = 7 };

struct letter {
    struct mail mail;
    unsigned poster, number;
};

/* What a reader has seen: each poster's letters must come in its order, none twice, none lost. */
struct reader {
    struct mailbox box;
    unsigned next[N_POSTERS], n_read, n_batches, n_closed;
    int out_of_order;
};

struct poster {
    pthread_t thread;
    struct mailbox *box;
    unsigned id;
};

static struct letter *letter_new(unsigned poster, unsigned number)
{
    struct letter *l = OC_NEW(struct letter);
    l->poster = poster;
    l->number = number;
    return l;
}

static void read_batch(struct reader *r, struct mail_list *batch)
{
    r->n_batches++;
    for (struct mail *m; (m = mail_list_pop(batch));) {
        struct letter *l = OC_OWNER(m, struct letter, mail);
        r->out_of_order |= l->number != r->next[l->poster]++;
        r->n_read++;
        free(l);
    }
}

/* Singles and batches in turn. */
static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (unsigned i = 0; i < N_EACH;) {
        struct mail_list batch;
        mail_list_init(&batch);
        for (unsigned j = 0; j < BATCH && i < N_EACH; j++)
            mail_list_add(&batch, &letter_new(p->id, i++)->mail);
        mailbox_post_all(p->box, &batch);
        if (batch.n)
            abort();
        if (i < N_EACH)
            mailbox_post(p->box, &letter_new(p->id, i++)->mail);
    }
    return NULL;
}

static void posters_start(struct poster *posters, struct mailbox *box)
{
    for (unsigned i = 0; i < N_POSTERS; i++) {
        posters[i] = (struct poster){.box = box, .id = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
}

static void posters_join(struct poster *posters)
{
    for (unsigned i = 0; i < N_POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
}

static void on_closed(void *owner)
{
    struct reader *r = owner;
    r->n_closed++;
}

static void on_mail(void *owner, struct mail_list *batch)
{
    struct reader *r = owner;
    read_batch(r, batch);
    if (r->n_read == N_POSTERS * N_EACH)
        mailbox_close(&r->box);
}

static void test_list(void **state)
{
    (void)state;
    struct mail_list l;
    struct mail m[3];
    mail_list_init(&l);
    assert_null(mail_list_pop(&l));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            mail_list_add(&l, &m[i]);
        assert_int_equal(l.n, 3);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(mail_list_pop(&l), &m[i]);
        assert_null(mail_list_pop(&l));
        assert_int_equal(l.n, 0);
    }
}

static void test_several_threads_wake_a_loop(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct reader r = {0};
    struct poster posters[N_POSTERS];
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mailbox_open(&r.box, &loop, on_mail, &r), 0);
    r.box.on_closed = on_closed;
    posters_start(posters, &r.box);
    uv_run(&loop, UV_RUN_DEFAULT);
    posters_join(posters);
    assert_int_equal(r.n_read, N_POSTERS * N_EACH);
    assert_false(r.out_of_order);
    assert_int_equal(r.n_closed, 1);
    loop_ends_empty(&loop);
}

static void test_several_threads_wake_a_thread(void **state)
{
    (void)state;
    struct reader r = {0};
    struct poster posters[N_POSTERS];
    mailbox_init(&r.box);
    posters_start(posters, &r.box);
    struct mail_list batch;
    while (r.n_read < N_POSTERS * N_EACH) {
        assert_int_equal(mailbox_take(&r.box, &batch), 1);
        read_batch(&r, &batch);
    }
    posters_join(posters);
    assert_false(r.out_of_order);
    mailbox_poll(&r.box, &batch);
    assert_int_equal(batch.n, 0);
    mailbox_fini(&r.box);
}

static void *stop_it(void *box)
{
    mailbox_stop(box);
    return NULL;
}

/* What was posted before the stop is still read. */
static void test_stop_ends_take_once_empty(void **state)
{
    (void)state;
    struct mailbox box;
    struct mail_list batch;
    pthread_t thread;
    mailbox_init(&box);
    mailbox_post(&box, &letter_new(0, 0)->mail);
    assert_int_equal(pthread_create(&thread, NULL, stop_it, &box), 0);
    pthread_join(thread, NULL);
    assert_int_equal(mailbox_take(&box, &batch), 1);
    free(OC_OWNER(mail_list_pop(&batch), struct letter, mail));
    assert_int_equal(mailbox_take(&box, &batch), 0);
    assert_int_equal(pthread_create(&thread, NULL, stop_it, &box), 0);
    assert_int_equal(mailbox_take(&box, &batch), 0);
    pthread_join(thread, NULL);
    mailbox_fini(&box);
}

static void on_one_turn(void *owner, struct mail_list *batch)
{
    read_batch(owner, batch);
}

/* What gathers before the loop turns comes as one batch; after close, posts stay unread. */
static void test_a_turn_is_a_batch(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct reader r = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mailbox_open(&r.box, &loop, on_one_turn, &r), 0);
    for (unsigned i = 0; i < 100; i++)
        mailbox_post(&r.box, &letter_new(0, i)->mail);
    assert_int_equal(r.n_read, 0);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(r.n_read, 100);
    assert_int_equal(r.n_batches, 1);

    mailbox_close(&r.box);
    mailbox_close(&r.box);
    struct letter *late = letter_new(0, 100);
    mailbox_post(&r.box, &late->mail);
    loop_ends_empty(&loop);
    assert_int_equal(r.n_read, 100);
    free(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_several_threads_wake_a_loop),
        cmocka_unit_test(test_several_threads_wake_a_thread),
        cmocka_unit_test(test_stop_ends_take_once_empty),
        cmocka_unit_test(test_a_turn_is_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
