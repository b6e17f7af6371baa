/* SPDX-License-Identifier: Apache-2.0
 *
 * test_edit.c - one profile is set, every other byte of the file stays: by rows, and on files made
 * at random.
 */
#include "signer/fixture.h"

#include <time.h>

#include "signer/edit.h"
#include "signer/profile.h"
#include "signer/secret.h"

static const struct edit_set set[] = {
    {"user", "U"},
    {"key_file", "/k"},
    {"pass_phrase", NULL},
};
enum { N_SET = sizeof set / sizeof *set };

static const struct {
    const char *name, *text, *profile, *want;
    unsigned changed;
} rows[] = {
    {"no file yet", "", "P", "[P]\nuser=U\nkey_file=/k\n", 0},
    {"appended", "[A]\nuser=a\n", "P", "[A]\nuser=a\n\n[P]\nuser=U\nkey_file=/k\n", 0},
    {"no newline at the end", "[A]\nuser=a", "P", "[A]\nuser=a\n\n[P]\nuser=U\nkey_file=/k\n", 0},
    {"comments only", "# mine\n", "P", "# mine\n\n[P]\nuser=U\nkey_file=/k\n", 0},
    {"replaced where it stands", "[P]\n# x\nUser : old\nregion=r\n[A]\nuser=a\n", "P",
     "[P]\nkey_file=/k\n# x\nuser=U\nregion=r\n[A]\nuser=a\n", 1},
    {"taken out", "[P]\nuser=U\npass_phrase=x\nkey_file=/k\n", "P", "[P]\nuser=U\nkey_file=/k\n",
     1},
    {"nothing to do", "[P]\nuser = U\nkey_file=/k\n", "P", "[P]\nuser=U\nkey_file=/k\n", 0},
    {"a value of several lines", "[P]\npass_phrase=x\n  y\n # c\n\n  z\n\nuser=U\nkey_file=/k\n",
     "P", "[P]\n # c\n\nuser=U\nkey_file=/k\n", 1},
    {"indented", "[P]\n  region=r\n  user=o\n", "P", "[P]\n  key_file=/k\n  region=r\n  user=U\n",
     1},
    {"CRLF", "[P]\r\nuser=o\r\n[A]\r\nx=1\r\n", "P",
     "[P]\r\nkey_file=/k\r\nuser=U\r\n[A]\r\nx=1\r\n", 1},
    {"the head is the end", "[P]", "P", "[P]\nuser=U\nkey_file=/k\n", 0},
    {"DEFAULT", "[A]\nuser=a\n[DEFAULT]\nuser=d\n", "DEFAULT",
     "[A]\nuser=a\n[DEFAULT]\nkey_file=/k\nuser=U\n", 1},
    {"DEFAULT twice", "[DEFAULT]\nregion=r\n[A]\nx=1\n[DEFAULT]\nuser=d\n", "DEFAULT",
     "[DEFAULT]\nkey_file=/k\nregion=r\n[A]\nx=1\n[DEFAULT]\nuser=U\n", 1},
    {"inherited is not touched", "[DEFAULT]\nuser=d\npass_phrase=x\n[P]\n", "P",
     "[DEFAULT]\nuser=d\npass_phrase=x\n[P]\nuser=U\nkey_file=/k\n", 0},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS(rows); i++) {
        char *out = NULL;
        size_t n = 0;
        unsigned changed = 99;
        struct oc_err err;
        int rc = edit_profile(rows[i].text, strlen(rows[i].text), rows[i].profile, set, N_SET, &out,
                              &n, &changed, &err);
        if (rc)
            fail_msg("row '%s': %s", rows[i].name, err.text);
        if (strcmp(out, rows[i].want) || n != strlen(out) || changed != rows[i].changed)
            fail_msg("row '%s': %u changed:\n%s", rows[i].name, changed, out);
        secret_free(out);
    }
}

static void test_a_file_with_an_error_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"user=a\n", "[A]\nnonsense\n", "[A]\nx=1\nx=2\n",
                                        "\xef\xbb\xbf[A]\n", "[A]\n[A]\n"};
    for (size_t i = 0; i < N_ROWS(texts); i++) {
        char *out;
        size_t n;
        unsigned changed;
        struct oc_err err;
        assert_int_equal(
            edit_profile(texts[i], strlen(texts[i]), "P", set, N_SET, &out, &n, &changed, &err),
            OCID_E_CONFIG);
        assert_non_null(strstr(err.text, "line "));
    }
}

/* A line of the file as the next of a few. */
static size_t add_line(char *out, unsigned r, int i)
{
    static const char *const lines[] = {
        "[P]",       "[DEFAULT]", "[B%d]",     "user=x%d", "key_file : y",    "pass_phrase = a=b",
        "  more",    "# user=c",  "",          "\tdeep",   "region=eu-%d",    " key%d=v",
        "; comment", "[ P ]",     "other%d=1", "User=up",  "pass_phrase=x ;y"};
    char line[64];
    const char *fmt = lines[r % N_ROWS(lines)];
    const char *mark = strstr(fmt, "%d");
    if (mark)
        snprintf(line, sizeof line, "%.*s%d%s", (int)(mark - fmt), fmt, i, mark + 2);
    else
        snprintf(line, sizeof line, "%s", fmt);
    return (size_t)sprintf(out, "%s\n", line);
}

/* Lines that may be replaced or go: of the keys that were set, and what goes on with a value. */
static int may_go(const char *line)
{
    return !strncasecmp(line, "user", 4) || !strncmp(line, "key_file", 8) ||
           !strncmp(line, "pass_phrase", 11) || strchr(" \t\n", *line);
}

/* Each other line of the old text is a line of the new one, in order. */
static int keeps_lines(const char *old, const char *new)
{
    for (size_t n; *old; old += n) {
        n = strcspn(old, "\n") + 1;
        if (may_go(old))
            continue;
        while (*new &&strncmp(new, old, n) != 0)
            new += strcspn(new, "\n") + 1;
        if (!*new)
            return 0;
        new += n;
    }
    return 1;
}

static void test_random_files(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid(), done = 0, odd = 0;
    print_message("seed %u\n", seed);
    for (int i = 0; i < 20000; i++) {
        char text[1024], *out;
        size_t n = 0, out_n;
        unsigned changed;
        struct oc_err err;
        struct profile_file *f;
        for (int lines = (int)(rand_r(&seed) % 12); lines >= 0; lines--)
            n += add_line(text + n, (unsigned)rand_r(&seed), lines);
        if (profile_parse(text, n, &f, &err))
            continue;
        profile_free(f);
        int rc = edit_profile(text, n, "P", set, N_SET, &out, &out_n, &changed, &err);
        if (rc) {
            odd++;
            continue; /* "cannot be changed safely": nothing was given out */
        }
        done++;
        if (!keeps_lines(text, out))
            fail_msg("a line is lost of:\n%s\nin:\n%s", text, out);
        secret_free(out);
    }
    print_message("%u edited, %u too odd\n", done, odd);
    assert_true(done > 500);
    assert_true(odd * 20 < done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_a_file_with_an_error_is_refused),
        cmocka_unit_test(test_random_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
