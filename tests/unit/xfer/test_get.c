/* SPDX-License-Identifier: Apache-2.0
 *
 * test_get.c - the planner of downloads: stages by hand, and thousands of lives at random.
 *
 * The random lives run against a model of an object that others overwrite, a part file and a
 * database; now and then the daemon "dies". The seed is printed; PLAN_SEED=n sets it.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "oci/checksum.h"
#include "xfer/parts.h"
#include "xfer/plan.h"

enum { PART = 64 * 1024 };

/* ---- by hand ---- */

static struct xfer_get *make(uint64_t part_bytes)
{
    struct xfer_get *g;
    assert_int_equal(xfer_get_new(part_bytes, &g, NULL), 0);
    return g;
}

static struct get_facts facts(const struct xfer_get *g)
{
    struct get_facts f;
    xfer_get_facts(g, &f);
    return f;
}

static struct xfer_step expect(struct xfer_get *g, enum step_kind kind)
{
    struct xfer_step s;
    xfer_get_next(g, &s);
    assert_int_equal(s.kind, kind);
    assert_int_equal(s.op, kind == STEP_REQUEST ? OP_RANGE : OP_NONE);
    return s;
}

static void step(struct xfer_get *g, enum step_kind kind, enum step_end how)
{
    struct xfer_step s = expect(g, kind);
    xfer_get_end(g, &s, how, 0);
}

static void range(struct xfer_get *g, uint32_t part_no, enum step_end how, uint32_t crc32c)
{
    struct xfer_step s = expect(g, STEP_REQUEST);
    assert_int_equal(s.part_no, part_no);
    xfer_get_end(g, &s, how, crc32c);
}

/* The first range, which tells the size; its answer has come, its bytes are under way. */
static struct xfer_step sized(struct xfer_get *g, uint64_t size, int need_md5)
{
    struct xfer_step s = expect(g, STEP_REQUEST);
    assert_true(s.part_no == 1 && s.offset == 0 && s.length == PART);
    assert_false(facts(g).sized);
    assert_int_equal(facts(g).n_inflight, 1);
    expect(g, STEP_WAIT);
    assert_int_equal(xfer_get_sized(g, size, need_md5), 0);
    assert_true(facts(g).sized && facts(g).size == size);
    assert_int_equal(facts(g).n_inflight, 1);
    return s;
}

static void over(struct xfer_get *g, enum step_kind kind)
{
    expect(g, kind);
    xfer_get_stop(g);
    expect(g, kind);
    xfer_get_free(g);
}

static const struct {
    const char *name;
    uint64_t size, part;
    uint32_t want;
} rows[] = {
    {"empty", 0, PART, 0},
    {"one byte", 1, PART, 1},
    {"exactly one part", PART, PART, 1},
    {"one byte over", PART + 1, PART, 2},
    {"exact multiple", 7 * PART, PART, 7},
    {"smallest part", 2 * PART, 1, 2},
    {"default part", 33 * MIB, 0, 2},
    {"large", 10240 * 1024 * MIB, 32 * MIB, 327680},
};

static void sizes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct xfer_get *g = make(rows[i].part);
        step(g, STEP_OPEN, STEP_OK);
        struct xfer_step s = expect(g, STEP_REQUEST);
        assert_int_equal(xfer_get_sized(g, rows[i].size, 0), 0);
        if (facts(g).n_parts != rows[i].want)
            fail_msg("%s: %u parts", rows[i].name, facts(g).n_parts);
        xfer_get_end(g, &s, STEP_OK, 1);
        assert_int_equal(facts(g).n_done, rows[i].want > 0);
        xfer_get_free(g);
    }
}

static void a_size_that_cannot_be(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step s = expect(g, STEP_REQUEST);
    assert_int_equal(xfer_get_sized(g, UINT64_MAX, 0), OCID_E_TOO_LARGE);
    xfer_get_end(g, &s, STEP_FATAL, 0);
    over(g, STEP_FAILED);
    struct oc_err err;
    assert_int_equal(xfer_get_resume(UINT64_MAX, 1, &g, &err), OCID_E_TOO_LARGE);
}

static void an_object_of_one_part(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_AGAIN);
    step(g, STEP_OPEN, STEP_OK);
    range(g, 1, STEP_AGAIN, 0);
    struct xfer_step s = sized(g, 5, 1);
    expect(g, STEP_WAIT);
    xfer_get_end(g, &s, STEP_OK, 77);
    assert_int_equal(facts(g).crc32c, 77);
    assert_true(facts(g).bytes_done == 5);
    step(g, STEP_PUBLISH, STEP_AGAIN);
    step(g, STEP_PUBLISH, STEP_OK);
    over(g, STEP_DONE);
}

static void an_empty_object(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step s = sized(g, 0, 1);
    xfer_get_end(g, &s, STEP_OK, 0);
    step(g, STEP_PUBLISH, STEP_OK);
    assert_int_equal(facts(g).crc32c, 0);
    over(g, STEP_DONE);
}

static void an_object_of_parts(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step first = sized(g, 2 * PART + 9, 1);
    assert_int_equal(facts(g).phase, GET_OPEN);
    step(g, STEP_SAVE, STEP_AGAIN);
    struct xfer_step save = expect(g, STEP_SAVE);
    expect(g, STEP_WAIT); /* nothing else until it is on disk */
    xfer_get_end(g, &save, STEP_OK, 0);
    struct xfer_step b = expect(g, STEP_REQUEST), c = expect(g, STEP_REQUEST);
    expect(g, STEP_WAIT);
    assert_true(b.part_no == 2 && b.offset == PART && b.length == PART);
    assert_true(c.part_no == 3 && c.offset == 2 * PART && c.length == 9);
    xfer_get_end(g, &first, STEP_AGAIN, 0);
    xfer_get_end(g, &c, STEP_OK, 3);
    range(g, 1, STEP_OK, 1);
    assert_int_equal(facts(g).crc32c, 0);
    xfer_get_end(g, &b, STEP_OK, 2);
    uint32_t crc = oci_crc32c_combine(oci_crc32c_combine(1, 2, PART), 3, 9);
    assert_int_equal(facts(g).crc32c, crc);
    step(g, STEP_VERIFY, STEP_AGAIN);
    step(g, STEP_VERIFY, STEP_OK);
    assert_int_equal(facts(g).phase, GET_PUBLISHING);
    step(g, STEP_SAVE, STEP_OK);
    step(g, STEP_PUBLISH, STEP_OK);
    over(g, STEP_DONE);
}

static void an_object_that_becomes_another(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step first = sized(g, 3 * PART, 0);
    step(g, STEP_SAVE, STEP_OK);
    struct xfer_step b = expect(g, STEP_REQUEST);
    xfer_get_end(g, &first, STEP_OK, 1);
    struct xfer_step c = expect(g, STEP_REQUEST);
    xfer_get_end(g, &c, STEP_CHANGED, 0);
    expect(g, STEP_WAIT);
    xfer_get_end(g, &b, STEP_CHANGED, 0);
    assert_int_equal(facts(g).phase, GET_NEW);
    assert_true(!facts(g).sized && !facts(g).n_done && !facts(g).bytes_done);
    step(g, STEP_SAVE, STEP_OK); /* the row forgets before the file is written again */
    step(g, STEP_OPEN, STEP_OK);
    first = sized(g, 7, 0);
    xfer_get_end(g, &first, STEP_OK, 42);
    assert_int_equal(facts(g).crc32c, 42);
    step(g, STEP_SAVE, STEP_OK); /* there was a row: it says PUBLISHING */
    step(g, STEP_PUBLISH, STEP_OK);
    over(g, STEP_DONE);
}

static void bytes_that_prove_wrong(void **state)
{
    (void)state;
    struct xfer_get *g = make(PART);
    step(g, STEP_OPEN, STEP_OK);
    for (int i = 0; i <= PLAN_ANEW_MOST; i++) {
        struct xfer_step first = sized(g, 5, 0);
        xfer_get_end(g, &first, STEP_OK, 1);
        step(g, STEP_PUBLISH, STEP_CHANGED);
        if (i < PLAN_ANEW_MOST)
            step(g, STEP_OPEN, STEP_OK);
    }
    over(g, STEP_FAILED);
}

static void resumed_from_its_parts(void **state)
{
    (void)state;
    struct xfer_get *g;
    assert_int_equal(xfer_get_resume(2 * PART + 9, PART, &g, NULL), 0);
    xfer_get_have(g, 1, PART, 1);
    xfer_get_have(g, 2, 5, 2); /* not all of it */
    xfer_get_have(g, 3, 9, 3);
    xfer_get_have(g, 4, 9, 4);
    assert_true(facts(g).sized && facts(g).n_done == 2 && facts(g).bytes_done == PART + 9);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step b = expect(g, STEP_REQUEST);
    assert_int_equal(b.part_no, 2);
    expect(g, STEP_WAIT);
    assert_int_equal(xfer_get_sized(g, 2 * PART + 9, 1), 0);
    xfer_get_end(g, &b, STEP_OK, 2);
    step(g, STEP_VERIFY, STEP_OK);
    step(g, STEP_SAVE, STEP_OK);
    step(g, STEP_PUBLISH, STEP_OK);
    over(g, STEP_DONE);
}

static void resumed_with_all_parts(void **state)
{
    (void)state;
    struct xfer_get *g;
    assert_int_equal(xfer_get_resume(9, PART, &g, NULL), 0);
    xfer_get_have(g, 1, 9, 42);
    step(g, STEP_OPEN, STEP_OK);
    assert_int_equal(facts(g).crc32c, 42);
    step(g, STEP_SAVE, STEP_OK);
    step(g, STEP_PUBLISH, STEP_OK);
    over(g, STEP_DONE);
}

static void resumed_without_its_file(void **state)
{
    (void)state;
    struct xfer_get *g;
    assert_int_equal(xfer_get_resume(2 * PART, PART, &g, NULL), 0);
    xfer_get_have(g, 1, PART, 1);
    step(g, STEP_OPEN, STEP_CHANGED);
    step(g, STEP_SAVE, STEP_OK);
    step(g, STEP_OPEN, STEP_OK);
    struct xfer_step first = sized(g, 1, 0);
    xfer_get_end(g, &first, STEP_OK, 1);
    xfer_get_free(g);

    assert_int_equal(xfer_get_resume(0, 0, &g, NULL), 0); /* died after that SAVE */
    xfer_get_have(g, 1, PART, 1);
    assert_false(facts(g).sized);
    step(g, STEP_OPEN, STEP_OK);
    step(g, STEP_REQUEST, STEP_FATAL);
    over(g, STEP_FAILED);
}

static void stopped_in_each_stage(void **state)
{
    (void)state;
    static const enum step_kind way[] = {STEP_OPEN,   STEP_REQUEST, STEP_SAVE,   STEP_REQUEST,
                                         STEP_VERIFY, STEP_SAVE,    STEP_PUBLISH};
    enum { N = sizeof way / sizeof *way };
    for (unsigned stop = 0; stop < 2 * N; stop++) {
        struct xfer_get *g = make(PART);
        for (unsigned i = 0; i <= stop / 2; i++) {
            int last = i == stop / 2;
            if (last && stop % 2 == 0)
                xfer_get_stop(g);
            if (last && stop % 2 == 0)
                break;
            struct xfer_step s = expect(g, way[i]);
            if (last)
                xfer_get_stop(g);
            if (i == 1)
                assert_int_equal(xfer_get_sized(g, PART + 1, 1), 0);
            if (last)
                expect(g, STEP_WAIT);
            xfer_get_end(g, &s, STEP_OK, 1);
        }
        over(g, stop == 2 * N - 1 ? STEP_DONE : STEP_FAILED);
    }
}

/* ---- at random ---- */

enum { MOST_PARTS = 10, MOST_STEPS = 4000 };

struct world {
    uint64_t random;
    unsigned trouble; /* in a thousand */
    /* the service: one object, its versions count up */
    uint32_t version;
    uint64_t size;
    /* the part file: which version's bytes lie in each part */
    uint32_t file[MOST_PARTS + 1];
    int exists;
    /* the database */
    int row, phase;
    uint32_t row_version;
    uint64_t row_size;
    uint32_t saved[MOST_PARTS + 1]; /* version; 0: no row */
    /* the driver */
    struct xfer_get *g;
    uint32_t pin; /* version; 0: none */
    uint64_t pin_size;
    int stopped, published, open;
    struct xfer_step flying[MOST_PARTS + 1];
    uint32_t flying_pin[MOST_PARTS + 1];
    unsigned n_flying, n_crashes;
};

static uint64_t dice(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random * 0x2545f4914f6cdd1dull >> 16;
}

static int chance(struct world *w, unsigned per_mille)
{
    return dice(w) % 1000 < per_mille;
}

static void overwrite_object(struct world *w)
{
    w->version++;
    w->size = dice(w) % 3 ? dice(w) % (MOST_PARTS * (uint64_t)PART) : dice(w) % (2 * PART);
}

static uint32_t crc_of(uint32_t version, uint32_t no)
{
    return version * 40503u + no * 2654435761u;
}

static enum step_end end_range(struct world *w, const struct xfer_step *s, uint32_t pin,
                               uint32_t *ret_crc)
{
    if (chance(w, w->trouble / 2))
        return chance(w, 30) ? STEP_FATAL : STEP_AGAIN;
    if (pin && pin != w->version) {
        w->pin = 0;
        return STEP_CHANGED;
    }
    w->pin = w->version;
    w->pin_size = w->size;
    struct get_facts f = facts(w->g);
    if (!f.sized)
        assert_int_equal(xfer_get_sized(w->g, w->size, w->version % 2), 0);
    assert_true(!f.sized || f.size == w->size);
    w->file[s->part_no] = w->version;
    if (chance(w, w->trouble / 2))
        return STEP_AGAIN;
    *ret_crc = crc_of(w->version, s->part_no);
    if (w->row && w->size)
        w->saved[s->part_no] = w->version;
    return STEP_OK;
}

static enum step_end end_save(struct world *w)
{
    if (chance(w, w->trouble))
        return STEP_AGAIN;
    struct get_facts f = facts(w->g);
    w->row = 1;
    w->phase = f.phase;
    w->row_size = f.size;
    w->row_version = w->pin;
    if (f.phase != GET_NEW)
        return STEP_OK;
    memset(w->saved, 0, sizeof w->saved);
    w->row_version = 0;
    return STEP_OK;
}

/* All that is published must be of one version. */
static enum step_end end_publish(struct world *w)
{
    struct get_facts f = facts(w->g);
    if (chance(w, w->trouble))
        return chance(w, 100) ? STEP_CHANGED : STEP_AGAIN;
    uint32_t crc = 0;
    for (uint32_t no = 1; no <= f.n_parts; no++) {
        uint64_t left = f.size - (no - 1) * (uint64_t)PART;
        assert_int_equal(w->file[no], w->pin);
        crc = no == 1 ? crc_of(w->pin, 1)
                      : oci_crc32c_combine(crc, crc_of(w->pin, no), left < PART ? left : PART);
    }
    assert_true(f.size == w->pin_size && f.crc32c == crc);
    w->published = 1;
    return STEP_OK;
}

static enum step_end end_open(struct world *w)
{
    struct get_facts f = facts(w->g);
    if (chance(w, w->trouble))
        return STEP_AGAIN;
    if (f.sized && (!w->exists || chance(w, w->trouble / 4))) {
        w->exists = w->pin = 0;
        return STEP_CHANGED;
    }
    w->exists = w->open = 1;
    return STEP_OK;
}

static void end_one(struct world *w)
{
    unsigned i = (unsigned)(dice(w) % w->n_flying);
    struct xfer_step s = w->flying[i];
    uint32_t pin = w->flying_pin[i], crc = 0;
    w->flying[i] = w->flying[--w->n_flying];
    w->flying_pin[i] = w->flying_pin[w->n_flying];
    enum step_end how = STEP_OK;
    if (s.kind == STEP_REQUEST)
        how = end_range(w, &s, pin, &crc);
    else if (s.kind == STEP_SAVE)
        how = end_save(w);
    else if (s.kind == STEP_OPEN)
        how = end_open(w);
    else if (s.kind == STEP_PUBLISH)
        how = end_publish(w);
    else if (chance(w, w->trouble))
        how = chance(w, 300) ? STEP_CHANGED : STEP_AGAIN;
    if (how == STEP_CHANGED)
        w->pin = 0;
    xfer_get_end(w->g, &s, how, crc);
}

static void check(const struct world *w, const struct xfer_step *s)
{
    struct get_facts f = facts(w->g);
    for (unsigned i = 0; i < w->n_flying; i++) {
        assert_true(s->kind == STEP_REQUEST || s->kind == STEP_SAVE);
        assert_int_equal(w->flying[i].kind, STEP_REQUEST); /* alone, but for ranges */
        assert_false(s->kind == STEP_REQUEST && w->flying[i].part_no == s->part_no);
    }
    if (s->kind == STEP_REQUEST) {
        assert_true(w->open);
        assert_true(!f.sized || f.n_parts == 1 || (w->row && w->phase != GET_NEW));
    }
    if (s->kind == STEP_PUBLISH || s->kind == STEP_VERIFY)
        assert_true(f.sized && f.n_done == f.n_parts && !f.n_inflight);
    if (s->kind == STEP_PUBLISH)
        assert_true(!w->row || w->phase == GET_PUBLISHING);
}

static void begin_life(struct world *w)
{
    w->pin = w->row ? w->row_version : 0;
    w->pin_size = w->row_size;
    w->open = 0;
    if (!w->row) {
        w->g = make(PART);
        return;
    }
    assert_int_equal(xfer_get_resume(w->row_size, PART, &w->g, NULL), 0);
    for (uint32_t no = 1; no <= MOST_PARTS; no++) {
        uint64_t left = w->row_size - (no - 1) * (uint64_t)PART;
        int agrees = w->exists && w->saved[no] && w->file[no] == w->saved[no]; /* its CRC */
        if (agrees)
            xfer_get_have(w->g, no, left < PART ? left : PART, crc_of(w->saved[no], no));
    }
}

static void crash(struct world *w)
{
    w->n_crashes++;
    for (unsigned i = 0; i < w->n_flying; i++) {
        if (w->flying[i].kind == STEP_SAVE && chance(w, 500))
            end_save(w);
        else if (w->flying[i].kind == STEP_REQUEST && chance(w, 500))
            w->file[w->flying[i].part_no] = w->version; /* half written, perhaps */
    }
    w->n_flying = 0;
    w->stopped = 0;
    xfer_get_free(w->g);
    begin_life(w);
}

static enum step_kind turn(struct world *w)
{
    struct xfer_step s;
    if (w->n_flying && chance(w, 500)) {
        end_one(w);
        return STEP_WAIT;
    }
    xfer_get_next(w->g, &s);
    if (s.kind == STEP_DONE || s.kind == STEP_FAILED)
        return s.kind;
    if (s.kind == STEP_WAIT) {
        assert_true(w->n_flying > 0); /* or it would wait for ever */
        end_one(w);
        return STEP_WAIT;
    }
    check(w, &s);
    w->flying_pin[w->n_flying] = w->pin;
    w->flying[w->n_flying++] = s;
    return s.kind;
}

static void live(uint64_t seed, unsigned *n_done)
{
    struct world w = {.random = seed * 0x9e3779b97f4a7c15ull + 1};
    for (int i = 0; i < 8; i++)
        dice(&w);
    overwrite_object(&w);
    w.trouble = (unsigned)(dice(&w) % 4) * 60;
    begin_life(&w);
    enum step_kind kind = STEP_WAIT;
    unsigned n = 0;
    while ((kind = turn(&w)) != STEP_DONE && kind != STEP_FAILED) {
        assert_true(++n < MOST_STEPS);
        if (chance(&w, w.trouble / 6))
            overwrite_object(&w);
        if (w.n_crashes < 4 && chance(&w, w.trouble / 6))
            crash(&w);
        if (!w.stopped && chance(&w, w.trouble / 20)) {
            w.stopped = 1;
            xfer_get_stop(w.g);
        }
    }
    assert_int_equal(w.n_flying, 0);
    assert_true(kind == STEP_FAILED || w.published);
    *n_done += kind == STEP_DONE;
    xfer_get_free(w.g);
}

static void lives_at_random(void **state)
{
    (void)state;
    enum { LIVES = 20000 };
    const char *given = getenv("PLAN_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * LIVES;
    unsigned n_done = 0, n = given ? 1 : LIVES;
    printf("PLAN_SEED from %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < n; i++) {
        if (getenv("PLAN_SAY"))
            printf("PLAN_SEED=%llu\n", (unsigned long long)seed + i);
        live(seed + i, &n_done);
    }
    printf("%u of %u lives were done\n", n_done, n);
    assert_true(given || (n_done > n / 3 && n_done < n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(a_size_that_cannot_be),
        cmocka_unit_test(an_object_of_one_part),
        cmocka_unit_test(an_empty_object),
        cmocka_unit_test(an_object_of_parts),
        cmocka_unit_test(an_object_that_becomes_another),
        cmocka_unit_test(bytes_that_prove_wrong),
        cmocka_unit_test(resumed_from_its_parts),
        cmocka_unit_test(resumed_with_all_parts),
        cmocka_unit_test(resumed_without_its_file),
        cmocka_unit_test(stopped_in_each_stage),
        cmocka_unit_test(lives_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
