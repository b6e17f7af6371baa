/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watch.c - files that change, come, or are replaced are noticed; others are not.
 */
#include "signer/fixture.h"

#include <poll.h>

#include "signer/watch.h"

/* 1 if something watched changes soon. */
static int told(struct watch *w)
{
    struct pollfd p = {.fd = watch_fd(w), .events = POLLIN};
    return poll(&p, 1, 2000) == 1 && watch_take(w);
}

static void test_changes(void **state)
{
    const struct fixture *f = *state;
    char other[128], fresh[128], missing[160];
    snprintf(other, sizeof other, "%s/other", f->dir);
    snprintf(fresh, sizeof fresh, "%s/fresh", f->dir);
    snprintf(missing, sizeof missing, "%s/no/such/file", f->dir);
    fixture_write(f->config, "a", 1);
    struct watch *w = watch_new();
    watch_add(w, "");
    watch_add(w, "no slash");
    watch_add(w, missing);
    watch_add(w, f->config);
    assert_int_equal(watch_take(w), 0);
    fixture_write(f->config, "b", 1);
    assert_int_equal(told(w), 1);
    fixture_write(other, "b", 1);
    assert_int_equal(told(w), 0);
    fixture_write(fresh, "c", 1);
    while (watch_take(w))
        continue;
    assert_int_equal(rename(fresh, f->config), 0); /* replaced, and watched still */
    assert_int_equal(told(w), 1);
    fixture_write(f->config, "d", 1);
    assert_int_equal(told(w), 1);
    unlink(f->config);
    while (watch_take(w))
        continue;
    fixture_write(f->config, "e", 1); /* come again */
    assert_int_equal(told(w), 1);
    while (watch_take(w))
        continue;
    watch_clear(w);
    fixture_write(f->config, "f", 1);
    assert_int_equal(told(w), 0);
    watch_free(w);
    watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
