/* SPDX-License-Identifier: Apache-2.0
 *
 * test_log.c - one event is one line, whatever is in it and whoever else writes.
 */
#include "core/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"

static int caught, old_stderr;

/* stderr becomes a file for the length of a test. */
static int catch_stderr(void **state)
{
    char name[] = "/tmp/ocid-log-XXXXXX";
    (void)state;
    unsetenv("JOURNAL_STREAM");
    caught = mkstemp(name);
    old_stderr = dup(STDERR_FILENO);
    return caught < 0 || unlink(name) < 0 || dup2(caught, STDERR_FILENO) < 0 ? -1 : 0;
}

static int release_stderr(void **state)
{
    (void)state;
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    close(caught);
    log_init(LOG_L_INFO, 0);
    return 0;
}

static char *lines(void)
{
    static char text[1 << 20];
    ssize_t n = pread(caught, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    return text;
}

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        enum log_level most;
        unsigned want;
    } rows[] = {{LOG_L_ERROR, 1}, {LOG_L_WARN, 2}, {LOG_L_INFO, 3}, {LOG_L_DEBUG, 4}};
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        assert_int_equal(ftruncate(caught, 0), 0);
        lseek(caught, 0, SEEK_SET);
        log_init(LOG_L_INFO, 0);
        log_set_level(rows[i].most);
        log_error("e");
        log_warn("w");
        log_info("i");
        log_debug("d");
        unsigned n = 0;
        for (const char *p = lines(); (p = strchr(p, '\n')); p++)
            n++;
        assert_int_equal(n, rows[i].want);
    }
}

static void test_a_name_cannot_forge_a_line(void **state)
{
    (void)state;
    log_init(LOG_L_INFO, 0);
    log_warn("get '%s': no such object", "a\nb\033[2J\x9b");
    const char *text = lines();
    assert_non_null(strstr(text, "Z warn  get 'a\\x0ab\\x1b[2J\\x9b': no such object\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_a_long_line_is_cut(void **state)
{
    (void)state;
    char big[10000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    log_init(LOG_L_INFO, 0);
    log_info("%s", big);
    size_t n = strlen(lines());
    assert_true(n > 1000 && n < 3000);
    assert_int_equal(lines()[n - 1], '\n');
}

/* With JOURNAL_STREAM naming stderr, lines go to the journal and not to stderr. */
static void test_the_journal_is_found(void **state)
{
    (void)state;
    struct stat st;
    char stream[64];
    static const char *const fields[] = {"OCID_TEST=a\nb", NULL};
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev,
             (unsigned long)st.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init(LOG_L_INFO, LOG_FIND_OUT);
    log_line(LOG_L_INFO, fields, "not the journal");
    assert_non_null(strstr(lines(), "not the journal"));

    snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_init(LOG_L_INFO, LOG_FIND_OUT);
    log_line(LOG_L_INFO, fields, "a unit test of ocid");
    assert_null(strstr(lines(), "unit test"));
}

enum { N_THREADS = 4, N_LINES = 200 };

static void *chatter(void *arg)
{
    for (unsigned i = 0; i < N_LINES; i++)
        log_info("%s", (const char *)arg);
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
    (void)state;
    static char word[N_THREADS][200];
    pthread_t thread[N_THREADS];
    log_init(LOG_L_INFO, 0);
    for (int i = 0; i < N_THREADS; i++) {
        memset(word[i], 'a' + i, sizeof word[i] - 1);
        assert_int_equal(pthread_create(&thread[i], NULL, chatter, word[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(thread[i], NULL);

    unsigned n = 0;
    for (char *line = strtok(lines(), "\n"); line; line = strtok(NULL, "\n"), n++) {
        const char *said = strstr(line, "info  ");
        assert_non_null(said);
        assert_string_equal(said + 6, word[said[6] - 'a']);
    }
    assert_int_equal(n, N_THREADS * N_LINES);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, catch_stderr, release_stderr)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_levels),
        LOG_TEST(test_a_name_cannot_forge_a_line),
        LOG_TEST(test_a_long_line_is_cut),
        LOG_TEST(test_the_journal_is_found),
        LOG_TEST(test_threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
