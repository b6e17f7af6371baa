/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ballast.c - on a full disk what was accepted is still written, and nothing new is accepted.
 *
 * A small tmpfs of its own, so it needs root; left out without.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/unit/store/kit.h"

enum { N_JOBS = 1500, MIB = 1 << 20 };

static char filler[128];

/* A store with this ballast on a disk of 32 MiB. */
static struct kit *small_disk(void **state, uint64_t ballast)
{
    struct kit *k = *state;
    struct oc_err err;
    if (mount("tmpfs", k->dir, "tmpfs", 0, "size=32m,mode=700"))
        skip(); /* no rights */
    struct store_options opt = {.dir = k->dir, .ballast_bytes = ballast};
    if (store_open(&k->loop, &opt, &k->store, &err))
        fail_msg("%s", err.text);
    for (uint64_t id = 1; id <= N_JOBS; id++)
        assert_int_equal(kit_add(k, kit_job(id)), 0);
    return k;
}

static int teardown(void **state)
{
    struct kit *k = *state;
    kit_close(k);
    umount2(k->dir, MNT_DETACH);
    return kit_teardown(state);
}

static void fill(const struct kit *k)
{
    static char junk[64 * 1024];
    snprintf(filler, sizeof filler, "%s/filler", k->dir);
    int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    size_t size = sizeof junk;
    while (size) {
        if (write(fd, junk, size) <= 0)
            size /= 2;
    }
    close(fd);
}

static int ballast_is_there(const struct kit *k)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/ballast", k->dir);
    return !stat(path, &st) && st.st_size == 4 * MIB;
}

/* Verdicts one by one: those that could be written before the first that could not. */
static unsigned end_all(struct kit *k)
{
    static char text[700];
    memset(text, 'x', sizeof text - 1);
    for (uint64_t id = 1; id <= N_JOBS; id++) {
        struct store_job job = {
            .id = id, .state = OCP_ENUM_state_done, .ended_at = 5, .outcome = ocp_str(text)};
        struct store_op op = {.verb = STORE_END, .jobs = &job, .n = 1};
        int rc = kit_run(k, &op);
        if (rc) {
            assert_int_equal(rc, OCID_E_SPACE);
            return (unsigned)id - 1;
        }
    }
    return N_JOBS;
}

static void without_it_verdicts_are_refused(void **state)
{
    struct kit *k = small_disk(state, 0);
    assert_false(ballast_is_there(k));
    fill(k);
    assert_true(end_all(k) < N_JOBS);
}

static void what_was_accepted_can_always_be_ended(void **state)
{
    struct kit *k = small_disk(state, 4 * MIB);
    assert_true(ballast_is_there(k));
    fill(k);
    assert_int_equal(end_all(k), N_JOBS);
    assert_false(ballast_is_there(k));
    assert_int_equal(kit_add(k, kit_job(N_JOBS + 1)), OCID_E_SPACE);

    unlink(filler);
    int rc;
    while ((rc = kit_add(k, kit_job(N_JOBS + 1)))) /* it looks twice a second at most */
        assert_int_equal(rc, OCID_E_SPACE);
    assert_true(ballast_is_there(k));
}

/* What belongs to new jobs goes with them. */
static void nothing_new_is_half_accepted(void **state)
{
    struct kit *k = small_disk(state, 4 * MIB);
    fill(k);
    end_all(k);
    struct store_job job = kit_job(N_JOBS + 1);
    struct store_op add = {.verb = STORE_ADD, .jobs = &job, .n = 1, .done = kit_done};
    struct store_op cursor = {.verb = STORE_XFER,
                              .tied = 1,
                              .done = kit_done,
                              .xfer = {.job = 1, .cursor = ocp_str("next")}};
    struct store_op other = {.verb = STORE_XFER, .done = kit_done, .xfer = {.job = 2}};
    struct mail_list all;
    mail_list_init(&all);
    mail_list_add(&all, &add.mail);
    mail_list_add(&all, &cursor.mail);
    mail_list_add(&all, &other.mail);
    unsigned n = kit_ended;
    store_post_all(k->store, &all);
    kit_wait(k, n + 3);
    assert_int_equal(add.err.code, OCID_E_SPACE);
    assert_int_equal(cursor.err.code, OCID_E_SPACE);
    assert_int_equal(other.err.code, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_it_verdicts_are_refused),
        T(what_was_accepted_can_always_be_ended),
        T(nothing_new_is_half_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
