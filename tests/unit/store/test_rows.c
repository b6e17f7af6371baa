/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rows.c - rows go in and come out as they were; searches, prunes, the load at start.
 */
#include "tests/unit/store/kit.h"

static const struct {
    const char *name;
    struct store_job job;
} rows[] = {
    {"least", {.id = 1}},
    {"all of it",
     {.id = 2,
      .set = 1,
      .uid = 4294967294u,
      .kind = OCP_ENUM_kind_pull,
      .state = OCP_ENUM_state_paused,
      .sealed = 1,
      .created_at = 1700000000123,
      .ended_at = 1700000000456,
      .client = {"label", 5},
      .key = {"key \xc3\xa9", 6},
      .spec = {"\0spec\0", 6},
      .outcome = {"\xff\0out", 5}}},
    {"largest id", {.id = INT64_MAX - 1, .created_at = -1}},
};

static void assert_same(struct ocp_str a, struct ocp_str b)
{
    assert_int_equal(a.n, b.n);
    assert_non_null(a.p);
    assert_memory_equal(a.p, b.n ? b.p : "", b.n);
}

static void assert_same_job(const struct store_job *a, const struct store_job *b)
{
    assert_true(a->id == b->id && a->set == b->set && a->uid == b->uid && a->kind == b->kind);
    assert_true(a->state == b->state && a->sealed == b->sealed);
    assert_true(a->created_at == b->created_at && a->ended_at == b->ended_at);
    assert_same(a->client, b->client);
    assert_same(a->key, b->key);
    assert_same(a->spec, b->spec);
    assert_same(a->outcome, b->outcome);
}

/* One row; the caller calls store_op_fini(op). */
static uint32_t read_job(struct kit *k, struct store_op *op, uint64_t id)
{
    *op = (struct store_op){.verb = STORE_READ_JOBS, .ids = &id, .n_ids = 1};
    assert_int_equal(kit_run(k, op), 0);
    return op->n;
}

static void jobs_come_back_as_they_were(void **state)
{
    struct kit *k = *state;
    kit_must_open(k);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(kit_add(k, rows[i].job), 0);
    kit_close(k);
    kit_must_open(k);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_op op;
        assert_int_equal(read_job(k, &op, rows[i].job.id), 1);
        assert_same_job(&op.jobs[0], &rows[i].job);
        store_op_fini(&op);
        store_op_fini(&op); /* twice is once */
    }
}

static void several_ids_at_once(void **state)
{
    struct kit *k = *state;
    uint64_t ids[] = {3, 9, 1, 77};
    kit_must_open(k);
    for (uint64_t id = 1; id <= 3; id++)
        kit_add(k, kit_job(id));
    struct store_op op = {.verb = STORE_READ_JOBS, .ids = ids, .n_ids = 4};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(op.n, 2);
    assert_true(op.jobs[0].id == 3 && op.jobs[1].id == 1);
    assert_int_equal(kit_run(k, &op), 0); /* posted again: the old results are gone */
    assert_int_equal(op.n, 2);
    store_op_fini(&op);
    assert_int_equal(op.n, 0);
}

static void states_and_ends(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    kit_must_open(k);
    kit_add(k, kit_job(5));
    struct store_job job = {
        .id = 5, .state = OCP_ENUM_state_paused, .sealed = 1, .outcome = ocp_str("so far")};
    op = (struct store_op){.verb = STORE_STATE, .jobs = &job, .n = 1};
    assert_int_equal(kit_run(k, &op), 0);
    read_job(k, &op, 5);
    assert_true(op.jobs[0].state == OCP_ENUM_state_paused && op.jobs[0].sealed);
    assert_str_is(op.jobs[0].outcome, "so far");
    assert_str_is(op.jobs[0].client, "notebook");
    store_op_fini(&op);

    assert_int_equal(kit_end(k, 5, OCP_ENUM_state_failed, 99), 0);
    read_job(k, &op, 5);
    assert_true(op.jobs[0].state == OCP_ENUM_state_failed && op.jobs[0].ended_at == 99);
    assert_str_is(op.jobs[0].outcome, "out");
    assert_true(op.jobs[0].sealed);
    store_op_fini(&op);
    job.id = 6;
    op = (struct store_op){.verb = STORE_STATE, .jobs = &job, .n = 1};
    assert_int_equal(kit_run(k, &op), OCID_E_NOT_FOUND);
}

/* ---- transfers and parts ---- */

static int put_xfer(struct kit *k, uint64_t job, int phase)
{
    struct store_op op = {
        .verb = STORE_XFER,
        .xfer = {.job = job,
                 .phase = phase,
                 .total = 10ull << 40,
                 .part_bytes = 2048ull << 20,
                 .remote_id = ocp_str("upload"),
                 .etag = ocp_str("tag"),
                 .cursor = {".ocid-\xff", 7},
                 .has_crc32c = job != 2,
                 .crc32c = job == 2 ? 0 : UINT32_MAX - (uint32_t)job,
                 .md5 = ocp_str(job == 2 ? "" : "sum-2")},
    };
    return kit_run(k, &op);
}

static int put_part(struct kit *k, uint64_t job, uint32_t no, const char *etag)
{
    struct store_part part = {.job = job,
                              .part_no = no,
                              .bytes = 5ull << 30,
                              .crc32c = 0xfedcba98,
                              .etag = ocp_str(etag)};
    struct store_op op = {.verb = STORE_PART, .parts = &part, .n = 1};
    return kit_run(k, &op);
}

static uint32_t read_parts(struct kit *k, struct store_op *op, uint64_t job)
{
    *op = (struct store_op){.verb = STORE_READ_PARTS, .id = job};
    assert_int_equal(kit_run(k, op), 0);
    return op->n;
}

static uint32_t n_parts(struct kit *k, uint64_t job)
{
    struct store_op op;
    uint32_t n = read_parts(k, &op, job);
    store_op_fini(&op);
    return n;
}

struct seen {
    unsigned n_jobs, n_xfers, n_keys, n_tallies;
    uint64_t last_job, key_id;
    uint32_t key_uid;
    char key[32];
    struct store_xfer xfer;
    struct store_tally tally;
    char limits[32];
};

static void on_job(void *arg, const struct store_job *row)
{
    struct seen *s = arg;
    assert_true(row->id > s->last_job && !row->ended_at);
    s->last_job = row->id;
    s->n_jobs++;
}

static void on_xfer(void *arg, const struct store_xfer *row)
{
    struct seen *s = arg;
    s->n_xfers++;
    s->xfer = *row;
    assert_str_is(row->remote_id, "upload");
    assert_str_is(row->etag, "tag");
    assert_str_is(row->cursor, ".ocid-\xff");
    assert_true(row->has_crc32c == (row->job != 2));
    assert_int_equal(row->crc32c, row->job == 2 ? 0 : UINT32_MAX - (uint32_t)row->job);
    assert_str_is(row->md5, row->job == 2 ? "" : "sum-2");
}

static void on_key(void *arg, uint32_t uid, struct ocp_str key, uint64_t id)
{
    struct seen *s = arg;
    s->n_keys++;
    s->key_uid = uid;
    s->key_id = id;
    ocp_str_copy(key, s->key, sizeof s->key);
}

static void on_tally(void *arg, const struct store_tally *t)
{
    struct seen *s = arg;
    s->n_tallies++;
    s->tally = *t;
}

static void on_limits(void *arg, struct ocp_str limits)
{
    struct seen *s = arg;
    assert_true(limits.n > 0);
    ocp_str_copy(limits, s->limits, sizeof s->limits);
}

static struct seen load(struct kit *k)
{
    struct seen s = {0};
    struct oc_err err;
    struct store_loader to = {on_job, on_xfer, on_key, on_tally, on_limits, &s};
    assert_int_equal(store_load(k->store, &to, &err), 0);
    return s;
}

static struct seen reload(struct kit *k)
{
    kit_close(k);
    kit_must_open(k);
    return load(k);
}

static void parts_come_in_their_order(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    kit_must_open(k);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(put_part(k, 7, 1 + i * 37 % 100, "e"), 0);
    put_part(k, 8, 1, "another's");
    put_part(k, 7, 3, "again");
    assert_int_equal(read_parts(k, &op, 7), 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(op.parts[i].part_no, i + 1);
    assert_str_is(op.parts[2].etag, "again");
    assert_true(op.parts[0].bytes == 5ull << 30 && op.parts[0].crc32c == 0xfedcba98);
    assert_true(op.parts[0].job == 7);
    store_op_fini(&op);
}

static void transfers_are_kept_and_forgotten(void **state)
{
    struct kit *k = *state;
    kit_must_open(k);
    for (uint64_t id = 1; id <= 5; id++) {
        kit_add(k, kit_job(id));
        assert_int_equal(put_xfer(k, id, 1), 0);
        assert_int_equal(put_xfer(k, id, 2), 0);
        put_part(k, id, 1, "e");
    }
    struct seen s = reload(k);
    assert_int_equal(s.n_xfers, 5);
    assert_true(s.xfer.job == 5 && s.xfer.phase == 2 && s.xfer.total == 10ull << 40);
    assert_true(s.xfer.part_bytes == 2048ull << 20);

    struct store_op op = {.verb = STORE_DROP_XFER, .id = 1};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(n_parts(k, 1), 0);
    op = (struct store_op){.verb = STORE_DROP_PARTS, .id = 2};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(n_parts(k, 2), 0);
    kit_end(k, 3, OCP_ENUM_state_done, 9);
    assert_int_equal(n_parts(k, 3), 0);
    struct store_job job = {.id = 4, .state = OCP_ENUM_state_cancelled, .ended_at = 9};
    op = (struct store_op){.verb = STORE_END, .jobs = &job, .n = 1, .keep_xfer = 1};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(n_parts(k, 4), 1);
    assert_int_equal(reload(k).n_xfers, 3); /* 2, 4 and 5 */
}

/* ---- the load at start ---- */

static void end_with_bytes(struct kit *k, uint64_t id, uint64_t bytes)
{
    struct oc_buf b;
    struct ocp_outcome out = {0};
    OCP_SET(&out, outcome, bytes, bytes);
    oc_buf_init(&b, 4096);
    assert_int_equal(ocp_pack(&ocp_desc_outcome, &out, &b), 0);
    struct store_job job = {.id = id,
                            .state = OCP_ENUM_state_done,
                            .ended_at = 9,
                            .outcome = {b.data, (uint32_t)b.len}};
    struct store_op op = {.verb = STORE_END, .jobs = &job, .n = 1};
    assert_int_equal(kit_run(k, &op), 0);
    oc_buf_fini(&b);
}

static void add_set(struct kit *k, uint64_t id)
{
    struct store_job set = kit_job(id);
    set.kind = OCP_ENUM_kind_set;
    kit_add(k, set);
    for (uint64_t i = 1; i <= 6; i++) {
        struct store_job job = kit_job(id + i);
        job.set = id;
        kit_add(k, job);
    }
    end_with_bytes(k, id + 1, 1000);
    end_with_bytes(k, id + 2, 1ull << 40);
    kit_end(k, id + 3, OCP_ENUM_state_failed, 9);
    kit_end(k, id + 4, OCP_ENUM_state_cancelled, 9);
}

static void the_load_tells_what_lives(void **state)
{
    struct kit *k = *state;
    kit_must_open(k);
    struct store_job keyed = kit_job(1);
    keyed.key = ocp_str("twice is once");
    kit_add(k, keyed);
    kit_end(k, 1, OCP_ENUM_state_done, 9);
    add_set(k, 10);
    add_set(k, 20);
    kit_end(k, 10, OCP_ENUM_state_done, 9); /* final: nobody asks for its sums */
    struct seen s = reload(k);
    assert_int_equal(s.n_jobs, 5);
    assert_true(s.n_keys == 1 && s.key_uid == 1000 && s.key_id == 1);
    assert_string_equal(s.key, "twice is once");
    assert_int_equal(s.n_tallies, 1);
    assert_true(s.tally.set == 20 && s.tally.n_done == 2);
    assert_true(s.tally.n_failed == 1 && s.tally.n_cancelled == 1);
    assert_true(s.tally.bytes == (1ull << 40) + 1000);
}

/* ---- pages ---- */

static uint32_t page(struct kit *k, struct store_op *op, uint32_t uid, int of, uint64_t set,
                     uint64_t cursor, uint32_t limit)
{
    *op = (struct store_op){
        .verb = STORE_READ_PAGE,
        .page = {.uid = uid, .state = of, .set = set, .cursor = cursor, .limit = limit},
    };
    assert_int_equal(kit_run(k, op), 0);
    return op->n;
}

static void add_many(struct kit *k, uint64_t from, uint32_t n, uint32_t uid, uint64_t set)
{
    struct store_job *jobs = oc_new(n, sizeof *jobs);
    for (uint32_t i = 0; i < n; i++) {
        jobs[i] = kit_job(from + i);
        jobs[i].uid = uid;
        jobs[i].set = set;
    }
    struct store_op op = {.verb = STORE_ADD, .jobs = jobs, .n = n};
    assert_int_equal(kit_run(k, &op), 0);
    free(jobs);
}

static void pages_are_newest_first(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    kit_must_open(k);
    add_many(k, 1, 10, 1000, 0);
    add_many(k, 11, 5, 1001, 0);
    add_many(k, 16, 5, 1000, 3);
    kit_end(k, 4, OCP_ENUM_state_failed, 9);
    assert_int_equal(page(k, &op, 1000, -1, 0, 0, 4), 4);
    assert_true(op.jobs[0].id == 10 && op.jobs[3].id == 7);
    store_op_fini(&op);
    assert_int_equal(page(k, &op, 1000, -1, 0, 7, 100), 6);
    assert_true(op.jobs[0].id == 6 && op.jobs[5].id == 1);
    assert_str_is(op.jobs[5].client, "notebook");
    store_op_fini(&op);
    assert_int_equal(page(k, &op, 1000, OCP_ENUM_state_failed, 0, 0, 100), 1);
    assert_true(op.jobs[0].id == 4);
    store_op_fini(&op);
    assert_int_equal(page(k, &op, 1000, -1, 3, 0, 100), 5);
    store_op_fini(&op);
    assert_int_equal(page(k, &op, 1001, -1, 3, 0, 100), 0); /* not his */
    store_op_fini(&op);
    assert_int_equal(page(k, &op, 1001, -1, 0, 0, 0), 0);
    store_op_fini(&op);
}

/* A row at the far end of many: found, and meanwhile others are answered. */
static void a_long_search_lets_others_pass(void **state)
{
    struct kit *k = *state;
    struct store_op far, near;
    kit_must_open(k);
    add_many(k, 1, 1, 77, 0);
    add_many(k, 2, 50000, 1000, 0);
    kit_ended = 0;
    far = (struct store_op){.verb = STORE_READ_PAGE, .page = {.uid = 77, .state = -1, .limit = 10}};
    kit_post(k, &far);
    struct store_job job = kit_job(60000);
    near = (struct store_op){.verb = STORE_ADD, .jobs = &job, .n = 1};
    kit_post(k, &near);
    kit_wait(k, 2);
    assert_ptr_equal(kit_order[0], &near);
    assert_int_equal(near.err.code, 0);
    assert_int_equal(far.n, 1);
    assert_true(far.jobs[0].id == 1);
    store_op_fini(&far);
}

/* ---- prune ---- */

static uint32_t prune(struct kit *k, struct store_op *op, int64_t before, uint64_t keep)
{
    *op = (struct store_op){.verb = STORE_PRUNE, .before = before, .keep = keep};
    assert_int_equal(kit_run(k, op), 0);
    return op->n;
}

static void a_prune_takes_the_old_and_the_many(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    kit_must_open(k);
    for (uint64_t id = 1; id <= 9; id++) {
        struct store_job job = kit_job(id);
        job.key = ocp_str("key");
        kit_add(k, job);
        if (id != 5)
            kit_end(k, id, OCP_ENUM_state_done, 100 + (int64_t)id);
    }
    assert_int_equal(prune(k, &op, 103, 100), 2); /* 1 and 2 are too old */
    assert_true(op.jobs[0].id == 2 && op.jobs[1].id == 1 && op.jobs[0].uid == 1000);
    assert_str_is(op.jobs[0].key, "key");
    store_op_fini(&op);
    assert_int_equal(prune(k, &op, 0, 4), 2); /* 9 8 7 6 stay, 5 lives, 4 and 3 go */
    assert_true(op.jobs[0].id == 4 && op.jobs[1].id == 3);
    store_op_fini(&op);
    assert_int_equal(prune(k, &op, 103, 4), 0);
    store_op_fini(&op);
    assert_int_equal(prune(k, &op, 1000, 0), 4);
    store_op_fini(&op);
    kit_close(k);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM jobs"), 1);
    kit_must_open(k);
    assert_true(store_last_id(k->store) == 9); /* ids never come again */
}

static void a_prune_spares_what_is_needed(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    kit_must_open(k);
    add_set(k, 10); /* lives */
    kit_add(k, kit_job(30));
    put_xfer(k, 30, 4);
    struct store_job job = {.id = 30, .state = OCP_ENUM_state_cancelled, .ended_at = 9};
    op = (struct store_op){.verb = STORE_END, .jobs = &job, .n = 1, .keep_xfer = 1};
    assert_int_equal(kit_run(k, &op), 0);
    assert_int_equal(prune(k, &op, 1000, 0), 0);
    store_op_fini(&op);

    kit_end(k, 15, OCP_ENUM_state_done, 9);
    kit_end(k, 16, OCP_ENUM_state_done, 9);
    kit_end(k, 10, OCP_ENUM_state_done, 9);
    op = (struct store_op){.verb = STORE_DROP_XFER, .id = 30};
    kit_run(k, &op);
    assert_int_equal(prune(k, &op, 1000, 0), 8);
    store_op_fini(&op);
}

static void a_large_prune_goes_in_pieces(void **state)
{
    struct kit *k = *state;
    struct store_op op;
    enum { N = 9000 };
    kit_must_open(k);
    add_many(k, 1, N, 1000, 0);
    kit_close(k);
    kit_sql(k, "UPDATE jobs SET state=4, ended_at=50");
    kit_must_open(k);
    uint32_t n = 0, posts = 0, one;
    do {
        one = prune(k, &op, 0, 100);
        store_op_fini(&op);
        n += one;
        posts++;
    } while (one);
    assert_int_equal(n, N - 100);
    assert_true(posts >= 3);
}

#ifdef OCID_FAULTS
/* What the stretches before the failing one have taken is told and gone, the rest is there. */
static void a_prune_that_fails_midway(void **state)
{
    struct kit *k = *state;
    enum { N = 5000 };
    kit_must_open(k);
    add_many(k, 1, N, 1000, 0);
    kit_close(k);
    kit_sql(k, "UPDATE jobs SET state=4, ended_at=50");
    kit_must_open(k);
    fault_init("store.commit:2");
    struct store_op op = {.verb = STORE_PRUNE, .before = 1000};
    assert_int_equal(kit_run(k, &op), OCID_E_IO);
    fault_init("");
    uint32_t n = op.n;
    assert_true(n > 0 && n < N);
    store_op_fini(&op);
    kit_close(k);
    assert_int_equal(kit_sql(k, "SELECT count(*) FROM jobs"), N - n);
}
#endif

static int put_limits(struct kit *k, const char *text)
{
    struct store_op op = {.verb = STORE_LIMITS, .limits = ocp_str(text)};
    return kit_run(k, &op);
}

static void limits_are_kept_as_one(void **state)
{
    struct kit *k = *state;
    kit_must_open(k);
    assert_string_equal(load(k).limits, "");
    assert_int_equal(put_limits(k, "a"), 0);
    assert_int_equal(put_limits(k, "b\xff"), 0);
    assert_string_equal(reload(k).limits, "b\xff");
    assert_int_equal(put_limits(k, ""), 0);
    assert_string_equal(reload(k).limits, "");
    assert_int_equal(strlen(store_uuid(k->store)), 36); /* its neighbour */
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(jobs_come_back_as_they_were),
        T(several_ids_at_once),
        T(states_and_ends),
        T(parts_come_in_their_order),
        T(transfers_are_kept_and_forgotten),
        T(the_load_tells_what_lives),
        T(pages_are_newest_first),
        T(limits_are_kept_as_one),
        T(a_long_search_lets_others_pass),
        T(a_prune_takes_the_old_and_the_many),
        T(a_prune_spares_what_is_needed),
        T(a_large_prune_goes_in_pieces),
#ifdef OCID_FAULTS
        T(a_prune_that_fails_midway),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
