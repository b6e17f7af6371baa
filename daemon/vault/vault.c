/* SPDX-License-Identifier: Apache-2.0
 *
 * vault.c - our side of the signer's control socket: facts, unlock, lock, reload, offset.
 *
 * Control loop. Started by app.c, asked by rpc, jobs and oci; start at vault_open().
 * Each call is one packet and one answer, matched by tag. Facts are kept until something happens
 * that may change them. The process is ended by closing its socket, by SIGKILL if it does not go.
 */
#include "vault/vault.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "core/life.h"
#include "core/loop.h"
#include "core/mem.h"
#include "proto/text.h"
#include "vault/spawn.h"

enum { CALLS_MAX = 256, KILL_AFTER_MS = 2000, FACT_TEXTS = 9 };

/* One question under way. */
struct call {
    struct call *next;
    enum wire_verb verb;
    uint64_t tag;
    vault_done_cb done; /* NULL: nobody asked to hear */
    void *arg;
    struct profile *facts_of; /* FACTS only */
    struct oc_err err;        /* why it is in the list of the due */
    int fd;                   /* to pass along, -1: none */
    size_t len;
    char bytes[];
};

struct queue {
    struct call *head, **tail;
};

struct waiter {
    struct waiter *next;
    vault_facts_cb cb;
    void *arg;
};

/* What we know of a profile; there while known or asked. */
struct profile {
    UT_hash_handle hh;
    struct vault_facts facts;
    int known, asked;
    char *texts; /* one block that the facts point into */
    struct waiter *waiters, **waiters_tail;
};

struct vault {
    uv_loop_t *loop;
    struct life life;
    uv_process_t process;
    uv_poll_t poll;
    uv_timer_t soon; /* answers that are due in the next turn */
    uv_timer_t kill;
    int control_fd, sign_fd;
    int running; /* the process has not been reaped yet */
    int told_dead;
    struct oc_err dead; /* code 0 while the signer lives */

    struct queue out, sent, due;
    unsigned n_calls;
    uint64_t last_tag;
    struct profile *known;
    char *profiles; /* of ocid.conf */

    void (*on_dead)(void *arg, const struct oc_err *err);
    void (*on_change)(void *arg);
    void (*on_fetch)(void *arg, const struct vault_fetch *f);
    void *arg;
    char reply[WIRE_REPLY_MAX];
};

static void on_poll(uv_poll_t *h, int status, int events);

static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_add(struct queue *q, struct call *c)
{
    c->next = NULL;
    *q->tail = c;
    q->tail = &c->next;
}

static struct call *queue_take(struct queue *q, struct call **at)
{
    struct call *c = *at;
    if (!c)
        return NULL;
    *at = c->next;
    if (!c->next)
        q->tail = at;
    return c;
}

static void call_free(struct vault *v, struct call *c)
{
    if (c->fd >= 0)
        close(c->fd);
    v->n_calls--;
    if (c->verb == WIRE_FETCHED)
        explicit_bzero(c->bytes, c->len);
    free(c);
}

/* --- facts --- */

static void profile_clear(struct profile *p)
{
    free(p->texts);
    p->texts = NULL;
    p->known = 0;
}

static void profile_free(struct vault *v, struct profile *p)
{
    HASH_DEL(v->known, p);
    profile_clear(p);
    free(p);
}

static struct profile *profile_find(const struct vault *v, const char *name)
{
    struct profile *p;
    HASH_FIND_STR(v->known, name, p);
    return p;
}

static struct profile *profile_make(struct vault *v, const char *name)
{
    struct profile *p = OC_NEW(struct profile);
    oc_text_join(p->facts.profile, sizeof p->facts.profile, name, "", "");
    p->waiters_tail = &p->waiters;
    HASH_ADD_STR(v->known, facts.profile, p);
    return p;
}

/* What we know may be wrong from here on. */
static void facts_forget(struct vault *v)
{
    struct profile *p, *next;
    HASH_ITER (hh, v->known, p, next) {
        profile_clear(p);
        if (!p->asked)
            profile_free(v, p);
    }
}

static void facts_changed(struct vault *v)
{
    facts_forget(v);
    if (v->on_change)
        v->on_change(v->arg);
}

static void facts_fill(struct profile *p, const struct wire_head *head,
                       const struct wire_part *part)
{
    struct vault_facts *f = &p->facts;
    char **text[FACT_TEXTS] = {&f->key_id,     &f->tenancy,  &f->user,  &f->region, &f->fingerprint,
                               &f->token_file, &f->key_text, &f->notes, &f->mode};
    static const int of[FACT_TEXTS] = {WIRE_F_KEY_ID,   WIRE_F_TENANCY,     WIRE_F_USER,
                                       WIRE_F_REGION,   WIRE_F_FINGERPRINT, WIRE_F_TOKEN_FILE,
                                       WIRE_F_KEY_TEXT, WIRE_F_NOTES,       WIRE_F_MODE};
    size_t size = FACT_TEXTS, at = 0;
    for (int i = 0; i < FACT_TEXTS; i++)
        size += part[of[i]].n;
    profile_clear(p);
    p->texts = oc_new(1, size);
    for (int i = 0; i < FACT_TEXTS; i++) {
        *text[i] = p->texts + at;
        memcpy(p->texts + at, part[of[i]].s, part[of[i]].n);
        at += part[of[i]].n + 1;
    }
    f->key = (enum wire_key)head->number;
    oc_err_clear(&f->err);
    if (head->code)
        oc_fail(&f->err, head->code, 0, "%.*s", (int)part[WIRE_F_TEXT].n, part[WIRE_F_TEXT].s);
    p->known = 1;
}

/* Tells those who wait. err NULL: p is filled. Callbacks may ask again, also for p. */
static void facts_tell(struct vault *v, struct profile *p, const struct oc_err *err)
{
    struct waiter *w = p->waiters, *next;
    p->waiters = NULL;
    p->waiters_tail = &p->waiters;
    for (; w; w = next) {
        next = w->next;
        if (err)
            w->cb(w->arg, NULL, err);
        else
            w->cb(w->arg, &p->facts, &p->facts.err);
        free(w);
    }
    if (p->waiters)
        return; /* asked again by a callback, which has made a new call */
    p->asked = 0;
    if (!p->known || p->facts.err.code)
        profile_free(v, p);
}

/* --- calls --- */

/* With room for a packet of size bytes. */
static struct call *call_make(struct vault *v, enum wire_verb verb, size_t size)
{
    struct call *c = oc_new(1, sizeof *c + size);
    c->verb = verb;
    c->tag = ++v->last_tag;
    c->fd = -1;
    v->n_calls++;
    return c;
}

static struct call *call_new(struct vault *v, enum wire_verb verb, const char *text, int64_t number,
                             vault_done_cb done, void *arg)
{
    size_t n = strlen(text), size = sizeof(struct wire_head) + n;
    struct call *c = call_make(v, verb, size);
    c->done = done;
    c->arg = arg;
    struct wire_head head = {.verb = verb, .tag = c->tag, .number = number};
    c->len = wire_pack(&head, &(struct wire_part){text, n}, 1, c->bytes, size);
    return c;
}

static void on_soon(uv_timer_t *h);

/* The answer is known already and given in the next turn: c->err, or the facts if its code is 0. */
static void call_due(struct vault *v, struct call *c)
{
    queue_add(&v->due, c);
    if (!v->life.ended)
        uv_timer_start(&v->soon, on_soon, 0, 0);
}

static void call_answer(struct vault *v, struct call *c, const char *text)
{
    struct profile *p = c->facts_of;
    vault_done_cb done = c->done;
    void *arg = c->arg;
    struct oc_err err = c->err;
    call_free(v, c);
    if (p)
        facts_tell(v, p, err.code ? &err : NULL);
    else if (done)
        done(arg, text, &err);
}

static void flush(struct vault *v);

static void call_send(struct vault *v, struct call *c)
{
    if (v->dead.code || v->n_calls > CALLS_MAX || !c->len) {
        if (v->dead.code)
            c->err = v->dead;
        else if (!c->len)
            oc_fail(&c->err, OCID_E_TOO_LARGE, 0, "the name of the profile is too long");
        else
            oc_fail(&c->err, OCID_E_QUEUE_FULL, 0, "too many questions to ocid-signer");
        call_due(v, c);
        return;
    }
    queue_add(&v->out, c);
    flush(v);
}

/* The descriptor is ours no longer once it was sent. */
static ssize_t send_one(struct vault *v, struct call *c)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {c->bytes, c->len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (c->fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &c->fd, sizeof(int));
    }
    ssize_t n = sendmsg(v->control_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 && c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    return n;
}

/* Sends what waits; the rest goes when there is room. A dead socket shows in on_poll(). What the
 * kernel will not take at all (a bad descriptor) does not hold up those behind it. */
static void flush(struct vault *v)
{
    while (v->out.head) {
        ssize_t n = send_one(v, v->out.head);
        int e = n < 0 ? errno : 0;
        if (e && e != EBADF && e != ETOOMANYREFS)
            break;
        struct call *c = queue_take(&v->out, &v->out.head);
        if (!e) {
            queue_add(&v->sent, c);
            continue;
        }
        oc_fail(&c->err, OCID_E_INVALID, e, "cannot pass the descriptor to ocid-signer");
        call_due(v, c);
    }
    if (!v->life.ended && !v->dead.code)
        uv_poll_start(&v->poll, UV_READABLE | (v->out.head ? UV_WRITABLE : 0), on_poll);
}

static void fail_all(struct vault *v, const struct oc_err *err)
{
    struct queue *from[] = {&v->sent, &v->out, &v->due};
    for (int i = 0; i < 3; i++)
        for (struct call *c; (c = queue_take(from[i], &from[i]->head));) {
            if (!c->err.code)
                c->err = *err;
            call_answer(v, c, "");
        }
}

static void on_soon(uv_timer_t *h)
{
    struct vault *v = h->data;
    struct queue due = v->due;
    if (due.head && due.tail == &v->due.head)
        due.tail = &due.head;
    queue_init(&v->due);
    for (struct call *c; (c = queue_take(&due, &due.head));) {
        struct profile *p = c->facts_of;
        if (!p || p->known || c->err.code) {
            call_answer(v, c, "");
            continue;
        }
        call_send(v, c); /* the facts were forgotten meanwhile */
    }
}

/* --- answers --- */

static struct call *sent_take(struct vault *v, uint64_t tag)
{
    for (struct call **at = &v->sent.head; *at; at = &(*at)->next)
        if ((*at)->tag == tag)
            return queue_take(&v->sent, at);
    return NULL;
}

static void take_done(struct vault *v, struct call *c, const struct wire_head *head,
                      const struct wire_part *text)
{
    char words[WIRE_TEXT_MAX + 1];
    size_t n = text->n < WIRE_TEXT_MAX ? text->n : WIRE_TEXT_MAX;
    memcpy(words, text->s, n);
    words[n] = 0;
    if (head->code)
        oc_fail(&c->err, head->code, 0, "%s", words);
    if (c->verb == WIRE_REFUSED) /* they were read again, and are what they were as a rule */
        facts_forget(v);
    else if (c->verb != WIRE_OFFSET && c->verb != WIRE_FETCHED)
        facts_changed(v);
    call_answer(v, c, head->code ? "" : words);
}

/* Texts with a NUL of their own, in one block that is wiped. */
static void take_fetch(struct vault *v, const struct wire_head *head, const struct wire_part *part)
{
    size_t size = 0, at = 0;
    const char *text[WIRE_FETCH_BODY + 1];
    for (int i = 0; i <= WIRE_FETCH_BODY; i++)
        size += part[i].n + 1;
    char *block = oc_new(1, size);
    for (int i = 0; i <= WIRE_FETCH_BODY; i++) {
        text[i] = block + at;
        memcpy(block + at, part[i].s, part[i].n);
        at += part[i].n + 1;
    }
    struct vault_fetch f = {
        .tag = head->tag,
        .kind = (enum wire_fetch)head->number,
        .profile = text[WIRE_FETCH_PROFILE],
        .target = text[WIRE_FETCH_TARGET],
        .region = text[WIRE_FETCH_REGION],
        .body = text[WIRE_FETCH_BODY],
    };
    if (v->on_fetch)
        v->on_fetch(v->arg, &f);
    else
        vault_fetched(v, f.tag, OCID_E_UNSUPPORTED, 0, "there is no network");
    explicit_bzero(block, size);
    free(block);
}

/* 0 for a packet that no signer of ours would send. */
static int take_reply(struct vault *v, size_t n)
{
    struct wire_head head;
    struct wire_part part[WIRE_PARTS];
    if (!wire_parse(v->reply, n, &head, part))
        return 0;
    if (head.verb == WIRE_CHANGED) {
        facts_changed(v);
        return 1;
    }
    if (head.verb == WIRE_FETCH) {
        take_fetch(v, &head, part);
        explicit_bzero(v->reply, n);
        return 1;
    }
    struct call *c = sent_take(v, head.tag);
    if (!c || c->verb != head.verb)
        return 0;
    if (!c->facts_of) {
        take_done(v, c, &head, &part[0]);
        return 1;
    }
    facts_fill(c->facts_of, &head, part);
    call_answer(v, c, "");
    return 1;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct vault *v = h->data;
    ssize_t n = status < 0 ? 0 : -1;
    if (status >= 0 && (events & UV_READABLE))
        n = recv(v->control_fd, v->reply, sizeof v->reply, MSG_DONTWAIT);
    else if (status >= 0)
        errno = EAGAIN;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = 0;
    if (!n || (n > 0 && !take_reply(v, (size_t)n))) {
        uv_poll_stop(&v->poll);
        if (v->running)
            uv_process_kill(&v->process, SIGKILL); /* on_ended() tells the rest */
        return;
    }
    if (!v->life.ended)
        flush(v);
}

/* --- the process --- */

static void close_socket(struct vault *v)
{
    if (v->control_fd >= 0)
        close(v->control_fd);
    v->control_fd = -1;
}

static void on_ended(uv_process_t *process, int64_t status, int signal)
{
    struct vault *v = process->data;
    v->running = 0;
    if (v->life.ended) {
        life_close(&v->life, (uv_handle_t *)&v->kill);
        life_close(&v->life, (uv_handle_t *)&v->process);
        return;
    }
    uv_poll_stop(&v->poll);
    oc_fail(&v->dead, OCID_E_STOPPING, 0, "ocid-signer has ended (%s %d)",
            signal ? "signal" : "status", signal ? signal : (int)status);
    struct oc_err dead = v->dead;
    fail_all(v, &dead);
    if (!v->life.ended && v->on_dead)
        v->on_dead(v->arg, &dead);
}

static void on_kill(uv_timer_t *h)
{
    struct vault *v = h->data;
    if (v->running)
        uv_process_kill(&v->process, SIGKILL);
}

static void vault_gone(void *owner)
{
    struct vault *v = owner;
    struct oc_err err;
    oc_fail(&err, OCID_E_STOPPING, 0, "ocid is stopping");
    fail_all(v, &err);
    struct profile *p, *next;
    HASH_ITER (hh, v->known, p, next)
        profile_free(v, p);
    free(v->profiles);
    free(v);
}

static struct vault *vault_new(uv_loop_t *loop, const struct vault_options *o)
{
    struct vault *v = OC_NEW(struct vault);
    v->loop = loop;
    v->control_fd = v->sign_fd = -1;
    v->on_dead = o->on_dead;
    v->on_change = o->on_change;
    v->on_fetch = o->on_fetch;
    v->arg = o->arg;
    v->profiles = oc_strdup(o->profiles ? o->profiles : "");
    queue_init(&v->out);
    queue_init(&v->sent);
    queue_init(&v->due);
    life_init(&v->life, vault_gone, v);
    uv_timer_init(loop, &v->soon);
    life_open(&v->life, (uv_handle_t *)&v->soon);
    uv_timer_init(loop, &v->kill);
    life_open(&v->life, (uv_handle_t *)&v->kill);
    return v;
}

struct vault *vault_open(uv_loop_t *control_loop, const struct vault_options *o, struct oc_err *err)
{
    int fd[2];
    struct vault *v = vault_new(control_loop, o);
    int rc = vault_spawn(v->loop, o, &v->process, on_ended, fd, err);
    life_open(&v->life, (uv_handle_t *)&v->process);
    if (rc) {
        vault_close(v);
        return NULL;
    }
    v->running = 1;
    v->control_fd = fd[0];
    v->sign_fd = fd[1];
    loop_watch(v->loop, &v->poll, v->control_fd);
    life_open(&v->life, (uv_handle_t *)&v->poll);
    uv_poll_start(&v->poll, UV_READABLE, on_poll);
    return v;
}

void vault_close(struct vault *v)
{
    if (!v || !life_end(&v->life))
        return;
    life_close(&v->life, (uv_handle_t *)&v->soon);
    if (v->control_fd >= 0)
        life_close(&v->life, (uv_handle_t *)&v->poll);
    close_socket(v);
    if (v->sign_fd >= 0)
        close(v->sign_fd);
    if (v->running) {
        uv_timer_start(&v->kill, on_kill, KILL_AFTER_MS, 0);
    } else {
        life_close(&v->life, (uv_handle_t *)&v->kill);
        life_close(&v->life, (uv_handle_t *)&v->process);
    }
    life_done(&v->life);
}

int vault_sign_fd(struct vault *v)
{
    int fd = v->sign_fd;
    v->sign_fd = -1;
    return fd;
}

int vault_pid(const struct vault *v)
{
    return v->running ? v->process.pid : -1;
}

/* --- what others call --- */

void vault_facts(struct vault *v, const char *profile, vault_facts_cb cb, void *arg)
{
    struct waiter *w = OC_NEW(struct waiter);
    struct profile *p = profile_find(v, profile);
    w->cb = cb;
    w->arg = arg;
    if (!p)
        p = profile_make(v, profile);
    int first = !p->waiters;
    *p->waiters_tail = w;
    p->waiters_tail = &w->next;
    p->asked = 1;
    if (!first)
        return; /* hears what the first hears */
    struct call *c = call_new(v, WIRE_FACTS, profile, 0, NULL, NULL);
    c->facts_of = p;
    if (p->known)
        call_due(v, c);
    else
        call_send(v, c);
}

const struct vault_facts *vault_facts_known(const struct vault *v, const char *profile)
{
    struct profile *p = profile_find(v, profile);
    return p && p->known ? &p->facts : NULL;
}

void vault_unlock(struct vault *v, const char *profile, int fd, uint64_t ttl_ms, vault_done_cb cb,
                  void *arg)
{
    int64_t ttl = ttl_ms < INT64_MAX ? (int64_t)ttl_ms : INT64_MAX;
    struct call *c = call_new(v, WIRE_UNLOCK, profile, ttl, cb, arg);
    c->fd = fd;
    call_send(v, c);
}

void vault_lock(struct vault *v, const char *profile, vault_done_cb cb, void *arg)
{
    call_send(v, call_new(v, WIRE_LOCK, profile, 0, cb, arg));
}

void vault_profiles(struct vault *v, const char *lines)
{
    free(v->profiles);
    v->profiles = oc_strdup(lines);
}

void vault_reload(struct vault *v, vault_done_cb cb, void *arg)
{
    call_send(v, call_new(v, WIRE_RELOAD, v->profiles, 0, cb, arg));
}

void vault_refused(struct vault *v, const char *profile, vault_done_cb cb, void *arg)
{
    call_send(v, call_new(v, WIRE_REFUSED, profile, 0, cb, arg));
}

void vault_fetched(struct vault *v, uint64_t tag, int code, int status, const char *text)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, tag);
    if (strlen(text) > WIRE_STRING_MAX) {
        code = OCID_E_TOO_LARGE;
        text = "the answer is too long";
    }
    struct wire_part part[] = {{text, strlen(text)}, {number, strlen(number)}};
    size_t size = sizeof(struct wire_head) + part[0].n + part[1].n;
    struct call *c = call_make(v, WIRE_FETCHED, size);
    struct wire_head head = {.verb = c->verb, .tag = c->tag, .number = status, .code = code};
    c->len = wire_pack(&head, part, 2, c->bytes, size);
    call_send(v, c);
}

void vault_offset(struct vault *v, const char *host, int64_t seconds)
{
    call_send(v, call_new(v, WIRE_OFFSET, host, seconds, NULL, NULL));
}
