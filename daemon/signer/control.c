/* SPDX-License-Identifier: Apache-2.0
 *
 * control.c - answers the control socket: facts, unlock, lock, reload, offset.
 *
 * The signer's main thread, and the only one that changes credentials. A pass phrase comes down a
 * pipe that a person may be typing into: up to PENDING of them are polled beside the socket, into
 * memory for secrets, and nothing waits for them. Time limits of unlocks are kept here too.
 */
#include "signer/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"
#include "signer/secret.h"

enum { PENDING = 8, TYPING_MS = 5 * 60 * 1000, FDS_MAX = 16 };

/* An unlock whose pass phrase is still coming. */
struct pending {
    int fd; /* -1: free */
    int is_socket;
    uint64_t tag, ttl_ms, deadline_ms;
    char profile[WIRE_PROFILE_MAX];
    size_t profile_n, used;
    char *pass; /* WIRE_PASS_MAX + 1 bytes */
};

struct control {
    struct creds *creds;
    int fd;
    struct pending pending[PENDING];
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

static void on_facts(struct control *k, const struct request *r)
{
    struct oc_err err;
    const struct cred *c = creds_find(k->creds, r->part[0].s, r->part[0].n, &err);
    struct wire_head head = {.verb = WIRE_FACTS, .tag = r->head.tag};
    struct wire_part part[WIRE_PARTS] = {0};
    if (!c) {
        head.code = err.code;
        head.number = WIRE_KEY_ABSENT;
        part[WIRE_F_TEXT] = part_of(err.text);
    } else {
        int over = c->key && creds_over(k->creds, c, time(NULL), &err);
        head.code = c->code;
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
        part[WIRE_F_TEXT] = part_of(c->text);
    }
    send_packet(k, &head, part, WIRE_PARTS);
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

/* --- requests --- */

/* Bytes that the first part may have. */
static size_t longest(uint32_t verb)
{
    return verb == WIRE_OFFSET   ? WIRE_HOST_MAX
           : verb == WIRE_RELOAD ? WIRE_STRING_MAX
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
    case WIRE_LOCK:
        rc = creds_lock(k->creds, name->s, name->n, text, &err);
        break;
    case WIRE_RELOAD:
        rc = creds_set(k->creds, name->s, name->n, &err);
        if (!rc)
            rc = creds_read(k->creds, text, &err);
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
    uint64_t due = creds_next_due(k->creds);
    if (due)
        wait_ms = until(due, now, wait_ms);
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
    struct control k = {.creds = c, .fd = control_fd};
    for (int i = 0; i < PENDING; i++)
        k.pending[i].fd = -1;
    for (int alive = 1; alive;) {
        int wait_ms = on_clock(&k);
        struct pollfd fds[1 + PENDING] = {{.fd = k.fd, .events = POLLIN}};
        for (int i = 0; i < PENDING; i++)
            fds[1 + i] = (struct pollfd){.fd = k.pending[i].fd, .events = POLLIN};
        if (poll(fds, 1 + PENDING, wait_ms) < 0)
            continue;
        for (int i = 0; i < PENDING; i++)
            if (fds[1 + i].revents && k.pending[i].fd >= 0)
                pending_read(&k, &k.pending[i]);
        if (fds[0].revents)
            alive = receive(&k);
    }
    for (int i = 0; i < PENDING; i++)
        if (k.pending[i].fd >= 0)
            pending_end(&k.pending[i]);
}
