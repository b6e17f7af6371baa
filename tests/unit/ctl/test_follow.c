/* SPDX-License-Identifier: Apache-2.0
 *
 * test_follow.c - exit statuses and words of waiting, and refused members of a set, against a
 * daemon of a few lines.
 */
#include "../lib/fake.h"
#include "kit.h"

#include "ctl/batch.h"
#include "ctl/follow.h"

/* What the daemon says of jobs 1, 2, ...: their ends. */
struct script {
    struct {
        int state;
        const char *error, *text;
    } jobs[4];
    uint32_t n;
    int waits; /* questions that are answered by "running" first */
    struct oc_buf outcome[4];
};

static int answer(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct script *s = f->user;
    struct ocp_status jobs[4];
    if (method != OCP_METHOD_job_status)
        return -1;
    for (uint32_t i = 0; i < s->n; i++) {
        struct ocp_outcome o = {0};
        jobs[i] = fake_status(i + 1, s->waits > 0 ? OCP_ENUM_state_running : s->jobs[i].state);
        if (s->waits > 0 || !s->jobs[i].error)
            continue;
        OCP_SET(&o, outcome, error, ocp_str(s->jobs[i].error));
        OCP_SET(&o, outcome, text, ocp_str(s->jobs[i].text));
        oc_buf_init(&s->outcome[i], 4096);
        ocp_pack(&ocp_desc_outcome, &o, &s->outcome[i]);
        OCP_SET(&jobs[i], status, outcome, ocp_span(&s->outcome[i], 1));
    }
    s->waits--;
    fake_statuses(f, env->id, method, 9, jobs, s->n);
    for (uint32_t i = 0; s->waits < 0 && i < s->n; i++)
        oc_buf_fini(&s->outcome[i]);
    return 0;
}

enum {
    DONE = OCP_ENUM_state_done,
    FAILED = OCP_ENUM_state_failed,
    ENDED = OCP_ENUM_state_cancelled
};

static const struct {
    const char *name;
    uint64_t n;
    struct script script;
    int want;
    const char *words;
} rows[] = {
    {"done", 1, {.jobs = {{DONE, NULL, NULL}}, .n = 1}, 0, ""},
    {"done later", 1, {.jobs = {{DONE, NULL, NULL}}, .n = 1, .waits = 2}, 0, ""},
    {"not found",
     1,
     {.jobs = {{FAILED, "not_found", "no such object"}}, .n = 1},
     4,
     "ocictl: job 1: no such object\n"},
    {"condition", 1, {.jobs = {{FAILED, "condition", "etag differs"}}, .n = 1}, 6, "etag differs"},
    {"exists", 1, {.jobs = {{FAILED, "exists", "it exists"}}, .n = 1}, 6, "it exists"},
    {"source changed", 1, {.jobs = {{FAILED, "source_changed", "changed"}}, .n = 1}, 7, "changed"},
    {"credentials", 1, {.jobs = {{FAILED, "auth", "refused"}}, .n = 1}, 5, "refused"},
    {"checksum", 1, {.jobs = {{FAILED, "checksum", "sum"}}, .n = 1}, 1, "sum"},
    {"of a newer daemon", 1, {.jobs = {{FAILED, "moon_phase", "bad moon"}}, .n = 1}, 1, "bad moon"},
    {"cancelled", 1, {.jobs = {{ENDED, NULL, NULL}}, .n = 1}, 1, "cancelled"},
    {"escaped", 1, {.jobs = {{FAILED, "server", "a\033[2J"}}, .n = 1}, 1, "a\\x1b[2J"},
    {"both done", 2, {.jobs = {{DONE, NULL, NULL}, {DONE, NULL, NULL}}, .n = 2}, 0, ""},
    {"some",
     2,
     {.jobs = {{DONE, NULL, NULL}, {FAILED, "not_found", "no"}}, .n = 2},
     8,
     "job 2: no"},
    {"all alike",
     2,
     {.jobs = {{FAILED, "not_found", "no"}, {FAILED, "not_found", "no"}}, .n = 2},
     4,
     "job 1: no"},
    {"all, not alike",
     2,
     {.jobs = {{FAILED, "not_found", "no"}, {FAILED, "denied", "no"}}, .n = 2},
     8,
     "job 2: no"},
    {"one is unknown", 2, {.jobs = {{DONE, NULL, NULL}}, .n = 1}, 8, "job 2: no such job"},
};

static struct ctl *make(struct fake *f, struct args *a)
{
    static struct ctl ctl;
    memset(a, 0, sizeof *a);
    a->verb = VERB_wait;
    ctl = (struct ctl){.args = a, .c = fake_open(f)};
    return &ctl;
}

static void test_exit_statuses(void **state)
{
    static const uint64_t ids[] = {1, 2};
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct fake f = {0};
        struct script s = rows[i].script;
        struct args a;
        struct kit_capture c;
        fake_begin(&f, answer, &s);
        struct ctl *ctl = make(&f, &a);
        kit_capture(&c, STDERR_FILENO);
        int got = follow_wait(ctl, ids, rows[i].n, UINT64_MAX);
        const char *words = kit_release(&c);
        ocid_close(ctl->c);
        fake_end(&f);
        if (got != rows[i].want)
            fail_msg("row '%s': exit status %d, not %d", rows[i].name, got, rows[i].want);
        row_check(rows[i].name, strstr(words, rows[i].words));
        row_check(rows[i].name, *rows[i].words || !*words);
    }
}

static int say_nothing(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct ocp_status running = fake_status(1, OCP_ENUM_state_running);
    int *asked = f->user;
    if (!(*asked)++)
        fake_statuses(f, env->id, method, 9, &running, 1);
    else
        fake_statuses(f, env->id, method, 9, &running, 0);
    return 0;
}

static void test_time_is_up(void **state)
{
    struct fake f = {0};
    struct args a;
    struct kit_capture c;
    uint64_t id = 1;
    int asked = 0;
    (void)state;
    fake_begin(&f, say_nothing, &asked);
    struct ctl *ctl = make(&f, &a);
    kit_capture(&c, STDERR_FILENO);
    int got = follow_wait(ctl, &id, 1, 50);
    const char *words = kit_release(&c);
    ocid_close(ctl->c);
    fake_end(&f);
    assert_int_equal(got, EXIT_TIMED_OUT);
    assert_non_null(strstr(words, "have not ended in time"));
}

static int unknown(struct fake *f, int method, const struct ocp_envelope *env)
{
    (void)method;
    return fake_error(f, env->id, OCID_E_NOT_FOUND, -1, "no such job");
}

static void test_nobody_s_job(void **state)
{
    struct fake f = {0};
    struct args a;
    struct kit_capture c;
    uint64_t id = 5;
    (void)state;
    fake_begin(&f, unknown, NULL);
    struct ctl *ctl = make(&f, &a);
    kit_capture(&c, STDERR_FILENO);
    int got = follow_wait(ctl, &id, 1, UINT64_MAX);
    const char *words = kit_release(&c);
    ocid_close(ctl->c);
    fake_end(&f);
    assert_int_equal(got, 4);
    assert_string_equal(words, "ocictl: job 5: no such job (see: ocictl status --all)\n");
}

/* ---- Sets */

struct takes {
    int n_messages, n_jobs;
    const char *bad; /* object that is refused */
    int full_after;  /* jobs until the queue is full; 0: never */
    bool all_have_set;
};

static int take(struct fake *f, int method, const struct ocp_envelope *env)
{
    struct takes *t = f->user;
    struct ocp_submit submit;
    struct ocp_iter it = {0};
    struct ocp_job job;
    int64_t n = 0, refused = -1;
    if (method != OCP_METHOD_job_submit ||
        ocp_unpack(&ocp_desc_submit, env->body.p, env->body.n, &submit, NULL))
        return -1;
    for (; ocp_next_sub(&ocp_desc_job, &submit.jobs, &it, &job, NULL, NULL) == 1; n++) {
        if (job.kind == OCP_ENUM_kind_put && job.set != 500)
            t->all_have_set = false;
        if (t->bad && refused < 0 && ocp_str_is(job.object, t->bad))
            refused = n;
    }
    t->n_messages++;
    if (refused >= 0)
        return fake_error(f, env->id, OCID_E_NAME, refused, "that name cannot be");
    if (t->full_after && t->n_jobs + n > t->full_after)
        return fake_error(f, env->id, OCID_E_QUEUE_FULL, -1, "the queue is full");
    fake_ids(f, env->id, job.kind == OCP_ENUM_kind_set ? 500 : 501 + (uint64_t)t->n_jobs,
             (uint32_t)n);
    t->n_jobs += job.kind == OCP_ENUM_kind_set ? 0 : (int)n;
    return 0;
}

static int fill(struct batch *b, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        if (batch_room(b))
            return b->status;
        snprintf(name, sizeof name, "o%d", i);
        b->jobs[b->n] = ocid_job_of(OCID_KIND_PUT);
        b->jobs[b->n].bucket = "b";
        b->jobs[b->n].object = batch_text(b, name);
        b->jobs[b->n].source = "/x";
        b->pairs[b->n][0] = (struct ocid_pair){"k", batch_text(b, name)};
        b->jobs[b->n].n_metadata = 1;
        batch_add(b);
    }
    return batch_flush(b);
}

static void batch_case(struct takes *t, int n, int status, uint64_t taken, uint64_t lost,
                       const char *say)
{
    struct fake f = {0};
    struct args a;
    struct kit_capture c;
    struct batch *b = calloc(1, sizeof *b);
    struct ocid_job set = ocid_job_of(OCID_KIND_SET);
    t->all_have_set = true;
    fake_begin(&f, take, t);
    struct ctl *ctl = make(&f, &a);
    batch_init(b, ctl, &set);
    kit_capture(&c, STDERR_FILENO);
    int got = fill(b, n);
    const char *words = kit_release(&c);
    ocid_close(ctl->c);
    fake_end(&f);
    assert_int_equal(got, status);
    assert_int_equal(b->n_taken, taken);
    assert_int_equal(b->n_lost, lost);
    assert_true(t->all_have_set);
    assert_int_equal(t->n_jobs, taken);
    if (*say)
        assert_non_null(strstr(words, say));
    else
        assert_string_equal(words, "");
    batch_fini(b);
    free(b);
}

static void test_members_go_in_arrays(void **state)
{
    struct takes t = {0};
    (void)state;
    batch_case(&t, 700, 0, 700, 0, "");
    assert_int_equal(t.n_messages, 1 + 3);
}

static void test_a_refused_member_is_left_out(void **state)
{
    struct takes t = {.bad = "o3"};
    (void)state;
    batch_case(&t, 10, 0, 9, 1, "ocictl: put 'o3': that name cannot be");
}

static void test_a_full_queue_ends_it(void **state)
{
    struct takes t = {.full_after = 300};
    (void)state;
    batch_case(&t, 700, 75, 250, 0, "the queue is full");
}

static void test_no_member_makes_no_set(void **state)
{
    struct takes t = {0};
    (void)state;
    batch_case(&t, 0, 0, 0, 0, "");
    assert_int_equal(t.n_messages, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_statuses),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_nobody_s_job),
        cmocka_unit_test(test_members_go_in_arrays),
        cmocka_unit_test(test_a_refused_member_is_left_out),
        cmocka_unit_test(test_a_full_queue_ends_it),
        cmocka_unit_test(test_no_member_makes_no_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
