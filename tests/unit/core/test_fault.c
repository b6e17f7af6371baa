/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fault.c - which hits of a named point fail.
 */
#include "core/unit.h"

#include "core/fault.h"

#ifdef OCID_FAULTS
static void test_hits(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *point;
        unsigned fails; /* bit n: the hit n + 1 */
    } rows[] = {
        {NULL, "a", 0},      {"", "a", 0},        {"a:1", "a", 1},         {"a:3", "a", 4},
        {"a:3+", "a", 0xfc}, {"a:1+", "a", 0xff}, {"a:1", "ab", 0},        {"ab:1", "a", 0},
        {"b:2,a:1", "a", 1}, {"a:1,a:3", "a", 5}, {"x.y:2,a:1", "x.y", 2},
    };
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        unsigned fails = 0;
        fault_init(rows[i].spec);
        for (unsigned hit = 0; hit < 8; hit++)
            fails |= (unsigned)OC_FAULT(rows[i].point) << hit;
        assert_int_equal(fails, rows[i].fails);
    }
    fault_init(NULL);
}
#else
static void test_hits(void **state)
{
    (void)state;
    fault_init("a:1+");
    assert_false(OC_FAULT("a"));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
