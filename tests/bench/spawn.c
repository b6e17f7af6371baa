/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - runs a program again and again: wall time and peak memory of each run.
 *
 *   cc -O2 spawn.c -o spawn
 *   spawn COUNT PROGRAM [ARGUMENT…]
 *
 * Small on purpose: a child's peak begins with the memory of whoever forks it, so an interpreter
 * cannot measure a program that is smaller than itself. Standard output of the program goes to
 * /dev/null. Prints one JSON line; ends with the first status that is not 0.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[1]) : 0;
    double *ms = n > 0 ? calloc((size_t)n, sizeof *ms) : NULL;
    double cpu = 0;
    long rss = 0;
    if (!ms) {
        fputs("usage: spawn COUNT PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < n; i++) {
        double t = now_ms();
        pid_t pid = fork();
        if (pid == 0) {
            dup2(null, 1);
            execvp(argv[2], argv + 2);
            _exit(127);
        }
        struct rusage u;
        int status;
        if (pid < 0 || wait4(pid, &status, 0, &u) < 0)
            return 2;
        ms[i] = now_ms() - t;
        cpu += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-3;
        if (u.ru_maxrss > rss)
            rss = u.ru_maxrss;
        if (status) {
            fprintf(stderr, "spawn: %s ended with status %#x\n", argv[2], (unsigned)status);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        }
    }
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    printf("{\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"total_ms\": %.3f, \"cpu_ms\": %.3f, "
           "\"rss_mib\": %.2f}\n",
           ms[n / 2], ms[n * 99 / 100], ms[n - 1], cpu / n, (double)rss / 1024);
    return 0;
}
