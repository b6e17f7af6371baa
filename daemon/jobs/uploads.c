/* SPDX-License-Identifier: Apache-2.0
 *
 * uploads.c - unfinished multipart uploads: those of a page of their list, and whose they are.
 *
 * The list of the service has no sizes: the parts of each are asked for and added up. Control loop,
 * but for uploads_parse(), which the pool may call.
 */
#include "jobs/uploads.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run.h"

static int on_upload(void *arg, const struct oci_upload *u)
{
    struct uploads *l = arg;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->all = oc_grow(l->all, l->room, sizeof *l->all);
    }
    l->all[l->n++] = (struct upload){
        .object = oc_strdup(u->object), .id = oc_strdup(u->id), .created_ms = u->created_ms};
    l->n_left++;
    return 0;
}

int uploads_parse(struct uploads *l, const char *body, size_t n, struct oc_err *err)
{
    return oci_parse_uploads(body, n, on_upload, l, err);
}

void uploads_fini(struct uploads *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->all[i].object);
        free(l->all[i].id);
        free(l->all[i].parts_page);
    }
    free(l->all);
    *l = (struct uploads){0};
}

long uploads_next(const struct uploads *l)
{
    for (size_t i = 0; l->n_left && i < l->n; i++)
        if (l->all[i].state == UPLOAD_UNKNOWN)
            return (long)i;
    return -1;
}

static int on_part(void *arg, const struct oci_part *part)
{
    struct upload *sum = arg;
    sum->bytes += part->size;
    sum->n_parts++;
    return 0;
}

static void settle(struct uploads *l, size_t at, enum upload_state state)
{
    l->all[at].state = state;
    l->n_left--;
}

int uploads_parts(struct uploads *l, size_t at, const char *body, size_t n, const char *next,
                  struct oc_err *err)
{
    struct upload *u = &l->all[at], sum = {0};
    if (oci_parse_parts(body, n, on_part, &sum, err)) {
        uploads_again(l, at);
        return err->code;
    }
    u->bytes += sum.bytes;
    u->n_parts += sum.n_parts;
    free(u->parts_page);
    u->parts_page = next ? oc_strdup(next) : NULL;
    if (next)
        uploads_again(l, at);
    else
        settle(l, at, UPLOAD_KNOWN);
    return 0;
}

void uploads_again(struct uploads *l, size_t at)
{
    l->all[at].state = UPLOAD_UNKNOWN;
}

void uploads_gone(struct uploads *l, size_t at)
{
    settle(l, at, UPLOAD_GONE);
}

static void owned_by(struct upload_owner *ret, const struct job *j, int certain)
{
    *ret = (struct upload_owner){
        .job = j->id, .uid = j->uid, .certain = certain, .unfinished = !job_is_over(j)};
}

void upload_owner_find(const struct room *r, struct ocp_str bucket, const char *object,
                       const char *id, struct upload_owner *ret)
{
    *ret = (struct upload_owner){0};
    for (const struct run *u = r->runs; u; u = u->next) {
        enum run_owns owns = run_put_owns(u, bucket, object, id);
        if (owns == RUN_OWNS_PERHAPS)
            owned_by(ret, u->job, 0);
        if (owns == RUN_OWNS) {
            owned_by(ret, u->job, 1);
            return;
        }
    }
    for (const struct saved *s = r->saved; s; s = s->next) {
        const struct job *j;
        if (!ocp_str_is(s->row.remote_id, id) || !(j = book_find(&r->book, s->row.job)))
            continue;
        owned_by(ret, j, 1);
        return;
    }
}
