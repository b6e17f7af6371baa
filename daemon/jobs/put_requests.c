/* SPDX-License-Identifier: Apache-2.0
 *
 * put_requests.c - what an upload asks of the service.
 *
 * Control loop.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run_put.h"
#include "jobs/spec.h"

/* The texts of a put's options, NUL-ended, in one place. */
struct put_texts {
    struct oci_put_options o;
    struct oci_pair pairs[64];
    char *owned[8 + 2 * 64];
    unsigned n;
};

static const char *own(struct put_texts *t, struct ocp_str s)
{
    if (!s.n)
        return NULL;
    return t->owned[t->n++] = oc_strndup(s.p, s.n);
}

static void texts_init(struct put_texts *t, const struct ocp_job *s)
{
    memset(t, 0, sizeof *t);
    t->o.content_type = own(t, s->content_type);
    t->o.content_encoding = own(t, s->content_encoding);
    t->o.content_language = own(t, s->content_language);
    t->o.content_disposition = own(t, s->content_disposition);
    t->o.cache_control = own(t, s->cache_control);
    t->o.storage_tier = own(t, s->storage_tier);
    t->o.if_match = own(t, s->if_match);
    t->o.if_absent = s->if_absent;
    t->o.metadata = t->pairs;
    struct ocp_iter it = {0};
    struct ocp_str k, v;
    while (t->o.n_metadata < 64 && ocp_next_pair(&s->metadata, &it, &k, &v)) {
        struct oci_pair *pair = &t->pairs[t->o.n_metadata++];
        pair->name = t->owned[t->n++] = oc_strndup(k.p, k.n);
        pair->value = t->owned[t->n++] = oc_strndup(v.p, v.n);
    }
}

static void texts_fini(struct put_texts *t)
{
    while (t->n)
        free(t->owned[--t->n]);
}

static void body_of(struct run *u, struct run_request *q)
{
    struct put *p = u->of;
    q->x.sums = put_engine_sums(u);
    q->x.offset = q->step.offset;
    q->x.length = q->step.length;
    if (p->bytes) { /* whole and at hand: its sum is in the headers already */
        q->x.from = BODY_REQUEST;
        q->x.call.body = p->bytes + q->step.offset;
        return;
    }
    q->x.from = BODY_FILE;
    q->x.file = xfer_file_ref(p->file);
    if (!spec_is_stream(&u->spec)) /* looked at before the last bytes of each request leave */
        q->x.source =
            (struct xfer_source){1, p->identity.size, p->identity.inode, p->identity.mtime_ns};
}

static int build_put(struct run *u, struct run_request *q, const struct oci_where *w,
                     struct oc_err *err)
{
    struct put *p = u->of;
    struct put_texts t;
    texts_init(&t, &u->spec);
    t.o.sum.kind = put_sum_kind(u);
    if (t.o.sum.kind == OCI_SUM_MD5)
        t.o.sum.kind = OCI_SUM_NONE; /* compared with the answer's */
    t.o.sum.known = p->bytes && t.o.sum.kind == OCI_SUM_CRC32C;
    t.o.sum.crc32c = p->sums.crc32c;
    int rc = oci_call_put(w, q->step.length, &t.o, &q->x.call, err);
    texts_fini(&t);
    if (rc)
        return rc;
    body_of(u, q);
    q->x.sum_first = q->x.from == BODY_FILE && t.o.sum.kind == OCI_SUM_CRC32C;
    q->x.if_absent = u->spec.if_absent;
    return 0;
}

static int build_create(struct run *u, struct run_request *q, const struct oci_where *w,
                        struct oc_err *err)
{
    struct put_texts t;
    texts_init(&t, &u->spec);
    t.o.sum.kind = put_sum_kind(u) == OCI_SUM_CRC32C ? OCI_SUM_CRC32C : OCI_SUM_NONE;
    int rc = oci_call_upload_create(w, &t.o, &q->x.call, err);
    texts_fini(&t);
    q->x.if_absent = u->spec.if_absent;
    return rc;
}

static int build_part(struct run *u, struct run_request *q, const struct oci_where *w,
                      struct oc_err *err)
{
    struct put *p = u->of;
    struct oci_sum sum = {.kind =
                              put_sum_kind(u) == OCI_SUM_CRC32C ? OCI_SUM_CRC32C : OCI_SUM_NONE};
    int rc = oci_call_upload_part(w, p->upload_id, q->step.part_no, q->step.length, &sum,
                                  &q->x.call, err);
    if (!rc)
        body_of(u, q);
    return rc;
}

static int build_commit(struct run *u, struct run_request *q, const struct oci_where *w,
                        struct oc_err *err)
{
    struct put *p = u->of;
    struct put_facts f;
    char match[129];
    xfer_put_facts(p->plan, &f);
    struct oci_part_etag *parts = oc_new(f.n_parts, sizeof *parts);
    for (uint32_t i = 0; i < f.n_parts; i++)
        parts[i] = (struct oci_part_etag){i + 1, xfer_put_etag(p->plan, i + 1, NULL)};
    int rc = oci_call_upload_commit(
        w, p->upload_id, parts, f.n_parts,
        u->spec.if_match.n ? ocp_str_copy(u->spec.if_match, match, sizeof match) : NULL,
        u->spec.if_absent, &q->x.call, err);
    free(parts);
    q->x.if_absent = u->spec.if_absent;
    return rc;
}

int put_build(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct put *p = u->of;
    struct run_names names;
    struct oci_where w = run_where(u, &names);
    switch (q->step.op) {
    case OP_PUT:
        return build_put(u, q, &w, err);
    case OP_CREATE:
        return build_create(u, q, &w, err);
    case OP_PART:
        return build_part(u, q, &w, err);
    case OP_LIST_PARTS:
        q->x.max_memory = OCI_BODY_MAX;
        return oci_call_parts(&w, p->upload_id, OCI_PAGE_MAX, p->page[0] ? p->page : NULL,
                              &q->x.call, err);
    case OP_COMMIT:
        return build_commit(u, q, &w, err);
    case OP_HEAD:
        return oci_call_head(&w, NULL, &q->x.call, err);
    case OP_ABORT:
        return oci_call_upload_abort(&w, p->upload_id, &q->x.call, err);
    default:
        return oc_fail(err, OCID_E_INTERNAL, 0, "a put has no such step");
    }
}
