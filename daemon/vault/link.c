/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - the signing end: asks go out in batches, replies are matched by tag.
 *
 * Transfer thread. Asked by xfer for every request it sends; start at vault_link_sign().
 * An ask waits in a list until uv_idle, which runs once before the loop sleeps: one sendmmsg() for
 * a whole turn, and one recvmmsg() for what has come back. Nothing is allocated after the start.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/life.h"
#include "core/loop.h"
#include "core/mem.h"
#include "vault/vault.h"

enum { N_SLOTS = 512, BATCH = 16, NOT_SENT = N_SLOTS };

struct slot {
    struct vault_ask *ask; /* NULL: free, or cancelled while it was on its way */
    uint32_t turn;         /* upper half of the tag: a late reply never meets a later ask */
    uint32_t next_free;
    int taken;
};

struct vault_link {
    uv_loop_t *loop;
    struct life life;
    uv_poll_t poll;
    uv_idle_t idle; /* active while something in wait may go out */
    int fd;
    int blocked;        /* the socket was full: poll asks for room too */
    struct oc_err dead; /* code 0 while the signer lives */

    struct vault_ask *wait, **wait_tail; /* not sent yet, in order */
    struct slot slot[N_SLOTS];
    uint32_t free_slot; /* N_SLOTS: none */
    unsigned n_wait;
    unsigned n_asks; /* under way: in wait or in a slot, not cancelled */

    char (*reply)[WIRE_SIGNED_MAX]; /* BATCH of them */
    char key_id[WIRE_KEY_ID_MAX + 1], signature[WIRE_SIGNATURE_MAX + 1];
};

/* back lets an ask leave the middle of the list. */
static void wait_add(struct vault_link *l, struct vault_ask *ask)
{
    ask->slot = NOT_SENT;
    ask->next = NULL;
    ask->back = l->wait_tail;
    *l->wait_tail = ask;
    l->wait_tail = &ask->next;
    l->n_wait++;
}

static void wait_drop(struct vault_link *l, struct vault_ask *ask)
{
    *ask->back = ask->next;
    if (ask->next)
        ask->next->back = ask->back;
    else
        l->wait_tail = ask->back;
    l->n_wait--;
}

static uint32_t slot_take(struct vault_link *l, struct vault_ask *ask)
{
    uint32_t i = l->free_slot;
    l->free_slot = l->slot[i].next_free;
    l->slot[i].ask = ask;
    l->slot[i].taken = 1;
    return i;
}

static void slot_give(struct vault_link *l, uint32_t i)
{
    l->slot[i].ask = NULL;
    l->slot[i].taken = 0;
    l->slot[i].turn++;
    l->slot[i].next_free = l->free_slot;
    l->free_slot = i;
}

static void answer(struct vault_ask *ask, int code, const struct oc_err *err, const char *key_id,
                   const char *signature)
{
    ask->link->n_asks--;
    ask->link = NULL;
    ask->code = code;
    ask->err = err;
    ask->key_id = key_id;
    ask->signature = signature;
    ask->cb(ask);
}

static void refuse(struct vault_ask *ask, const struct oc_err *err)
{
    answer(ask, err->code, err, "", "");
}

static void refuse_first(struct vault_link *l, const struct oc_err *err)
{
    struct vault_ask *ask = l->wait;
    wait_drop(l, ask);
    refuse(ask, err);
}

/* Everything that waits and everything that was sent. */
static void refuse_all(struct vault_link *l, const struct oc_err *err)
{
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        struct vault_ask *ask = l->slot[i].ask;
        if (!ask)
            continue;
        slot_give(l, i);
        refuse(ask, err);
    }
    for (unsigned n = l->n_wait; n && l->wait; n--)
        refuse_first(l, err);
}

static void on_idle(uv_idle_t *h);
static void on_poll(uv_poll_t *h, int status, int events);

static void wake(struct vault_link *l)
{
    if (!l->life.ended && (l->n_wait || l->dead.code))
        uv_idle_start(&l->idle, on_idle);
}

static void watch(struct vault_link *l, int blocked)
{
    if (l->life.ended || l->blocked == blocked)
        return;
    l->blocked = blocked;
    uv_poll_start(&l->poll, UV_READABLE | (blocked ? UV_WRITABLE : 0), on_poll);
}

/* What is under way is answered in the next turn, what comes later in its own. */
static void die(struct vault_link *l, int sys)
{
    if (l->dead.code)
        return;
    oc_fail(&l->dead, OCID_E_STOPPING, sys, "ocid-signer has ended");
    uv_poll_stop(&l->poll);
    wake(l);
}

static int too_long(const struct vault_ask *ask)
{
    return ask->len > WIRE_STRING_MAX || strlen(ask->profile) > WIRE_PROFILE_MAX;
}

/* One batch of those that wait, up to one that is too long. Returns how many went out, 0 or less
 * when none may go now. */
static int send_batch(struct vault_link *l)
{
    struct wire_head head[BATCH];
    struct iovec iov[BATCH][3];
    struct mmsghdr msg[BATCH];
    unsigned n = 0;
    memset(msg, 0, sizeof msg);
    for (struct vault_ask *a = l->wait; a && n < BATCH && l->free_slot != N_SLOTS; a = a->next) {
        if (too_long(a))
            break;
        size_t profile = strlen(a->profile);
        a->slot = slot_take(l, a);
        head[n] = (struct wire_head){
            .verb = WIRE_SIGN,
            .tag = (uint64_t)l->slot[a->slot].turn << 32 | a->slot,
            .len = {(uint16_t)profile, (uint16_t)a->len},
            .n_parts = 2,
        };
        iov[n][0] = (struct iovec){&head[n], sizeof head[n]};
        iov[n][1] = (struct iovec){(char *)a->profile, profile};
        iov[n][2] = (struct iovec){(char *)a->string, a->len};
        msg[n].msg_hdr = (struct msghdr){.msg_iov = iov[n], .msg_iovlen = 3};
        n++;
    }
    if (!n)
        return 0;
    int sent = sendmmsg(l->fd, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL), e = errno;
    unsigned gone = sent > 0 ? (unsigned)sent : 0;
    for (unsigned i = 0; i < gone; i++)
        wait_drop(l, l->wait);
    struct vault_ask *a = l->wait;
    for (unsigned i = gone; i < n; i++, a = a->next) {
        slot_give(l, a->slot);
        a->slot = NOT_SENT;
    }
    if (gone == n)
        return (int)gone;
    if (sent < 0 && e != EAGAIN && e != EINTR && e != ENOBUFS && e != ENOMEM)
        die(l, e);
    else
        watch(l, 1);
    return 0;
}

/* Once a turn, while something waits. */
static void on_idle(uv_idle_t *h)
{
    struct vault_link *l = h->data;
    uv_idle_stop(h);
    if (l->dead.code) {
        refuse_all(l, &l->dead);
        if (l->n_wait)
            wake(l); /* asked again by the callbacks */
        return;
    }
    struct oc_err err;
    oc_fail(&err, OCID_E_TOO_LARGE, 0, "the string to sign or the profile's name is too long");
    for (unsigned n = l->n_wait; n && l->wait && !l->life.ended && !l->dead.code;) {
        int sent = 1;
        if (!too_long(l->wait))
            sent = send_batch(l);
        else
            refuse_first(l, &err);
        if (sent <= 0)
            return; /* full: a reply or room in the socket wakes us */
        n -= (unsigned)sent < n ? (unsigned)sent : n;
    }
    wake(l); /* asked by callbacks meanwhile, or the signer has died */
}

static int is_token(const char *key_id, size_t n)
{
    return n > 3 && !memcmp(key_id, "ST$", 3);
}

/* A token lives in request buffers only: nothing of it stays here. */
static void take_signed(struct vault_link *l, struct vault_ask *ask, const struct wire_head *head,
                        const struct wire_part *part)
{
    struct oc_err err;
    if (head->code) {
        oc_fail(&err, head->code, 0, "%.*s", (int)part[2].n, part[2].s);
        refuse(ask, &err);
        return;
    }
    memcpy(l->key_id, part[0].s, part[0].n);
    memcpy(l->signature, part[1].s, part[1].n);
    l->key_id[part[0].n] = l->signature[part[1].n] = 0;
    oc_err_clear(&err);
    ask->good_s = head->number;
    answer(ask, 0, &err, l->key_id, l->signature);
    if (is_token(part[0].s, part[0].n)) {
        explicit_bzero(l->key_id, part[0].n);
        explicit_bzero((char *)part[0].s, part[0].n);
    }
}

/* 0 for a packet that no signer of ours would send. */
static int take_reply(struct vault_link *l, const char *bytes, size_t n)
{
    struct wire_head head;
    struct wire_part part[WIRE_PARTS];
    if (!wire_parse(bytes, n, &head, part) || head.verb != WIRE_SIGN ||
        part[0].n > WIRE_KEY_ID_MAX || part[1].n > WIRE_SIGNATURE_MAX)
        return 0;
    uint32_t i = (uint32_t)head.tag;
    if (i >= N_SLOTS || !l->slot[i].taken || l->slot[i].turn != head.tag >> 32)
        return 0;
    struct vault_ask *ask = l->slot[i].ask;
    slot_give(l, i);
    if (ask)
        take_signed(l, ask, &head, part);
    return 1;
}

/* Number of replies taken, -1 at the end of the signer (errno 0: EOF). */
static int receive_batch(struct vault_link *l)
{
    struct iovec iov[BATCH];
    struct mmsghdr msg[BATCH];
    memset(msg, 0, sizeof msg);
    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){l->reply[i], WIRE_SIGNED_MAX};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(l->fd, msg, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    for (int i = 0; i < n && !l->life.ended; i++) {
        errno = msg[i].msg_len ? EPROTO : 0;
        if (!msg[i].msg_len || (msg[i].msg_hdr.msg_flags & MSG_TRUNC) ||
            !take_reply(l, l->reply[i], msg[i].msg_len))
            return -1;
    }
    return n;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct vault_link *l = h->data;
    int n = status < 0 ? -1 : 0;
    if (status < 0)
        errno = -status;
    if (events & UV_WRITABLE)
        watch(l, 0);
    if (!n)
        do
            n = receive_batch(l);
        while (n == BATCH && !l->life.ended);
    if (l->life.ended)
        return;
    if (n < 0)
        die(l, errno);
    if (!l->blocked)
        wake(l);
}

static void link_gone(void *owner)
{
    struct vault_link *l = owner;
    struct oc_err err;
    oc_fail(&err, OCID_E_STOPPING, 0, "ocid is stopping");
    refuse_all(l, &err);
    free(l->reply);
    free(l);
}

struct vault_link *vault_link_new(uv_loop_t *transfer_loop, int sign_fd)
{
    struct vault_link *l = OC_NEW(struct vault_link);
    l->loop = transfer_loop;
    l->fd = sign_fd;
    l->wait_tail = &l->wait;
    l->reply = oc_new(BATCH, sizeof *l->reply);
    for (uint32_t i = 0; i < N_SLOTS; i++)
        l->slot[i].next_free = i + 1;
    life_init(&l->life, link_gone, l);
    uv_idle_init(l->loop, &l->idle);
    life_open(&l->life, (uv_handle_t *)&l->idle);
    loop_watch(l->loop, &l->poll, l->fd);
    life_open(&l->life, (uv_handle_t *)&l->poll);
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
    return l;
}

void vault_link_sign(struct vault_link *l, struct vault_ask *ask)
{
    assert(!l->life.ended);
    ask->link = l;
    l->n_asks++;
    wait_add(l, ask);
    wake(l);
}

void vault_link_cancel(struct vault_ask *ask)
{
    struct vault_link *l = ask->link;
    if (!l)
        return;
    if (ask->slot == NOT_SENT)
        wait_drop(l, ask);
    else
        l->slot[ask->slot].ask = NULL;
    l->n_asks--;
    ask->link = NULL;
}

void vault_link_close(struct vault_link *l)
{
    if (!l || !life_end(&l->life))
        return;
    life_close(&l->life, (uv_handle_t *)&l->idle);
    life_close(&l->life, (uv_handle_t *)&l->poll);
    close(l->fd);
    life_done(&l->life);
}

unsigned vault_link_pending(const struct vault_link *l)
{
    return l->n_asks;
}
