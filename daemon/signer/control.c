/* SPDX-License-Identifier: Apache-2.0
 *
 * control.c - answers the control socket: facts, unlock, lock, reload, offset, refused.
 *
 * The signer's main thread, and the only one that changes credentials. A pass phrase comes down a
 * pipe that a person may be typing into: up to PENDING of them are polled beside the socket, into
 * memory for secrets, and nothing waits for them. Time limits of unlocks are kept here too. While a
 * token is being fetched, whoever asks about its profile is answered when that is over.
 */
#include "signer/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"
#include "signer/renew.h"
#include "signer/secret.h"
#include "signer/watch.h"

enum { QUIET_MS = 50, PENDING = 8, TYPING_MS = 5 * 60 * 1000, FDS_MAX = 16, LATE = 256 };

/* An unlock whose pass phrase is still coming. */
struct pending {
    int fd; /* -1: free */
    int is_socket;
    uint64_t tag, ttl_ms, deadline_ms;
    char profile[WIRE_PROFILE_MAX];
    size_t profile_n, used;
    char *pass; /* WIRE_PASS_MAX + 1 bytes */
};

/* A question that is answered when the renewal of the profile is over. */
struct late {
    enum wire_verb verb; /* 0: free */
    uint64_t tag;
    char profile[WIRE_PROFILE_MAX + 1];
};

struct control {
    struct creds *creds;
    struct renewals *renewals;
    struct watch *watch;
    uint64_t reread_ms; /* 0: never, else when files have been quiet for long enough */
    int fd;
    struct pending pending[PENDING];
    struct late late[LATE];
};

struct request {
    struct wire_head head;
    struct wire_part part[WIRE_PARTS];
    int fd; /* passed along, -1: none */
};

/* Counts while the machine sleeps: a time limit is one on the clock on the wall. */
static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- replies --- */

static void send_packet(struct control *k, struct wire_head *head, const struct wire_part *part,
                        unsigned n_parts)
{
    char bytes[WIRE_REPLY_MAX];
    size_t n = wire_pack(head, part, n_parts, bytes, sizeof bytes);
    while (n && send(k->fd, bytes, n, MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

static struct wire_part part_of(const char *s)
{
    return (struct wire_part){s, strlen(s)};
}

static void reply(struct control *k, enum wire_verb verb, uint64_t tag, int code, const char *text)
{
    struct wire_head head = {.verb = verb, .tag = tag, .code = code};
    struct wire_part part = part_of(text);
    send_packet(k, &head, &part, 1);
}

static void reply_rc(struct control *k, enum wire_verb verb, uint64_t tag, int rc, const char *text,
                     const struct oc_err *err)
{
    reply(k, verb, tag, rc, rc ? err->text : text);
}

static void reply_facts(struct control *k, uint64_t tag, const char *profile, size_t n)
{
    struct oc_err err;
    const struct cred *c = creds_find(k->creds, profile, n, &err);
    struct wire_head head = {.verb = WIRE_FACTS, .tag = tag};
    struct wire_part part[WIRE_PARTS] = {0};
    if (!c) {
        head.code = err.code;
        head.number = WIRE_KEY_ABSENT;
        part[WIRE_F_TEXT] = part_of(err.text);
    } else {
        int over = c->key && creds_over(k->creds, c, time(NULL), &err);
        int untried = !c->code && !c->key && c->mode->step && c->state != WIRE_KEY_LOCKED;
        head.code = untried ? c->key_code : c->code;
        head.number = over ? WIRE_KEY_OVER : c->state;
        part[WIRE_F_KEY_ID] = part_of(c->key_id);
        part[WIRE_F_TENANCY] = part_of(c->tenancy);
        part[WIRE_F_USER] = part_of(c->user);
        part[WIRE_F_REGION] = part_of(c->hosts.region);
        part[WIRE_F_FINGERPRINT] = part_of(c->fingerprint);
        part[WIRE_F_MODE] = part_of(c->mode->name);
        part[WIRE_F_TOKEN_FILE] = part_of(c->token_file);
        part[WIRE_F_KEY_TEXT] = part_of(over ? err.text : c->key_text);
        part[WIRE_F_NOTES] = part_of(c->notes);
        part[WIRE_F_TEXT] = part_of(untried ? c->key_text : c->text);
    }
    send_packet(k, &head, part, WIRE_PARTS);
}

/* --- renewals --- */

static int answer_late(struct control *k, const struct request *r)
{
    for (int i = 0; i < LATE; i++) {
        struct late *l = &k->late[i];
        if (l->verb)
            continue;
        *l = (struct late){.verb = (enum wire_verb)r->head.verb, .tag = r->head.tag};
        memcpy(l->profile, r->part[0].s, r->part[0].n);
        return 1;
    }
    return 0; /* it hears what there is now */
}

static void on_over(void *arg, const char *profile, int changed)
{
    struct control *k = arg;
    if (changed)
        reply(k, WIRE_CHANGED, 0, 0, ""); /* what is told after this is kept */
    for (int i = 0; i < LATE; i++) {
        struct late *l = &k->late[i];
        if (!l->verb || strcmp(l->profile, profile))
            continue;
        enum wire_verb verb = l->verb;
        l->verb = 0;
        if (verb == WIRE_FACTS)
            reply_facts(k, l->tag, profile, strlen(profile));
        else
            reply(k, verb, l->tag, 0, "");
    }
}

static void on_fetch(void *arg, uint64_t tag, const char *profile, const struct mode_ask *ask)
{
    struct control *k = arg;
    struct wire_head head = {.verb = WIRE_FETCH, .tag = tag, .number = ask->kind};
    struct wire_part part[] = {
        [WIRE_FETCH_PROFILE] = part_of(profile),
        [WIRE_FETCH_TARGET] = part_of(ask->target),
        [WIRE_FETCH_REGION] = part_of(ask->region ? ask->region : ""),
        [WIRE_FETCH_BODY] = part_of(ask->body ? ask->body : ""),
    };
    send_packet(k, &head, part, 4);
}

static void on_fetched(struct control *k, const struct request *r)
{
    char number[24];
    struct mode_answer a = {.code = r->head.code,
                            .status = (int)r->head.number,
                            .text = r->part[0].s,
                            .n = r->part[0].n};
    snprintf(number, sizeof number, "%.*s", (int)(r->part[1].n < 24 ? r->part[1].n : 0),
             r->part[1].s);
    reply(k, WIRE_FETCHED, r->head.tag, 0, "");
    renewals_answer(k->renewals, strtoull(number, NULL, 10), &a, time(NULL));
}

/* A profile without a token may get one now. */
static void on_facts(struct control *k, const struct request *r)
{
    struct oc_err err;
    const struct cred *c = creds_find(k->creds, r->part[0].s, r->part[0].n, &err);
    if (c && !c->key && renewals_want(k->renewals, r->part[0].s, r->part[0].n, time(NULL)) &&
        answer_late(k, r))
        return;
    reply_facts(k, r->head.tag, r->part[0].s, r->part[0].n);
}

/* 1 if the profile has another token than the copy. */
static int has_changed(struct control *k, const struct cred *before)
{
    struct oc_err err;
    const struct cred *c = creds_find(k->creds, before->name, strlen(before->name), &err);
    return c && c->token.text && before->token.text && strcmp(c->token.text, before->token.text);
}

/* Another tool may have been first: then its token is taken, else one is asked for. */
static void on_refused(struct control *k, const struct request *r)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    const struct cred *c = creds_find(k->creds, r->part[0].s, r->part[0].n, &err);
    struct cred *before = c ? creds_copy(c) : NULL;
    int rc = creds_read(k->creds, text, &err);
    int changed = before && has_changed(k, before);
    creds_copy_free(before);
    if (!rc && !changed && renewals_want(k->renewals, r->part[0].s, r->part[0].n, time(NULL)) &&
        answer_late(k, r))
        return;
    reply_rc(k, WIRE_REFUSED, r->head.tag, rc, text, &err);
}

/* --- unlock --- */

static void pending_end(struct pending *p)
{
    close(p->fd);
    secret_free(p->pass);
    *p = (struct pending){.fd = -1};
}

static void pending_fail(struct control *k, struct pending *p, int code, const char *text)
{
    reply(k, WIRE_UNLOCK, p->tag, code, text);
    pending_end(p);
}

static void pending_try(struct control *k, struct pending *p)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    int rc = creds_unlock(k->creds, p->profile, p->profile_n, p->pass, p->used, now_ms(), p->ttl_ms,
                          text, &err);
    reply_rc(k, WIRE_UNLOCK, p->tag, rc, text, &err);
    pending_end(p);
}

/* One read; complete at a newline or at the end. */
static void pending_read(struct control *k, struct pending *p)
{
    size_t room = WIRE_PASS_MAX + 1 - p->used;
    ssize_t n = p->is_socket ? recv(p->fd, p->pass + p->used, room, MSG_DONTWAIT)
                             : read(p->fd, p->pass + p->used, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        pending_fail(k, p, OCID_E_IO, "the pass phrase could not be read");
        return;
    }
    char *end = memchr(p->pass + p->used, '\n', (size_t)n);
    p->used = end ? (size_t)(end - p->pass) : p->used + (size_t)n;
    if (p->used > WIRE_PASS_MAX)
        pending_fail(k, p, OCID_E_TOO_LARGE, "the pass phrase is longer than 1024 bytes");
    else if (end || !n)
        pending_try(k, p);
}

static struct pending *pending_free(struct control *k)
{
    for (int i = 0; i < PENDING; i++)
        if (k->pending[i].fd < 0)
            return &k->pending[i];
    return NULL;
}

/* Only what can be polled is read: another kind of file could hold up the whole signer. */
static void on_unlock(struct control *k, struct request *r)
{
    struct stat st;
    struct pending *p = pending_free(k);
    int is_pipe = r->fd >= 0 && !fstat(r->fd, &st) && S_ISFIFO(st.st_mode);
    int is_socket = r->fd >= 0 && !is_pipe && S_ISSOCK(st.st_mode);
    if (!is_pipe && !is_socket) {
        reply(k, WIRE_UNLOCK, r->head.tag, OCID_E_INVALID,
              "the pass phrase must come down a pipe or a socket");
        return;
    }
    if (!p) {
        reply(k, WIRE_UNLOCK, r->head.tag, OCID_E_QUEUE_FULL, "too many unlocks at once");
        return;
    }
    if (is_pipe)
        fcntl(r->fd, F_SETFL, fcntl(r->fd, F_GETFL) | O_NONBLOCK);
    *p = (struct pending){
        .fd = r->fd,
        .is_socket = is_socket,
        .tag = r->head.tag,
        .ttl_ms = r->head.number > 0 ? (uint64_t)r->head.number : 0,
        .deadline_ms = now_ms() + TYPING_MS,
        .profile_n = r->part[0].n,
        .pass = secret_new(WIRE_PASS_MAX + 1),
    };
    memcpy(p->profile, r->part[0].s, r->part[0].n);
    r->fd = -1;
}

/* --- files --- */

static void add_file(void *arg, const char *path)
{
    watch_add(arg, path);
}

/* All that is read is watched, wherever it is by now. */
static void watch_files(struct control *k)
{
    watch_clear(k->watch);
    creds_files(k->creds, add_file, k->watch);
}

/* Several files that belong together change one after the other: it waits until they are quiet. */
static void on_files(struct control *k)
{
    if (watch_take(k->watch))
        k->reread_ms = now_ms() + QUIET_MS;
}

static void reread(struct control *k)
{
    char text[CREDS_TEXT_SIZE];
    struct oc_err err;
    k->reread_ms = 0;
    int rc = creds_read(k->creds, text, &err);
    if (rc || text[0])
        fprintf(stderr, "ocid-signer: %s\n", rc ? err.text : text);
    watch_files(k);
    reply(k, WIRE_CHANGED, 0, 0, "");
}

/* --- requests --- */

/* Bytes that the first part may have. */
static size_t longest(uint32_t verb)
{
    return verb == WIRE_OFFSET                           ? WIRE_HOST_MAX
           : verb == WIRE_RELOAD || verb == WIRE_FETCHED ? WIRE_STRING_MAX
                                                         : WIRE_PROFILE_MAX;
}

static void on_request(struct control *k, struct request *r)
{
    char text[CREDS_TEXT_SIZE] = "";
    struct oc_err err;
    const struct wire_part *name = &r->part[0];
    int rc = 0;
    if (name->n > longest(r->head.verb)) {
        reply(k, r->head.verb, r->head.tag, OCID_E_INVALID, "the name is too long");
        return;
    }
    switch (r->head.verb) {
    case WIRE_FACTS:
        on_facts(k, r);
        return;
    case WIRE_UNLOCK:
        on_unlock(k, r);
        return;
    case WIRE_REFUSED:
        on_refused(k, r);
        return;
    case WIRE_FETCHED:
        on_fetched(k, r);
        return;
    case WIRE_LOCK:
        rc = creds_lock(k->creds, name->s, name->n, text, &err);
        break;
    case WIRE_RELOAD:
        rc = creds_set(k->creds, name->s, name->n, &err);
        if (!rc)
            rc = creds_read(k->creds, text, &err);
        watch_files(k);
        break;
    case WIRE_OFFSET:
        creds_offset(k->creds, name->s, name->n, r->head.number);
        break;
    default:
        rc = oc_fail(&err, OCID_E_INVALID, 0, "the signer knows no verb %u", r->head.verb);
    }
    reply_rc(k, r->head.verb, r->head.tag, rc, text, &err);
}

/* Keeps the first descriptor, closes the others. */
static int take_fd(struct msghdr *msg)
{
    int fds[FDS_MAX], keep = -1;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(cm), n * sizeof(int));
        for (size_t i = 0; i < n; i++)
            if (keep < 0)
                keep = fds[i];
            else
                close(fds[i]);
    }
    return keep;
}

/* 0 at the end of the socket. */
static int receive(struct control *k)
{
    char bytes[WIRE_ASK_MAX];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct request r = {.fd = -1};
    ssize_t n = recvmsg(k->fd, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
        return 1;
    if (n <= 0)
        return 0;
    r.fd = take_fd(&msg);
    if ((msg.msg_flags & MSG_TRUNC) || !wire_parse(bytes, (size_t)n, &r.head, r.part))
        reply(k, r.head.verb, r.head.tag, OCID_E_INVALID, "not a request to the signer");
    else
        on_request(k, &r);
    if (r.fd >= 0)
        close(r.fd);
    if (r.head.verb == WIRE_FETCHED)
        explicit_bzero(bytes, (size_t)n); /* the key of an instance, a token */
    return 1;
}

/* --- the loop --- */

static int until(uint64_t due_ms, uint64_t now, int wait_ms)
{
    uint64_t left = due_ms > now ? due_ms - now : 0;
    return wait_ms < 0 || left < (uint64_t)wait_ms ? (int)(left < 60000 ? left : 60000) : wait_ms;
}

/* What the clock brings; returns how long to sleep, -1: until something comes. */
static int on_clock(struct control *k)
{
    uint64_t now = now_ms();
    int wait_ms = -1;
    int changed = creds_expire(k->creds, now) + creds_renew(k->creds, time(NULL));
    if (changed)
        reply(k, WIRE_CHANGED, 0, 0, "");
    renewals_due(k->renewals, time(NULL));
    uint64_t due = creds_next_due(k->creds);
    if (due)
        wait_ms = until(due, now, wait_ms);
    if (k->reread_ms && k->reread_ms <= now)
        reread(k);
    if (k->reread_ms)
        wait_ms = until(k->reread_ms, now, wait_ms);
    int64_t renew_s = creds_renew_in(k->creds, time(NULL));
    if (renew_s >= 0)
        wait_ms = until(now + 1000 * (uint64_t)renew_s, now, wait_ms);
    for (int i = 0; i < PENDING; i++) {
        struct pending *p = &k->pending[i];
        if (p->fd >= 0 && p->deadline_ms <= now)
            pending_fail(k, p, OCID_E_TIMED_OUT, "no pass phrase came in five minutes");
        if (p->fd >= 0)
            wait_ms = until(p->deadline_ms, now, wait_ms);
    }
    return wait_ms;
}

void control_run(struct creds *c, int control_fd)
{
    static struct control k;
    k = (struct control){.creds = c, .fd = control_fd};
    struct renewals_hooks hooks = {.fetch = on_fetch, .over = on_over, .arg = &k};
    k.renewals = renewals_new(c, &hooks);
    k.watch = watch_new();
    watch_files(&k);
    for (int i = 0; i < PENDING; i++)
        k.pending[i].fd = -1;
    for (int alive = 1; alive;) {
        int wait_ms = on_clock(&k);
        struct pollfd fds[2 + PENDING] = {{.fd = k.fd, .events = POLLIN}};
        fds[1 + PENDING] = (struct pollfd){.fd = watch_fd(k.watch), .events = POLLIN};
        for (int i = 0; i < PENDING; i++)
            fds[1 + i] = (struct pollfd){.fd = k.pending[i].fd, .events = POLLIN};
        if (poll(fds, 2 + PENDING, wait_ms) < 0)
            continue;
        if (fds[1 + PENDING].revents)
            on_files(&k);
        for (int i = 0; i < PENDING; i++)
            if (fds[1 + i].revents && k.pending[i].fd >= 0)
                pending_read(&k, &k.pending[i]);
        if (fds[0].revents)
            alive = receive(&k);
    }
    for (int i = 0; i < PENDING; i++)
        if (k.pending[i].fd >= 0)
            pending_end(&k.pending[i]);
    renewals_free(k.renewals);
    watch_free(k.watch);
}
