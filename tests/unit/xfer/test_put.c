/* SPDX-License-Identifier: Apache-2.0
 *
 * test_put.c - the planner of uploads: sizes, stages by hand, and thousands of lives at random.
 *
 * The random lives run against a model of the service and of the database; now and then the daemon
 * "dies" and a new planner goes on from the rows. The seed is printed; PLAN_SEED=n sets it.
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

#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* ---- sizes ---- */

static const struct {
    const char *name;
    uint64_t size, threshold, part, want_part;
    unsigned want_n;
    int multipart;
} rows[] = {
    {"empty", 0, 128 * MIB, 0, 32 * MIB, 1, 0},
    {"empty, all else in parts", 0, 0, 16 * MIB, 16 * MIB, 1, 0},
    {"one byte", 1, 128 * MIB, 0, 1, 1, 0},
    {"one byte in parts", 1, 0, 16 * MIB, 16 * MIB, 1, 1},
    {"at the threshold", 128 * MIB, 128 * MIB, 0, 128 * MIB, 1, 0},
    {"over the threshold", 128 * MIB + 1, 128 * MIB, 0, 32 * MIB, 5, 1},
    {"exact multiple", 32 * MIB, 0, 16 * MIB, 16 * MIB, 2, 1},
    {"one byte over", 32 * MIB + 1, 0, 16 * MIB, 16 * MIB, 3, 1},
    {"odd parts", 100, 0, 33, 33, 4, 1},
    {"10,000 parts", 10000 * 32 * MIB, 0, 0, 32 * MIB, 10000, 1},
    {"one byte more than 10,000 parts", 10000 * 32 * MIB + 1, 0, 0, 64 * MIB, 5001, 1},
    {"10,000 forced parts", 10000 * 7ull, 0, 7, 7, 10000, 1},
    {"forced parts too small", 10000 * 7ull + 1, 0, 7, MIB, 1, 1},
    {"forced parts too small for much", 3 * TIB, 0, 5 * MIB, 512 * MIB, 6144, 1},
    {"largest part", 100 * GIB, 0, 50 * GIB, 50 * GIB, 2, 1},
    {"largest object", 10 * TIB, 128 * MIB, 0, 2048 * MIB, 5120, 1},
    {"threshold over what one body may be", 60 * GIB, 100 * GIB, 0, 32 * MIB, 1920, 1},
};

static void sizes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct put_limits limits = {rows[i].threshold, rows[i].part};
        struct xfer_put *p;
        struct put_facts f;
        struct oc_err err;
        if (xfer_put_new(rows[i].size, &limits, &p, &err) < 0)
            fail_msg("%s: %s", rows[i].name, err.text);
        xfer_put_facts(p, &f);
        xfer_put_free(p);
        if (f.part_bytes != rows[i].want_part || f.n_parts != rows[i].want_n ||
            f.multipart != rows[i].multipart)
            fail_msg("%s: %u parts of %llu bytes, multipart %d", rows[i].name, f.n_parts,
                     (unsigned long long)f.part_bytes, f.multipart);
    }
}

static void sizes_that_cannot_be(void **state)
{
    (void)state;
    struct put_limits fine = {128 * MIB, 0}, huge = {0, 50 * GIB + 1};
    struct xfer_put *p = NULL;
    struct oc_err err;
    assert_int_equal(xfer_put_new(10 * TIB + 1, &fine, &p, &err), OCID_E_TOO_LARGE);
    assert_int_equal(xfer_put_new(UINT64_MAX, &fine, &p, &err), OCID_E_TOO_LARGE);
    assert_int_equal(xfer_put_new(60 * GIB, &huge, &p, &err), OCID_E_TOO_LARGE);
    assert_int_equal(xfer_put_resume(10 * TIB + 1, PUT_OPEN, MIB, 1, &p, &err), OCID_E_TOO_LARGE);
    assert_null(p);
}

/* ---- by hand ---- */

static struct xfer_put *make(uint64_t size, uint64_t threshold, uint64_t part)
{
    struct put_limits limits = {threshold, part};
    struct xfer_put *p;
    assert_int_equal(xfer_put_new(size, &limits, &p, NULL), 0);
    return p;
}

static struct xfer_put *resumed(uint64_t size, int phase, int have_id)
{
    struct xfer_put *p;
    assert_int_equal(xfer_put_resume(size, phase, 10, have_id, &p, NULL), 0);
    return p;
}

static struct xfer_step expect(struct xfer_put *p, enum step_kind kind, enum step_op op)
{
    struct xfer_step s;
    xfer_put_next(p, &s);
    assert_int_equal(s.kind, kind);
    assert_int_equal(s.op, op);
    return s;
}

/* The step that must come, and its end. */
static void step(struct xfer_put *p, enum step_kind kind, enum step_op op, enum step_end how)
{
    struct xfer_step s = expect(p, kind, op);
    if (kind != STEP_WAIT)
        expect(p, STEP_WAIT, OP_NONE); /* one at a time */
    xfer_put_end(p, &s, how, "etag", 77);
}

static void part(struct xfer_put *p, uint32_t part_no, enum step_end how, const char *etag)
{
    struct xfer_step s = expect(p, STEP_REQUEST, OP_PART);
    assert_int_equal(s.part_no, part_no);
    xfer_put_end(p, &s, how, etag, part_no);
}

static void up_to_parts(struct xfer_put *p)
{
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
}

static void up_to_commit(struct xfer_put *p)
{
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
}

static int phase_of(const struct xfer_put *p)
{
    struct put_facts f;
    xfer_put_facts(p, &f);
    return f.phase;
}

static void over(struct xfer_put *p, enum step_kind kind)
{
    expect(p, kind, OP_NONE);
    expect(p, kind, OP_NONE);
    xfer_put_stop(p);
    expect(p, kind, OP_NONE);
    xfer_put_free(p);
}

static void a_small_put(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = make(5, 100, 0);
    step(p, STEP_CHECK, OP_NONE, STEP_AGAIN);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_PUT);
    assert_true(s.offset == 0 && s.length == 5 && s.part_no == 1);
    xfer_put_facts(p, &f);
    assert_int_equal(f.n_inflight, 1);
    xfer_put_end(p, &s, STEP_OK, "e", 77);
    xfer_put_facts(p, &f);
    assert_int_equal(f.crc32c, 77);
    assert_true(f.bytes_done == 5 && f.n_done == 1 && f.n_inflight == 0);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    over(p, STEP_DONE);
}

static void an_empty_put(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = make(0, 0, 10);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_PUT, STEP_OK);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    xfer_put_facts(p, &f);
    assert_true(f.n_parts == 1 && f.n_done == 1 && f.crc32c == 0);
    over(p, STEP_DONE);
}

static void a_small_put_whose_answer_is_lost(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = make(5, 100, 0);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_PUT, STEP_REFUSED);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD); /* not ours: once more */
    step(p, STEP_REQUEST, OP_PUT, STEP_REFUSED);
    xfer_put_facts(p, &f);
    assert_int_equal(f.crc32c, 77); /* what HEAD is compared with */
    step(p, STEP_REQUEST, OP_HEAD, STEP_AGAIN);
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    over(p, STEP_DONE);
}

static void a_doubt_does_not_last_for_ever(void **state)
{
    (void)state;
    struct xfer_put *p = make(5, 100, 0);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    for (int i = 0; i <= PLAN_ANEW_MOST; i++) {
        step(p, STEP_REQUEST, OP_PUT, STEP_REFUSED);
        step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    }
    over(p, STEP_FAILED);
}

static void a_source_that_changed_meanwhile(void **state)
{
    (void)state;
    struct xfer_put *p = make(5, 100, 0);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_PUT, STEP_OK);
    step(p, STEP_CHECK, OP_NONE, STEP_FATAL);
    over(p, STEP_FAILED);

    p = make(15, 0, 10);
    up_to_parts(p);
    part(p, 1, STEP_OK, "a");
    part(p, 2, STEP_OK, "b");
    step(p, STEP_CHECK, OP_NONE, STEP_FATAL);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
    over(p, STEP_FAILED);
}

static void a_large_put(void **state)
{
    (void)state;
    struct put_facts f;
    uint32_t crc;
    struct xfer_put *p = make(25, 0, 10);
    assert_int_equal(phase_of(p), PUT_NEW);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    assert_int_equal(phase_of(p), PUT_INTENT); /* what the SAVE that is due writes */
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_AGAIN);
    step(p, STEP_REQUEST, OP_CREATE, STEP_OK);
    assert_int_equal(phase_of(p), PUT_OPEN);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);

    struct xfer_step a = expect(p, STEP_REQUEST, OP_PART), b = expect(p, STEP_REQUEST, OP_PART),
                     c = expect(p, STEP_REQUEST, OP_PART);
    expect(p, STEP_WAIT, OP_NONE);
    assert_true(a.part_no == 1 && b.part_no == 2 && c.part_no == 3);
    assert_true(b.offset == 10 && b.length == 10 && c.offset == 20 && c.length == 5);
    xfer_put_end(p, &c, STEP_OK, "etag-c", oci_crc32c(0, "uvwxy", 5));
    xfer_put_end(p, &a, STEP_AGAIN, NULL, 0);
    assert_null(xfer_put_etag(p, 1, NULL));
    a = expect(p, STEP_REQUEST, OP_PART);
    assert_int_equal(a.part_no, 1);
    xfer_put_end(p, &b, STEP_OK, "etag-b", oci_crc32c(0, "klmnopqrst", 10));
    xfer_put_facts(p, &f);
    assert_true(f.n_done == 2 && f.n_inflight == 1 && f.bytes_done == 15 && f.crc32c == 0);
    xfer_put_end(p, &a, STEP_OK, "etag-a", oci_crc32c(0, "abcdefghij", 10));
    xfer_put_facts(p, &f);
    assert_int_equal(f.crc32c, oci_crc32c(0, "abcdefghijklmnopqrstuvwxy", 25));

    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_AGAIN);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    assert_int_equal(phase_of(p), PUT_COMMITTING);
    assert_string_equal(xfer_put_etag(p, 3, &crc), "etag-c");
    assert_int_equal(crc, oci_crc32c(0, "uvwxy", 5));
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void a_commit_whose_answer_is_lost(void **state)
{
    (void)state;
    struct xfer_put *p = make(5, 0, 10);
    up_to_parts(p);
    part(p, 1, STEP_OK, "a");
    up_to_commit(p);
    for (int i = 0; i <= PLAN_ANEW_MOST; i++) { /* for as long as the driver likes */
        step(p, STEP_REQUEST, OP_COMMIT, STEP_LOST);
        step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD); /* it did not get through */
    }
    step(p, STEP_REQUEST, OP_COMMIT, STEP_REFUSED);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_LOST);
    step(p, STEP_REQUEST, OP_HEAD, STEP_AGAIN);
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_AGAIN);
    step(p, STEP_REQUEST, OP_ABORT, STEP_NO_UPLOAD);
    over(p, STEP_DONE);
}

static void an_upload_that_vanished(void **state)
{
    (void)state;
    struct xfer_put *p = make(15, 0, 10);
    up_to_parts(p);
    struct xfer_step a = expect(p, STEP_REQUEST, OP_PART), b = expect(p, STEP_REQUEST, OP_PART);
    xfer_put_end(p, &a, STEP_NO_UPLOAD, NULL, 0);
    expect(p, STEP_WAIT, OP_NONE); /* until nothing is in flight */
    xfer_put_end(p, &b, STEP_OK, "old", 1);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    assert_int_equal(phase_of(p), PUT_INTENT);
    assert_null(xfer_put_etag(p, 2, NULL));
    step(p, STEP_REQUEST, OP_CREATE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    part(p, 1, STEP_OK, "a");
    part(p, 2, STEP_OK, "b");
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_NO_UPLOAD); /* gone, or committed by the last try */
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    over(p, STEP_DONE);
}

static void a_commit_that_names_wrong_parts(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = make(15, 0, 10);
    up_to_parts(p);
    part(p, 1, STEP_OK, "a");
    part(p, 2, STEP_OK, "b");
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_CHANGED);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    assert_int_equal(phase_of(p), PUT_OPEN);
    xfer_put_listed(p, 1, 10, "a");
    xfer_put_listed(p, 2, 5, "c");
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    s = expect(p, STEP_REQUEST, OP_PART);
    assert_int_equal(s.part_no, 2);
    xfer_put_end(p, &s, STEP_OK, "d", 99);
    xfer_put_facts(p, &f);
    assert_int_equal(f.crc32c, oci_crc32c_combine(1, 99, 5)); /* not of what was sent before */
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void resumed_from_its_parts(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = resumed(45, PUT_OPEN, 1);
    xfer_put_have(p, 1, 10, "a", 11);
    xfer_put_have(p, 2, 10, "b", 12);
    xfer_put_have(p, 3, 9, "short", 13);
    xfer_put_have(p, 5, 5, "e", 15);
    xfer_put_have(p, 6, 5, "none of ours", 16);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    xfer_put_listed(p, 1, 10, "a");
    xfer_put_end(p, &s, STEP_AGAIN, NULL, 0); /* the next page */
    s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    xfer_put_listed(p, 2, 10, "another's");
    xfer_put_listed(p, 3, 10, "not in the database");
    xfer_put_listed(p, 5, 5, "e");
    xfer_put_listed(p, 9, 5, "none of ours");
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    xfer_put_facts(p, &f);
    assert_true(f.n_done == 2 && f.bytes_done == 15);
    part(p, 2, STEP_OK, "b2");
    part(p, 3, STEP_OK, "c2");
    part(p, 4, STEP_OK, "d2");
    up_to_commit(p);
    assert_string_equal(xfer_put_etag(p, 5, NULL), "e");
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void resumed_at_its_commit(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = resumed(5, PUT_COMMITTING, 1);
    xfer_put_have(p, 1, 5, "a", 42);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_HEAD);
    xfer_put_facts(p, &f);
    assert_int_equal(f.crc32c, 42);
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    step(p, STEP_REQUEST, OP_ABORT, STEP_NO_UPLOAD);
    over(p, STEP_DONE);

    p = resumed(5, PUT_COMMITTING, 1);
    xfer_put_have(p, 1, 5, "a", 42);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_NO_UPLOAD);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    step(p, STEP_SAVE, OP_NONE, STEP_OK); /* intent: all of it again */
    step(p, STEP_REQUEST, OP_CREATE, STEP_FATAL);
    over(p, STEP_FAILED);

    p = resumed(15, PUT_COMMITTING, 1); /* a row that lacks a part */
    xfer_put_have(p, 1, 10, "a", 42);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_LIST_PARTS, STEP_NO_UPLOAD);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_FATAL);
    over(p, STEP_FAILED);
}

/* MD5 of "a", "b" and "" as the service tells them; of the MD5s of the first two. */
#define MD5_A  "DMF1ucDxtqgxw5niaXcmYQ=="
#define MD5_B  "kutf/uauL+w61xx3dTFXjw=="
#define MD5_AB "luAkuiB0/nfo6WW6Q6cEvg==-2"

static void md5(struct xfer_put *p, uint32_t part_no, const char *text, const char *etag)
{
    struct xfer_step s = expect(p, STEP_REQUEST, OP_PART);
    assert_int_equal(s.part_no, part_no);
    xfer_put_md5(p, part_no, text);
    xfer_put_end(p, &s, STEP_OK, etag, part_no);
}

static const struct put_sums *whole_of(const struct xfer_put *p)
{
    struct put_facts f;
    xfer_put_facts(p, &f);
    return f.whole;
}

static void what_the_object_has_to_be_is_known_at_its_commit(void **state)
{
    (void)state;
    struct xfer_put *p = make(15, 0, 10);
    up_to_parts(p);
    xfer_put_md5(p, 1, MD5_B); /* not in flight */
    md5(p, 1, MD5_A, "a");
    md5(p, 2, MD5_B, "b");
    assert_false(whole_of(p)->has_crc32c || whole_of(p)->md5[0]);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    assert_int_equal(phase_of(p), PUT_COMMITTING);
    assert_true(whole_of(p)->has_crc32c);
    assert_int_equal(whole_of(p)->crc32c, oci_crc32c_combine(1, 2, 5));
    assert_string_equal(whole_of(p)->md5, MD5_AB);
    xfer_put_free(p);

    static const char *const none[] = {NULL, "", "DMF1", "not base64", MD5_A "AAAA"};
    for (unsigned i = 0; i < sizeof none / sizeof *none; i++) {
        p = make(15, 0, 10);
        up_to_parts(p);
        struct xfer_step s = expect(p, STEP_REQUEST, OP_PART);
        xfer_put_md5(p, 1, MD5_A);
        xfer_put_end(p, &s, STEP_AGAIN, NULL, 0); /* that of the bytes which did not arrive */
        md5(p, 1, none[i], "a");
        md5(p, 2, MD5_B, "b");
        step(p, STEP_CHECK, OP_NONE, STEP_OK);
        assert_true(whole_of(p)->has_crc32c && !whole_of(p)->md5[0]);
        xfer_put_free(p);
    }
}

static void parts_that_are_listed_tell_their_md5(void **state)
{
    (void)state;
    struct xfer_put *p = resumed(15, PUT_OPEN, 1);
    xfer_put_have(p, 1, 10, "a", 1);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    xfer_put_listed(p, 1, 10, "a");
    xfer_put_md5(p, 1, MD5_A);
    xfer_put_listed(p, 2, 5, "not in the database");
    xfer_put_md5(p, 2, MD5_A);
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    md5(p, 2, MD5_B, "b");
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    assert_string_equal(whole_of(p)->md5, MD5_AB);
    xfer_put_free(p);
}

static void a_commit_is_asked_after_without_its_parts(void **state)
{
    (void)state;
    static const struct put_sums sums = {1, 42, MD5_AB};
    struct xfer_put *p = resumed(15, PUT_COMMITTING, 1);
    xfer_put_whole(p, &sums);
    xfer_put_have(p, 1, 10, "a", 1);
    step(p, STEP_REQUEST, OP_HEAD, STEP_AGAIN);
    assert_true(whole_of(p)->crc32c == 42 && !strcmp(whole_of(p)->md5, MD5_AB));
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK); /* the same bytes were there before */
    over(p, STEP_DONE);

    p = resumed(15, PUT_COMMITTING, 1); /* it did not get through */
    xfer_put_whole(p, &sums);
    xfer_put_have(p, 1, 10, "a", 1);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    xfer_put_listed(p, 1, 10, "a");
    xfer_put_md5(p, 1, MD5_A);
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    md5(p, 2, MD5_B, "b");
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void a_new_upload_that_is_refused_for_what_an_old_one_made(void **state)
{
    (void)state;
    struct xfer_put *p = make(15, 0, 10);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_REFUSED);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD); /* it has gone: once more */
    step(p, STEP_REQUEST, OP_CREATE, STEP_REFUSED);
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    over(p, STEP_DONE);

    p = make(15, 0, 10);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_REFUSED);
    step(p, STEP_REQUEST, OP_HEAD, STEP_FATAL); /* it is another's */
    over(p, STEP_FAILED);
}

static void resumed_from_an_intent(void **state)
{
    (void)state;
    struct xfer_put *p = resumed(5, PUT_INTENT, 0);
    xfer_put_have(p, 1, 5, "of no upload", 42);
    up_to_parts(p);
    part(p, 1, STEP_FATAL, NULL);
    step(p, STEP_SAVE, OP_NONE, STEP_FATAL); /* the abort goes on without its row */
    step(p, STEP_REQUEST, OP_ABORT, STEP_AGAIN);
    step(p, STEP_REQUEST, OP_ABORT, STEP_NO_UPLOAD);
    over(p, STEP_FAILED);
}

static void resumed_to_abort(void **state)
{
    (void)state;
    struct xfer_put *p = resumed(5, PUT_ABORTING, 1);
    xfer_put_have(p, 1, 5, "a", 42);
    step(p, STEP_REQUEST, OP_ABORT, STEP_AGAIN);
    xfer_put_stop(p);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
    over(p, STEP_FAILED);

    static const enum step_end ends[] = {STEP_OK, STEP_NO_UPLOAD, STEP_FATAL};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) { /* why is not known any more */
        p = resumed(5, PUT_ABORTING, 1);
        xfer_put_have(p, 1, 5, "a", 42);
        step(p, STEP_REQUEST, OP_ABORT, ends[i]);
        step(p, STEP_SAVE, OP_NONE, STEP_OK);
        step(p, STEP_REQUEST, OP_CREATE, STEP_OK);
        xfer_put_free(p);
    }
    p = resumed(5, PUT_ABORTING, 0);
    up_to_parts(p);
    xfer_put_free(p);

    static const struct put_sums sums = {1, 42, ""}; /* there was a commit */
    p = resumed(5, PUT_ABORTING, 1);
    xfer_put_whole(p, &sums);
    step(p, STEP_REQUEST, OP_HEAD, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_FATAL);
    over(p, STEP_DONE);
    p = resumed(5, PUT_ABORTING, 1);
    xfer_put_whole(p, &sums);
    step(p, STEP_REQUEST, OP_HEAD, STEP_NO_UPLOAD);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_OK);
    xfer_put_free(p);

    p = resumed(5, PUT_COMMITTING, 1); /* cancelled before its first step */
    xfer_put_stop(p);
    xfer_put_have(p, 1, 5, "a", 42);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
    over(p, STEP_FAILED);
}

/* ---- streams ---- */

static struct xfer_put *stream(uint64_t threshold, uint64_t part, int phase, int have_id)
{
    struct put_limits limits = {threshold, part};
    struct xfer_put *p;
    struct oc_err err;
    assert_int_equal(xfer_put_stream(&limits, phase, have_id, &p, &err), 0);
    return p;
}

static void grow(struct xfer_put *p, uint64_t size, int ended)
{
    struct oc_err err;
    assert_int_equal(xfer_put_grow(p, size, ended, &err), 0);
}

static void small_streams(void **state)
{
    (void)state;
    for (uint64_t size = 0; size <= 20; size += 10) {
        struct xfer_put *p = stream(20, 10, PUT_NEW, 0);
        step(p, STEP_CHECK, OP_NONE, STEP_OK);
        expect(p, STEP_WAIT, OP_NONE);
        assert_int_equal(xfer_put_room(p), 21); /* one more tells that it is large */
        grow(p, size, 0);
        expect(p, STEP_WAIT, OP_NONE);
        grow(p, size, 1);
        struct xfer_step s = expect(p, STEP_REQUEST, OP_PUT);
        assert_int_equal(s.length, size);
        xfer_put_end(p, &s, STEP_OK, NULL, 0);
        step(p, STEP_CHECK, OP_NONE, STEP_OK);
        over(p, STEP_DONE);
    }
}

static void a_large_stream(void **state)
{
    (void)state;
    struct xfer_put *p = stream(15, 10, PUT_NEW, 0);
    grow(p, 16, 0);
    up_to_parts(p);
    assert_int_equal(xfer_put_room(p), 10); /* what is whole goes first */
    struct xfer_step a = expect(p, STEP_REQUEST, OP_PART);
    assert_true(a.part_no == 1 && a.offset == 0 && a.length == 10);
    assert_int_equal(xfer_put_room(p), 20);
    expect(p, STEP_WAIT, OP_NONE);
    grow(p, 20, 0);
    struct xfer_step b = expect(p, STEP_REQUEST, OP_PART);
    assert_int_equal(xfer_put_room(p), 30);
    xfer_put_end(p, &a, STEP_AGAIN, NULL, 0);
    assert_int_equal(xfer_put_room(p), 20); /* one in flight, one waits */
    part(p, 1, STEP_OK, "a");
    xfer_put_end(p, &b, STEP_OK, "b", 2);
    expect(p, STEP_WAIT, OP_NONE); /* all are done, and it has not ended */
    grow(p, 23, 0);
    expect(p, STEP_WAIT, OP_NONE);
    grow(p, 23, 1);
    struct xfer_step c = expect(p, STEP_REQUEST, OP_PART);
    assert_true(c.part_no == 3 && c.offset == 20 && c.length == 3);
    xfer_put_end(p, &c, STEP_OK, "c", 3);
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void parts_of_a_stream_grow(void **state)
{
    (void)state;
    static const uint64_t wanted[] = {64 << 10, MIB, 5 * MIB, 16 * MIB, 32 * MIB, 50 * GIB};
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct parts q;
        uint64_t sum = 0;
        parts_init_growing(&q, wanted[i]);
        parts_grow(&q, 10 * TIB, 1);
        assert_in_range(q.n, 1, 10000);
        for (uint32_t no = 1; no <= q.n; no++) {
            assert_int_equal(parts_offset(&q, no), sum);
            assert_in_range(parts_length(&q, no), 1, 50 * GIB);
            sum += parts_length(&q, no);
        }
        assert_int_equal(sum, 10 * TIB);
        assert_int_equal(parts_length(&q, 1), wanted[i]);
        parts_fini(&q);
    }
}

static void a_stream_too_large(void **state)
{
    (void)state;
    struct oc_err err;
    struct xfer_put *p = stream(0, 0, PUT_NEW, 0);
    grow(p, 10 * TIB, 0);
    assert_int_equal(xfer_put_grow(p, 10 * TIB + 1, 0, &err), OCID_E_TOO_LARGE);
    xfer_put_free(p);
}

static void a_stream_goes_on_without_what_has_arrived(void **state)
{
    (void)state;
    struct xfer_put *p = stream(5, 10, PUT_OPEN, 1);
    grow(p, 25, 1);
    xfer_put_have(p, 1, 10, "a", 1);
    xfer_put_have(p, 3, 5, "c", 3);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    struct xfer_step s = expect(p, STEP_REQUEST, OP_LIST_PARTS);
    xfer_put_listed(p, 1, 10, "a");
    xfer_put_listed(p, 3, 5, "c");
    xfer_put_end(p, &s, STEP_OK, NULL, 0);
    part(p, 2, STEP_OK, "b");
    up_to_commit(p);
    step(p, STEP_REQUEST, OP_COMMIT, STEP_OK);
    over(p, STEP_DONE);
}

static void what_of_a_stream_was_lost_cannot_be_sent_again(void **state)
{
    (void)state;
    struct put_facts f;
    struct xfer_put *p = stream(5, 10, PUT_OPEN, 1);
    grow(p, 25, 1);
    xfer_put_have(p, 1, 10, "a", 1);
    step(p, STEP_CHECK, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_LIST_PARTS, STEP_OK); /* which lists none */
    xfer_put_facts(p, &f);
    assert_true(f.lost);
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
    over(p, STEP_FAILED);

    p = stream(5, 10, PUT_NEW, 0);
    grow(p, 20, 0);
    up_to_parts(p);
    part(p, 1, STEP_OK, "a");
    part(p, 2, STEP_NO_UPLOAD, NULL);
    xfer_put_facts(p, &f);
    assert_true(f.lost);
    over(p, STEP_FAILED);

    p = stream(5, 10, PUT_NEW, 0);
    grow(p, 20, 0);
    up_to_parts(p);
    part(p, 1, STEP_NO_UPLOAD, NULL); /* nothing had arrived */
    step(p, STEP_SAVE, OP_NONE, STEP_OK);
    step(p, STEP_REQUEST, OP_CREATE, STEP_FATAL);
    over(p, STEP_FAILED);
}

static void stopped_in_each_stage(void **state)
{
    (void)state;
    static const struct {
        enum step_kind kind;
        enum step_op op;
        int abort; /* when stopped with the step in flight, which then succeeds */
    } way[] = {
        {STEP_CHECK, OP_NONE, 0}, {STEP_SAVE, OP_NONE, 0},       {STEP_REQUEST, OP_CREATE, 1},
        {STEP_SAVE, OP_NONE, 1},  {STEP_REQUEST, OP_PART, 1},    {STEP_CHECK, OP_NONE, 1},
        {STEP_SAVE, OP_NONE, 1},  {STEP_REQUEST, OP_COMMIT, -1},
    };
    enum { N = sizeof way / sizeof *way };
    for (unsigned stop = 0; stop < 2 * N; stop++) { /* before a step, or during it */
        struct xfer_put *p = make(5, 0, 10);
        int abort = stop / 2 && way[stop / 2 - 1].abort;
        for (unsigned i = 0; i < stop / 2; i++) {
            struct xfer_step s = expect(p, way[i].kind, way[i].op);
            xfer_put_end(p, &s, STEP_OK, "e", 1);
        }
        if (stop % 2) {
            struct xfer_step s = expect(p, way[stop / 2].kind, way[stop / 2].op);
            xfer_put_stop(p);
            expect(p, STEP_WAIT, OP_NONE);
            xfer_put_end(p, &s, STEP_OK, "e", 1);
            abort = way[stop / 2].abort;
        } else {
            xfer_put_stop(p);
        }
        if (abort > 0) {
            step(p, STEP_SAVE, OP_NONE, STEP_OK);
            assert_int_equal(phase_of(p), PUT_ABORTING);
            step(p, STEP_REQUEST, OP_ABORT, STEP_OK);
        }
        over(p, abort < 0 ? STEP_DONE : STEP_FAILED);
    }
}

static void long_etags(void **state)
{
    (void)state;
    enum { N = 10000 };
    char etag[129];
    struct xfer_put *p = make(N * 10, 0, 10);
    up_to_parts(p);
    for (uint32_t no = 1; no <= N; no++) {
        snprintf(etag, sizeof etag, "%0128u", no);
        part(p, no, no % 7 ? STEP_OK : STEP_AGAIN, etag);
        if (no % 7 == 0)
            part(p, no, STEP_OK, etag);
    }
    for (uint32_t no = 1; no <= N; no++) {
        snprintf(etag, sizeof etag, "%0128u", no);
        assert_string_equal(xfer_put_etag(p, no, NULL), etag);
    }
    xfer_put_free(p);
}

/* ---- at random ---- */

enum { MOST_PARTS = 12, MOST_STEPS = 4000 };

struct world {
    uint64_t random;
    uint64_t size, part_bytes;
    int multipart;
    unsigned trouble; /* in a thousand */
    /* the database */
    int row, phase, row_id;
    struct put_sums whole;
    struct {
        int there;
        char etag[20];
        uint32_t crc;
    } saved[MOST_PARTS + 1], held[MOST_PARTS + 1];
    /* the service: held, and */
    int alive, object, before; /* before: the same bytes were there already */
    /* the driver */
    struct xfer_put *p;
    int id, gone, stopped, gave_up;
    struct xfer_step flying[MOST_PARTS + 1];
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

static uint32_t crc_of(uint32_t no)
{
    return no * 2654435761u;
}

static uint32_t crc_of_all(const struct world *w, const struct put_facts *f)
{
    uint32_t crc = 0;
    for (uint32_t no = 1; no <= f->n_parts; no++) {
        uint64_t left = w->size - (no - 1) * f->part_bytes;
        crc = no == 1 ? crc_of(1)
                      : oci_crc32c_combine(crc, crc_of(no),
                                           left < f->part_bytes ? left : f->part_bytes);
    }
    return crc;
}

static void check_alone(const struct world *w)
{
    assert_int_equal(w->n_flying, 0);
}

static void check_request(const struct world *w, const struct xfer_step *s)
{
    struct put_facts f;
    xfer_put_facts(w->p, &f);
    for (unsigned i = 0; i < w->n_flying; i++)
        assert_false(s->op != OP_PART || w->flying[i].op != OP_PART ||
                     w->flying[i].part_no == s->part_no);
    if (s->op != OP_PART)
        check_alone(w);
    if (s->op == OP_CREATE)
        assert_true(w->row && w->phase == PUT_INTENT && !w->row_id);
    if (s->op == OP_PART) /* or it lacks some of those that were to be committed */
        assert_true(w->id && (w->phase == PUT_OPEN || w->phase == PUT_COMMITTING) && w->row_id &&
                    !w->gone);
    if (s->op == OP_ABORT)
        assert_true(w->id && !w->gone);
    if (s->op != OP_COMMIT)
        return;
    assert_true(w->phase == PUT_COMMITTING && f.n_done == f.n_parts);
    assert_true(w->whole.has_crc32c && w->whole.crc32c == crc_of_all(w, &f));
    for (uint32_t no = 1; no <= f.n_parts; no++)
        if (w->saved[no].there)
            assert_string_equal(w->saved[no].etag, xfer_put_etag(w->p, no, NULL));
}

/* ---- the model's ends ---- */

static enum step_end end_save(struct world *w)
{
    struct put_facts f;
    if (chance(w, w->trouble))
        return STEP_AGAIN;
    xfer_put_facts(w->p, &f);
    w->row = 1;
    w->phase = f.phase;
    if (f.phase == PUT_INTENT) {
        memset(w->saved, 0, sizeof w->saved);
        w->id = 0;
    }
    w->row_id = w->id;
    w->whole = *f.whole;
    return STEP_OK;
}

static enum step_end end_create(struct world *w)
{
    if (chance(w, w->trouble))
        return chance(w, 100) ? STEP_FATAL : STEP_AGAIN;
    memset(w->held, 0, sizeof w->held);
    w->alive = w->id = 1;
    w->gone = 0;
    return STEP_OK;
}

static enum step_end end_part(struct world *w, uint32_t no, char etag[20])
{
    if (!w->alive) {
        w->gone = 1;
        return STEP_NO_UPLOAD;
    }
    if (chance(w, w->trouble / 2))
        return chance(w, 30) ? STEP_FATAL : STEP_AGAIN;
    snprintf(etag, 20, "%llx", (unsigned long long)dice(w));
    w->held[no].there = 1;
    memcpy(w->held[no].etag, etag, 20);
    if (chance(w, w->trouble / 2))
        return STEP_AGAIN; /* its answer was lost */
    w->saved[no].there = 0;
    if (chance(w, w->trouble / 2))
        return STEP_OK; /* its row was refused */
    w->saved[no] = w->held[no];
    w->saved[no].crc = crc_of(no);
    return STEP_OK;
}

static enum step_end end_list(struct world *w)
{
    if (!w->alive) {
        w->gone = 1;
        return STEP_NO_UPLOAD;
    }
    struct put_facts f;
    xfer_put_facts(w->p, &f);
    for (uint32_t no = 1; no <= MOST_PARTS; no++) {
        if (chance(w, w->trouble))
            return STEP_AGAIN;
        uint64_t left = w->size - (no - 1) * f.part_bytes;
        if (w->held[no].there)
            xfer_put_listed(w->p, no, left < f.part_bytes ? left : f.part_bytes, w->held[no].etag);
    }
    return STEP_OK;
}

static enum step_end end_commit(struct world *w)
{
    struct put_facts f;
    xfer_put_facts(w->p, &f);
    if (chance(w, w->trouble))
        return chance(w, 20) ? STEP_FATAL : chance(w, 500) ? STEP_LOST : STEP_AGAIN;
    if (!w->alive) {
        w->gone = 1;
        return STEP_NO_UPLOAD;
    }
    for (uint32_t no = 1; no <= f.n_parts; no++)
        if (strcmp(w->held[no].etag, xfer_put_etag(w->p, no, NULL)))
            return STEP_CHANGED;
    assert_int_equal(f.crc32c, crc_of_all(w, &f));
    assert_false(w->object); /* once */
    w->object = 1;
    w->alive = 0;
    if (chance(w, 3 * w->trouble))
        return STEP_LOST;
    w->gone = 1;
    return STEP_OK;
}

static enum step_end end_request(struct world *w, const struct xfer_step *s, char etag[20])
{
    switch (s->op) {
    case OP_CREATE:
        return end_create(w);
    case OP_PART:
        return end_part(w, s->part_no, etag);
    case OP_LIST_PARTS:
        return end_list(w);
    case OP_COMMIT:
        return end_commit(w);
    case OP_HEAD:
        if (chance(w, w->trouble))
            return STEP_AGAIN;
        return w->object || w->before ? STEP_OK : STEP_NO_UPLOAD;
    case OP_PUT:
        w->object |= !chance(w, w->trouble);
        return chance(w, w->trouble) ? STEP_REFUSED : w->object ? STEP_OK : STEP_AGAIN;
    case OP_ABORT:
        if (chance(w, w->trouble))
            return chance(w, 950) ? STEP_AGAIN : (w->gave_up = 1, STEP_FATAL);
        w->gone = 1;
        w->alive = 0;
        return STEP_OK;
    default:
        fail();
    }
    return STEP_FATAL;
}

static void end_one(struct world *w)
{
    unsigned i = (unsigned)(dice(w) % w->n_flying);
    struct xfer_step s = w->flying[i];
    char etag[20] = "";
    w->flying[i] = w->flying[--w->n_flying];
    enum step_end how = STEP_OK;
    if (s.kind == STEP_CHECK)
        how = !chance(w, w->trouble) ? STEP_OK : chance(w, 100) ? STEP_FATAL : STEP_AGAIN;
    else if (s.kind == STEP_SAVE)
        how = end_save(w);
    else
        how = end_request(w, &s, etag);
    xfer_put_end(w->p, &s, how, etag, s.op == OP_PART ? crc_of(s.part_no) : 1);
}

static void begin_life(struct world *w)
{
    struct put_limits limits = {w->multipart ? 0 : w->size, w->part_bytes};
    if (!w->row) {
        assert_int_equal(xfer_put_new(w->size, &limits, &w->p, NULL), 0);
        return;
    }
    assert_int_equal(xfer_put_resume(w->size, w->phase, w->part_bytes, w->row_id, &w->p, NULL), 0);
    xfer_put_whole(w->p, &w->whole);
    for (uint32_t no = 1; no <= MOST_PARTS; no++) {
        uint64_t left = w->size - (no - 1) * w->part_bytes;
        if (w->saved[no].there)
            xfer_put_have(w->p, no, left < w->part_bytes ? left : w->part_bytes, w->saved[no].etag,
                          w->saved[no].crc);
    }
}

/* What was in flight may or may not have got through. */
static void crash(struct world *w)
{
    char etag[20];
    w->n_crashes++;
    for (unsigned i = 0; i < w->n_flying; i++) {
        int before = w->id;
        if (w->flying[i].kind == STEP_SAVE && chance(w, 500))
            end_save(w);
        else if (w->flying[i].op == OP_PART && chance(w, 500))
            end_part(w, w->flying[i].part_no, etag);
        else if (w->flying[i].op == OP_COMMIT && chance(w, 500))
            end_commit(w);
        else if (w->flying[i].op == OP_ABORT && chance(w, 500))
            w->alive = 0;
        w->id = before;
    }
    w->n_flying = 0;
    w->id = w->row && w->row_id;
    w->gone = w->stopped = 0;
    xfer_put_free(w->p);
    begin_life(w);
}

static enum step_kind turn(struct world *w)
{
    struct xfer_step s;
    if (w->n_flying && chance(w, 500)) {
        end_one(w);
        return STEP_WAIT;
    }
    xfer_put_next(w->p, &s);
    if (s.kind == STEP_DONE || s.kind == STEP_FAILED)
        return s.kind;
    if (s.kind == STEP_WAIT) {
        assert_true(w->n_flying > 0); /* or it would wait for ever */
        end_one(w);
        return STEP_WAIT;
    }
    if (s.kind == STEP_REQUEST)
        check_request(w, &s);
    else
        check_alone(w);
    w->flying[w->n_flying++] = s;
    return s.kind;
}

static void live(uint64_t seed, unsigned *n_done)
{
    struct world w = {.random = seed * 0x9e3779b97f4a7c15ull + 1};
    for (int i = 0; i < 8; i++)
        dice(&w);
    w.size = dice(&w) % 100;
    w.part_bytes = 10 + dice(&w) % 10;
    w.multipart = w.size && chance(&w, 850);
    w.trouble = (unsigned)(dice(&w) % 4) * 60;
    w.before = chance(&w, 100);
    begin_life(&w);
    enum step_kind kind = STEP_WAIT;
    unsigned n = 0;
    while ((kind = turn(&w)) != STEP_DONE && kind != STEP_FAILED) {
        assert_true(++n < MOST_STEPS);
        if (chance(&w, w.trouble / 20))
            w.alive = 0; /* somebody else aborted it */
        if (w.n_crashes < 4 && chance(&w, w.trouble / 6))
            crash(&w);
        if (!w.stopped && chance(&w, w.trouble / 20)) {
            w.stopped = 1;
            xfer_put_stop(w.p);
        }
    }
    check_alone(&w);
    assert_true(kind != STEP_DONE || w.object || w.before);
    assert_true(!w.id || !w.alive || w.gave_up); /* nothing of ours is left behind */
    *n_done += kind == STEP_DONE;
    xfer_put_free(w.p);
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
        cmocka_unit_test(sizes_that_cannot_be),
        cmocka_unit_test(a_small_put),
        cmocka_unit_test(an_empty_put),
        cmocka_unit_test(a_small_put_whose_answer_is_lost),
        cmocka_unit_test(a_doubt_does_not_last_for_ever),
        cmocka_unit_test(a_source_that_changed_meanwhile),
        cmocka_unit_test(a_large_put),
        cmocka_unit_test(a_commit_whose_answer_is_lost),
        cmocka_unit_test(an_upload_that_vanished),
        cmocka_unit_test(a_commit_that_names_wrong_parts),
        cmocka_unit_test(resumed_from_its_parts),
        cmocka_unit_test(resumed_at_its_commit),
        cmocka_unit_test(what_the_object_has_to_be_is_known_at_its_commit),
        cmocka_unit_test(parts_that_are_listed_tell_their_md5),
        cmocka_unit_test(a_commit_is_asked_after_without_its_parts),
        cmocka_unit_test(a_new_upload_that_is_refused_for_what_an_old_one_made),
        cmocka_unit_test(resumed_from_an_intent),
        cmocka_unit_test(resumed_to_abort),
        cmocka_unit_test(small_streams),
        cmocka_unit_test(a_large_stream),
        cmocka_unit_test(parts_of_a_stream_grow),
        cmocka_unit_test(a_stream_too_large),
        cmocka_unit_test(a_stream_goes_on_without_what_has_arrived),
        cmocka_unit_test(what_of_a_stream_was_lost_cannot_be_sent_again),
        cmocka_unit_test(stopped_in_each_stage),
        cmocka_unit_test(long_etags),
        cmocka_unit_test(lives_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
