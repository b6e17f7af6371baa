/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wire.c - packets: what was packed comes out, what does not add up is refused.
 */
#include "signer/fixture.h"

#include "vault/wire.h"

static void test_round(void **state)
{
    (void)state;
    char out[256];
    struct wire_head head = {.verb = WIRE_SIGN, .tag = 9, .code = -3, .number = -1}, got;
    struct wire_part in[] = {{"one", 3}, {NULL, 0}, {"three", 5}}, part[WIRE_PARTS];
    size_t n = wire_pack(&head, in, 3, out, sizeof out);
    assert_int_equal(n, sizeof head + 8);
    assert_true(wire_parse(out, n, &got, part));
    assert_memory_equal(&got, &head, sizeof head);
    assert_memory_equal(part[0].s, "one", 3);
    assert_int_equal(part[1].n, 0);
    assert_memory_equal(part[2].s, "three", 5);
    assert_int_equal(part[9].n, 0);
    for (size_t cut = 0; cut < n; cut++) {
        assert_false(wire_parse(out, cut, &got, part));
        assert_int_equal(wire_pack(&head, in, 3, out + 128, cut), 0);
    }
    assert_false(wire_parse(out, n + 1, &got, part));
}

static void test_lies(void **state)
{
    (void)state;
    char bytes[sizeof(struct wire_head) + 8] = {0};
    struct wire_part part[WIRE_PARTS];
    struct wire_head got;
    static const struct {
        uint32_t n_parts;
        uint16_t first, last;
        int good;
    } rows[] = {
        {1, 8, 0, 1}, {10, 4, 4, 1},         {2, 0, 8, 0}, {11, 8, 0, 0},
        {1, 9, 0, 0}, {UINT32_MAX, 8, 0, 0}, {1, 7, 0, 0}, {10, UINT16_MAX, UINT16_MAX, 0},
        {0, 8, 0, 0}, {0, 0, 0, 0},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct wire_head head = {.n_parts = rows[i].n_parts};
        head.len[0] = rows[i].first;
        head.len[WIRE_PARTS - 1] = rows[i].last;
        memcpy(bytes, &head, sizeof head);
        assert_int_equal(wire_parse(bytes, sizeof bytes, &got, part), rows[i].good);
    }
}

static void test_too_much(void **state)
{
    (void)state;
    struct wire_part part[WIRE_PARTS + 1] = {{"", 0}};
    struct wire_head head = {.verb = WIRE_SIGN};
    static char large[70000], out[80000];
    assert_int_equal(wire_pack(&head, part, WIRE_PARTS + 1, out, sizeof out), 0);
    part[0] = (struct wire_part){large, 65536};
    assert_int_equal(wire_pack(&head, part, 1, out, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
