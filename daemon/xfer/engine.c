/* SPDX-License-Identifier: Apache-2.0
 *
 * engine.c - the transfer thread: its loop, what comes in and goes out, and its end.
 *
 * The upper half of the file runs on the transfer thread, the lower half is what the control loop
 * calls. In between are two mailboxes in (requests; notes about all else) and one out (results, a
 * batch a turn). Nothing here decides what to transfer: requests are taken in order, prepared and
 * signed a little ahead, and given a connection when one is free.
 */
#include "xfer/engine.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "core/log.h"
#include "core/loop.h"
#include "xfer/room.h"

enum { TICK_MS = 1000, TOLD_S = 10, CLOSE_S = 1 };

/* ---- settings ---- */

static char *copy_or_null(const char *s)
{
    return s && *s ? oc_strdup(s) : NULL;
}

static struct settings *settings_new(const struct engine_options *o)
{
    struct settings *s = OC_NEW(struct settings);
    s->ca_file = copy_or_null(o->ca_file);
    s->proxy = copy_or_null(o->proxy);
    s->no_proxy = copy_or_null(o->no_proxy);
    s->user_agent = copy_or_null(o->user_agent);
    s->connect_seconds = o->connect_seconds ? o->connect_seconds : 10;
    s->stall_seconds = o->stall_seconds ? o->stall_seconds : 60;
    s->connections = o->connections ? o->connections : 32;
    s->sign_ahead = o->sign_ahead ? o->sign_ahead : 8;
    return s;
}

static void settings_free(struct settings *s)
{
    if (!s)
        return;
    free(s->ca_file);
    free(s->proxy);
    free(s->no_proxy);
    free(s->user_agent);
    free(s);
}

static void apply(struct engine *e, struct settings *s)
{
    settings_free(e->settings);
    e->settings = s;
    e->generation++; /* lanes are set up anew before their next request */
    curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)s->connections);
}

/* ---- clocks ---- */

uint64_t engine_now_ms(const struct engine *e)
{
    return uv_now(&e->loop);
}

int64_t engine_now_s(void)
{
    return clock_wall_ms() / 1000;
}

struct host *engine_host(struct engine *e, const char *name)
{
    for (struct host *h = e->hosts; h; h = h->next)
        if (!strcmp(h->name, name))
            return h;
    struct host *h = OC_NEW(struct host);
    h->name = oc_strdup(name);
    h->next = e->hosts;
    return e->hosts = h;
}

/* ---- the order of things ---- */

/* Among the connections, and those of its host. */
static int has_place(const struct xfer_job *j)
{
    const struct engine *e = j->e;
    unsigned most = e->settings->connections;
    if (j->r->apart)
        return e->n_apart < most;
    return e->n_in[MOVE_RUNNING] - e->n_apart < most &&
           (!j->to->limit || j->to->n_running < j->to->limit);
}

void engine_pump(struct engine *e)
{
    if (e->closing)
        return;
    unsigned ahead = e->settings->sign_ahead;
    while (e->queued &&
           (e->queued->r->urgent || e->n_in[MOVE_SIGNING] + e->n_in[MOVE_READY] < ahead))
        job_prepare(e->queued);
    struct xfer_job *j, *next;
    DL_FOREACH_SAFE(e->ready, j, next)
    {
        if (j->r->urgent || (has_place(j) && pace_may_begin(j)))
            job_launch(j);
        else if (!e->n_buckets && e->n_in[MOVE_RUNNING] >= e->settings->connections)
            return; /* full, and none is apart; urgent ones come first in the list */
    }
}

void engine_drain(struct engine *e)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(e->multi, &left))) {
        struct lane *l = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&l);
        job_finish(l->job, rc);
    }
    engine_pump(e);
}

static void on_tick(uv_timer_t *t)
{
    struct engine *e = t->data;
    struct xfer_job *j, *next;
    DL_FOREACH_SAFE(e->active, j, next)
    {
        if (job_is_stuck(j, engine_now_ms(e)))
            job_give_up_file(j);
        else if (j->state == MOVE_RUNNING && job_stalled(j, engine_now_ms(e)))
            job_finish(j, CURLE_OPERATION_TIMEDOUT);
    }
    if (!e->active)
        uv_timer_stop(t);
    engine_pump(e);
}

static void watch_stalls(struct engine *e)
{
    if (e->active && !uv_is_active((uv_handle_t *)&e->tick))
        uv_timer_start(&e->tick, on_tick, TICK_MS, TICK_MS);
}

static void send_results(struct engine *e)
{
    if (e->done.n)
        mailbox_post_all(&e->results, &e->done);
}

/* Once a turn, before the loop sleeps: what ended goes out with one wake-up. */
static void on_flush(uv_prepare_t *p)
{
    struct engine *e = p->data;
    watch_stalls(e);
    send_results(e);
}

/* ---- letters ---- */

static void cancel_marked(struct xfer_job *list)
{
    struct xfer_job *j, *next;
    DL_FOREACH_SAFE(list, j, next)
    if (atomic_load(&j->r->cancelled))
        job_cancel(j);
}

static void cancel_all(struct xfer_job *list)
{
    struct xfer_job *j, *next;
    DL_FOREACH_SAFE(list, j, next)
    job_cancel(j);
}

static void shut_begin(struct engine *e);

static void take_notes(struct engine *e, struct mail_list *batch)
{
    int n_cancels = 0, n_closes = 0;
    for (struct mail *m; (m = mail_list_pop(batch));) {
        struct note *n = OC_OWNER(m, struct note, mail);
        switch (n->kind) {
        case NOTE_CANCEL:
            n_cancels++;
            break;
        case NOTE_CLOCK:
            engine_host(e, n->host)->offset_s = n->offset_s;
            engine_host(e, n->host)->date_at = 0;
            free(n->host);
            break;
        case NOTE_OPTIONS:
            apply(e, n->settings);
            break;
        case NOTE_LIMITS:
            pace_limits(e, n->limits, n->n_limits);
            free(n->limits);
            break;
        case NOTE_SIGNER:
            vault_link_close(e->link);
            e->link = vault_link_new(&e->loop, n->fd);
            break;
        case NOTE_FILE:
            file_close_in_pool(e, n->file);
            continue; /* the note lies in the file */
        case NOTE_CLOSE:
            n_closes++;
            break;
        }
        free(n);
    }
    if (n_cancels) {
        cancel_marked(e->queued);
        cancel_marked(e->ready);
        cancel_marked(e->active);
    }
    if (n_closes)
        shut_begin(e);
    engine_pump(e);
}

static void on_notes(void *owner, struct mail_list *batch)
{
    take_notes(owner, batch);
}

/* What was said before them counts for them, but none is started here: the note that closes may be
 * among those, and it ends whatever is queued. */
static void on_requests(void *owner, struct mail_list *batch)
{
    struct engine *e = owner;
    struct mail_list notes;
    for (struct mail *m; (m = mail_list_pop(batch));)
        xfer_job_new(e, OC_OWNER(m, struct xfer_request, mail));
    cancel_marked(e->queued); /* whose note came before them */
    mailbox_poll(&e->notes, &notes);
    take_notes(e, &notes);
}

/* ---- the end ---- */

static void free_memory(struct engine *e)
{
    for (struct xfer_job *j; (j = e->spare_jobs);) {
        e->spare_jobs = j->next;
        xfer_job_free(j);
    }
    for (struct lane *l; (l = e->idle_lanes);) {
        e->idle_lanes = l->next;
        lane_free(l);
    }
    for (struct host *h; (h = e->hosts);) {
        e->hosts = h->next;
        free(h->name);
        free(h);
    }
    io_spare_free(e);
    EVP_MD_free(e->md5);
    free(e->buckets);
}

/* Everything but what the pool still works on. */
static void shut_begin(struct engine *e)
{
    struct mail_list late;
    mailbox_poll(&e->inbox, &late);
    for (struct mail *m; (m = mail_list_pop(&late));)
        xfer_job_new(e, OC_OWNER(m, struct xfer_request, mail));
    e->closing = 1;
    cancel_all(e->queued);
    cancel_all(e->ready);
    cancel_all(e->active);
    send_results(e);
    sem_post(&e->told);
    free_memory(e);
    curl_multi_cleanup(e->multi);
    curl_share_cleanup(e->share);
    vault_link_close(e->link);
    life_end(&e->life);
    life_close(&e->life, (uv_handle_t *)&e->timer);
    life_close(&e->life, (uv_handle_t *)&e->tick);
    life_close(&e->life, (uv_handle_t *)&e->pace);
    life_close(&e->life, (uv_handle_t *)&e->flush);
    life_close(&e->life, (uv_handle_t *)&e->pipes);
    close(e->pipes_fd);
    life_done(&e->life);
    engine_try_shut(e);
}

void engine_try_shut(struct engine *e)
{
    if (!e->closing || work_pending(e->gate))
        return;
    work_gate_free(e->gate);
    mailbox_close(&e->inbox);
    mailbox_close(&e->notes);
    settings_free(e->settings);
    e->settings = NULL;
    free(e->places);
    e->places = NULL;
}

/* ---- the beginning ---- */

/* The thread and the mailbox of results each hold the engine: a thread that hangs in a file system
 * outlives engine_close(). */
static void engine_drop(void *arg)
{
    struct engine *e = arg;
    if (atomic_fetch_sub(&e->n_holders, 1) != 1)
        return;
    sem_destroy(&e->told);
    free(e);
}

/* SCHED_BATCH: a thread that is woken by each packet would push the signer off its core each time;
 * so it finds several events when its turn comes. Needs no privilege, and may fail. */
static void *thread_main(void *arg)
{
    struct engine *e = arg;
    const struct sched_param none = {0};
    pthread_setname_np(pthread_self(), "ocid-xfer");
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    uv_run(&e->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&e->loop) < 0) {
        uv_print_all_handles(&e->loop, stderr);
        assert(!"a handle of the transfer thread is still open");
    }
    engine_drop(e);
    return NULL;
}

/* Signals are the control loop's. */
static int thread_start(struct engine *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&e->thread, NULL, thread_main, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static void open_handles(struct engine *e)
{
    life_init(&e->life, NULL, e);
    uv_timer_init(&e->loop, &e->timer);
    life_open(&e->life, (uv_handle_t *)&e->timer);
    uv_timer_init(&e->loop, &e->tick);
    life_open(&e->life, (uv_handle_t *)&e->tick);
    uv_timer_init(&e->loop, &e->pace);
    life_open(&e->life, (uv_handle_t *)&e->pace);
    uv_prepare_init(&e->loop, &e->flush);
    life_open(&e->life, (uv_handle_t *)&e->flush);
    uv_prepare_start(&e->flush, on_flush);
    loop_watch(&e->loop, &e->pipes, e->pipes_fd);
    life_open(&e->life, (uv_handle_t *)&e->pipes);
    uv_poll_start(&e->pipes, UV_READABLE, sink_on_pipes);
}

static void on_results(void *owner, struct mail_list *batch)
{
    struct engine *e = owner;
    for (struct mail *m; (m = mail_list_pop(batch));)
        e->on_done(OC_OWNER(m, struct xfer_request, mail), e->arg);
}

static void open_curl(struct engine *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, wipe_init);
    e->multi = curl_multi_init();
    e->share = curl_share_init();
    if (!e->multi || !e->share)
        abort(); /* out of memory */
    curl_share_setopt(e->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    sockets_setup(e);
}

/* What of the operating system's may be missing: descriptors. */
static int open_loop(struct engine *e, struct oc_err *err)
{
    int rc = uv_loop_init(&e->loop);
    if (rc < 0)
        return oc_fail(err, OCID_E_INTERNAL, -rc, "cannot make the transfer loop");
    e->pipes_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->pipes_fd < 0)
        rc = -errno;
    if (rc == 0 && (rc = mailbox_open(&e->results, e->control, on_results, e)) == 0) {
        e->results.on_closed = engine_drop;
        return 0;
    }
    if (e->pipes_fd >= 0)
        close(e->pipes_fd);
    uv_loop_close(&e->loop);
    return oc_fail(err, OCID_E_INTERNAL, -rc, "cannot start the transfer thread");
}

int engine_open(uv_loop_t *control, const struct engine_options *opt,
                void (*on_done)(struct xfer_request *r, void *arg), void *arg, struct engine **ret,
                struct oc_err *err)
{
    struct engine *e = OC_NEW(struct engine);
    atomic_init(&e->n_holders, 2);
    sem_init(&e->told, 0, 0);
    e->control = control;
    e->on_done = on_done;
    e->arg = arg;
    mail_list_init(&e->posted);
    mail_list_init(&e->done);
    int code = open_loop(e, err);
    if (code) {
        close(opt->sign_fd);
        free(e);
        return code;
    }
    open_curl(e);
    open_handles(e);
    if (mailbox_open(&e->notes, &e->loop, on_notes, e) < 0 ||
        mailbox_open(&e->inbox, &e->loop, on_requests, e) < 0)
        abort(); /* the loop has its one descriptor for these already */
    apply(e, settings_new(opt));
    e->md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* NULL under FIPS */
    e->gate = work_gate_new(&e->loop, opt->io_per_mount);
    e->link = vault_link_new(&e->loop, opt->sign_fd);
    int rc = thread_start(e);
    if (rc) {
        log_error("no thread for transfers: %s", strerrordesc_np(rc));
        abort();
    }
    file_set_closer(e);
    *ret = e;
    return 0;
}

/* ---- what the control loop calls ---- */

static struct note *note_new(enum note_kind kind)
{
    struct note *n = OC_NEW(struct note);
    n->kind = kind;
    return n;
}

void engine_post(struct engine *e, struct xfer_request *r)
{
    atomic_store(&r->cancelled, 0);
    atomic_store(&r->bytes_moved, 0);
    oci_reply_init(&r->reply);
    r->reply_body = NULL;
    r->reply_len = 0;
    r->crc32c = 0;
    r->has_md5 = r->sent_any = r->local_sys = r->others_wait = 0;
    r->took_us = 0;
    r->n_sent = 0;
    r->crc32c_announced = 0;
    r->server_date_offset_s = 0;
    r->kind = OCI_KIND_OTHER;
    r->slot = NULL;
    oc_err_clear(&r->err);
    mail_list_add(&e->posted, &r->mail);
}

void xfer_request_fini(struct xfer_request *r)
{
    if (!r)
        return;
    assert(!r->slot); /* not while it runs */
    oci_request_fini(&r->call);
    oci_reply_fini(&r->reply);
    xfer_file_unref(r->file);
    free(r->reply_body);
    r->file = NULL;
    r->reply_body = NULL;
    r->reply_len = 0;
}

void engine_flush(struct engine *e)
{
    mailbox_post_all(&e->inbox, &e->posted);
}

void engine_cancel(struct engine *e, struct xfer_request *r)
{
    if (!atomic_exchange(&r->cancelled, 1))
        mailbox_post(&e->notes, &note_new(NOTE_CANCEL)->mail);
}

void engine_configure(struct engine *e, const struct engine_options *opt)
{
    struct note *n = note_new(NOTE_OPTIONS);
    n->settings = settings_new(opt);
    mailbox_post(&e->notes, &n->mail);
}

void engine_limit(struct engine *e, const struct xfer_limit *limits, unsigned n)
{
    struct note *note = note_new(NOTE_LIMITS);
    note->limits = n ? oc_memdup(limits, n * sizeof *limits) : NULL;
    note->n_limits = n;
    mailbox_post(&e->notes, &note->mail);
}

void engine_give_way(struct engine *e, int now)
{
    atomic_store_explicit(&e->give_way, now, memory_order_relaxed);
}

void engine_set_clock(struct engine *e, const char *host, int64_t offset_s)
{
    struct note *n = note_new(NOTE_CLOCK);
    n->host = oc_strdup(host);
    n->offset_s = offset_s;
    mailbox_post(&e->notes, &n->mail);
}

void engine_set_signer(struct engine *e, int sign_fd)
{
    struct note *n = note_new(NOTE_SIGNER);
    n->fd = sign_fd;
    mailbox_post(&e->notes, &n->mail);
}

void engine_stats(const struct engine *e, struct engine_stats *ret)
{
    ret->requests = atomic_load_explicit(&e->n_requests, memory_order_relaxed);
    ret->bytes_up = atomic_load_explicit(&e->bytes_up, memory_order_relaxed);
    ret->bytes_down = atomic_load_explicit(&e->bytes_down, memory_order_relaxed);
    ret->connects = atomic_load_explicit(&e->n_connects, memory_order_relaxed);
}

static struct timespec in_seconds(int n)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += n;
    return t;
}

/* The requests are back as soon as the thread looks, unless the local disk holds it up in a write.
 * 0: what hangs in the pool is left behind, and the thread with it. */
static int thread_join(struct engine *e)
{
    struct timespec told = in_seconds(TOLD_S);
    while (sem_timedwait(&e->told, &told) < 0 && errno == EINTR)
        continue;
    struct timespec ended = in_seconds(CLOSE_S);
    if (pthread_timedjoin_np(e->thread, NULL, &ended) == 0)
        return 1;
    pthread_detach(e->thread);
    return 0;
}

int engine_close(struct engine *e)
{
    if (!e)
        return 1;
    file_set_closer(NULL);
    engine_flush(e);
    mailbox_post(&e->notes, &note_new(NOTE_CLOSE)->mail);
    int whole = thread_join(e);
    if (!whole)
        log_warn("a file system does not answer: left its reads and writes behind");
    struct mail_list last;
    mailbox_poll(&e->results, &last);
    on_results(e, &last);
    mailbox_close(&e->results);
    return whole;
}
