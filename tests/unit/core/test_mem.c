/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mem.c - locals are freed at each return, copies are copies, no memory is the end.
 */
#include "core/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"

struct thing {
    int *n_freed;
};

static void thing_free(struct thing *t)
{
    if (!t)
        return;
    ++*t->n_freed;
    free(t);
}

OC_AUTO(thing)

static struct thing *made(int *n_freed, int keep)
{
    oc_auto(thing) t = OC_NEW(struct thing);
    oc_auto(thing) none = NULL;
    oc_auto_mem char *text = oc_strdup("freed as well");
    assert_string_equal(text, "freed as well");
    assert_null(none);
    t->n_freed = n_freed;
    return keep ? oc_take(t) : NULL;
}

static void test_autos_free_what_was_not_taken(void **state)
{
    (void)state;
    int n_freed = 0;
    assert_null(made(&n_freed, 0));
    assert_int_equal(n_freed, 1);
    struct thing *t = made(&n_freed, 1);
    assert_int_equal(n_freed, 1);
    thing_free(t);
}

static void test_copies(void **state)
{
    (void)state;
    char *zeros = oc_new(4, 8), *part = oc_strndup("abcdef", 3), *bytes = oc_memdup("a\0b", 3);
    for (int i = 0; i < 32; i++)
        assert_int_equal(zeros[i], 0);
    assert_string_equal(part, "abc");
    assert_memory_equal(bytes, "a\0b", 3);
    zeros = oc_grow(zeros, 8, 8);
    zeros[63] = 1;
    free(zeros);
    free(part);
    free(bytes);

    char *nothing = oc_new(0, 8);
    assert_non_null(nothing);
    free(nothing);
}

/* An overflowing product is as good as no memory: the process ends, it never gets a small block. */
static void test_out_of_memory_aborts(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their allocators end the process themselves */
#endif
    volatile size_t huge = SIZE_MAX / 2;
    pid_t pid = fork();
    if (!pid) {
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        oc_grow(NULL, huge, 4);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_autos_free_what_was_not_taken),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_out_of_memory_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
