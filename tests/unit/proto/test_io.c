/* SPDX-License-Identifier: Apache-2.0
 *
 * test_io.c - all bytes arrive, in whatever pieces, or it is said why not.
 */
#include "proto/io.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 1 << 20, PIECE = 977 };

struct reader {
    int fd;
    pthread_t writer;
    unsigned char *got;
    size_t n;
};

static void on_signal(int number)
{
    (void)number;
}

/* In small pieces, and with a signal to the writer before each. */
static void *read_all(void *arg)
{
    struct reader *r = arg;
    ssize_t n;
    for (unsigned i = 0; (n = read(r->fd, r->got + r->n, PIECE)) > 0; i++) {
        r->n += (size_t)n;
        pthread_kill(r->writer, SIGUSR1);
    }
    return NULL;
}

static void test_all_arrives_through_a_narrow_pipe_and_signals(void **state)
{
    unsigned char *bytes = malloc(SIZE);
    struct reader r = {.writer = pthread_self(), .got = malloc(SIZE + PIECE)};
    struct sigaction act = {.sa_handler = on_signal}; /* without SA_RESTART */
    pthread_t thread;
    int ends[2];
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    sigaction(SIGUSR1, &act, NULL);
    assert_int_equal(pipe(ends), 0);
    r.fd = ends[0];
    assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
    assert_int_equal(oc_write_all(ends[1], bytes, SIZE), 0);
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
    assert_int_equal(r.n, SIZE);
    assert_memory_equal(r.got, bytes, SIZE);
    free(bytes);
    free(r.got);
}

static void test_why_it_cannot(void **state)
{
    int ends[2];
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(oc_write_all(-1, "x", 1), EBADF);
    assert_int_equal(oc_write_all(-1, "", 0), 0);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(oc_write_all(ends[1], "x", 1), EPIPE);
    close(ends[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_arrives_through_a_narrow_pipe_and_signals),
        cmocka_unit_test(test_why_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
