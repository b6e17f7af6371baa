/* SPDX-License-Identifier: Apache-2.0
 *
 * cm.h - cmocka with what it wants included before, and strings compared by row.
 */
#ifndef TEST_OCI_CM_H
#define TEST_OCI_CM_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))

/* Fails with the name of the row. */
#define row_check(name, ok)                                                                        \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            fail_msg("row '%s': %s", (name), #ok);                                                 \
    } while (0)

#endif
