/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c - requests: their messages until they are sent, their ends.
 *
 * A call may be several messages; it ends once, in lib_call_finish(). reply.c fills its answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/conn.h"

void lib_frame_free(struct lib_frame *f)
{
    for (unsigned i = 0; i < f->n_fds; i++)
        close(f->fds[i]);
    oc_buf_fini(&f->bytes);
    free(f);
}

void lib_frames_free(struct lib_frame *f)
{
    while (f) {
        struct lib_frame *next = f->next;
        lib_frame_free(f);
        f = next;
    }
}

void lib_pieces_free(struct lib_piece *p)
{
    while (p) {
        struct lib_piece *next = p->next;
        free(p);
        p = next;
    }
}

struct lib_call *lib_call_new(struct ocid *c, int method, ocid_reply_fn *fn, void *user)
{
    struct lib_call *call = calloc(1, sizeof *call);
    if (!call) {
        lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
        return NULL;
    }
    call->method = method;
    call->fn = fn;
    call->user = user;
    call->frames_end = &call->frames;
    call->pieces_end = &call->pieces;
    return call;
}

void lib_call_drop(struct lib_call *call)
{
    lib_frames_free(call->frames);
    lib_pieces_free(call->pieces);
    lib_arena_fini(&call->arena);
    free(call);
}

static int copy_fds(struct ocid *c, struct lib_frame *f, const int *fds, unsigned n)
{
    for (; f->n_fds < n; f->n_fds++) {
        int fd = fcntl(fds[f->n_fds], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return lib_fail(c, errno == EBADF ? OCID_E_INVALID : OCID_E_IO, errno,
                            "cannot pass the descriptor %d", fds[f->n_fds]);
        f->fds[f->n_fds] = fd;
    }
    return 0;
}

int lib_call_add(struct ocid *c, struct lib_call *call, const void *params, const int *fds,
                 unsigned n_fds, size_t first, size_t n)
{
    struct lib_frame *f = calloc(1, sizeof *f);
    struct lib_piece *p = calloc(1, sizeof *p);
    if (!f || !p) {
        free(f);
        free(p);
        return lib_fail(c, OCID_E_NOMEM, 0, "out of memory");
    }
    oc_buf_init(&f->bytes, OCP_MAX_FRAME + 4);
    f->id = c->next_id;
    *p = (struct lib_piece){.call = call, .id = c->next_id++, .first = first, .n = n};
    *call->frames_end = f;
    call->frames_end = &f->next;
    *call->pieces_end = p;
    call->pieces_end = &p->next;
    call->n_left++;

    int rc = ocp_frame_request(&f->bytes, p->id, call->method, params);
    if (rc)
        return lib_fail(c, rc, 0, "the request: %s", oc_err_text(rc));
    call->bytes += f->bytes.len;
    if (call->bytes + c->out_bytes > LIB_MAX_QUEUED)
        return lib_fail(c, OCID_E_QUEUE_FULL, 0,
                        "%d MiB of requests wait to be sent; dispatch the connection first",
                        LIB_MAX_QUEUED >> 20);
    return copy_fds(c, f, fds, n_fds);
}

int lib_call_post(struct ocid *c, struct lib_call *call, uint64_t *ret_request)
{
    call->request = call->pieces->id;
    call->reply.request = call->request;
    *c->out_end = call->frames;
    c->out_end = call->frames_end;
    *c->pieces_end = call->pieces;
    c->pieces_end = call->pieces_end;
    c->out_bytes += call->bytes;
    call->frames = NULL;
    call->pieces = NULL;
    *c->calls_end = call;
    c->calls_end = &call->next;
    if (ret_request)
        *ret_request = call->request;
    return 0;
}

static void unlink_call(struct ocid *c, struct lib_call *call)
{
    struct lib_call **at = &c->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (!*at)
        c->calls_end = at;
}

void lib_call_finish(struct ocid *c, struct lib_call *call)
{
    unlink_call(c, call);
    if (call->why.code)
        call->reply.failure = &call->why;
    call->reply.ids = call->ids;
    if (!call->n_left)
        call->reply.acks = call->acks; /* those of all its messages, or none */
    if (call->fn) {
        bool before = c->in_callback;
        c->in_callback = true;
        call->fn(call->user, &call->reply);
        c->in_callback = before;
        c->n_called++;
    }
    if (call->keep) {
        lib_arena_fini(&c->kept);
        c->kept = call->arena;
        call->arena = (struct lib_arena){0};
    }
    lib_call_drop(call);
}

struct lib_call *lib_call_find(struct ocid *c, uint64_t request)
{
    struct lib_call *call = c->calls;
    while (call && call->request != request)
        call = call->next;
    return call;
}

/* Frames that were not begun yet are still sent: the daemon goes on with the request. */
int lib_call_forget(struct ocid *c, uint64_t request)
{
    struct lib_call *call = lib_call_find(c, request);
    if (!call)
        return 0;
    for (struct lib_piece *p = c->pieces; p; p = p->next)
        if (p->call == call)
            p->call = NULL;
    unlink_call(c, call);
    lib_call_drop(call);
    return 1;
}

int ocid_forget(struct ocid *c, uint64_t request)
{
    int rc = lib_enter(c, false);
    if (rc)
        return rc;
    if (!lib_call_forget(c, request))
        rc = lib_fail(c, OCID_E_NOT_FOUND, 0, "no request %llu waits for a reply",
                      (unsigned long long)request);
    return lib_leave(c, rc);
}
