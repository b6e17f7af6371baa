/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store.c - batches, answers, failing commits, opening, closing and dying.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "store/damage.h"
#include "tests/unit/store/kit.h"

static void answers_come_in_order(void **state)
{
    struct kit *k = *state;
    enum { N = 500 };
    static struct store_op ops[N];
    static struct store_job jobs[N];
    kit_must_open(k);
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = kit_job(i + 1);
        ops[i] = (struct store_op){.verb = STORE_ADD, .jobs = &jobs[i], .n = 1};
        kit_post(k, &ops[i]);
    }
    kit_wait(k, N);
    for (unsigned i = 0; i < N; i++) {
        assert_ptr_equal(kit_order[i], &ops[i]);
        assert_int_equal(ops[i].err.code, 0);
    }
}

/* What is posted in one go must not need a commit each: the fault point counts them. */
static void what_gathers_shares_a_commit(void **state)
{
    struct kit *k = *state;
    enum { N = 400 };
    static struct store_op ops[N];
    static struct store_job jobs[N];
    kit_must_open(k);
    fault_init("store.commit:40"); /* 400 ops in fewer than 40 commits: never hit */
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = kit_job(i + 1);
        ops[i] = (struct store_op){.verb = STORE_ADD, .jobs = &jobs[i], .n = 1};
        kit_post(k, &ops[i]);
    }
    kit_wait(k, N);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(ops[i].err.code, 0);
    kit_close(k);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM jobs"), N);
}

/* Holds the thread with a large array, so that what follows is one batch for certain. */
static void post_ballast(struct kit *k, struct store_op *op, struct store_job *jobs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        jobs[i] = kit_job(1000000 + i);
    *op = (struct store_op){.verb = STORE_ADD, .jobs = jobs, .n = n};
    kit_post(k, op);
}

static void a_refused_op_fails_alone(void **state)
{
    struct kit *k = *state;
    enum { N = 9, BALLAST = 20000 };
    struct store_op ballast, ops[N];
    struct store_job *heavy = oc_new(BALLAST, sizeof *heavy), jobs[N][2];
    kit_must_open(k);
    post_ballast(k, &ballast, heavy, BALLAST);
    for (unsigned i = 0; i < N; i++) {
        jobs[i][0] = kit_job(10 + 2 * i);
        jobs[i][1] = kit_job(i == 4 ? 10 : 11 + 2 * i); /* the fifth clashes with the first */
        ops[i] = (struct store_op){.verb = STORE_ADD, .jobs = jobs[i], .n = 2};
        kit_post(k, &ops[i]);
    }
    kit_wait(k, N + 1);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(ops[i].err.code, i == 4 ? OCID_E_INTERNAL : 0);
    assert_int_equal(kit_end(k, 9999, OCP_ENUM_state_done, 5), OCID_E_NOT_FOUND);
    kit_close(k);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM jobs WHERE id < 1000000"), 2 * (N - 1));
    free(heavy);
}

#ifdef OCID_FAULTS
static const struct {
    const char *fault;
    int code;
} faults[] = {
    {"store.begin:1", OCID_E_IO},
    {"store.commit:1", OCID_E_IO},
    {"store.write:1", OCID_E_SPACE},
    {"store.write:2", OCID_E_SPACE},
};

static void a_failed_commit_fails_each_op_of_it(void **state)
{
    struct kit *k = *state;
    kit_must_open(k);
    for (unsigned f = 0; f < sizeof faults / sizeof *faults; f++) {
        struct store_job jobs[4];
        struct store_op op = {.verb = STORE_ADD, .jobs = jobs, .n = 4}, end, read = {0};
        uint64_t ids[4];
        for (unsigned i = 0; i < 4; i++) {
            jobs[i] = kit_job(ids[i] = 100 * (f + 1) + i);
        }
        struct store_job ended = {.id = ids[0], .state = OCP_ENUM_state_done, .ended_at = 7};
        end = (struct store_op){.verb = STORE_END, .jobs = &ended, .n = 1};
        fault_init(faults[f].fault);
        unsigned before = kit_ended;
        kit_post(k, &op);
        kit_post(k, &end);
        kit_wait(k, before + 2);
        fault_init("");
        assert_true(op.err.code == faults[f].code || end.err.code == faults[f].code);
        if (op.err.code) {
            assert_true(end.err.code == op.err.code || end.err.code == OCID_E_NOT_FOUND);
            assert_true(op.err.text[0] != 0);
        }

        int existed = !op.err.code;
        read = (struct store_op){.verb = STORE_READ_JOBS, .ids = ids, .n_ids = 4};
        assert_int_equal(kit_run(k, &read), 0);
        assert_int_equal(read.n, existed ? 4 : 0);
        store_op_fini(&read);
        if (!existed)
            assert_int_equal(kit_run(k, &op), 0); /* the next commit works */
        assert_int_equal(kit_run(k, &end), 0);
    }
}

static void a_failed_open_can_be_tried_again(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    fault_init("store.open:1");
    assert_int_equal(kit_open(k, &err), OCID_E_IO);
    assert_null(k->store);
    assert_int_equal(kit_open(k, &err), 0);
}
#endif

static void a_second_opener_is_refused(void **state)
{
    struct kit *k = *state;
    struct store *other = NULL;
    struct store_options opt = {.dir = k->dir};
    struct oc_err err;
    char pid[32];
    kit_must_open(k);
    assert_int_equal(store_open(&k->loop, &opt, &other, &err), OCID_E_STATE);
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_int_equal(kit_add(k, kit_job(1)), 0);
    kit_close(k);
    kit_must_open(k);
}

static void identity_stays(void **state)
{
    struct kit *k = *state;
    char uuid[64];
    kit_must_open(k);
    snprintf(uuid, sizeof uuid, "%s", store_uuid(k->store));
    assert_int_equal(strlen(uuid), 36);
    assert_int_equal(uuid[14], '4');
    assert_true(store_last_id(k->store) == 0);
    assert_int_equal(kit_add(k, kit_job(77)), 0);
    kit_close(k);
    kit_must_open(k);
    assert_string_equal(store_uuid(k->store), uuid);
    assert_true(store_last_id(k->store) == 77);
}

static struct kit *reposting;
static struct store_op late;

static void post_another(struct store_op *op)
{
    kit_done(op);
    late = (struct store_op){.verb = STORE_DROP_XFER, .id = 5};
    kit_post(reposting, &late);
}

static void close_drains(void **state)
{
    struct kit *k = *state;
    enum { N = 300 };
    static struct store_op ops[N];
    static struct store_job jobs[N];
    kit_must_open(k);
    reposting = k;
    for (unsigned i = 0; i < N; i++) {
        jobs[i] = kit_job(i + 1);
        ops[i] = (struct store_op){.verb = STORE_ADD, .jobs = &jobs[i], .n = 1};
        kit_post(k, &ops[i]);
    }
    struct store_op page = {.verb = STORE_READ_PAGE,
                            .page = {.uid = 1000, .state = -1, .limit = 3}};
    page.done = post_another;
    store_post(k->store, &page);
    store_close(k->store);
    assert_int_equal(kit_ended, N + 2);
    assert_int_equal(page.err.code, 0);
    assert_int_equal(page.n, 3);
    assert_int_equal(late.err.code, OCID_E_STOPPING);
    k->store = NULL;
    uv_run(&k->loop, UV_RUN_DEFAULT);
    store_op_fini(&page);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM jobs"), N);
}

/* ---- kill -9 ---- */

static int told;

static void tell(struct store_op *op)
{
    if (write(told, &op->jobs->id, sizeof op->jobs->id) < 0)
        _exit(2);
    free(op->jobs);
    free(op);
}

/* Posts a few a turn for ever; says each id once it was told that the row is on disk. */
static void poster(const char *dir, int fd)
{
    uv_loop_t loop;
    struct store *s;
    struct store_options opt = {.dir = dir};
    struct oc_err err;
    told = fd;
    if (uv_loop_init(&loop) < 0 || store_open(&loop, &opt, &s, &err) < 0)
        _exit(1);
    for (uint64_t id = store_last_id(s) + 1;;) {
        for (int i = 0; i < 7; i++, id++) {
            struct store_op *op = OC_NEW(struct store_op);
            op->verb = STORE_ADD;
            op->jobs = OC_NEW(struct store_job);
            *op->jobs = kit_job(id);
            op->n = 1;
            op->done = tell;
            store_post(s, op);
        }
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static uint64_t kill_one(struct kit *k, uint64_t n_wanted)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (!child)
        poster(k->dir, ends[1]);
    close(ends[1]);
    uint64_t id = 0, last = 0, n = 0;
    while (n < n_wanted && read(ends[0], &id, sizeof id) == sizeof id) {
        last = id;
        n++;
    }
    kill(child, SIGKILL);
    while (read(ends[0], &id, sizeof id) == sizeof id)
        last = id;
    close(ends[0]);
    waitpid(child, NULL, 0);
    assert_true(n == n_wanted);
    return last;
}

static void what_was_told_survives_a_kill(void **state)
{
    struct kit *k = *state;
    for (unsigned round = 0; round < 6; round++) {
        uint64_t last = kill_one(k, 50 + 211 * round);
        kit_must_open(k);
        assert_true(store_last_id(k->store) >= last);
        kit_close(k);
        char sql[96];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM jobs WHERE id <= %llu",
                 (unsigned long long)last);
        assert_int_equal(kit_sql(k, sql), last); /* ids have no holes */
    }
}

/* ---- damage ---- */

static void scribble(struct kit *k, off_t at, const char *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/queue.db", k->dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static void a_damaged_file_is_refused_and_kept(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    static const char junk[8192] = "this is no database";
    scribble(k, 0, junk, sizeof junk);
    assert_int_equal(kit_open(k, &err), OCID_E_IO);
    assert_non_null(strstr(err.text, "damaged"));
    char path[PATH_MAX], head[20] = {0};
    assert_int_equal(damage_find(k->dir, path, &err), 0);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, head, 19), 19);
    close(fd);
    assert_string_equal(head, junk);
    for (int i = 0; i < 2; i++) { /* and not only once: an empty queue would be a lie */
        assert_int_equal(kit_open(k, &err), OCID_E_IO);
        assert_non_null(strstr(err.text, "ocid --recover"));
    }
    assert_int_equal(unlink(path), 0);
    kit_must_open(k);
}

static void an_empty_file_is_no_new_queue(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    scribble(k, 0, "", 0);
    assert_int_equal(kit_open(k, &err), OCID_E_IO);
    assert_non_null(strstr(err.text, "damaged"));
}

static void damage_is_looked_for_after_a_crash(void **state)
{
    struct kit *k = *state;
    struct oc_err err;
    kill_one(k, 400);
    kit_must_open(k); /* copies the log back */
    kit_close(k);
    static char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    scribble(k, kit_sql(k, "SELECT rootpage FROM sqlite_schema WHERE name='jobs'") * 4096 - 4096,
             junk, sizeof junk);
    char path[128];
    snprintf(path, sizeof path, "%s/lock", k->dir);
    FILE *lock = fopen(path, "w"); /* as one that was killed leaves it */
    fputs("1\n", lock);
    fclose(lock);
    assert_int_equal(kit_open(k, &err), OCID_E_IO);
    assert_non_null(strstr(err.text, "damaged"));
}

static void a_directory_that_is_not_there(void **state)
{
    struct kit *k = *state;
    struct store_options opt = {.dir = "/nonexistent/ocid"};
    struct store *s = NULL;
    struct oc_err err;
    assert_int_equal(store_open(&k->loop, &opt, &s, &err), OCID_E_IO);
    assert_non_null(strstr(err.text, "/nonexistent/ocid"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_told_survives_a_kill), /* forks: first, while there are no threads */
        T(damage_is_looked_for_after_a_crash),
        T(answers_come_in_order),
        T(what_gathers_shares_a_commit),
        T(a_refused_op_fails_alone),
#ifdef OCID_FAULTS
        T(a_failed_commit_fails_each_op_of_it),
        T(a_failed_open_can_be_tried_again),
#endif
        T(a_second_opener_is_refused),
        T(identity_stays),
        T(close_drains),
        T(a_damaged_file_is_refused_and_kept),
        T(an_empty_file_is_no_new_queue),
        T(a_directory_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
