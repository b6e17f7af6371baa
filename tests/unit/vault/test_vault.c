/* SPDX-License-Identifier: Apache-2.0
 *
 * test_vault.c - the real ocid-signer: every vector, facts, unlock, lock, reload, and its death.
 */
#include "signer/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

#include "vault/spawn.h"
#include "vault/vault.h"

enum { MANY = 1000, WAIT_MS = 20000 };

#define HOST "objectstorage.us-phoenix-1.oraclecloud.com"

static const char *const hosts[] = {"127.0.0.1:18080"};

struct world {
    struct fixture *f;
    uv_loop_t loop;
    uv_timer_t tick; /* UV_RUN_ONCE sleeps after it has run timers: this wakes it */
    struct vault *vault;
    struct vault_link *link;
    int n_dead, n_changed, n_done, n_facts, n_signed;
    struct oc_err err; /* of the last answer */
    char text[512];
    struct vault_facts facts; /* without its texts */
    int n_fetch;
    struct vault_fetch fetch; /* the last one, without its texts */
    char fetched[256];        /* profile and target of it */
    char key_text[512], key_id[512], notes[1024], mode[32];
};

static void on_dead(void *arg, const struct oc_err *err)
{
    struct world *w = arg;
    w->n_dead++;
    w->err = *err;
}

static void on_change(void *arg)
{
    ((struct world *)arg)->n_changed++;
}

static void on_fetch(void *arg, const struct vault_fetch *f)
{
    struct world *w = arg;
    w->n_fetch++;
    w->fetch = *f;
    snprintf(w->fetched, sizeof w->fetched, "%s %s", f->profile, f->target);
}

static void on_done(void *arg, const char *text, const struct oc_err *err)
{
    struct world *w = arg;
    w->n_done++;
    w->err = *err;
    snprintf(w->text, sizeof w->text, "%s", text);
}

static void on_facts(void *arg, const struct vault_facts *facts, const struct oc_err *err)
{
    struct world *w = arg;
    w->n_facts++;
    w->err = *err;
    if (!facts)
        return;
    w->facts = *facts;
    snprintf(w->key_text, sizeof w->key_text, "%s", facts->key_text);
    snprintf(w->key_id, sizeof w->key_id, "%s", facts->key_id);
    snprintf(w->mode, sizeof w->mode, "%s", facts->mode);
    snprintf(w->notes, sizeof w->notes, "%s", facts->notes);
}

static void on_tick(uv_timer_t *h)
{
    (void)h;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    void *f = NULL;
    if (fixture_setup(&f) || uv_loop_init(&w->loop))
        return -1;
    w->f = f;
    uv_timer_init(&w->loop, &w->tick);
    uv_timer_start(&w->tick, on_tick, 5, 5);
    *state = w;
    return 0;
}

static void start(struct world *w)
{
    struct oc_err err;
    struct vault_options o = {
        .config = w->f->config,
        .home = w->f->dir,
        .hosts = hosts,
        .n_hosts = 1,
        .threads = 3,
        .on_dead = on_dead,
        .on_change = on_change,
        .on_fetch = on_fetch,
        .arg = w,
    };
    w->vault = vault_open(&w->loop, &o, &err);
    if (!w->vault)
        fail_msg("%s", err.text);
    w->link = vault_link_new(&w->loop, vault_sign_fd(w->vault));
    assert_int_equal(vault_sign_fd(w->vault), -1);
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *f = w->f;
    vault_link_close(w->link);
    vault_close(w->vault);
    uv_close((uv_handle_t *)&w->tick, NULL);
    int bad = uv_run(&w->loop, UV_RUN_DEFAULT) || uv_loop_close(&w->loop);
    free(w);
    return bad ? -1 : fixture_teardown(&f);
}

/* Turns the loop until *n reaches want. */
static void wait_for(struct world *w, const int *n, int want)
{
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;
    while (*n < want && uv_hrtime() < end)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_true(*n >= want);
}

static void facts(struct world *w, const char *profile)
{
    int want = w->n_facts + 1;
    vault_facts(w->vault, profile, on_facts, w);
    assert_int_equal(w->n_facts, want - 1); /* not before the call has returned */
    wait_for(w, &w->n_facts, want);
}

static void unlock(struct world *w, const char *profile, const char *pass, uint64_t ttl_ms)
{
    int fd[2], want = w->n_done + 1;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    vault_unlock(w->vault, profile, fd[0], ttl_ms, on_done, w);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    facts(w, "a"); /* nothing waits for the one who types */
    assert_int_equal(w->n_done, want - 1);
    size_t half = strlen(pass) / 2;
    assert_int_equal(write(fd[1], pass, half), (ssize_t)half);
    assert_int_equal(write(fd[1], pass + half, strlen(pass) - half),
                     (ssize_t)(strlen(pass) - half));
    close(fd[1]);
    wait_for(w, &w->n_done, want);
}

struct job {
    struct vault_ask ask;
    struct world *world;
    int calls, code;
    char string[512], signature[1024], text[512];
};

static void on_signed(struct vault_ask *ask)
{
    struct job *j = ask->arg;
    j->calls++;
    j->world->n_signed++;
    j->code = ask->code;
    snprintf(j->text, sizeof j->text, "%s", ask->err->text);
    snprintf(j->signature, sizeof j->signature, "%s", ask->signature);
}

static void sign(struct world *w, struct job *j, const char *profile, const char *string, size_t n)
{
    j->world = w;
    j->ask = (struct vault_ask){
        .profile = profile, .string = string, .len = n, .cb = on_signed, .arg = j};
    vault_link_sign(w->link, &j->ask);
}

/* A request of now; i makes it another one each time. */
static void sign_now(struct world *w, struct job *j, const char *profile, int i)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    int n = snprintf(j->string, sizeof j->string,
                     "date: %s\n(request-target): get /n/%d\nhost: " HOST, date, i);
    sign(w, j, profile, j->string, (size_t)n);
}

static int sign_code(struct world *w, const char *profile)
{
    struct job j = {.calls = 0};
    int want = w->n_signed + 1;
    sign_now(w, &j, profile, 0);
    wait_for(w, &w->n_signed, want);
    return j.code;
}

/* Seconds since 1970 of a vector's date line. */
static int64_t date_of(const struct vector *v)
{
    struct tm tm = {0};
    const char *at = strstr(v->string, "date: ");
    assert_non_null(at);
    assert_non_null(strptime(strchr(at, ',') + 2, "%d %b %Y %H:%M:%S", &tm));
    return timegm(&tm);
}

/* Through the process, whose clock is put where the vector was made. For one without a host that
 * is the clock that was learnt last. */
static void test_vectors(void **state)
{
    struct world *w = *state;
    vector_config(w->f);
    start(w);
    FILE *in = fopen(VECTORS "/vectors.txt", "r");
    static struct vector v;
    struct job j;
    int n = 0;
    for (; vector_next(in, &v); n++) {
        const char *host = strstr(v.string, "\nhost: ");
        char name[128] = "";
        memset(&j, 0, sizeof j);
        if (host)
            snprintf(name, sizeof name, "%.*s", (int)strcspn(host + 7, "\n"), host + 7);
        vault_offset(w->vault, name, date_of(&v) - time(NULL));
        facts(w, "test"); /* the offset is known there */
        sign(w, &j, vector_profile(&v), v.string, v.string_n);
        wait_for(w, &w->n_signed, n + 1);
        if (j.code)
            fail_msg("%s: %s", v.name, j.text);
        assert_string_equal(j.signature, v.signature);
    }
    fclose(in);
    assert_int_equal(n, 55);
}

static void test_facts(void **state)
{
    struct world *w = *state;
    char token[128];
    snprintf(token, sizeof token, "%s/t", w->f->dir);
    fixture_write(token, "e30.eyJleHAiOjMyNTAzNjgwMDAwfQ.c2ln", 35);
    fixture_config(w->f, PROFILE_FMT "[s]\nkey_file=%s\nregion=fra\nsecurity_token_file=~/t\n", "a",
                   TEST_PRINT, "phx", TEST_KEY, TEST_KEY);
    start(w);
    assert_null(vault_facts_known(w->vault, "a"));
    vault_facts(w->vault, "a", on_facts, w); /* two questions, one packet */
    facts(w, "a");
    wait_for(w, &w->n_facts, 2);
    assert_string_equal(w->facts.profile, "a");
    assert_string_equal(w->key_id, TENANCY "/" USER "/" TEST_PRINT);
    assert_int_equal(w->facts.key, WIRE_KEY_OK);
    const struct vault_facts *known = vault_facts_known(w->vault, "a");
    assert_string_equal(known->region, "us-phoenix-1");
    facts(w, "a"); /* known: the answer still comes in a later turn */

    facts(w, "s");
    assert_string_equal(w->mode, "session");
    known = vault_facts_known(w->vault, "s");
    assert_int_equal(known->token_file[0], '/');
    assert_string_equal(known->key_id, "");

    facts(w, "nobody");
    assert_int_equal(w->err.code, OCID_E_CONFIG);
    assert_non_null(strstr(w->err.text, "Profile 'nobody' not found"));
    assert_null(vault_facts_known(w->vault, "nobody"));
    char large[400];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    facts(w, large);
    assert_int_equal(w->err.code, OCID_E_INVALID);
    assert_int_equal(w->n_dead, 0);
}

/* The signer asks for one document after another; whoever wants facts meanwhile waits for them. */
static void test_fetch(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, "[i]\nauthentication_type=instance_principal\n");
    start(w);
    vault_facts(w->vault, "i", on_facts, w);
    wait_for(w, &w->n_fetch, 1);
    assert_int_equal(w->fetch.kind, WIRE_FETCH_METADATA);
    assert_string_equal(w->fetched, "i instance/region");
    vault_fetched(w->vault, w->fetch.tag, 0, 200, " PHX\n");
    wait_for(w, &w->n_fetch, 2);
    assert_string_equal(w->fetched, "i identity/cert.pem");
    assert_int_equal(w->n_facts, 0);
    vault_fetched(w->vault, w->fetch.tag + 7, 0, 200, "to nobody's question");
    vault_fetched(w->vault, w->fetch.tag, OCID_E_NETWORK, 0, "no route");
    wait_for(w, &w->n_facts, 1);
    assert_int_equal(w->err.code, OCID_E_NETWORK);
    assert_string_equal(w->err.text, "no route");
    facts(w, "i"); /* not at once again */
    assert_int_equal(w->err.code, OCID_E_NETWORK);
    assert_int_equal(w->n_fetch, 2);
    wait_for(w, &w->n_fetch, 3); /* by itself */
    vault_facts(w->vault, "i", on_facts, w);
    char large[WIRE_STRING_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    vault_fetched(w->vault, w->fetch.tag, 0, 200, large);
    wait_for(w, &w->n_facts, 3);
    assert_int_equal(w->err.code, OCID_E_TOO_LARGE);
    assert_int_equal(w->n_dead, 0);
}

static void test_refused(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    start(w);
    fixture_config(w->f, PROFILE_FMT, "a", LEAF_PRINT, "phx", VECTORS "/leaf-key.pem");
    vault_refused(w->vault, "a", on_done, w);
    wait_for(w, &w->n_done, 1);
    assert_int_equal(w->err.code, 0);
    facts(w, "a");
    assert_string_equal(w->key_id, TENANCY "/" USER "/" LEAF_PRINT); /* it has been read again */
    vault_refused(w->vault, "nobody", on_done, w);
    wait_for(w, &w->n_done, 2);
    assert_int_equal(w->err.code, 0);
}

static void test_locks(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT PROFILE_FMT, "a", TEST_PRINT, "phx",
                   VECTORS "/test-key.pkcs8-enc.oci-label.pem", "plain", TEST_PRINT, "phx",
                   TEST_KEY);
    start(w);
    facts(w, "a");
    assert_int_equal(w->facts.key, WIRE_KEY_LOCKED);
    assert_non_null(strstr(w->key_text, "requires a passphrase"));
    assert_int_equal(sign_code(w, "a"), OCID_E_LOCKED);

    unlock(w, "a", "wrong\n", 0);
    assert_int_equal(w->err.code, OCID_E_KEY);
    unlock(w, "a", PASS, 0); /* ends with the pipe */
    assert_int_equal(w->err.code, 0);
    assert_string_equal(w->text, "opened 'a'");
    facts(w, "a");
    assert_int_equal(w->facts.key, WIRE_KEY_OK);
    assert_int_equal(sign_code(w, "a"), 0);

    vault_lock(w->vault, "", on_done, w);
    wait_for(w, &w->n_done, 3);
    assert_string_equal(w->text, "locked 'a', 'plain'");
    assert_int_equal(sign_code(w, "a"), OCID_E_LOCKED);
    assert_int_equal(sign_code(w, "plain"), OCID_E_LOCKED);

    int changed = w->n_changed;
    unlock(w, "a", PASS "\nmore", 2000);
    assert_int_equal(w->err.code, 0);
    assert_int_equal(sign_code(w, "a"), 0);
    wait_for(w, &w->n_changed, changed + 2); /* unlocked, and locked by the clock */
    assert_int_equal(sign_code(w, "a"), OCID_E_LOCKED);
    facts(w, "a");
    assert_non_null(strstr(w->key_text, "time of its unlock is over"));
}

static void test_unlock_refused(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", VECTORS "/test-key.pkcs8-enc.pem");
    start(w);
    vault_unlock(w->vault, "a", open(TEST_KEY, O_RDONLY | O_CLOEXEC), 0, on_done, w);
    wait_for(w, &w->n_done, 1);
    assert_int_equal(w->err.code, OCID_E_INVALID);
    vault_unlock(w->vault, "a", -1, 0, on_done, w);
    wait_for(w, &w->n_done, 2);
    assert_int_equal(w->err.code, OCID_E_INVALID);
    vault_unlock(w->vault, "a", 1000, 0, on_done, w); /* no descriptor at all */
    facts(w, "a");
    wait_for(w, &w->n_done, 3);
    char large[WIRE_PASS_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    unlock(w, "a", large, 0);
    assert_int_equal(w->err.code, OCID_E_TOO_LARGE);
    large[WIRE_PASS_MAX] = 0;
    unlock(w, "a", large, 0);
    assert_int_equal(w->err.code, OCID_E_KEY);
    unlock(w, "a", "", 0);
    assert_int_equal(w->err.code, OCID_E_LOCKED);

    int fd[10][2]; /* more people than can type at once */
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pipe2(fd[i], O_CLOEXEC), 0);
        vault_unlock(w->vault, "a", fd[i][0], 0, on_done, w);
    }
    wait_for(w, &w->n_done, 8);
    assert_int_equal(w->err.code, OCID_E_QUEUE_FULL);
    for (int i = 0; i < 10; i++)
        close(fd[i][1]);
    wait_for(w, &w->n_done, 16);
}

static void test_reload(void **state)
{
    struct world *w = *state;
    start(w); /* without any file */
    facts(w, "a");
    assert_int_equal(w->err.code, OCID_E_CONFIG);
    assert_int_equal(sign_code(w, "a"), OCID_E_CONFIG);
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    vault_reload(w->vault, on_done, w);
    wait_for(w, &w->n_done, 1);
    assert_int_equal(w->err.code, 0);
    assert_string_equal(w->text, "");
    assert_int_equal(sign_code(w, "a"), 0);
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", VECTORS "/test-key.pub.pem");
    vault_reload(w->vault, on_done, w);
    wait_for(w, &w->n_done, 2);
    assert_non_null(strstr(w->text, "'a' keeps its old credential"));
    assert_int_equal(sign_code(w, "a"), 0);
    fixture_config(w->f, "[a\n");
    vault_reload(w->vault, on_done, w);
    wait_for(w, &w->n_done, 3);
    assert_int_equal(w->err.code, OCID_E_CONFIG);
    assert_int_equal(sign_code(w, "a"), 0);
    assert_int_equal(w->n_changed, 3);
}

/* A thousand at once, while keys are swapped under the threads' feet. */
static void test_load(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    start(w);
    struct job *job = calloc(MANY, sizeof *job);
    for (int i = 0; i < MANY; i++)
        sign_now(w, &job[i], "a", i);
    for (int i = 0; i < 10; i++)
        vault_reload(w->vault, on_done, w);
    assert_int_equal(vault_link_pending(w->link), MANY);
    wait_for(w, &w->n_signed, MANY);
    wait_for(w, &w->n_done, 10);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(job[i].calls, 1);
        assert_int_equal(job[i].code, 0);
        assert_int_equal(strlen(job[i].signature), 344);
        assert_true(!i || strcmp(job[i].signature, job[i - 1].signature));
    }
    free(job);
}

static void test_killed(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    start(w);
    struct job *job = calloc(MANY, sizeof *job);
    for (int i = 0; i < MANY; i++)
        sign_now(w, &job[i], "a", i);
    wait_for(w, &w->n_signed, 1);
    kill(vault_pid(w->vault), SIGSTOP); /* so that something is under way for certain */
    vault_facts(w->vault, "a", on_facts, w);
    vault_reload(w->vault, on_done, w);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    vault_unlock(w->vault, "a", fd[0], 0, on_done, w);
    kill(vault_pid(w->vault), SIGKILL);
    while (w->n_signed < MANY || !w->n_dead)
        uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->n_dead, 1);
    assert_non_null(strstr(w->err.text, "signal 9"));
    assert_int_equal(w->n_facts, 1);
    assert_int_equal(w->n_done, 2);
    assert_int_equal(vault_pid(w->vault), -1);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(job[i].calls, 1);
        assert_true(!job[i].code || job[i].code == OCID_E_STOPPING);
    }
    facts(w, "a"); /* later ones hear it too */
    assert_int_equal(w->err.code, OCID_E_STOPPING);
    assert_int_equal(fcntl(fd[0], F_GETFD), -1);
    close(fd[1]);
    free(job);
}

/* What is under way when the vault closes is answered, and nobody is left behind. */
static void test_close(void **state)
{
    struct world *w = *state;
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    start(w);
    struct job j = {.calls = 0};
    pid_t pid = vault_pid(w->vault);
    facts(w, "a");
    kill(pid, SIGSTOP); /* does not even go by itself */
    sign_now(w, &j, "a", 0);
    vault_reload(w->vault, on_done, w);
    vault_link_close(w->link);
    vault_close(w->vault);
    uv_unref((uv_handle_t *)&w->tick);
    assert_int_equal(w->n_done, 0);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(w->n_done, 1);
    assert_int_equal(w->err.code, OCID_E_STOPPING);
    assert_int_equal(j.code, OCID_E_STOPPING);
    assert_int_equal(w->n_dead, 0);
    assert_int_equal(kill(pid, 0), -1);
    w->vault = NULL;
    w->link = NULL;
}

static void test_no_program(void **state)
{
    struct world *w = *state;
    struct oc_err err;
    struct vault_options o = {.program = "/nonexistent/ocid-signer", .arg = w};
    assert_null(vault_open(&w->loop, &o, &err));
    assert_int_equal(err.code, OCID_E_INTERNAL);
    assert_non_null(strstr(err.text, "/nonexistent/ocid-signer"));
    o.program = "/bin/false"; /* starts, and is no signer */
    o.on_dead = on_dead;
    w->vault = vault_open(&w->loop, &o, &err);
    assert_non_null(w->vault);
    vault_facts(w->vault, "a", on_facts, w);
    wait_for(w, &w->n_dead, 1);
    assert_int_equal(w->n_facts, 1);
}

/* The words of /proc/PID/NAME. */
static void read_proc(int pid, const char *name, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    size_t n = fixture_read(path, out, size);
    for (size_t i = 0; i + 1 < n; i++)
        if (!out[i])
            out[i] = ' ';
}

/* What the process must not have: environment, other descriptors, a core, its own privileges. */
static void test_hardened(void **state)
{
    struct world *w = *state;
    char text[4096], path[64];
    int spare = open("/dev/null", O_RDONLY); /* one that is inherited by mistake */
    fixture_config(w->f, PROFILE_FMT, "a", TEST_PRINT, "phx", TEST_KEY);
    start(w);
    facts(w, "a");
    int pid = vault_pid(w->vault), n = 0;
    if (geteuid()) { /* of a process that hides itself, others see less than this */
        close(spare);
        skip();
    }
    read_proc(pid, "environ", text, sizeof text);
    assert_string_equal(text, vault_spawn_capability());
    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        n += !access(path, F_OK) || readlink(path, text, sizeof text) > 0;
    }
    assert_int_equal(n, 6); /* three for all, two sockets, one that watches files */
    read_proc(pid, "status", text, sizeof text);
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    read_proc(pid, "limits", text, sizeof text);
    assert_non_null(strstr(text, "Max core file size        0                    0 "));
    kill(pid, SIGTERM); /* ocid says when it ends, nobody else */
    kill(pid, SIGINT);
    assert_int_equal(sign_code(w, "a"), 0);
    close(spare);
}

/* How often the bytes stand in the process's memory; -1: may not be read. */
static int count_in_memory(int pid, const void *bytes, size_t n)
{
    char path[64], line[512];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    if (!maps || mem < 0)
        found = -1;
    while (found >= 0 && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[8];
        assert_int_equal(sscanf(line, "%lx-%lx %7s", &from, &to, rights), 3);
        if (rights[0] != 'r' || rights[1] != 'w' || to - from > 64u << 20)
            continue; /* what is not writable holds no secret */
        char *copy = malloc(to - from);
        ssize_t got = pread(mem, copy, to - from, (off_t)from);
        for (char *at = copy; got > 0 && (at = memmem(at, (size_t)(copy + got - at), bytes, n));
             at++)
            found++;
        free(copy);
    }
    if (maps)
        fclose(maps);
    if (mem >= 0)
        close(mem);
    return found;
}

/* The length behind the tag at *at, which moves to the content. */
static size_t der_length(const unsigned char *der, size_t *at)
{
    size_t len = der[++*at];
    unsigned more = len & 0x80 ? len & 0x7f : 0;
    ++*at;
    for (len = more ? 0 : len; more; more--)
        len = len << 8 | der[(*at)++];
    return len;
}

/* The integer number idx of a PKCS#1 key, in the byte order of numbers in memory. */
static size_t der_integer(const unsigned char *der, int idx, unsigned char *out)
{
    size_t at = 0;
    der_length(der, &at); /* the sequence around them */
    size_t len = der_length(der, &at);
    for (; idx; idx--) {
        at += len;
        len = der_length(der, &at);
    }
    for (size_t i = 0; i < len; i++)
        out[i] = der[at + len - 1 - i];
    return len;
}

/* Pass phrase and PEM text leave no trace once they were used, the key none once it is locked. */
static void test_no_traces(void **state)
{
    struct world *w = *state;
    char pem[8192], text[8192], other[8192];
    unsigned char prime[512];
    fixture_read(VECTORS "/test-key.pkcs1.pem", pem, sizeof pem);
    size_t n = 0;
    for (char *s = strchr(pem, '\n'); *s && *s != '-'; s++)
        if (*s != '\n')
            text[n++] = *s;
    text[n] = 0;
    size_t der_n = fixture_decode(text, other);
    size_t prime_n = der_integer((unsigned char *)other, 4, prime);
    assert_in_range(prime_n, 128, 129);
    fixture_config(w->f, PROFILE_FMT "pass_phrase=" PASS "\n" PROFILE_FMT PROFILE_FMT, "a",
                   TEST_PRINT, "phx", VECTORS "/test-key.trad-aes128.pem", "plain", TEST_PRINT,
                   "phx", VECTORS "/test-key.pkcs1.pem", "typed", TEST_PRINT, "phx",
                   VECTORS "/test-key.pkcs8-enc.pem");
    start(w);
    unlock(w, "typed", PASS "\n", 0);
    assert_int_equal(sign_code(w, "a") || sign_code(w, "plain") || sign_code(w, "typed"), 0);
    int pid = vault_pid(w->vault), keys = count_in_memory(pid, prime + 20, 64);
    if (keys < 0)
        skip();
    assert_true(keys > 0); /* it is there while it is used: so the search finds things */
    assert_int_equal(count_in_memory(pid, PASS, strlen(PASS)), 0);
    assert_int_equal(count_in_memory(pid, text + 400, 48), 0);
    assert_int_equal(count_in_memory(pid, other + der_n / 2, 48), 0);
    int done = w->n_done;
    vault_lock(w->vault, "", on_done, w);
    wait_for(w, &w->n_done, done + 1);
    assert_int_equal(count_in_memory(pid, prime + 20, 64), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vectors),   TEST(test_fetch),          TEST(test_refused),    TEST(test_facts),
        TEST(test_locks),     TEST(test_unlock_refused), TEST(test_reload),     TEST(test_load),
        TEST(test_killed),    TEST(test_close),          TEST(test_no_program), TEST(test_hardened),
        TEST(test_no_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
