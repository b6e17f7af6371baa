/* SPDX-License-Identifier: Apache-2.0
 *
 * pump.c - carries standard input into a pipe, where it is none.
 *
 * The main thread goes on; the pump's own one blocks on both ends.
 */
#include "ctl/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/io.h"

enum { ROUND = 64 << 10 };

/* A daemon that has closed its end says why by the job. */
static void *run(void *arg)
{
    struct pump *p = arg;
    char bytes[ROUND];
    ssize_t n;
    while ((n = read(p->in, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            p->error = errno;
            kill(getpid(), SIGINT);
            return NULL;
        }
        if (oc_write_all(p->out, bytes, (size_t)n))
            break;
    }
    close(p->out);
    return NULL;
}

/* The daemon opens it once more: that of another user would refuse. */
static int can_be_passed(int fd)
{
    char path[32];
    struct stat st;
    if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (again >= 0)
        close(again);
    return again >= 0;
}

int pump_begin(struct pump *p, int in)
{
    sigset_t all, before;
    pthread_t thread;
    int ends[2];
    struct stat st;
    *p = (struct pump){.fd = -1, .in = -1, .out = -1};
    if (fstat(in, &st))
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    if (can_be_passed(in)) {
        p->fd = fcntl(in, F_DUPFD_CLOEXEC, 3);
        return p->fd < 0 ? errno : 0;
    }
    p->in = fcntl(in, F_DUPFD_CLOEXEC, 3);
    if (p->in < 0 || pipe2(ends, O_CLOEXEC))
        return errno;
    p->fd = ends[0];
    p->out = ends[1];
    sigfillset(&all); /* Ctrl-C is the main thread's; a closed pipe is an error of write() */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? rc : pthread_detach(thread);
}
