/* SPDX-License-Identifier: Apache-2.0
 *
 * test_feed.c - the order of changes, who stays in memory, polls answered once.
 */
#include "jobs/feed.h"

#include "jobs/kit.h"

struct hall {
    struct loop *loop;
    struct feed feed;
    struct job *evicted[64];
    unsigned n_evicted;
};

struct asker {
    struct poll poll;
    int is_ready, is_end, n_answers, gone;
    struct asker *ends; /* answering this one ends that one */
};

static void evict(void *arg, struct job *j)
{
    struct hall *h = arg;
    feed_not_final(&h->feed, j);
    feed_forget(&h->feed, j);
    h->evicted[h->n_evicted++ % 64] = j;
}

static int setup(void **state)
{
    struct hall *h = *state = OC_NEW(struct hall);
    h->loop = loop_new();
    feed_init(&h->feed, h->loop, evict, h);
    return 0;
}

static int teardown(void **state)
{
    struct hall *h = *state;
    loop_run(h->loop);
    feed_fini(&h->feed);
    loop_free(h->loop); /* asserts that it is empty */
    free(h);
    return 0;
}

static void test_first_beyond_any_number(void **state)
{
    enum { N = 50 };
    struct hall *h = *state;
    struct job *jobs[N];
    assert_null(feed_after(&h->feed, 0));
    for (unsigned i = 0; i < N; i++)
        feed_touch(&h->feed, jobs[i] = kit_job(i, 0, 0));
    for (unsigned i = 0; i < N; i += 3)
        feed_touch(&h->feed, jobs[i]);
    feed_forget(&h->feed, jobs[7]);
    feed_forget(&h->feed, jobs[7]);
    uint64_t last = 0;
    unsigned n = 0;
    for (struct job *j = feed_after(&h->feed, 0); j; j = j->news.next, n++) {
        assert_true(j->seq > last);
        last = j->seq;
    }
    assert_int_equal(n, N - 1);
    assert_int_equal(last, h->feed.seq);
    for (uint64_t since = 0; since <= h->feed.seq + 1; since++) {
        struct job *want = h->feed.head;
        while (want && want->seq <= since)
            want = want->news.next;
        assert_ptr_equal(feed_after(&h->feed, since), want);
    }
    for (unsigned i = 0; i < N; i++) {
        feed_forget(&h->feed, jobs[i]);
        free(jobs[i]);
    }
    assert_null(h->feed.head);
    assert_null(h->feed.tail);
}

/* The oldest end first; what still cleans up and sets with members in memory stay. */
static void test_the_newest_final_jobs_stay(void **state)
{
    enum { N = FEED_KEEP + 10 };
    struct hall *h = *state;
    struct job **jobs = oc_new(N, sizeof *jobs);
    struct tally members = {.n_here = 1};
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = kit_job(i, 0, 0);
        feed_touch(&h->feed, jobs[i]);
        feed_final(&h->feed, jobs[i]);
    }
    jobs[1]->run = (struct run *)h;
    jobs[2]->tally = &members;
    loop_run(h->loop);
    assert_int_equal(h->n_evicted, 10);
    assert_int_equal(h->feed.n_final, FEED_KEEP);
    assert_ptr_equal(h->evicted[0], jobs[0]);
    assert_ptr_equal(h->evicted[1], jobs[3]);
    assert_int_equal(h->feed.evicted_seq, jobs[11]->seq);
    for (unsigned i = 0; i < N; i++)
        free(jobs[i]);
    free(jobs);
    h->feed.head = h->feed.tail = NULL;
}

static int ready(struct poll *p, int ends_only)
{
    const struct asker *a = OC_OWNER(p, struct asker, poll);
    return a->is_ready && (!ends_only || a->is_end);
}

static void answer(struct poll *p)
{
    struct asker *a = OC_OWNER(p, struct asker, poll);
    a->n_answers++;
    if (a->ends)
        feed_poll_end(&a->ends->poll);
}

static void gone(void *owner)
{
    ((struct asker *)owner)->gone++;
}

static void ask_calmly(struct hall *h, struct asker *a, uint64_t wait_ms, uint64_t calm_ms)
{
    a->poll.ready = ready;
    a->poll.answer = answer;
    feed_poll(&h->feed, &a->poll, wait_ms, calm_ms, gone, a);
}

static void ask(struct hall *h, struct asker *a, uint64_t wait_ms)
{
    ask_calmly(h, a, wait_ms, 0);
}

static void test_polls_are_answered_once(void **state)
{
    struct hall *h = *state;
    struct asker news = {.is_ready = 1}, late = {0}, left = {0}, ends = {.is_ready = 1},
                 ended = {.is_ready = 1};
    struct job *j = kit_job(1, 0, 0);
    ends.ends = &ended;
    ask(h, &news, 600000);
    ask(h, &late, 5);
    ask(h, &left, 600000);
    ask(h, &ended, 600000);
    ask(h, &ends, 600000); /* looked at before the one that it ends */
    feed_poll_end(&left.poll);
    feed_poll_end(&left.poll);
    feed_touch(&h->feed, j);
    feed_touch(&h->feed, j);
    assert_int_equal(news.n_answers, 0); /* never before the call has returned */
    loop_run(h->loop);
    assert_int_equal(news.n_answers, 1);
    assert_int_equal(late.n_answers, 1);
    assert_int_equal(left.n_answers, 0);
    assert_int_equal(ends.n_answers, 1);
    assert_int_equal(ended.n_answers, 0);
    assert_int_equal(news.gone + late.gone + left.gone + ends.gone + ended.gone, 5);
    feed_forget(&h->feed, j);
    free(j);
}

/* A change waits for the calm to be over, an end does not, and whoever hears nothing waits on. */
static void test_calm_polls_hear_of_ends_at_once(void **state)
{
    struct hall *h = *state;
    struct asker end = {.is_ready = 1, .is_end = 1}, change = {.is_ready = 1}, none = {0};
    struct job *j = kit_job(1, 0, 0);
    ask_calmly(h, &end, 600000, 600000);
    ask_calmly(h, &change, 600000, 50);
    ask_calmly(h, &none, 120, 50);
    feed_touch(&h->feed, j);
    uv_run(loop_uv(h->loop), UV_RUN_NOWAIT);
    assert_int_equal(end.n_answers, 1);
    assert_int_equal(change.n_answers + none.n_answers, 0);
    uint64_t from = clock_mono_ms();
    loop_run(h->loop);
    assert_int_equal(end.n_answers + change.n_answers + none.n_answers, 3);
    assert_true(clock_mono_ms() - from >= 50);
    feed_forget(&h->feed, j);
    free(j);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_beyond_any_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_newest_final_jobs_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_polls_are_answered_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calm_polls_hear_of_ends_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
