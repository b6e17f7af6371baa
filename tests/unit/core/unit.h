/* SPDX-License-Identifier: Apache-2.0
 *
 * unit.h - what the tests of this room share: cmocka in the right order, a loop that must end
 * empty.
 */
#ifndef UNIT_CORE_UNIT_H
#define UNIT_CORE_UNIT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <uv.h>

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

/* Turns the loop until nothing is left in it, and proves that it closes empty. */
static inline void loop_ends_empty(uv_loop_t *loop)
{
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(loop), 0);
}

#endif
