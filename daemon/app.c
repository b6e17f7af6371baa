/* SPDX-License-Identifier: Apache-2.0
 *
 * app.c - the life of the daemon: open, run, reload, drain, close.
 *
 * Control loop; blocking only before it runs and after it has ended.
 */
#include "app.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/paths.h"
#include "core/work.h"
#include "jobs/fetch.h"
#include "jobs/room.h"
#include "ocid/version.h"
#include "proto/buf.h"
#include "rpc/server.h"
#include "store/recover.h"

enum { FORCE_MS = 800 }; /* beyond the drain */

struct app {
    const struct app_options *opt;
    struct config *config;
    struct loop *loop;
    struct paths paths;
    struct room room;
    struct server server;
    struct work reload; /* reads the configuration in the pool */
    struct config *loaded;
    struct oc_err reload_err;
    int reloading, stopping, status;
    uv_timer_t force; /* while stopping */
    int server_open;
    int left_behind; /* a thread hangs in a file system */
    struct reload_wait *waits;
};

/* Who wants to hear how a reload went; NULL done: a signal. */
struct reload_wait {
    struct reload_wait *next;
    void (*done)(void *ticket, const struct oc_err *err);
    void *ticket;
};

static const char *text_or_null(const char *s)
{
    return *s ? s : NULL;
}

/* Enough that no core that signs waits for the next string, few enough to be signed when wanted. */
static unsigned sign_ahead(void)
{
    enum { A_CORE = 32, LEAST = 64, MOST = 480 };
    long n = A_CORE * sysconf(_SC_NPROCESSORS_ONLN);
    return n < LEAST ? LEAST : n > MOST ? MOST : (unsigned)n;
}

static struct engine_options engine_options_of(const struct config *c)
{
    return (struct engine_options){
        .sign_ahead = sign_ahead(),
        .ca_file = text_or_null(c->network_ca_file),
        .proxy = text_or_null(c->network_proxy),
        .no_proxy = text_or_null(c->network_no_proxy),
        .connect_seconds = c->network_connect_seconds,
        .stall_seconds = c->network_stall_seconds,
        .connections = c->transfer_connections,
        .io_per_mount = c->transfer_io_per_mount,
        .user_agent = "ocid/" OCID_VERSION,
        .sign_fd = -1,
    };
}

/* ---- what ocid.conf says of profiles ---- */

/* For vault_profiles(). */
static char *profile_lines(const struct config *c)
{
    struct oc_buf b;
    oc_buf_init(&b, 64 * 1024);
    for (unsigned i = 0; i < c->n_profiles; i++) {
        const struct config_profile *p = &c->profile[i];
        const char *mode = p->auth == CONFIG_AUTH_AUTO ? "" : config_auth_word(p->auth);
        const char *part[] = {p->name, "\t", mode, "\t", p->region, "\t", p->refresh ? "yes" : "no",
                              "\n"};
        for (size_t k = 0; k < sizeof part / sizeof *part; k++)
            oc_buf_add(&b, part[k], strlen(part[k]));
    }
    char *lines = b.len ? oc_strndup(b.data, b.len) : oc_strdup("");
    oc_buf_fini(&b);
    return lines;
}

static int has_resource(const struct config *c)
{
    for (unsigned i = 0; i < c->n_profiles; i++)
        if (c->profile[i].auth == CONFIG_AUTH_RESOURCE_PRINCIPAL)
            return 1;
    return 0;
}

/* ---- reload: all or nothing ---- */

static void tell_reloaded(struct app *a, const struct oc_err *err)
{
    struct reload_wait *all = a->waits, *w;
    a->waits = NULL;
    a->reloading = 0;
    loop_notify("READY=1");
    while ((w = all)) {
        all = w->next;
        w->done(w->ticket, err);
        free(w);
    }
}

static void on_keys_read(void *arg, const char *text, const struct oc_err *err)
{
    struct app *a = arg;
    if (err->code == OCID_E_STOPPING) {
        tell_reloaded(a, err);
        return;
    }
    if (err->code || (text && *text))
        log_warn("%s", err->code ? err->text : text);
    room_keys_changed(&a->room);
    log_info("reloaded");
    tell_reloaded(a, NULL);
}

static void on_config_read(struct work *w)
{
    struct app *a = OC_OWNER(w, struct app, reload);
    if (!a->loaded) {
        log_error("the configuration stays as it was: %s", a->reload_err.text);
        tell_reloaded(a, &a->reload_err);
        return;
    }
    struct config *old = a->config;
    a->config = a->loaded;
    struct engine_options e = engine_options_of(a->config);
    log_set_level(a->config->daemon_log_level);
    engine_configure(a->room.engine, &e);
    room_configured(&a->room, a->config);
    config_unref(old);
    oc_auto_mem char *lines = profile_lines(a->config);
    vault_profiles(a->room.vault, lines);
    vault_reload(a->room.vault, on_keys_read, a);
}

static void read_config(struct work *w)
{
    struct app *a = OC_OWNER(w, struct app, reload);
    a->loaded = NULL;
    config_load(a->opt->config, a->opt->system, &a->loaded, &a->reload_err);
}

static void reload(void *arg, void (*done)(void *ticket, const struct oc_err *err), void *ticket)
{
    struct app *a = arg;
    struct reload_wait *w = OC_NEW(struct reload_wait);
    char notify[80];
    *w = (struct reload_wait){a->waits, done, ticket};
    a->waits = w;
    if (a->reloading)
        return;
    a->reloading = 1;
    snprintf(notify, sizeof notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(uv_hrtime() / 1000));
    loop_notify(notify);
    a->reload.run = read_config;
    a->reload.done = on_config_read;
    work_submit(a->room.gate, &a->reload, 0);
}

static void ignore_reload(void *ticket, const struct oc_err *err)
{
    (void)ticket;
    (void)err;
}

static void on_hup(void *arg)
{
    reload(arg, ignore_reload, NULL);
}

/* ---- the end ---- */

/* The rooms close from the left, each while what it stands on is still open. */
static void on_idle(void *arg)
{
    struct app *a = arg;
    uv_close((uv_handle_t *)&a->force, NULL);
    server_close(&a->server);
    a->left_behind = !engine_close(a->room.engine);
    vault_close(a->room.vault);
    store_close(a->room.store);
    room_close(&a->room);
    work_gate_free(a->room.gate);
    loop_close(a->loop);
}

/* A file system that hangs holds threads of the pool: they are left behind. What was posted to the
 * store is written; the queue has the rest. */
static void on_forced(uv_timer_t *t)
{
    struct app *a = OC_OWNER(t, struct app, force);
    log_warn("something does not end, a file system perhaps: it is left behind");
    store_close(a->room.store);
    _exit(a->status);
}

static void stop(struct app *a, int status)
{
    if (a->stopping)
        return;
    a->stopping = 1;
    a->status = status;
    loop_notify("STOPPING=1");
    server_stop(&a->server);
    uv_timer_init(a->room.uv, &a->force);
    uv_timer_start(&a->force, on_forced, 1000ull * a->config->daemon_drain_seconds + FORCE_MS, 0);
    room_stop(&a->room, 1000ull * a->config->daemon_drain_seconds, on_idle, a);
}

static void on_term(void *arg)
{
    struct app *a = arg;
    log_info("stopping: requests in flight have %u s to end; the queue is kept",
             a->config->daemon_drain_seconds);
    stop(a, 0);
}

/* Without keys nothing can be signed: end, and be started again with the queue as it is. */
static void on_signer_dead(void *arg, const struct oc_err *err)
{
    struct app *a = arg;
    if (!a->stopping)
        log_error("ocid-signer has ended, so this daemon ends, too: %s", err->text);
    stop(a, 1);
}

/* The next start refuses, too, until somebody has looked. */
static void on_damage(void *arg, const struct oc_err *err)
{
    log_error("%s; this daemon ends", err->text);
    stop(arg, 1);
}

static void on_keys_changed(void *arg)
{
    struct app *a = arg;
    if (a->server_open)
        room_keys_changed(&a->room);
}

static void on_fetch(void *arg, const struct vault_fetch *f)
{
    struct app *a = arg;
    room_fetch(&a->room, f);
}

/* ---- the start ---- */

static int open_spool(struct app *a, struct oc_err *err)
{
    snprintf(a->room.spool_dir, sizeof a->room.spool_dir, "%s/spool", a->paths.state_dir);
    if (mkdir(a->room.spool_dir, 0700) && access(a->room.spool_dir, W_OK))
        return oc_fail(err, OCID_E_CONFIG, 0, "cannot write into '%s'", a->room.spool_dir);
    return 0;
}

static int open_vault(struct app *a, struct oc_err *err)
{
    const struct config *c = a->config;
    const struct {
        enum oci_service service;
        const char *override;
    } given[] = {{OCI_OBJECT_STORAGE, c->network_endpoint},
                 {OCI_IDENTITY, c->network_identity_endpoint},
                 {OCI_AUTH, c->network_auth_endpoint}};
    enum { N_GIVEN = sizeof given / sizeof *given };
    char host[N_GIVEN][OCI_HOST_SIZE];
    const char *hosts[N_GIVEN];
    size_t n = 0;
    for (int i = 0; i < N_GIVEN; i++) {
        struct oci_place place = {.override = given[i].override};
        struct oci_endpoint at;
        if (!*given[i].override)
            continue;
        if (oci_endpoint_make(given[i].service, &place, &at, err))
            return err->code;
        memcpy(host[n], at.host, sizeof host[n]);
        hosts[n] = host[n];
        n++;
    }
    oc_auto_mem char *lines = profile_lines(c);
    struct vault_options v = {.config = c->credentials_config_file,
                              .profiles = lines,
                              .resources = has_resource(c),
                              .hosts = hosts,
                              .n_hosts = n,
                              .on_dead = on_signer_dead,
                              .on_change = on_keys_changed,
                              .on_fetch = on_fetch,
                              .arg = a};
    a->room.vault = vault_open(a->room.uv, &v, err);
    return a->room.vault ? 0 : err->code;
}

static int open_rooms(struct app *a, struct oc_err *err)
{
    struct room *r = &a->room;
    struct store_options s = {.dir = a->paths.state_dir,
                              .ballast_bytes = (uint64_t)a->config->daemon_ballast_mib << 20,
                              .on_damage = on_damage,
                              .arg = a};
    int rc = store_open(r->uv, &s, &r->store, err);
    if (rc)
        return rc;
    if ((rc = open_vault(a, err)))
        return rc;
    struct engine_options e = engine_options_of(a->config);
    e.sign_fd = vault_sign_fd(r->vault);
    if ((rc = engine_open(r->uv, &e, room_on_done, r, &r->engine, err)))
        return rc;
    r->gate = work_gate_new(r->uv, a->config->transfer_io_per_mount);
    return room_open(r, err);
}

static int open_all(struct app *a, struct oc_err *err)
{
    struct server_hooks hooks = {.room = &a->room, .reload = reload, .arg = a};
    int rc = paths_open(a->config, a->opt->system, &a->paths, err);
    if (!rc)
        rc = open_spool(a, err);
    if (!rc)
        rc = open_rooms(a, err);
    hooks.vault = a->room.vault;
    hooks.engine = a->room.engine;
    hooks.state_dir = a->paths.state_dir;
    if (!rc)
        rc = server_open(&a->server, a->loop, a->paths.socket, getuid(), &hooks, err);
    if (!rc)
        rc = loop_signals(a->loop, on_term, on_hup, a) ? oc_fail(err, OCID_E_INTERNAL, 0, "signals")
                                                       : 0;
    return rc;
}

static void raise_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
}

static void print_recovered(const char *dir, const struct recovered *r)
{
    printf("a new queue is in '%s': %" PRIu64 " jobs, %" PRIu64 " of them unfinished, from '%s'\n",
           dir, r->n_jobs, r->n_unfinished, r->from);
    if (r->n_lost) {
        printf("%" PRIu64 " jobs may be lost, their rows cannot be read:", r->n_lost);
        for (uint64_t i = 0; i < r->n_lost && i < RECOVER_IDS; i++)
            printf(" %" PRIu64, r->lost[i]);
        puts(r->n_lost > RECOVER_IDS ? " ..." : "");
    }
    if (r->n_transfers_lost)
        printf("%" PRIu64 " jobs begin anew: how far they were cannot be read\n",
               r->n_transfers_lost);
    if (r->n_lost || r->n_transfers_lost)
        puts("unfinished uploads of theirs: ocictl uploads oci://BUCKET");
    if (r->log_lost)
        puts("the log of the last commits cannot be read: jobs may be missing, or run again");
    if (r->new_identity)
        puts("the largest id is not known: ids begin anew, those that you have mean nothing now");
    puts("the damaged file stays where it is; remove it when it is of no use to you");
}

int app_recover(const struct app_options *opt, struct oc_err *err)
{
    struct paths paths;
    struct recovered r;
    int rc = paths_open(opt->loaded, opt->system, &paths, err);
    if (rc)
        return oc_err_exit(rc);
    rc = recover_run(paths.state_dir, &r, err);
    if (!rc)
        print_recovered(paths.state_dir, &r);
    paths_fini(&paths);
    if (rc)
        return oc_err_exit(rc);
    int whole = !r.n_lost && !r.n_transfers_lost && !r.log_lost && !r.new_identity;
    return whole ? 0 : oc_err_exit(OCID_E_SOME_FAILED);
}

int app_run(const struct app_options *opt, struct oc_err *err)
{
    struct app a = {.opt = opt, .config = opt->loaded};
    raise_descriptors();
    work_pool_size(a.config->transfer_io_threads);
    if (!(a.loop = loop_new())) {
        oc_fail(err, OCID_E_INTERNAL, errno, "cannot open the event loop");
        return oc_err_exit(err->code);
    }
    a.room.loop = a.loop;
    a.room.uv = loop_uv(a.loop);
    a.room.config = a.config;
    a.room.sign_ahead = sign_ahead();
    if (open_all(&a, err))
        return oc_err_exit(err->code); /* the process ends: the kernel closes the rest */
    a.server_open = 1;
    log_info("ocid %s serves %s", OCID_VERSION, a.paths.socket);
    loop_notify("READY=1");
    loop_run(a.loop);
    if (a.left_behind)
        _exit(a.status); /* at exit() libuv would wait for it */
    loop_free(a.loop);
    paths_fini(&a.paths);
    config_unref(a.config);
    return a.status;
}
