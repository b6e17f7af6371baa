/* SPDX-License-Identifier: Apache-2.0
 *
 * test_env.c - which variables stay.
 */
#include "core/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/env.h"

static void test_allows(void **state)
{
    (void)state;
    static const char *const more[] = {"OCI_RESOURCE_PRINCIPAL_*", "ONE", NULL};
    static const struct {
        const char *entry;
        int plain, with_more;
    } rows[] = {
        {"HOME=/root", 1, 1},
        {"HOME=", 1, 1},
        {"HOMER=x", 0, 0},
        {"HOM=x", 0, 0},
        {"LC_ALL=C", 1, 1},
        {"LC=C", 0, 0},
        {"XDG_RUNTIME_DIR=/x", 1, 1},
        {"NOTIFY_SOCKET=@x", 1, 1},
        {"LISTEN_FDS=1", 1, 1},
        {"WATCHDOG_USEC=1", 1, 1},
        {"MALLOC_ARENA_MAX=1", 1, 1},
        {"OCID_FAULT=a:1", 1, 1},
        {"TSAN_OPTIONS=a", 1, 1},
        {"https_proxy=http://x", 0, 0},
        {"HTTPS_PROXY=http://x", 0, 0},
        {"SSLKEYLOGFILE=/x", 0, 0},
        {"SSL_CERT_FILE=/x", 0, 0},
        {"LD_PRELOAD=x", 0, 0},
        {"LD_LIBRARY_PATH=x", 0, 0},
        {"OPENSSL_CONF=x", 0, 0},
        {"UV_THREADPOOL_SIZE=1", 0, 0},
        {"OCI_RESOURCE_PRINCIPAL_RPST=x", 0, 1},
        {"ONE=x", 0, 1},
        {"ONES=x", 0, 0},
        {"NOTHING", 0, 0},
        {"=x", 0, 0},
        {"", 0, 0},
    };
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(env_allows(rows[i].entry, NULL), rows[i].plain);
        assert_int_equal(env_allows(rows[i].entry, more), rows[i].with_more);
    }
}

static void test_cut(void **state)
{
    (void)state;
    setenv("https_proxy", "http://x", 1);
    setenv("OCID_FIRST", "1", 1);
    setenv("SSLKEYLOGFILE", "/x", 1);
    setenv("OCID_LAST", "2", 1);
    assert_true(env_cut(NULL) >= 2);
    assert_null(getenv("https_proxy"));
    assert_null(getenv("SSLKEYLOGFILE"));
    assert_string_equal(getenv("OCID_FIRST"), "1");
    assert_string_equal(getenv("OCID_LAST"), "2");
    for (char **e = environ; *e; e++)
        assert_true(env_allows(*e, NULL));
    assert_int_equal(env_cut(NULL), 0);
    setenv("OCID_LATER", "3", 1); /* libc still knows its table */
    assert_string_equal(getenv("OCID_LATER"), "3");
    clearenv();
    assert_int_equal(env_cut(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_allows), cmocka_unit_test(test_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
