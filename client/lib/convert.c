/* SPDX-License-Identifier: Apache-2.0
 *
 * convert.c - between the plain C structs of client.h and the messages of proto/.
 *
 * What goes out is read back once by the codec, so that bounds and UTF-8 are checked by the same
 * code as in the daemon. What comes in is copied, because C wants its strings ended with NUL.
 * Used by client.c and stream.c.
 */
#include "lib/convert.h"

#include <stdlib.h>
#include <string.h>

#include "proto/text.h"

/* The header's enums are written by hand: they must be the protocol's. */
#define SAME(theirs, ours) _Static_assert((int)(theirs) == (int)(ours), "client.h and messages.def")
SAME(OCID_KIND_PUT, OCP_ENUM_kind_put);
SAME(OCID_KIND_GET, OCP_ENUM_kind_get);
SAME(OCID_KIND_LIST, OCP_ENUM_kind_list);
SAME(OCID_KIND_HEAD, OCP_ENUM_kind_head);
SAME(OCID_KIND_DELETE, OCP_ENUM_kind_delete);
SAME(OCID_KIND_MKBUCKET, OCP_ENUM_kind_mkbucket);
SAME(OCID_KIND_BUCKETS, OCP_ENUM_kind_buckets);
SAME(OCID_KIND_WHOAMI, OCP_ENUM_kind_whoami);
SAME(OCID_KIND_NAMESPACE, OCP_ENUM_kind_namespace);
SAME(OCID_KIND_SET, OCP_ENUM_kind_set);
SAME(OCID_KIND_PULL, OCP_ENUM_kind_pull);
SAME(OCID_KIND_UPLOADS, OCP_ENUM_kind_uploads);
SAME(OCID_KIND_ABORT, OCP_ENUM_kind_abort);
SAME(OCID_KIND_SHARE, OCP_ENUM_kind_share);
SAME(OCID_KIND_SHARES, OCP_ENUM_kind_shares);
SAME(OCID_KIND_REVOKE, OCP_ENUM_kind_revoke);
SAME(OCID_KIND_WATCH, OCP_ENUM_kind_watch);
SAME(OCID_KIND_WATCH + 1, OCP_ENUM_kind_COUNT);
SAME(OCID_ACCESS_READ, OCP_ENUM_access_read);
SAME(OCID_ACCESS_WRITE, OCP_ENUM_access_write);
SAME(OCID_ACCESS_READ_WRITE, OCP_ENUM_access_read_write);
SAME(OCID_ACCESS_READ_WRITE + 1, OCP_ENUM_access_COUNT);
SAME(OCID_STATE_QUEUED, OCP_ENUM_state_queued);
SAME(OCID_STATE_RUNNING, OCP_ENUM_state_running);
SAME(OCID_STATE_WAITING, OCP_ENUM_state_waiting);
SAME(OCID_STATE_PAUSED, OCP_ENUM_state_paused);
SAME(OCID_STATE_DONE, OCP_ENUM_state_done);
SAME(OCID_STATE_FAILED, OCP_ENUM_state_failed);
SAME(OCID_STATE_CANCELLED, OCP_ENUM_state_cancelled);
SAME(OCID_STATE_CANCELLED + 1, OCP_ENUM_state_COUNT);
SAME(OCID_WHY_NONE, OCP_ENUM_why_none);
SAME(OCID_WHY_RETRY, OCP_ENUM_why_retry);
SAME(OCID_WHY_LOCKED, OCP_ENUM_why_locked);
SAME(OCID_WHY_LOGIN, OCP_ENUM_why_login);
SAME(OCID_WHY_FILE, OCP_ENUM_why_file);
SAME(OCID_WHY_SPACE, OCP_ENUM_why_space);
SAME(OCID_WHY_DESTINATION, OCP_ENUM_why_destination);
SAME(OCID_WHY_PUBLISH, OCP_ENUM_why_publish);
SAME(OCID_WHY_AFTER, OCP_ENUM_why_after);
SAME(OCID_WHY_NETWORK, OCP_ENUM_why_network);
SAME(OCID_WHY_MEMBERS, OCP_ENUM_why_members);
SAME(OCID_WHY_OBJECT, OCP_ENUM_why_object);
SAME(OCID_WHY_OBJECT + 1, OCP_ENUM_why_COUNT);
SAME(OCID_VERIFIED_NONE, OCP_ENUM_verified_none);
SAME(OCID_VERIFIED_CRC32C, OCP_ENUM_verified_crc32c);
SAME(OCID_VERIFIED_MD5, OCP_ENUM_verified_md5);
SAME(OCID_VERIFIED_LENGTH, OCP_ENUM_verified_length);
SAME(OCID_VERIFIED_LENGTH + 1, OCP_ENUM_verified_COUNT);

/* ---- Memory of an answer */

struct lib_chunk {
    struct lib_chunk *next;
    size_t used, room;
    _Alignas(16) char bytes[];
};

void *lib_alloc(struct lib_arena *a, size_t n)
{
    struct lib_chunk *c = a->chunks;
    n = (n + 15) & ~(size_t)15;
    if (!c || n > c->room - c->used) {
        size_t room = n > 4000 ? n : 4000;
        c = malloc(sizeof *c + room);
        if (!c)
            return NULL;
        *c = (struct lib_chunk){.next = a->chunks, .room = room};
        a->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    return memset(p, 0, n);
}

void lib_arena_fini(struct lib_arena *a)
{
    while (a->chunks) {
        struct lib_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
}

void lib_arena_clear(struct lib_arena *a)
{
    struct lib_chunk *last = a->chunks;
    while (last && last->next) {
        a->chunks = last->next;
        free(last);
        last = a->chunks;
    }
    if (last)
        last->used = 0;
}

static int no_memory(struct oc_err *err)
{
    return oc_fail(err, OCID_E_NOMEM, 0, "out of memory");
}

/* NULL for what is absent; *oom is set when there is no memory for what is there. */
static const char *copy(struct lib_arena *a, struct ocp_str s, int *oom)
{
    if (!s.p)
        return NULL;
    char *out = lib_alloc(a, (size_t)s.n + 1);
    if (!out)
        *oom = 1;
    return out ? ocp_str_copy(s, out, (size_t)s.n + 1) : NULL;
}

/* ---- Failures */

void lib_failure_of(const struct oc_err *err, int64_t index, struct ocid_failure *out)
{
    const char *text = err->text[0] ? err->text : oc_err_text(err->code);
    *out = (struct ocid_failure){
        .code = err->code,
        .sys = err->sys,
        .http_status = err->http_status,
        .index = index,
    };
    ocp_str_copy(ocp_str(err->service_code), out->service_code, sizeof out->service_code);
    ocp_str_copy(ocp_str(err->request_id), out->request_id, sizeof out->request_id);
    oc_text_escape(text, strlen(text), out->text, sizeof out->text);
}

void lib_failure_of_job(const struct ocid_status *job, int64_t index, struct ocid_failure *out)
{
    struct oc_err err = {.code = OCID_E_CANCELLED};
    const struct ocid_outcome *o = job->outcome;
    if (job->state != OCID_STATE_CANCELLED)
        err.code = o && o->error ? o->error : OCID_E_INTERNAL;
    if (o) {
        err.http_status = o->http_status;
        ocp_str_copy(ocp_str(o->text), err.text, sizeof err.text);
        ocp_str_copy(ocp_str(o->service_code), err.service_code, sizeof err.service_code);
        ocp_str_copy(ocp_str(o->request_id), err.request_id, sizeof err.request_id);
    }
    lib_failure_of(&err, index, out);
}

/* ---- Out: jobs */

int lib_struct(void *ours, size_t ours_size, const void *theirs, const char *made_by,
               struct oc_err *err)
{
    size_t size;
    memcpy(&size, theirs, sizeof size);
    if (size < sizeof size || size > 65536)
        return oc_fail(err, OCID_E_INVALID, 0, "the struct was not begun with %s", made_by);
    const char *more = (const char *)theirs + ours_size;
    for (size_t i = ours_size; i < size; i++, more++)
        if (*more)
            return oc_fail(err, OCID_E_UNSUPPORTED, 0,
                           "the program was built for a newer libocid than this one");
    memset(ours, 0, ours_size);
    memcpy(ours, theirs, size < ours_size ? size : ours_size);
    return 0;
}

const struct ocid_job *lib_job_at(const struct ocid_job *jobs, size_t i)
{
    return (const struct ocid_job *)(const void *)((const char *)jobs + i * jobs->struct_size);
}

void lib_batch_init(struct lib_batch *b, uint32_t max_jobs, size_t max_bytes)
{
    memset(b, 0, sizeof *b);
    oc_buf_init(&b->jobs, max_bytes);
    oc_buf_init(&b->lists, max_bytes);
    b->max = max_jobs;
}

void lib_batch_fini(struct lib_batch *b)
{
    oc_buf_fini(&b->jobs);
    oc_buf_fini(&b->lists);
}

void lib_batch_clear(struct lib_batch *b)
{
    oc_buf_clear(&b->jobs);
    b->n_fds = 0;
    b->n = 0;
}

#define SET_STR(field, value)                                                                      \
    if (value)                                                                                     \
    OCP_SET(out, job, field, ocp_str(value))
#define SET_NUM(field, value, present)                                                             \
    if (present)                                                                                   \
    OCP_SET(out, job, field, value)

static void job_out(const struct ocid_job *in, struct ocp_job *out)
{
    OCP_SET(out, job, kind, (int)in->kind);
    SET_STR(bucket, in->bucket);
    SET_STR(namespace, in->name_space);
    SET_STR(object, in->object);
    SET_STR(source, in->source);
    SET_STR(dest, in->dest);
    SET_NUM(spool, true, in->spool);
    SET_NUM(in_memory, true, in->in_memory);
    SET_NUM(size, in->size, in->identified || in->size);
    SET_NUM(dev, in->dev, in->identified);
    SET_NUM(inode, in->inode, in->identified);
    SET_NUM(mtime_ns, in->mtime_ns, in->identified);
    SET_NUM(ctime_ns, in->ctime_ns, in->identified);
    SET_STR(content_type, in->content_type);
    SET_STR(content_encoding, in->content_encoding);
    SET_STR(content_language, in->content_language);
    SET_STR(content_disposition, in->content_disposition);
    SET_STR(cache_control, in->cache_control);
    SET_STR(storage_tier, in->storage_tier);
    SET_STR(if_match, in->if_match);
    SET_NUM(if_absent, true, in->if_absent);
    SET_NUM(overwrite, true, in->overwrite);
    SET_NUM(part_bytes, in->part_bytes, in->part_bytes);
    SET_STR(delimiter, in->delimiter);
    SET_STR(start, in->start);
    SET_STR(end, in->end);
    SET_STR(fields, in->fields);
    SET_NUM(limit, in->limit, in->limit);
    SET_STR(compartment, in->compartment);
    SET_STR(profile, in->profile);
    SET_NUM(priority, (uint64_t)in->priority, in->priority >= 0);
    SET_STR(label, in->label);
    SET_NUM(set, in->set, in->set);
    SET_STR(key, in->key);
    SET_NUM(timeout_ms, in->timeout_ms, in->timeout_ms);
    SET_NUM(below, in->below, in->below);
    SET_STR(version_id, in->version_id);
    SET_STR(upload_id, in->upload_id);
    SET_NUM(access, (int)in->access, in->access != OCID_ACCESS_READ);
    SET_NUM(prefix, true, in->prefix);
    SET_NUM(listing, true, in->listing);
    SET_NUM(expires_at, in->expires_at, in->expires_at);
    SET_STR(share_id, in->share_id);
    SET_STR(if_none_match, in->if_none_match);
    SET_NUM(gone, true, in->gone);
    SET_NUM(every_ms, in->every_ms, in->every_ms);
    SET_NUM(offset, in->offset, in->offset);
    SET_NUM(length, in->length, in->length);
}

/* Metadata, then ids, one behind the other in b->lists. */
static int lists_out(struct lib_batch *b, const struct ocid_job *in, struct ocp_job *out,
                     struct oc_err *err)
{
    struct oc_buf *l = &b->lists;
    oc_buf_clear(l);
    for (size_t i = 0; i < in->n_metadata; i++) {
        if (!in->metadata[i].key || !in->metadata[i].value)
            return oc_fail(err, OCID_E_INVALID, 0, "metadata without a name or a value");
        ocp_add_pair(l, in->metadata[i].key, in->metadata[i].value, strlen(in->metadata[i].value));
    }
    uint32_t split = (uint32_t)l->len;
    for (size_t i = 0; i < in->n_after; i++)
        ocp_add_u64(l, in->after[i]);
    if (l->failed)
        return oc_fail(err, l->failed, 0, "the job's metadata or list of jobs before it: %s",
                       oc_err_text(l->failed));
    if (in->n_metadata)
        OCP_SET(out, job, metadata, ((struct ocp_span){l->data, split, (uint32_t)in->n_metadata}));
    if (in->n_after)
        OCP_SET(
            out, job, after,
            ((struct ocp_span){l->data + split, (uint32_t)l->len - split, (uint32_t)in->n_after}));
    return 0;
}

int lib_batch_add(struct lib_batch *b, const struct ocid_job *job, struct oc_err *err)
{
    struct ocid_job in;
    struct ocp_job out = {0};
    int rc = lib_struct(&in, sizeof in, job, "ocid_job_of()", err);
    if (rc)
        return rc;
    if (b->n == b->max || (in.fd >= 0 && b->n_fds == OCP_MAX_FDS))
        return 0;
    if ((int)in.kind < 0 || (int)in.kind >= OCP_ENUM_kind_COUNT)
        return oc_fail(err, OCID_E_INVALID, 0, "there is no job of kind %d", (int)in.kind);
    job_out(&in, &out);
    if (in.fd >= 0)
        OCP_SET(&out, job, fd, b->n_fds);
    if ((rc = lists_out(b, &in, &out, err)))
        return rc;

    size_t start = b->jobs.len;
    rc = ocp_pack(&ocp_desc_job, &out, &b->jobs);
    if (rc == OCID_E_TOO_LARGE && b->n) {
        b->jobs.failed = 0;
        return 0;
    }
    if (!rc) {
        rc = ocp_unpack(&ocp_desc_job, b->jobs.data + start, b->jobs.len - start, &out, err);
        if (rc)
            b->jobs.len = start;
    } else {
        b->jobs.failed = 0;
        oc_fail(err, rc, 0, "the job cannot be packed: %s", oc_err_text(rc));
    }
    if (rc)
        return rc;
    if (in.fd >= 0)
        b->fds[b->n_fds++] = in.fd;
    b->n++;
    return 1;
}

/* ---- In: answers */

int lib_pairs(struct lib_arena *a, const struct ocp_span *in, const struct ocid_pair **ret,
              size_t *ret_n, struct oc_err *err)
{
    struct ocp_iter it = {0};
    struct ocp_str key, value;
    size_t n = 0;
    int oom = 0;
    struct ocid_pair *pairs = lib_alloc(a, (in->count + 1) * sizeof *pairs);
    if (!pairs)
        return no_memory(err);
    for (; ocp_next_pair(in, &it, &key, &value); n++)
        pairs[n] = (struct ocid_pair){copy(a, key, &oom), copy(a, value, &oom)};
    if (oom)
        return no_memory(err);
    *ret = pairs;
    *ret_n = n;
    return 0;
}

static int job_in(struct lib_arena *a, const struct ocp_span *span, const struct ocid_job **ret,
                  struct oc_err *err)
{
    struct ocp_job j;
    int oom = 0, rc = ocp_unpack(&ocp_desc_job, span->p, span->n, &j, err);
    struct ocid_job *out = rc ? NULL : lib_alloc(a, sizeof *out);
    if (!out)
        return rc ? rc : no_memory(err);
    *out = ocid_job_of((enum ocid_kind)j.kind);
    out->bucket = copy(a, j.bucket, &oom);
    out->name_space = copy(a, j.namespace, &oom);
    out->object = copy(a, j.object, &oom);
    out->source = copy(a, j.source, &oom);
    out->dest = copy(a, j.dest, &oom);
    out->compartment = copy(a, j.compartment, &oom);
    out->spool = j.spool;
    out->in_memory = j.in_memory;
    out->identified = OCP_HAS(&j, job, inode);
    out->size = j.size;
    out->dev = j.dev;
    out->inode = j.inode;
    out->mtime_ns = j.mtime_ns;
    out->ctime_ns = j.ctime_ns;
    out->content_type = copy(a, j.content_type, &oom);
    out->content_encoding = copy(a, j.content_encoding, &oom);
    out->content_language = copy(a, j.content_language, &oom);
    out->content_disposition = copy(a, j.content_disposition, &oom);
    out->cache_control = copy(a, j.cache_control, &oom);
    out->storage_tier = copy(a, j.storage_tier, &oom);
    out->if_match = copy(a, j.if_match, &oom);
    out->if_absent = j.if_absent;
    out->overwrite = j.overwrite;
    out->part_bytes = j.part_bytes;
    out->delimiter = copy(a, j.delimiter, &oom);
    out->start = copy(a, j.start, &oom);
    out->end = copy(a, j.end, &oom);
    out->fields = copy(a, j.fields, &oom);
    out->limit = j.limit;
    out->profile = copy(a, j.profile, &oom);
    out->priority = OCP_HAS(&j, job, priority) ? (int)j.priority : -1;
    out->label = copy(a, j.label, &oom);
    out->set = j.set;
    out->key = copy(a, j.key, &oom);
    out->timeout_ms = j.timeout_ms;
    out->below = j.below;
    out->offset = j.offset;
    out->length = j.length;
    out->version_id = copy(a, j.version_id, &oom);
    out->upload_id = copy(a, j.upload_id, &oom);
    out->access = (enum ocid_access)j.access;
    out->prefix = j.prefix;
    out->listing = j.listing;
    out->expires_at = j.expires_at;
    out->share_id = copy(a, j.share_id, &oom);
    out->if_none_match = copy(a, j.if_none_match, &oom);
    out->gone = j.gone;
    out->every_ms = j.every_ms;
    uint64_t *after = lib_alloc(a, (j.after.count + 1) * sizeof *after);
    struct ocp_iter it = {0};
    while (after && ocp_next_u64(&j.after, &it, &after[out->n_after]))
        out->n_after++;
    out->after = after;
    if (oom || !after)
        return no_memory(err);
    *ret = out;
    return lib_pairs(a, &j.metadata, &out->metadata, &out->n_metadata, err);
}

static int outcome_in(struct lib_arena *a, const struct ocp_span *span,
                      const struct ocid_outcome **ret, struct oc_err *err)
{
    struct ocp_outcome o;
    int oom = 0, rc = ocp_unpack(&ocp_desc_outcome, span->p, span->n, &o, err);
    struct ocid_outcome *out = rc ? NULL : lib_alloc(a, sizeof *out);
    if (!out)
        return rc ? rc : no_memory(err);
    if (OCP_HAS(&o, outcome, error))
        out->error = oc_err_by_name(o.error.p, o.error.n);
    out->error_name = copy(a, o.error, &oom);
    out->text = copy(a, o.text, &oom);
    out->http_status = (int)o.http_status;
    out->service_code = copy(a, o.service_code, &oom);
    out->request_id = copy(a, o.request_id, &oom);
    out->etag = copy(a, o.etag, &oom);
    out->version_id = copy(a, o.version_id, &oom);
    out->verified = (enum ocid_verified)o.verified;
    out->bytes = OCP_HAS(&o, outcome, bytes) ? o.bytes : OCID_UNKNOWN;
    if (oom)
        return no_memory(err);
    *ret = out;
    return lib_pairs(a, &o.result, &out->result, &out->n_result, err);
}

static int status_in(struct lib_arena *a, const struct ocp_status *s, struct ocid_status *out,
                     struct oc_err *err)
{
    int rc = 0;
    *out = (struct ocid_status){
        .id = s->id,
        .state = (enum ocid_state)s->state,
        .why = (enum ocid_why)s->why,
        .seq = s->seq,
        .created_at = s->created_at,
        .ended_at = s->ended_at,
        .retry_at = s->retry_at,
        .tries = s->tries,
        .bytes_done = s->bytes_done,
        .bytes_total = OCP_HAS(s, status, bytes_total) ? s->bytes_total : OCID_UNKNOWN,
        .parts_done = s->parts_done,
        .parts_total = OCP_HAS(s, status, parts_total) ? s->parts_total : OCID_UNKNOWN,
        .n_total = s->n_total,
        .n_done = s->n_done,
        .n_failed = s->n_failed,
        .n_cancelled = s->n_cancelled,
        .sealed = s->sealed,
        .reading = s->reading,
    };
    if (OCP_HAS(s, status, held) && !(out->held = copy(a, s->held, &rc)))
        return no_memory(err);
    if (OCP_HAS(s, status, job))
        rc = job_in(a, &s->job, &out->job, err);
    if (!rc && OCP_HAS(s, status, outcome))
        rc = outcome_in(a, &s->outcome, &out->outcome, err);
    return rc;
}

int lib_page(struct lib_arena *a, const struct ocp_statuses *in, struct ocid_page *out,
             struct oc_err *err)
{
    struct ocp_iter it = {0};
    struct ocp_status s;
    struct ocid_status *jobs = lib_alloc(a, (in->jobs.count + 1) * sizeof *jobs);
    if (!jobs)
        return no_memory(err);
    *out = (struct ocid_page){
        .epoch = in->epoch,
        .seq = in->seq,
        .more = in->more,
        .cursor = in->cursor,
        .jobs = jobs,
    };
    int rc;
    while ((rc = ocp_next_sub(&ocp_desc_status, &in->jobs, &it, &s, NULL, err)) == 1)
        if ((rc = status_in(a, &s, &jobs[out->n_jobs++], err)))
            return rc;
    return rc;
}

static int limits_in(struct lib_arena *a, const struct ocp_span *in, struct ocid_stats *out,
                     struct oc_err *err)
{
    struct ocp_iter it = {0};
    struct ocp_limit m;
    int rc, oom = 0;
    struct ocid_limit *l = lib_alloc(a, (in->count + 1) * sizeof *l);
    if (!l)
        return no_memory(err);
    out->limits = l;
    while ((rc = ocp_next_sub(&ocp_desc_limit, in, &it, &m, NULL, err)) == 1) {
        *l = ocid_limit_of((enum ocid_scope)m.scope);
        if (OCP_HAS(&m, limit, uid))
            l->uid = m.uid;
        if (OCP_HAS(&m, limit, label))
            l->label = copy(a, m.label, &oom);
        l->set = m.set;
        if (OCP_HAS(&m, limit, bytes_per_s))
            l->bytes_per_s = m.bytes_per_s;
        if (OCP_HAS(&m, limit, jobs))
            l->jobs = m.jobs;
        l->at_work = m.at_work;
        l->at_work_small = m.at_work_small;
        l->configured = m.configured;
        l++;
        out->n_limits++;
    }
    return oom ? no_memory(err) : rc;
}

int lib_stats(struct lib_arena *a, const struct ocp_stats *in, struct ocid_stats *out,
              struct oc_err *err)
{
    int oom = 0;
    *out = (struct ocid_stats){
        .software = copy(a, in->software, &oom),
        .pid = in->pid,
        .uptime_ms = in->uptime_ms,
        .clients = in->clients,
        .queued = in->queued,
        .running = in->running,
        .waiting = in->waiting,
        .paused = in->paused,
        .requests = in->requests,
        .retries = in->retries,
        .bytes_up = in->bytes_up,
        .bytes_down = in->bytes_down,
        .in_flight = in->in_flight,
        .in_flight_limit = in->in_flight_limit,
        .config = OCP_HAS(in, stats, config) ? copy(a, in->config, &oom) : NULL,
        .state_dir = OCP_HAS(in, stats, state_dir) ? copy(a, in->state_dir, &oom) : NULL,
        .descriptors = in->descriptors,
    };
    if (oom)
        return no_memory(err);
    int rc = limits_in(a, &in->limits, out, err);
    return rc ? rc : lib_pairs(a, &in->profiles, &out->profiles, &out->n_profiles, err);
}

int lib_acks(struct lib_arena *a, const struct ocp_acks *in, struct ocid_ack *acks, size_t n,
             struct oc_err *err)
{
    struct ocp_iter it = {0};
    struct ocp_ack ack;
    struct ocp_error e;
    int rc, oom = 0;
    if (in->jobs.count != n)
        return oc_fail(err, OCID_E_PROTOCOL, 0, "the daemon answered %u of %zu jobs",
                       in->jobs.count, n);
    while ((rc = ocp_next_sub(&ocp_desc_ack, &in->jobs, &it, &ack, NULL, err)) == 1) {
        *acks = (struct ocid_ack){
            .id = ack.id,
            .state = OCP_HAS(&ack, ack, state) ? ack.state : -1,
        };
        if (OCP_HAS(&ack, ack, error)) {
            if ((rc = ocp_unpack(&ocp_desc_error, ack.error.p, ack.error.n, &e, err)))
                return rc;
            acks->error = oc_err_by_name(e.code.p, e.code.n);
            acks->text = copy(a, e.text, &oom);
        }
        acks++;
    }
    return oom ? no_memory(err) : rc;
}

int lib_row(struct lib_arena *a, const struct ocp_row *in, struct ocid_row *out, struct oc_err *err)
{
    int oom = 0;
    *out = (struct ocid_row){
        .name = copy(a, in->name, &oom),
        .prefix = copy(a, in->prefix, &oom),
        .size = OCP_HAS(in, row, size) ? in->size : OCID_UNKNOWN,
        .etag = copy(a, in->etag, &oom),
        .md5 = copy(a, in->md5, &oom),
        .time_created = copy(a, in->time_created, &oom),
        .time_modified = copy(a, in->time_modified, &oom),
        .storage_tier = copy(a, in->storage_tier, &oom),
        .archival_state = copy(a, in->archival_state, &oom),
        .upload_id = copy(a, in->upload_id, &oom),
        .parts = OCP_HAS(in, row, parts) ? in->parts : OCID_UNKNOWN,
        .job = in->job,
        .share_id = copy(a, in->share_id, &oom),
        .share_name = copy(a, in->share_name, &oom),
        .access = copy(a, in->access, &oom),
        .time_expires = copy(a, in->time_expires, &oom),
        .listing = in->listing,
    };
    return oom ? no_memory(err) : 0;
}
