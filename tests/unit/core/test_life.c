/* SPDX-License-Identifier: Apache-2.0
 *
 * test_life.c - the owner goes once, after the last handle, in a later turn.
 */
#include "core/unit.h"

#include "core/life.h"

struct owner {
    struct life life;
    uv_timer_t timer[3];
    int n_gone, may_go;
};

static void owner_gone(void *arg)
{
    struct owner *o = arg;
    assert_true(o->may_go);
    assert_int_equal(o->life.n_open, 0);
    o->n_gone++;
}

static void owner_init(struct owner *o, uv_loop_t *loop, unsigned n_timers)
{
    *o = (struct owner){0};
    assert_int_equal(uv_loop_init(loop), 0);
    life_init(&o->life, owner_gone, o);
    for (unsigned i = 0; i < n_timers; i++) {
        uv_timer_init(loop, &o->timer[i]);
        life_open(&o->life, (uv_handle_t *)&o->timer[i]);
        assert_ptr_equal(o->timer[i].data, o);
    }
}

static void owner_close(struct owner *o, unsigned n_timers)
{
    if (!life_end(&o->life))
        return;
    for (unsigned i = 0; i < n_timers; i++)
        life_close(&o->life, (uv_handle_t *)&o->timer[i]);
    life_done(&o->life);
}

static void test_gone_once_after_the_last_handle(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        uv_loop_t loop;
        struct owner o;
        owner_init(&o, &loop, n);
        owner_close(&o, n);
        owner_close(&o, n); /* closing already */
        assert_int_equal(o.n_gone, 0);
        o.may_go = 1;
        loop_ends_empty(&loop);
        assert_int_equal(o.n_gone, 1);
    }
}

static void test_without_handles_gone_comes_with_done(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct owner o;
    owner_init(&o, &loop, 0);
    assert_true(life_end(&o.life));
    assert_int_equal(o.n_gone, 0);
    o.may_go = 1;
    life_done(&o.life);
    assert_int_equal(o.n_gone, 1);
    loop_ends_empty(&loop);
}

static void test_a_handle_closed_early_does_not_end_the_owner(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct owner o;
    owner_init(&o, &loop, 2);
    life_close(&o.life, (uv_handle_t *)&o.timer[0]);
    life_close(&o.life, (uv_handle_t *)&o.timer[0]); /* twice is once */
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(o.life.n_open, 1);
    life_close(&o.life, (uv_handle_t *)&o.timer[1]);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(o.life.n_open, 0);
    assert_int_equal(o.n_gone, 0);
    o.may_go = 1;
    owner_close(&o, 0);
    assert_int_equal(o.n_gone, 1);
    loop_ends_empty(&loop);
}

/* The end of an owner whose handle is being closed already waits for that handle. */
static void test_end_waits_for_a_handle_on_its_way_out(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct owner o;
    owner_init(&o, &loop, 1);
    life_close(&o.life, (uv_handle_t *)&o.timer[0]);
    owner_close(&o, 1);
    assert_int_equal(o.n_gone, 0);
    o.may_go = 1;
    loop_ends_empty(&loop);
    assert_int_equal(o.n_gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone_once_after_the_last_handle),
        cmocka_unit_test(test_without_handles_gone_comes_with_done),
        cmocka_unit_test(test_a_handle_closed_early_does_not_end_the_owner),
        cmocka_unit_test(test_end_waits_for_a_handle_on_its_way_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
