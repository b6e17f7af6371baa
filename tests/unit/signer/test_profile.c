/* SPDX-License-Identifier: Apache-2.0
 *
 * test_profile.c - what ~/.oci/config says, by rows; thousands of files more: tests/differential.
 */
#include "signer/fixture.h"

#include "signer/profile.h"

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *section, *key, *want; /* NULL: no such key */
    } rows[] = {
        {"[a]\nk=v\n", "a", "k", "v"},
        {"[a]\r\nk = v \r\n", "a", "k", "v"},
        {"[a]\rk:v", "a", "k", "v"},
        {"[a]\nK_Y=v", "a", "k_y", "v"},
        {"[a]\nk=a=b:c", "a", "k", "a=b:c"},
        {"[a]\npass_phrase=correct horse; battery #1\n", "a", "pass_phrase", PASS},
        {"[a]\nk=\"q\"", "a", "k", "\"q\""},
        {"[a]\nk=", "a", "k", ""},
        {"[a]\nk=%(x)s$HOME", "a", "k", "%(x)s$HOME"},
        {"[a]\nk=1\n  2\n\n\t3\n\n", "a", "k", "1\n2\n\n3"},
        {"[a]\nk=1\n  # no\n  2\n", "a", "k", "1\n2"},
        {"[a]\nk=\n  [b]\n", "a", "k", "\n[b]"},
        {"[a]\n k=1\n l=2\n", "a", "l", "2"},
        {"[DEFAULT]\nk=d\n[a]\n", "a", "k", "d"},
        {"[DEFAULT]\nk=d\n[a]\nk=a\n", "a", "k", "a"},
        {"[DEFAULT]\nk=d\n[a]\nk=a\n[DEFAULT]\nl=e\n", "a", "l", "e"},
        {"[a]\nk=v\n", "DEFAULT", "k", NULL},
        {"[ x ] text after\nk=v", " x ", "k", "v"},
        {"[x]y]\nk=v", "x]y", "k", "v"},
        {"# c\n; d\n\n[a]\nk=v", "a", "k", "v"},
        {"[a]\n\xc2\xa0k\xc2\xa0=\xe3\x80\x80v", "a", "k", "v"},
        {"[default]\nk=v\n[a]\n", "a", "k", NULL},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct profile_file *f;
        struct oc_err err;
        assert_int_equal(profile_parse(rows[i].text, strlen(rows[i].text), &f, &err), 0);
        int section = profile_find(f, rows[i].section, strlen(rows[i].section));
        assert_true(section >= 0);
        const struct profile_entry *e =
            profile_get(f, (unsigned)section, rows[i].key, strlen(rows[i].key));
        if (rows[i].want)
            assert_string_equal(e->value.s, rows[i].want);
        else
            assert_null(e);
        profile_free(f);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"k=v\n", "line 1: neither a section"},
        {"\n[a]\nnothing\n", "line 3: neither a section nor key=value"},
        {"[a]\n[b]\n[a]\n", "line 3: a section"},
        {"[a]\nk=1\nK=2\n", "line 3: this key"},
        {"[DEFAULT]\nk=1\n[DEFAULT]\nk=2\n", "line 4: this key"},
        {"[a]\n = v\n", "line 2: no key"},
        {"\xef\xbb\xbf[a]\n", "line 1: a byte order mark"},
        {"[a]\r\nk=1\r\nl=\xff\r\n", "line 3: not UTF-8"},
        {"[a]\rk=1\rl=\xff\r", "line 3: not UTF-8"},
        {"[]\n", "line 1: neither"},
    };
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        struct profile_file *f;
        struct oc_err err;
        int rc = profile_parse(rows[i].text, strlen(rows[i].text), &f, &err);
        assert_int_equal(rc, OCID_E_CONFIG);
        assert_memory_equal(err.text, rows[i].line, strlen(rows[i].line));
    }
}

/* Many keys in one section cost no more each than few. */
static void test_large(void **state)
{
    (void)state;
    size_t room = PROFILE_FILE_MAX + 1, n = 0;
    char *text = malloc(room);
    struct profile_file *f;
    struct oc_err err;
    n += (size_t)snprintf(text, room, "[a]\n");
    for (int i = 0; n + 16 < room; i++)
        n += (size_t)snprintf(text + n, room - n, "k%d=%d\n", i, i);
    assert_int_equal(profile_parse(text, n, &f, &err), 0);
    assert_string_equal(profile_get(f, 1, "k77777", 6)->value.s, "77777");
    assert_null(profile_entry_at(f, 1 << 20));
    profile_free(f);
    memset(text, '#', room);
    assert_int_equal(profile_parse(text, room, &f, &err), OCID_E_CONFIG);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
