/* SPDX-License-Identifier: Apache-2.0
 *
 * test_work.c - the quota a mount: a read from an empty pipe stands for a mount that hangs.
 */
#include "core/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/work.h"

enum { POOL = 4, QUOTA = 2, HUNG = 7, GOOD = 8 };

struct one {
    struct work work;
    int fd; /* blocks in run() until a byte comes; -1: does not */
    int ran, n_again;
    unsigned place; /* the how manieth done() */
};

static unsigned n_done;

static void run(struct work *w)
{
    struct one *o = OC_OWNER(w, struct one, work);
    char byte;
    if (o->fd >= 0 && read(o->fd, &byte, 1) != 1)
        abort();
    o->ran++;
}

static void done(struct work *w)
{
    struct one *o = OC_OWNER(w, struct one, work);
    o->place = ++n_done;
    if (o->n_again) {
        o->n_again--;
        work_submit(w->gate, w, w->mount);
    }
}

static void one_submit(struct work_gate *g, struct one *o, int fd, dev_t mount)
{
    *o = (struct one){.work = {.run = run, .done = done}, .fd = fd};
    work_submit(g, &o->work, mount);
}

static void release(int fd, unsigned n)
{
    while (n--)
        assert_int_equal(write(fd, "x", 1), 1);
}

static void turn_until_done(uv_loop_t *loop, unsigned n)
{
    while (n_done < n)
        uv_run(loop, UV_RUN_ONCE);
}

static struct work_gate *open_gate(uv_loop_t *loop)
{
    n_done = 0;
    assert_int_equal(uv_loop_init(loop), 0);
    return work_gate_new(loop, QUOTA);
}

static void test_a_hung_mount_stalls_only_itself(void **state)
{
    (void)state;
    uv_loop_t loop;
    int hang[2];
    struct one hung[6], good[20];
    struct work_gate *g = open_gate(&loop);
    assert_int_equal(pipe(hang), 0);
    for (unsigned i = 0; i < N_ROWS(hung); i++)
        one_submit(g, &hung[i], hang[0], HUNG);
    for (unsigned i = 0; i < N_ROWS(good); i++)
        one_submit(g, &good[i], -1, i % 2 ? GOOD : 0);
    assert_int_equal(n_done, 0); /* always asynchronous */
    turn_until_done(&loop, N_ROWS(good));
    for (unsigned i = 0; i < N_ROWS(good); i++)
        assert_int_equal(good[i].ran, 1);
    for (unsigned i = 0; i < N_ROWS(hung); i++)
        assert_int_equal(hung[i].place, 0);
    assert_int_equal(work_pending(g), N_ROWS(hung));

    release(hang[1], N_ROWS(hung));
    turn_until_done(&loop, N_ROWS(good) + N_ROWS(hung));
    assert_int_equal(work_pending(g), 0);
    work_gate_free(g);
    loop_ends_empty(&loop);
    close(hang[0]);
    close(hang[1]);
}

/* One slot: the order of submitting is the order of doing. */
static void test_first_come_first_served(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct one row[50];
    n_done = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct work_gate *g = work_gate_new(&loop, 1);
    for (unsigned i = 0; i < N_ROWS(row); i++)
        one_submit(g, &row[i], -1, GOOD);
    turn_until_done(&loop, N_ROWS(row));
    for (unsigned i = 0; i < N_ROWS(row); i++)
        assert_int_equal(row[i].place, i + 1);
    work_gate_free(g);
    loop_ends_empty(&loop);
}

static void test_done_may_submit_again(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct one o;
    struct work_gate *g = open_gate(&loop);
    one_submit(g, &o, -1, GOOD);
    o.n_again = 3;
    uv_run(&loop, UV_RUN_DEFAULT); /* an idle gate does not keep the loop alive */
    assert_int_equal(n_done, 4);
    assert_int_equal(o.ran, 4);
    work_gate_free(g);
    loop_ends_empty(&loop);
}

/* The quota is the mount's, not the gate's: a second thread's works wait for the same slots, and
 * are sent back to their own loop when they get one. */
static void test_gates_share_a_mounts_quota(void **state)
{
    (void)state;
    uv_loop_t loop, other;
    int hang[2];
    struct one hung[QUOTA], waits, passes;
    assert_int_equal(pipe(hang), 0);
    struct work_gate *h = open_gate(&other), *g = open_gate(&loop);
    for (unsigned i = 0; i < QUOTA; i++)
        one_submit(g, &hung[i], hang[0], HUNG);
    one_submit(h, &waits, -1, HUNG);
    one_submit(h, &passes, -1, GOOD);
    turn_until_done(&other, 1);
    assert_int_equal(passes.place, 1);
    assert_int_equal(waits.ran, 0);
    assert_int_equal(work_pending(h), 1);

    release(hang[1], QUOTA);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_run(&other, UV_RUN_DEFAULT); /* stays alive while one of its works waits elsewhere */
    assert_int_equal(waits.ran, 1);
    assert_int_equal(n_done, 2 + QUOTA);
    work_gate_free(g);
    work_gate_free(h);
    loop_ends_empty(&loop);
    loop_ends_empty(&other);
    close(hang[0]);
    close(hang[1]);
}

static void pace_becomes(dev_t mount, enum work_pace pace)
{
    uint64_t end = uv_hrtime() + 30000000000ull;
    while (work_pace_of(mount) != pace) {
        assert_true(uv_hrtime() < end);
        usleep(10000);
    }
}

/* A mount is stuck from its last free slot on, and until those that wait have had their turn. */
static void test_a_mount_that_hangs_is_known(void **state)
{
    (void)state;
    uv_loop_t loop;
    int hang[2];
    struct one hung[QUOTA + 1], good;
    assert_int_equal(pipe(hang), 0);
    struct work_gate *g = open_gate(&loop);
    unsigned before = work_n_recovered();
    one_submit(g, &hung[0], hang[0], HUNG);
    assert_int_equal(work_pace_of(HUNG), WORK_MOVES);
    pace_becomes(HUNG, WORK_STILL);
    for (unsigned i = 1; i < N_ROWS(hung); i++)
        one_submit(g, &hung[i], hang[0], HUNG);
    assert_int_equal(work_pace_of(HUNG), WORK_MOVES); /* one has begun just now */
    pace_becomes(HUNG, WORK_STUCK);
    one_submit(g, &good, -1, GOOD);
    turn_until_done(&loop, 1);
    assert_int_equal(work_pace_of(GOOD), WORK_MOVES);
    assert_int_equal(work_pace_of(0), WORK_MOVES);
    assert_int_equal(work_pace_of(HUNG), WORK_STUCK);
    assert_int_equal(work_n_recovered(), before);

    release(hang[1], N_ROWS(hung));
    turn_until_done(&loop, 1 + N_ROWS(hung));
    assert_int_equal(work_pace_of(HUNG), WORK_MOVES);
    assert_int_equal(work_n_recovered(), before + 1);
    work_gate_free(g);
    loop_ends_empty(&loop);
    close(hang[0]);
    close(hang[1]);
}

enum { N_EACH = 2000 };

static void again(struct work *w)
{
    struct one *o = OC_OWNER(w, struct one, work);
    if (o->n_again--)
        work_submit(w->gate, w, w->mount);
}

static void *busy_loop(void *arg)
{
    uv_loop_t loop;
    struct one o[4];
    (void)arg;
    if (uv_loop_init(&loop) < 0)
        abort();
    struct work_gate *g = work_gate_new(&loop, QUOTA);
    for (unsigned i = 0; i < N_ROWS(o); i++) {
        o[i] = (struct one){.work = {.run = run, .done = again}, .fd = -1, .n_again = N_EACH};
        work_submit(g, &o[i].work, GOOD + i % 2);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    work_gate_free(g);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) ? arg : NULL;
}

static void test_two_threads_at_once(void **state)
{
    (void)state;
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, busy_loop, thread), 0);
    for (int i = 0; i < 2; i++) {
        void *left;
        pthread_join(thread[i], &left);
        assert_null(left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hung_mount_stalls_only_itself),
        cmocka_unit_test(test_first_come_first_served),
        cmocka_unit_test(test_done_may_submit_again),
        cmocka_unit_test(test_gates_share_a_mounts_quota),
        cmocka_unit_test(test_a_mount_that_hangs_is_known),
        cmocka_unit_test(test_two_threads_at_once),
    };
    work_pool_size(POOL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
