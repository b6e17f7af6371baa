/* SPDX-License-Identifier: Apache-2.0
 *
 * store_rate.c - how fast the store takes jobs: one at a time, in arrays, and into a full queue.
 *
 * store_rate [DIR]: makes a queue below DIR (default: here) and removes it. One line a figure.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "proto/codec.h"
#include "store/store.h"

enum { ROWS = 1000, N_SINGLE = 4000, N_FULL = 500, SPEC_BYTES = 200, MOST = 4096 };

static uv_loop_t loop;
static struct store *store;
static unsigned n_ended;
static uint64_t next_id = 1;
static char spec[SPEC_BYTES];

static void on_done(struct store_op *op)
{
    n_ended++;
    if (!op->err.code)
        return;
    fprintf(stderr, "store_rate: %s\n", op->err.text);
    exit(1);
}

static double now_us(void)
{
    return (double)uv_hrtime() / 1000;
}

static void fill(struct store_op *op, struct store_job *jobs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        jobs[i] = (struct store_job){
            .id = next_id++,
            .uid = 1000,
            .state = OCP_ENUM_state_queued,
            .created_at = 1700000000000,
            .client = ocp_str("bench"),
            .spec = {spec, SPEC_BYTES},
        };
    *op = (struct store_op){.verb = STORE_ADD, .jobs = jobs, .n = n, .done = on_done};
}

static void wait_for(unsigned n)
{
    while (n_ended < n)
        uv_run(&loop, UV_RUN_ONCE);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double us[N_SINGLE];

static void print_times(const char *name, const char *what)
{
    qsort(us, N_SINGLE, sizeof *us, by_size);
    printf("%s: %s p50 %.0f us, p99 %.0f us, most %.0f us\n", name, what, us[N_SINGLE / 2],
           us[N_SINGLE * 99 / 100], us[N_SINGLE - 1]);
}

/* What the disk alone takes for as many bytes as an insert writes to the log. */
static void disk_floor(const char *dir)
{
    enum { STEP = 8 * 1024, LONG = 8 << 20 };
    static char bytes[STEP];
    char path[512];
    snprintf(path, sizeof path, "%s/floor", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (off_t at = 0; at < LONG; at += STEP)
        if (pwrite(fd, bytes, STEP, at) != STEP)
            exit(1);
    fsync(fd);
    for (unsigned i = 0; i < N_SINGLE; i++) {
        double from = now_us();
        if (pwrite(fd, bytes, STEP, (off_t)i * STEP % LONG) != STEP || fdatasync(fd) < 0)
            exit(1);
        us[i] = now_us() - from;
    }
    close(fd);
    unlink(path);
    print_times("disk alone", "8 KiB and fdatasync");
}

static void singles(const char *name)
{
    struct store_op op;
    struct store_job job;
    for (unsigned i = 0; i < N_SINGLE; i++) {
        fill(&op, &job, 1);
        double from = now_us();
        n_ended = 0;
        store_post(store, &op);
        wait_for(1);
        us[i] = now_us() - from;
    }
    print_times(name, "one insert");
}

/* Arrays of 1,000, `deep` of them posted at a time. */
static double arrays(const char *name, unsigned n, unsigned deep)
{
    static struct store_op ops[16];
    static struct store_job jobs[16][ROWS];
    double from = now_us();
    for (unsigned i = 0; i < n; i += deep) {
        n_ended = 0;
        for (unsigned k = 0; k < deep; k++) {
            fill(&ops[k], jobs[k], ROWS);
            store_post(store, &ops[k]);
        }
        wait_for(deep);
    }
    double rate = (double)n * ROWS / ((now_us() - from) / 1e6);
    printf("%s: arrays of %d, %u at a time: %.0f rows/s\n", name, ROWS, deep, rate);
    return rate;
}

static long rss_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static unsigned n_loaded;

static void on_job(void *arg, const struct store_job *row)
{
    (void)arg, (void)row;
    n_loaded++;
}

static void open_store(const char *dir)
{
    struct store_options opt = {.dir = dir};
    struct oc_err err;
    if (store_open(&loop, &opt, &store, &err) == 0)
        return;
    fprintf(stderr, "store_rate: %s\n", err.text);
    exit(1);
}

static void close_store(void)
{
    store_close(store);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void clean_up(const char *dir)
{
    static const char *const files[] = {"queue.db", "queue.db-wal", "lock"};
    char path[512];
    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

int main(int argc, char **argv)
{
    char dir[256];
    snprintf(dir, sizeof dir, "%s/store_rate.%ld", argc > 1 ? argv[1] : ".", (long)getpid());
    if (mkdir(dir, 0700) < 0 || uv_loop_init(&loop) < 0)
        return 1;
    memset(spec, 'x', sizeof spec);
    setvbuf(stdout, NULL, _IOLBF, 0);

    open_store(dir);
    long empty_kib = rss_kib();
    disk_floor(dir);
    singles("empty queue");
    double first = arrays("empty queue", 100, 1);
    double deep = arrays("empty queue", 160, 16);
    arrays("filling", N_FULL - 260, 4);
    disk_floor(dir);
    singles("500,000 jobs");
    double full = arrays("500,000 jobs", 100, 1);
    double full_deep = arrays("500,000 jobs", 160, 16);
    printf("full/empty: %.2f one at a time, %.2f sixteen\n", full / first, full_deep / deep);
    printf("PSS KiB: %ld opened, %ld now\n", empty_kib, rss_kib());

    double from = now_us();
    close_store();
    printf("close: %.0f ms\n", (now_us() - from) / 1000);
    from = now_us();
    open_store(dir);
    double opened = now_us();
    struct store_loader to = {.job = on_job};
    struct oc_err err;
    if (store_load(store, &to, &err) < 0)
        fprintf(stderr, "store_rate: %s\n", err.text);
    printf("open: %.0f ms; load of %u jobs: %.0f ms\n", (opened - from) / 1000, n_loaded,
           (now_us() - opened) / 1000);
    close_store();
    clean_up(dir);
    return uv_loop_close(&loop);
}
