/* SPDX-License-Identifier: Apache-2.0
 *
 * on_job.c - job.submit, job.status, job.list and what people do to jobs.
 *
 * Control loop. Jobs that have left memory are answered from the store.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/mem.h"
#include "rpc/handlers.h"

enum {
    REPLY_BYTES = 192 << 10, /* of jobs in one reply: what does not fit comes with the next */
    LIST_DEFAULT = 100,
    LIST_SCAN = 20000, /* jobs looked at for one reply */
    SET_MEMBERS = 16,  /* a set and its running members, unless a limit is given */
};

/* ---- submit ---- */

static void on_submitted(void *arg, const uint64_t *ids, uint32_t n, const struct oc_err *err,
                         int64_t index)
{
    struct ticket *t = arg;
    if (err) {
        ticket_error(t, err, index);
    } else {
        struct ocp_submitted reply = {0};
        struct oc_buf b;
        oc_buf_init(&b, OCP_MAX_FRAME);
        for (uint32_t i = 0; i < n; i++)
            ocp_add_u64(&b, ids[i]);
        OCP_SET(&reply, submitted, ids, ocp_span(&b, n));
        ticket_reply(t, &reply);
        oc_buf_fini(&b);
    }
    free(t);
}

void on_submit(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_submit *m = msg;
    if (!m->jobs.count) {
        struct oc_err err;
        oc_fail(&err, OCID_E_INVALID, 0, "'jobs' is empty: there is nothing to take");
        ticket_error(t, &err, -1);
        return;
    }
    struct submit_ask ask = {.uid = s->uid,
                             .label = s->label,
                             .fds = s->fds,
                             .n_fds = s->n_fds,
                             .done = on_submitted,
                             .arg = oc_memdup(t, sizeof *t)};
    room_submit(s->server->hooks.room, &ask, &m->jobs);
}

/* ---- statuses: one reply in the making ---- */

struct answer {
    struct oc_buf b;
    uint32_t n, most;
    int more;
    uint64_t seq, cursor;
};

static void answer_init(struct answer *a, uint64_t limit, uint32_t most)
{
    *a = (struct answer){.most = limit && limit < most ? (uint32_t)limit : most};
    oc_buf_init(&a->b, OCP_MAX_FRAME - 4096);
}

/* 1: there is room for one more; else `more` is noted. */
static int has_room(struct answer *a)
{
    if (a->n < a->most && a->b.len < REPLY_BYTES)
        return 1;
    a->more = 1;
    return 0;
}

static void add_job(struct answer *a, const struct room *r, const struct job *j)
{
    room_pack_status(r, j, &a->b);
    a->n++;
    if (j->seq > a->seq)
        a->seq = j->seq;
}

static void send_answer(struct answer *a, const struct ticket *t, const struct room *r)
{
    struct ocp_statuses reply = {0};
    OCP_SET(&reply, statuses, epoch, r->feed.epoch);
    OCP_SET(&reply, statuses, seq, a->more ? a->seq : r->feed.seq);
    if (a->more)
        OCP_SET(&reply, statuses, more, true);
    if (a->cursor)
        OCP_SET(&reply, statuses, cursor, a->cursor);
    OCP_SET(&reply, statuses, jobs, ocp_span(&a->b, a->n));
    ticket_reply(t, &reply);
    oc_buf_fini(&a->b);
}

/* ---- job.status ---- */

/* One question, from when it came until it is answered. */
struct follow {
    struct poll poll;
    struct session *session;    /* while it waits */
    struct follow *prev, *next; /* of the session's */
    struct ticket ticket;
    struct room *room;
    uint64_t limit;
};

static void follow_free(void *owner)
{
    struct follow *f = owner;
    free(f->poll.ids);
    free(f);
}

static int is_news(const struct follow *f, const struct job *j)
{
    return j && j->uid == f->poll.uid && j->seq > f->poll.since;
}

static int is_worth(const struct follow *f, const struct job *j, int ends_only)
{
    return is_news(f, j) && (!ends_only || job_final(j));
}

static int by_seq(const void *a, const void *b)
{
    const struct job *const *x = a, *const *y = b;
    return (*x)->seq < (*y)->seq ? -1 : (*x)->seq > (*y)->seq;
}

/* In the order of their news, so that what does not fit follows with the next question. */
static void add_sorted(struct follow *f, struct answer *a, struct job **jobs, uint32_t n)
{
    qsort(jobs, n, sizeof *jobs, by_seq);
    for (uint32_t i = 0; i < n && has_room(a); i++)
        add_job(a, f->room, jobs[i]);
}

static void add_ids(struct follow *f, struct answer *a)
{
    struct job **jobs = oc_new(f->poll.n_ids, sizeof *jobs);
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->poll.n_ids; i++) {
        struct job *j = book_find(&f->room->book, f->poll.ids[i]);
        if (is_news(f, j))
            jobs[n++] = j;
    }
    add_sorted(f, a, jobs, n);
    free(jobs);
}

static void add_set(struct follow *f, struct answer *a)
{
    struct job *set = room_find(f->room, f->poll.uid, f->poll.set);
    if (!set)
        return;
    add_job(a, f->room, set);
    if (!set->tally)
        return;
    for (struct job *j = set->tally->kin; j && a->n < a->most && a->b.len < REPLY_BYTES;
         j = j->kin.next)
        if (j->state == OCP_ENUM_state_running)
            add_job(a, f->room, j);
}

static void add_feed(struct follow *f, struct answer *a)
{
    for (struct job *j = feed_after(&f->room->feed, f->poll.since); j; j = j->news.next) {
        if (j->uid != f->poll.uid)
            continue;
        if (!has_room(a))
            return;
        add_job(a, f->room, j);
    }
}

static void collect(struct follow *f, struct answer *a)
{
    answer_init(a, f->limit, f->poll.set && !f->limit ? SET_MEMBERS : OCP_MAX_JOBS);
    if (f->poll.set)
        add_set(f, a);
    else if (f->poll.ids)
        add_ids(f, a);
    else
        add_feed(f, a);
}

static int follow_ready(struct poll *p, int ends_only)
{
    struct follow *f = OC_OWNER(p, struct follow, poll);
    struct book *b = &f->room->book;
    if (p->set)
        return is_worth(f, book_find(b, p->set), ends_only);
    for (uint32_t i = 0; i < p->n_ids; i++)
        if (is_worth(f, book_find(b, p->ids[i]), ends_only))
            return 1;
    if (p->ids)
        return 0;
    for (struct job *j = feed_after(&f->room->feed, p->since); j; j = j->news.next)
        if (is_worth(f, j, ends_only))
            return 1;
    return 0;
}

static void follow_answer(struct poll *p)
{
    struct follow *f = OC_OWNER(p, struct follow, poll);
    struct answer a;
    if (f->session)
        DL_DELETE(f->session->follows, f);
    collect(f, &a);
    send_answer(&a, &f->ticket, f->room);
}

void follows_end(struct session *s)
{
    while (s->follows) {
        struct follow *f = s->follows;
        DL_DELETE(s->follows, f);
        feed_poll_end(&f->poll);
    }
}

/* Rows of jobs that have left memory, after those that have not. */
static void on_rows(struct room_op *o)
{
    struct follow *f = o->arg;
    struct answer a;
    struct oc_err err;
    collect(f, &a);
    for (uint32_t i = 0; i < o->op.n && has_room(&a); i++)
        if (o->op.jobs[i].uid == f->poll.uid) {
            room_pack_row(&o->op.jobs[i], &a.b);
            a.n++;
        }
    if (a.n || f->poll.since) {
        send_answer(&a, &f->ticket, f->room);
    } else {
        oc_fail(&err, OCID_E_NOT_FOUND, 0, "no such job");
        ticket_error(&f->ticket, &err, -1);
        oc_buf_fini(&a.b);
    }
    follow_free(f);
}

/* Ids that are not in memory: final long ago, or nobody's. 1: they are being looked up. Who has
 * heard of all that has left memory has heard of them. */
static int look_up(struct follow *f)
{
    if (f->poll.since && f->poll.since >= f->room->feed.evicted_seq)
        return 0;
    const uint64_t *ids = f->poll.ids ? f->poll.ids : &f->poll.set;
    uint32_t n = f->poll.ids ? f->poll.n_ids : 1, n_missing = 0;
    if (!f->poll.ids && !f->poll.set)
        return 0;
    uint64_t *missing = oc_new(n, sizeof *missing);
    for (uint32_t i = 0; i < n; i++)
        if (!room_find(f->room, f->poll.uid, ids[i]))
            missing[n_missing++] = ids[i];
    if (!n_missing) {
        free(missing);
        return 0;
    }
    struct room_op *o = room_op_new(f->room, STORE_READ_JOBS, on_rows, f);
    o->op.ids = missing;
    o->op.n_ids = n_missing;
    o->text[0] = (char *)missing; /* freed with it */
    room_op_post(o);
    return 1;
}

void on_status(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_status_ask *m = msg;
    struct follow *f = OC_NEW(struct follow);
    struct ocp_iter it = {0};
    f->ticket = *t;
    f->room = s->server->hooks.room;
    f->limit = m->limit;
    f->poll.uid = s->uid;
    f->poll.set = m->set;
    f->poll.since = OCP_HAS(m, status_ask, epoch) && m->epoch != f->room->feed.epoch ? 0 : m->since;
    f->poll.ready = follow_ready;
    f->poll.answer = follow_answer;
    if (OCP_HAS(m, status_ask, ids)) {
        f->poll.ids = oc_new(m->ids.count, sizeof *f->poll.ids);
        while (ocp_next_u64(&m->ids, &it, &f->poll.ids[f->poll.n_ids]))
            if (++f->poll.n_ids == m->ids.count)
                break;
    }
    if (look_up(f))
        return;
    if (m->wait_ms && !follow_ready(&f->poll, m->calm_ms != 0)) {
        f->session = s;
        DL_APPEND(s->follows, f);
        feed_poll(&f->room->feed, &f->poll, m->wait_ms, m->calm_ms, follow_free, f);
        return;
    }
    follow_answer(&f->poll);
    follow_free(f);
}

/* ---- job.list ---- */

struct listing {
    struct ticket ticket;
    struct room *room;
    uint64_t limit, set;
    uint32_t uid;
    int state; /* -1: any */
};

/* Live states are in memory only, newest first. */
static void list_memory(const struct listing *l, uint64_t cursor)
{
    struct answer a;
    const struct book *b = &l->room->book;
    unsigned looked = 0;
    answer_init(&a, l->limit, OCP_MAX_JOBS);
    for (struct job *j = book_before(b, cursor ? cursor : UINT64_MAX); j;
         j = book_before(b, j->id)) {
        int fits = j->uid == l->uid && j->state == l->state && j->set_id == l->set;
        if ((fits && !has_room(&a)) || ++looked > LIST_SCAN) {
            a.more = 1;
            a.cursor = j->id + 1;
            break;
        }
        if (fits)
            add_job(&a, l->room, j);
    }
    send_answer(&a, &l->ticket, l->room);
}

static void on_page(struct room_op *o)
{
    struct listing *l = o->arg;
    struct answer a;
    answer_init(&a, l->limit, OCP_MAX_JOBS);
    for (uint32_t i = 0; i < o->op.n && has_room(&a); i++) {
        const struct store_job *row = &o->op.jobs[i];
        const struct job *live = room_find(l->room, l->uid, row->id);
        if (live)
            add_job(&a, l->room, live);
        else {
            room_pack_row(row, &a.b);
            a.n++;
        }
        a.cursor = row->id;
    }
    if (o->op.n < o->op.page.limit && !a.more)
        a.cursor = 0;
    a.more = a.cursor != 0;
    if (o->op.err.code)
        ticket_error(&l->ticket, &o->op.err, -1);
    else
        send_answer(&a, &l->ticket, l->room);
    oc_buf_fini(&a.b);
    free(l);
}

void on_list(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_list_ask *m = msg;
    struct listing l = {.ticket = *t,
                        .room = s->server->hooks.room,
                        .limit = OCP_HAS(m, list_ask, limit) ? m->limit : LIST_DEFAULT,
                        .set = m->set,
                        .uid = s->uid,
                        .state = OCP_HAS(m, list_ask, state) ? m->state : -1};
    if (l.state >= 0 && l.state < OCP_ENUM_state_done) {
        list_memory(&l, m->cursor);
        return;
    }
    struct room_op *o = room_op_new(l.room, STORE_READ_PAGE, on_page, oc_memdup(&l, sizeof l));
    o->op.page.uid = l.uid;
    o->op.page.state = l.state;
    o->op.page.set = l.set;
    o->op.page.cursor = m->cursor;
    o->op.page.limit = (uint32_t)(l.limit ? l.limit : LIST_DEFAULT);
    room_op_post(o);
}

/* ---- cancel, pause, resume, retry, seal ---- */

static enum room_act act_of(int method)
{
    switch (method) {
    case OCP_METHOD_job_cancel:
        return ACT_CANCEL;
    case OCP_METHOD_job_pause:
        return ACT_PAUSE;
    case OCP_METHOD_job_resume:
        return ACT_RESUME;
    case OCP_METHOD_job_retry:
        return ACT_RETRY;
    default:
        return ACT_SEAL;
    }
}

/* What acting on a job came to. err->code 0: it was done. */
static void add_ack(struct room *r, struct oc_buf *b, uint32_t uid, uint64_t id, int cancelled,
                    const struct oc_err *err)
{
    struct ocp_ack ack = {0};
    struct oc_buf packed;
    oc_buf_init(&packed, 8192);
    OCP_SET(&ack, ack, id, id);
    if (err->code) {
        struct ocp_error e;
        ocp_error_of(err, -1, &e);
        ocp_pack(&ocp_desc_error, &e, &packed);
        OCP_SET(&ack, ack, error, ocp_span(&packed, 1));
    }
    const struct job *j = room_find(r, uid, id);
    if (j)
        OCP_SET(&ack, ack, state, j->ending && cancelled ? OCP_ENUM_state_cancelled : j->state);
    ocp_pack(&ocp_desc_ack, &ack, b);
    oc_buf_fini(&packed);
}

/* One request to act: on its way to the store and back when jobs of it have left memory, for each
 * set that is tried again, and once more until what it changed is on disk. */
struct acting {
    struct acting *next; /* of the same client: begun when this one has acted */
    struct ticket ticket;
    struct room *room;
    struct oc_buf acks;
    uint32_t uid, n, n_acted;
    uint64_t ids[];
};

/* The place of a job that the disk has refused; -1: all is written. */
static int64_t find_unwritten(const struct acting *a)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const struct job *j = room_find(a->room, a->uid, a->ids[i]);
        if (j && !room_is_written(j))
            return i;
    }
    return -1;
}

/* What the disk has refused holds until a restart, and is not answered as done. */
static void on_acted(struct room_op *o)
{
    struct acting *a = o->arg;
    struct ocp_acks reply = {0};
    struct oc_err err;
    int64_t at = find_unwritten(a);
    if (at >= 0) {
        oc_fail(&err, OCID_E_IO, 0,
                "job %" PRIu64 ": this is not on disk, and a restart would undo it; the log says "
                "why: try again",
                a->ids[at]);
        ticket_error(&a->ticket, &err, at);
    } else {
        OCP_SET(&reply, acks, jobs, ocp_span(&a->acks, a->n));
        ticket_reply(&a->ticket, &reply);
    }
    oc_buf_fini(&a->acks);
    free(a);
}

static void acted(struct acting *a, const struct oc_err *err)
{
    add_ack(a->room, &a->acks, a->uid, a->ids[a->n_acted++],
            a->ticket.method == OCP_METHOD_job_cancel, err);
}

static void act(struct acting *a);

static void on_set_retried(void *arg, const struct oc_err *err)
{
    acted(arg, err);
    act(arg);
}

/* 1: it goes on in on_set_retried(). */
static int act_one(struct acting *a)
{
    struct oc_err err = {0};
    enum room_act act = act_of(a->ticket.method);
    uint64_t id = a->ids[a->n_acted];
    struct job *set = act == ACT_RETRY ? room_find(a->room, a->uid, id) : NULL;
    if (!set || !set->tally)
        room_act(a->room, a->uid, act, id, &err);
    else if (!room_retry_set(a->room, set, on_set_retried, a, &err))
        return 1;
    acted(a, &err);
    return 0;
}

static void begin(struct acting *a);

/* The next one of this client has its turn. */
static void pass_on(struct acting *a)
{
    struct session *s = server_session(a->ticket.server, a->ticket.session);
    if (s && s->acting == a)
        s->acting = NULL;
    if (a->next)
        begin(a->next);
}

/* Nothing to read at the end: it comes back after all that was written before it. */
static void act(struct acting *a)
{
    while (a->n_acted < a->n)
        if (act_one(a))
            return;
    room_op_post(room_op_new(a->room, STORE_READ_JOBS, on_acted, a));
    pass_on(a);
}

static void on_revived(struct room_op *o)
{
    struct acting *a = o->arg;
    if (o->op.err.code) {
        ticket_error(&a->ticket, &o->op.err, -1);
        pass_on(a);
        oc_buf_fini(&a->acks);
        free(a);
        return;
    }
    for (uint32_t i = 0; i < o->op.n; i++)
        if (o->op.jobs[i].uid == a->uid)
            room_revive(a->room, &o->op.jobs[i]);
    act(a);
}

/* Jobs that ended long ago, or in an earlier life, are in the store alone. */
static void begin(struct acting *a)
{
    uint64_t *missing = oc_new(a->n ? a->n : 1, sizeof *missing);
    uint32_t n_missing = 0;
    for (uint32_t i = 0; i < a->n; i++)
        if (!room_find(a->room, a->uid, a->ids[i]))
            missing[n_missing++] = a->ids[i];
    if (!n_missing) {
        free(missing);
        act(a);
        return;
    }
    struct room_op *o = room_op_new(a->room, STORE_READ_JOBS, on_revived, a);
    o->op.ids = missing;
    o->op.n_ids = n_missing;
    o->text[0] = (char *)missing; /* freed with it */
    room_op_post(o);
}

/* What a client asks for next is done next, also if the first has to be looked up. */
void on_act(struct session *s, const struct ticket *t, const void *msg)
{
    const struct ocp_jobs_ask *m = msg;
    struct acting *a = oc_new(1, sizeof *a + m->ids.count * sizeof *a->ids);
    struct acting *before = s->acting;
    struct ocp_iter it = {0};
    a->ticket = *t;
    a->room = s->server->hooks.room;
    a->uid = s->uid;
    oc_buf_init(&a->acks, OCP_MAX_FRAME - 4096);
    while (a->n < m->ids.count && ocp_next_u64(&m->ids, &it, &a->ids[a->n]))
        a->n++;
    s->acting = a;
    if (before)
        before->next = a;
    else
        begin(a);
}
