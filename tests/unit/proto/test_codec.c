/* SPDX-License-Identifier: Apache-2.0
 *
 * test_codec.c - every message with every field, each bound, and bytes that mean harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "walk.h"

#define N(rows) (sizeof(rows) / sizeof *(rows))

/* ---- Round trips */

static void round_trip(const struct ocp_desc *d, uint64_t mask)
{
    struct walk w = {0};
    struct oc_buf one, two;
    struct oc_err err = {0};
    size_t len;
    char in[4096];
    oc_buf_init(&one, 8 << 20);
    oc_buf_init(&two, 8 << 20);
    walk_fill(&w, d, mask, in);
    assert_int_equal(ocp_pack(d, in, &one), 0);
    assert_int_equal(ocp_check(one.data, one.len, &len, &err), 0);
    assert_int_equal(len, one.len);
    if (walk_again(&w, d, one.data, one.len, &two, &err))
        fail_msg("%s: %s", d->name, err.text);
    assert_int_equal(two.len, one.len);
    assert_memory_equal(two.data, one.data, one.len);
    oc_buf_fini(&one);
    oc_buf_fini(&two);
    walk_fini(&w);
}

static void test_round_trip_of_every_field(void **state)
{
    (void)state;
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++) {
        round_trip(*d, WALK_ALL);
        round_trip(*d, (*d)->required);
        for (unsigned i = 0; i < (*d)->n_fields; i++) {
            round_trip(*d, (*d)->required | 1ull << i);
            round_trip(*d, ~(1ull << i) | (*d)->required);
        }
    }
}

/* Every job of the widest message fits the limits of nesting. */
static void test_values_arrive(void **state)
{
    (void)state;
    struct ocp_job j = {0}, back;
    struct oc_buf b;
    oc_buf_init(&b, 4096);
    OCP_SET(&j, job, kind, OCP_ENUM_kind_pull);
    OCP_SET(&j, job, object, ocp_str("dir/\xc3\xa4"));
    OCP_SET(&j, job, mtime_ns, INT64_MIN);
    OCP_SET(&j, job, size, UINT64_MAX);
    OCP_SET(&j, job, if_absent, true);
    assert_int_equal(ocp_pack(&ocp_desc_job, &j, &b), 0);
    assert_int_equal(ocp_unpack(&ocp_desc_job, b.data, b.len, &back, NULL), 0);
    assert_int_equal(back.kind, OCP_ENUM_kind_pull);
    assert_true(ocp_str_is(back.object, "dir/\xc3\xa4"));
    assert_true(back.mtime_ns == INT64_MIN);
    assert_true(back.size == UINT64_MAX);
    assert_true(back.if_absent);
    assert_int_equal(back.has, j.has);
    assert_false(OCP_HAS(&back, job, bucket));
    assert_null(back.bucket.p);
    oc_buf_fini(&b);
}

/* ---- Each rule of each field, by walking the tables */

/* A map with the required fields but `skip`, then the field at i with the bytes given, times times.
 */
static void with_value(struct walk *w, const struct ocp_desc *d, unsigned i, const char *value,
                       size_t n, int times, struct oc_buf *b)
{
    char in[4096], key[64];
    uint64_t need = d->required & ~(1ull << i);
    char head[] = {'\xde', 0, (char)(__builtin_popcountll(need) + times)};
    struct oc_buf *packed = walk_buf(w);
    walk_fill(w, d, need, in);
    ocp_pack(d, in, packed);
    oc_buf_add(b, head, 3);
    oc_buf_add(b, packed->data + 1, packed->len - 1); /* few are required: a head of one byte */
    for (int t = 0; t < times; t++) {
        snprintf(key, sizeof key, "%c%s", 0xa0 | d->fields[i].name_len, d->fields[i].name);
        oc_buf_add(b, key, strlen(key));
        oc_buf_add(b, value, n);
    }
}

static int try_value(const struct ocp_desc *d, unsigned i, const char *value, size_t n, int times)
{
    struct walk w = {0};
    struct oc_buf b;
    struct oc_err err = {0};
    char out[4096];
    oc_buf_init(&b, 8 << 20);
    with_value(&w, d, i, value, n, times, &b);
    int rc = ocp_unpack(d, b.data, b.len, out, &err);
    if (rc && !strstr(err.text, d->fields[i].name))
        fail_msg("%s.%s is not named: %s", d->name, d->fields[i].name, err.text);
    assert_int_equal(rc, err.code);
    oc_buf_fini(&b);
    walk_fini(&w);
    return rc;
}

/* One value of each shape; mask of the types that take it. */
#define T(type) (1u << OCP_##type)
static const struct {
    const char *name, *bytes;
    size_t n;
    unsigned fits;
} shapes[] = {
    {"nil", "\xc0", 1, 0},
    {"true", "\xc3", 1, T(BOOL)},
    {"one", "\x01", 1, T(U64) | T(I64)},
    {"one in nine bytes", "\xcf\0\0\0\0\0\0\0\1", 9, T(U64) | T(I64)},
    {"one, signed", "\xd3\0\0\0\0\0\0\0\1", 9, T(U64) | T(I64)},
    {"one, signed, short", "\xd0\1", 2, T(U64) | T(I64)},
    {"minus one", "\xff", 1, T(I64)},
    {"minus one in three bytes", "\xd1\xff\xff", 3, T(I64)},
    {"above i64", "\xcf\x80\0\0\0\0\0\0\0", 9, T(U64)},
    {"float", "\xca\x3f\x80\0\0", 5, 0},
    {"double", "\xcb\x3f\xf0\0\0\0\0\0\0", 9, 0},
    {"str", "\xa1/", 2, T(STR) | T(BYTES)},
    {"str in five more bytes", "\xdb\0\0\0\1/", 6, T(STR) | T(BYTES)},
    {"not UTF-8", "\xa2\xc3(", 3, T(BYTES)},
    {"NUL", "\xa1\0", 2, 0},
    {"bin", "\xc4\1/", 3, T(BYTES)},
    {"array", "\x91\1", 2, T(U64S)},
    {"array of str", "\x91\xa1/", 3, 0},
    {"array of a negative", "\x91\xff", 2, 0},
    {"empty array", "\x90", 1, T(U64S) | T(LIST)},
    {"empty map", "\x80", 1, T(MAP) | T(SUB)},
    {"map of str", "\x81\xa1/\xa1/", 5, T(MAP) | T(SUB)},
    {"map of integers", "\x81\1\2", 3, T(SUB)},
    {"map of bad UTF-8", "\x81\xa1/\xa1\xff", 5, T(SUB)},
    {"ext", "\xd4\1\1", 3, 0},
    {"reserved", "\xc1", 1, 0},
    {"2 GiB of str", "\xdb\x7f\xff\xff\xff", 5, 0},
    {"2 GiB of array", "\xdd\x7f\xff\xff\xff", 5, 0},
    {"4 GiB of map", "\xdf\xff\xff\xff\xff", 5, 0},
};

static void test_types_of_every_field(void **state)
{
    (void)state;
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++)
        for (unsigned i = 0; i < (*d)->n_fields; i++)
            for (size_t s = 0; s < N(shapes); s++) {
                const struct ocp_field *f = &(*d)->fields[i];
                int fits = shapes[s].fits >> f->type & 1;
                if (f->type == OCP_U64 && f->bound && s == 8)
                    fits = 0;
                int rc = try_value(*d, i, shapes[s].bytes, shapes[s].n, 1);
                if (rc != (fits ? 0 : OCID_E_INVALID))
                    fail_msg("%s.%s = %s: %d", (*d)->name, f->name, shapes[s].name, rc);
            }
}

static void test_every_field_once_only(void **state)
{
    (void)state;
    static const char *const good[] = {"\xc3", "\1",   "\1", "\xa1/", "\xa1/",
                                       "\x90", "\x80", NULL, "\x80",  "\x90"};
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++)
        for (unsigned i = 0; i < (*d)->n_fields; i++) {
            const struct ocp_field *f = &(*d)->fields[i];
            char value[64];
            snprintf(value, sizeof value, "%s", good[f->type] ? good[f->type] : "");
            if (f->type == OCP_ENUM)
                snprintf(value, sizeof value, "%c%s", (char)(0xa0 | strlen(f->values->names[0])),
                         f->values->names[0]);
            assert_int_equal(try_value(*d, i, value, strlen(value), 1), 0);
            assert_int_equal(try_value(*d, i, value, strlen(value), 2), OCID_E_INVALID);
            int rc = try_value(*d, i, "", 0, 0);
            assert_int_equal(rc, f->required ? OCID_E_INVALID : 0);
        }
}

static int try_bound(const struct ocp_desc *d, unsigned i, uint64_t n)
{
    const struct ocp_field *f = &d->fields[i];
    struct walk w = {0};
    struct oc_buf b;
    char in[4096], out[4096];
    oc_buf_init(&b, 64 << 20);
    walk_fill(&w, d, d->required | 1ull << i, in);
    void *to = in + f->offset;
    if (f->type == OCP_U64)
        *(uint64_t *)to = n;
    else if (f->type == OCP_STR || f->type == OCP_BYTES)
        *(struct ocp_str *)to = ocp_str(walk_text(&w, d->name, f->name, n));
    else
        *(struct ocp_span *)to = walk_list(&w, d, f, (uint32_t)n);
    assert_int_equal(ocp_pack(d, in, &b), 0);
    int rc = ocp_unpack(d, b.data, b.len, out, NULL);
    oc_buf_fini(&b);
    walk_fini(&w);
    return rc;
}

static void test_bound_of_every_field(void **state)
{
    (void)state;
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++)
        for (unsigned i = 0; i < (*d)->n_fields; i++) {
            const struct ocp_field *f = &(*d)->fields[i];
            if (!f->bound)
                continue;
            assert_int_equal(try_bound(*d, i, f->bound), 0);
            assert_int_equal(try_bound(*d, i, f->bound + 1), OCID_E_INVALID);
        }
}

static void test_unknown_keys_are_skipped(void **state)
{
    (void)state;
    static const char *const keys[] = {"\xa7unknown", "\x05", "\xc0", "\x92\x01\x90", "\xa0"};
    static const size_t lens[] = {8, 1, 1, 3, 1};
    struct ocp_lock out;
    for (size_t k = 0; k < N(keys); k++)
        for (size_t s = 0; s < N(shapes); s++) {
            struct oc_buf b;
            struct oc_err err;
            size_t len;
            oc_buf_init(&b, 4096);
            oc_buf_add(&b, "\x82", 1);
            oc_buf_add(&b, keys[k], lens[k]);
            oc_buf_add(&b, shapes[s].bytes, shapes[s].n);
            oc_buf_add(&b, "\xa7profile\xa1x", 10);
            int rc = ocp_check(b.data, b.len, &len, &err);
            int sound = shapes[s].bytes[0] != '\xc1' && shapes[s].bytes[0] != '\xd4' &&
                        !strstr(shapes[s].name, "GiB");
            assert_int_equal(rc, sound ? 0 : OCID_E_PROTOCOL);
            rc = ocp_unpack(&ocp_desc_lock, b.data, b.len, &out, &err);
            assert_int_equal(rc, sound ? 0 : OCID_E_INVALID);
            if (sound)
                assert_true(ocp_str_is(out.profile, "x"));
            oc_buf_fini(&b);
        }
}

/* ---- The check before anything is read */

static void test_hostile_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *bytes;
        size_t n;
        int want;
        size_t len;
    } rows[] = {
        {"nothing", "", 0, OCID_E_PROTOCOL, 0},
        {"nil", "\xc0", 1, 0, 1},
        {"more behind", "\xc0\xc0", 2, 0, 1},
        {"2 GiB of str in five bytes", "\xdb\x7f\xff\xff\xff", 5, OCID_E_PROTOCOL, 0},
        {"2 GiB of bin", "\xc6\x7f\xff\xff\xff", 5, OCID_E_PROTOCOL, 0},
        {"2 GiB of array", "\xdd\x7f\xff\xff\xff", 5, OCID_E_PROTOCOL, 0},
        {"4 GiB of map", "\xdf\xff\xff\xff\xff", 5, OCID_E_PROTOCOL, 0},
        {"map of as many as bytes", "\x82\xc0\xc0\xc0", 4, OCID_E_PROTOCOL, 0},
        {"array of one too many", "\x93\xc0\xc0", 3, OCID_E_PROTOCOL, 0},
        {"counts that fit but lie", "\x92\x92\xc0\xc0", 4, OCID_E_PROTOCOL, 0},
        {"str of one too many", "\xa2x", 2, OCID_E_PROTOCOL, 0},
        {"u64 cut", "\xcf\0\0\0\0\0\0\0", 8, OCID_E_PROTOCOL, 0},
        {"double cut", "\xcb\0\0\0\0\0\0\0", 8, OCID_E_PROTOCOL, 0},
        {"length cut", "\xdb\0\0", 3, OCID_E_PROTOCOL, 0},
        {"reserved", "\xc1", 1, OCID_E_PROTOCOL, 0},
        {"reserved inside", "\x91\xc1", 2, OCID_E_PROTOCOL, 0},
        {"ext 8", "\xc7\1\1\1", 4, OCID_E_PROTOCOL, 0},
        {"ext 16", "\xc8\0\1\1\1", 5, OCID_E_PROTOCOL, 0},
        {"ext 32", "\xc9\0\0\0\1\1\1", 7, OCID_E_PROTOCOL, 0},
        {"fixext 1", "\xd4\1\1", 3, OCID_E_PROTOCOL, 0},
        {"fixext 16", "\xd8\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 18, OCID_E_PROTOCOL, 0},
        {"timestamp", "\xd6\xff\0\0\0\0", 6, OCID_E_PROTOCOL, 0},
        {"depth 8", "\x91\x91\x91\x91\x91\x91\x91\x91\xc0", 9, 0, 9},
        {"depth 9", "\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0", 10, OCID_E_PROTOCOL, 0},
        {"depth 9, empty", "\x91\x91\x91\x91\x91\x91\x91\x91\x90", 9, OCID_E_PROTOCOL, 0},
        {"depth 9, maps", "\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x81\0\x80", 17,
         OCID_E_PROTOCOL, 0},
        {"depth 9 in keys", "\x81\x81\x81\x81\x81\x81\x81\x81\x80\0\0\0\0\0\0\0\0", 17,
         OCID_E_PROTOCOL, 0},
        {"wide, not deep", "\x93\x91\xc0\x91\xc0\x81\xc0\xc0", 8, 0, 8},
        {"empty ones", "\x94\x90\x80\xa0\xc4\0", 6, 0, 6},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct oc_err err = {0};
        size_t len = 0;
        char *exact = malloc(rows[i].n + 1); /* a byte too many shows under the sanitizer */
        memcpy(exact, rows[i].bytes, rows[i].n);
        exact = realloc(exact, rows[i].n ? rows[i].n : 1);
        int rc = ocp_check(exact, rows[i].n, &len, &err);
        if (rc != rows[i].want || len != rows[i].len)
            fail_msg("%s: %d, %zu bytes, %s", rows[i].name, rc, len, err.text);
        assert_true(!rc == !err.text[0]);
        free(exact);
    }
}

/* Each message, cut at each byte and with each byte replaced, is read or refused, never more. */
static void test_cut_and_changed_everywhere(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0,    0x7f, 0x80, 0x8f, 0x90, 0xa0, 0xbf, 0xc0,
                                          0xc1, 0xc4, 0xcf, 0xd4, 0xdb, 0xdd, 0xdf, 0xff};
    for (const struct ocp_desc *const *d = ocp_messages; *d; d++) {
        struct walk w = {0}, again = {0};
        struct oc_buf b, sink;
        char in[4096], out[4096];
        size_t len;
        oc_buf_init(&b, 8 << 20);
        oc_buf_init(&sink, 8 << 20);
        walk_fill(&w, *d, WALK_ALL, in);
        ocp_pack(*d, in, &b);
        for (size_t n = 0; n < b.len; n++) {
            char *exact = malloc(n + 1);
            memcpy(exact, b.data, n);
            assert_int_equal(ocp_check(exact, n, &len, NULL), OCID_E_PROTOCOL);
            assert_int_equal(ocp_unpack(*d, exact, n, out, NULL), OCID_E_INVALID);
            free(exact);
        }
        for (size_t at = 0; at < b.len; at++)
            for (size_t c = 0; c < N(bytes); c++) {
                char was = b.data[at];
                b.data[at] = (char)bytes[c];
                oc_buf_clear(&sink);
                (void)walk_again(&again, *d, b.data, b.len, &sink, NULL);
                walk_fini(&again);
                b.data[at] = was;
            }
        oc_buf_fini(&b);
        oc_buf_fini(&sink);
        walk_fini(&w);
    }
}

static void test_bytes_behind_a_message(void **state)
{
    (void)state;
    struct ocp_none none;
    assert_int_equal(ocp_unpack(&ocp_desc_none, "\x80", 1, &none, NULL), 0);
    assert_int_equal(ocp_unpack(&ocp_desc_none, "\x80\xc0", 2, &none, NULL), OCID_E_INVALID);
    assert_int_equal(ocp_unpack(&ocp_desc_none, "", 0, &none, NULL), OCID_E_INVALID);
    assert_int_equal(ocp_unpack(&ocp_desc_none, "\x90", 1, &none, NULL), OCID_E_INVALID);
}

/* A list is read one element at a time: the bad one is refused when its turn comes. */
static void test_bad_element(void **state)
{
    (void)state;
    static const char bytes[] = "\x81\xa4jobs\x92\x81\xa4kind\xa3put\x81\xa4kind\xa5paint";
    struct ocp_submit s;
    struct ocp_job job;
    struct ocp_iter it = {0};
    struct ocp_str raw;
    struct oc_err err;
    assert_int_equal(ocp_unpack(&ocp_desc_submit, bytes, sizeof bytes - 1, &s, &err), 0);
    assert_int_equal(s.jobs.count, 2);
    assert_int_equal(ocp_next_sub(&ocp_desc_job, &s.jobs, &it, &job, &raw, &err), 1);
    assert_int_equal(raw.n, 10);
    assert_int_equal(ocp_next_sub(&ocp_desc_job, &s.jobs, &it, &job, &raw, &err), OCID_E_INVALID);
    assert_non_null(strstr(err.text, "'kind'"));
    assert_int_equal(it.i, 1);
}

/* ---- Small things */

static void test_names(void **state)
{
    (void)state;
    for (const struct ocp_enum *const *e = ocp_enums; *e; e++)
        for (int i = 0; i < (*e)->n; i++)
            assert_int_equal(ocp_enum_find(*e, ocp_enum_name(*e, i), strlen((*e)->names[i])), i);
    assert_int_equal(ocp_enum_find(&ocp_enum_kind, "pu", 2), -1);
    assert_int_equal(ocp_enum_find(&ocp_enum_kind, "puts", 4), -1);
    assert_int_equal(ocp_enum_find(&ocp_enum_kind, "", 0), -1);
    assert_string_equal(ocp_enum_name(&ocp_enum_kind, -1), "unknown");
    assert_string_equal(ocp_enum_name(&ocp_enum_kind, OCP_ENUM_kind_COUNT), "unknown");
    for (int i = 0; i < OCP_METHOD_COUNT; i++)
        assert_int_equal(ocp_method_find(ocp_method(i)->name, strlen(ocp_method(i)->name)), i);
    assert_int_equal(ocp_method_find("job.", 4), -1);
    assert_null(ocp_method(-1));
    assert_null(ocp_method(OCP_METHOD_COUNT));
}

static void test_strings(void **state)
{
    (void)state;
    char out[4] = "zzz";
    assert_string_equal(ocp_str_copy(ocp_str("abcdef"), out, sizeof out), "abc");
    assert_string_equal(ocp_str_copy(ocp_str(NULL), out, sizeof out), "");
    ocp_str_copy(ocp_str("abc"), out, 1);
    assert_string_equal(out, "");
    ocp_str_copy(ocp_str("abc"), NULL, 0);
    assert_true(ocp_str_is(ocp_str("abc"), "abc"));
    assert_false(ocp_str_is(ocp_str("abc"), "abcd"));
    assert_true(ocp_str_is(ocp_str(NULL), ""));
}

static void test_errors_cross(void **state)
{
    (void)state;
    static const int codes[] = {
#define CODE(number, name, retry, status, text) OCID_E_##name,
        OCID_ERRORS(CODE)
#undef CODE
    };
    for (size_t i = 0; i < N(codes); i++) {
        struct oc_err err = {0}, back;
        struct ocp_error out, in;
        struct oc_buf b;
        oc_buf_init(&b, 4096);
        oc_fail(&err, codes[i], 0, "get '%s': no", i % 2 ? "a\xff\n" : "a");
        err.http_status = 404;
        strcpy(err.service_code, "ObjectNotFound");
        strcpy(err.request_id, i % 3 ? "1F3C" : "\xff");
        ocp_error_of(&err, i % 2 ? 7 : -1, &out);
        assert_int_equal(ocp_pack(&ocp_desc_error, &out, &b), 0);
        assert_int_equal(ocp_unpack(&ocp_desc_error, b.data, b.len, &in, NULL), 0);
        ocp_error_to(&in, &back);
        assert_int_equal(back.code, codes[i]);
        assert_string_equal(back.text, i % 2 ? "get 'a\\xff\\x0a': no" : "get 'a': no");
        assert_int_equal(back.http_status, 404);
        assert_string_equal(back.service_code, "ObjectNotFound");
        assert_string_equal(back.request_id, i % 3 ? "1F3C" : "");
        assert_int_equal(OCP_HAS(&in, error, index), i % 2);
        oc_buf_fini(&b);
    }
}

/* A buffer that is full keeps what it had and says so. */
static void test_pack_into_too_little(void **state)
{
    (void)state;
    struct walk w = {0};
    char in[4096];
    walk_fill(&w, &ocp_desc_job, WALK_ALL, in);
    for (size_t room = 0; room < 400; room += 7) {
        struct oc_buf b;
        oc_buf_init(&b, room + 3);
        assert_int_equal(oc_buf_add(&b, "abc", 3), 0);
        assert_int_equal(ocp_pack(&ocp_desc_job, in, &b), OCID_E_TOO_LARGE);
        assert_int_equal(b.failed, OCID_E_TOO_LARGE);
        assert_int_equal(b.len, 3);
        oc_buf_fini(&b);
    }
    walk_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_of_every_field),
        cmocka_unit_test(test_values_arrive),
        cmocka_unit_test(test_types_of_every_field),
        cmocka_unit_test(test_every_field_once_only),
        cmocka_unit_test(test_bound_of_every_field),
        cmocka_unit_test(test_unknown_keys_are_skipped),
        cmocka_unit_test(test_hostile_bytes),
        cmocka_unit_test(test_cut_and_changed_everywhere),
        cmocka_unit_test(test_bytes_behind_a_message),
        cmocka_unit_test(test_bad_element),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_errors_cross),
        cmocka_unit_test(test_pack_into_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
