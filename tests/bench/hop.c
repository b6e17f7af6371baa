/* SPDX-License-Identifier: Apache-2.0
 *
 * hop.c - what it costs to have signatures made by another process.
 *
 * hop N PAIRS: signs N strings through ocid's link to ocid-signer, and the same N on as many
 * threads in this process, by the same key and the same code, in turn. One line of JSON a run on
 * stdout:
 * {"side": "signer", "wall": S, "cpu": S}, of
 * both processes together. Finds ocid-signer beside itself.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "signer/key.h"
#include "signer/secret.h"
#include "vault/vault.h"

enum { WINDOW = 256, BITS = 2048, STRING_MAX = 512 }; /* as many requests as ocid has ahead */

#define HOST "objectstorage.us-phoenix-1.oraclecloud.com"

struct sides {
    unsigned n, n_threads;
    struct key *key;
    uv_loop_t loop;
    struct vault *vault;
    struct vault_link *link;
    struct vault_ask ask[WINDOW];
    char string[STRING_MAX];
    size_t len;
    unsigned n_asked, n_signed;
    int known;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "hop: %s: %s\n", what, why);
    exit(1);
}

static double seconds(const struct timespec *t)
{
    return (double)t->tv_sec + (double)t->tv_nsec * 1e-9;
}

static double cpu_of(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t))
        die("processor time", "it cannot be read");
    return seconds(&t);
}

/* Of this process and of the signer. */
static double cpu(const struct sides *s)
{
    clockid_t signer;
    if (clock_getcpuclockid(vault_pid(s->vault), &signer))
        die("ocid-signer", "it has ended");
    return cpu_of(CLOCK_PROCESS_CPUTIME_ID) + cpu_of(signer);
}

/* As for a put: the signer looks at host and date. */
static void make_string(struct sides *s)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    s->len = (size_t)snprintf(s->string, sizeof s->string,
                              "date: %s\n(request-target): put /n/namespace/b/bucket/o/"
                              "runs%%2F2026%%2Ftrajectory-000017.xtc\nhost: " HOST,
                              date);
}

/* ---- through the signer ---- */

static void ask(struct sides *s, struct vault_ask *a);

static void on_signed(struct vault_ask *a)
{
    struct sides *s = a->arg;
    if (a->code)
        die("a signature", a->err->text);
    s->n_signed++;
    if (s->n_asked < s->n)
        ask(s, a);
}

static void ask(struct sides *s, struct vault_ask *a)
{
    *a = (struct vault_ask){
        .profile = "DEFAULT", .string = s->string, .len = s->len, .cb = on_signed, .arg = s};
    s->n_asked++;
    vault_link_sign(s->link, a);
}

static void by_signer(struct sides *s)
{
    s->n_asked = s->n_signed = 0;
    for (unsigned i = 0; i < WINDOW && s->n_asked < s->n; i++)
        ask(s, &s->ask[i]);
    while (s->n_signed < s->n)
        uv_run(&s->loop, UV_RUN_ONCE);
}

/* ---- in this process ---- */

struct thread {
    struct sides *s;
    unsigned seat, n;
    pthread_t id;
};

static void *sign_some(void *arg)
{
    struct thread *t = arg;
    unsigned char out[KEY_SIGNATURE_MAX];
    struct oc_err err;
    size_t n;
    for (unsigned i = 0; i < t->n; i++)
        if (key_sign(t->s->key, t->seat, t->s->string, t->s->len, out, &n, &err))
            die("a signature", err.text);
    return NULL;
}

static void by_threads(struct sides *s)
{
    struct thread thread[KEY_SEATS];
    for (unsigned i = 0; i < s->n_threads; i++) {
        thread[i] = (struct thread){
            .s = s, .seat = i, .n = s->n / s->n_threads + (i < s->n % s->n_threads)};
        if (pthread_create(&thread[i].id, NULL, sign_some, &thread[i]))
            die("a thread", "it cannot be started");
    }
    for (unsigned i = 0; i < s->n_threads; i++)
        pthread_join(thread[i].id, NULL);
}

static void measure(struct sides *s, const char *side, void (*sign)(struct sides *))
{
    make_string(s);
    double cpu0 = cpu(s);
    uint64_t t0 = uv_hrtime();
    sign(s);
    printf("{\"side\": \"%s\", \"wall\": %.6f, \"cpu\": %.6f}\n", side,
           (double)(uv_hrtime() - t0) * 1e-9, cpu(s) - cpu0);
    fflush(stdout);
}

/* ---- start and end ---- */

static void write_file(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || close(fd))
        die(path, "it cannot be written");
}

/* The key as ocid-signer finds it, and for ourselves. */
static void make_key(struct sides *s, const char *config, const char *file)
{
    char text[1024], *pem;
    size_t n;
    struct oc_err err;
    if (key_make(BITS, NULL, 0, &pem, &n, &err) || key_load(pem, n, NULL, 0, &s->key, &err))
        die("a key", err.text);
    write_file(file, pem, n);
    secret_free(pem);
    int len = snprintf(text, sizeof text,
                       "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\n"
                       "fingerprint=%s\nregion=us-phoenix-1\nkey_file=%s\n",
                       key_fingerprint(s->key), file);
    write_file(config, text, (size_t)len);
}

static void on_facts(void *arg, const struct vault_facts *facts, const struct oc_err *err)
{
    struct sides *s = arg;
    if (!facts || err->code)
        die("the profile", err->text);
    s->known = 1;
}

static void on_dead(void *arg, const struct oc_err *err)
{
    (void)arg;
    die("ocid-signer", err->text);
}

static void start(struct sides *s)
{
    char dir[] = "/tmp/bench-hop.XXXXXX", config[64], file[64];
    struct oc_err err;
    if (!mkdtemp(dir))
        die(dir, "it cannot be made");
    snprintf(config, sizeof config, "%s/config", dir);
    snprintf(file, sizeof file, "%s/key.pem", dir);
    make_key(s, config, file);
    uv_loop_init(&s->loop);
    struct vault_options o = {
        .config = config, .home = dir, .threads = s->n_threads, .on_dead = on_dead, .arg = s};
    s->vault = vault_open(&s->loop, &o, &err);
    if (!s->vault)
        die("ocid-signer", err.text);
    s->link = vault_link_new(&s->loop, vault_sign_fd(s->vault));
    vault_facts(s->vault, "DEFAULT", on_facts, s);
    while (!s->known)
        uv_run(&s->loop, UV_RUN_ONCE);
    unlink(config); /* it has been read */
    unlink(file);
    rmdir(dir);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return *end || !n || n > 10000000 ? 0 : (unsigned)n;
}

int main(int argc, char **argv)
{
    static struct sides s;
    unsigned n_pairs = argc == 3 ? number(argv[2]) : 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!n_pairs || !(s.n = number(argv[1]))) {
        fprintf(stderr, "usage: hop SIGNATURES PAIRS\n");
        return 2;
    }
    s.n_threads = cores < 1 ? 1 : cores > KEY_SEATS ? KEY_SEATS : (unsigned)cores;
    secret_init();
    start(&s);
    make_string(&s);
    by_signer(&s); /* both are warm */
    by_threads(&s);
    for (unsigned i = 0; i < n_pairs; i++) {
        measure(&s, i % 2 ? "threads" : "signer", i % 2 ? by_threads : by_signer);
        measure(&s, i % 2 ? "signer" : "threads", i % 2 ? by_signer : by_threads);
    }
    vault_link_close(s.link);
    vault_close(s.vault);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    key_unref(s.key);
    return uv_loop_close(&s.loop) ? 1 : 0;
}
