/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - from libocid's structs back to messages, since proto/json.c prints those.
 *
 * The names are those of messages.def, and so is the promise that they stay.
 */
#include "ctl/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/json.h"

enum { LINE_MAX = 4 << 20 };

static void put_line(struct oc_buf *b)
{
    oc_buf_add(b, "\n", 1);
    if (b->failed)
        ctl_say("a line cannot be written: %s", ocid_error_text(b->failed));
    else
        fwrite(b->data, 1, b->len, stdout);
}

static void put(const struct ocp_desc *desc, const void *message)
{
    struct oc_buf b;
    oc_buf_init(&b, LINE_MAX);
    ocp_json(desc, message, &b);
    put_line(&b);
    oc_buf_fini(&b);
}

static void add_pairs(struct oc_buf *b, const struct ocid_pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ocp_add_pair(b, p[i].key, p[i].value, strlen(p[i].value));
}

#define STR(msg, field, value)                                                                     \
    if (value)                                                                                     \
    OCP_SET(&m, msg, field, ocp_str(value))
#define NUM(msg, field, value, present)                                                            \
    if (present)                                                                                   \
    OCP_SET(&m, msg, field, value)

static void pack_job(const struct ocid_job *j, struct oc_buf *b)
{
    struct ocp_job m = {0};
    struct oc_buf metadata, after;
    oc_buf_init(&metadata, LINE_MAX);
    oc_buf_init(&after, LINE_MAX);
    OCP_SET(&m, job, kind, (int)j->kind);
    STR(job, bucket, j->bucket);
    STR(job, namespace, j->name_space);
    STR(job, object, j->object);
    STR(job, source, j->source);
    STR(job, dest, j->dest);
    NUM(job, spool, true, j->spool);
    NUM(job, in_memory, true, j->in_memory);
    NUM(job, size, j->size, j->identified || j->size);
    NUM(job, dev, j->dev, j->identified);
    NUM(job, inode, j->inode, j->identified);
    NUM(job, mtime_ns, j->mtime_ns, j->identified);
    NUM(job, ctime_ns, j->ctime_ns, j->identified);
    STR(job, content_type, j->content_type);
    STR(job, content_encoding, j->content_encoding);
    STR(job, content_language, j->content_language);
    STR(job, content_disposition, j->content_disposition);
    STR(job, cache_control, j->cache_control);
    STR(job, storage_tier, j->storage_tier);
    add_pairs(&metadata, j->metadata, j->n_metadata);
    NUM(job, metadata, ocp_span(&metadata, (uint32_t)j->n_metadata), j->n_metadata);
    STR(job, if_match, j->if_match);
    NUM(job, if_absent, true, j->if_absent);
    NUM(job, overwrite, true, j->overwrite);
    NUM(job, part_bytes, j->part_bytes, j->part_bytes);
    STR(job, delimiter, j->delimiter);
    STR(job, start, j->start);
    STR(job, end, j->end);
    STR(job, fields, j->fields);
    NUM(job, limit, j->limit, j->limit);
    STR(job, compartment, j->compartment);
    STR(job, profile, j->profile);
    NUM(job, priority, (uint64_t)j->priority, j->priority >= 0);
    STR(job, label, j->label);
    NUM(job, set, j->set, j->set);
    for (size_t i = 0; i < j->n_after; i++)
        ocp_add_u64(&after, j->after[i]);
    NUM(job, after, ocp_span(&after, (uint32_t)j->n_after), j->n_after);
    STR(job, key, j->key);
    NUM(job, timeout_ms, j->timeout_ms, j->timeout_ms);
    NUM(job, below, j->below, j->below);
    STR(job, version_id, j->version_id);
    STR(job, upload_id, j->upload_id);
    NUM(job, access, (int)j->access, j->access != OCID_ACCESS_READ);
    NUM(job, prefix, true, j->prefix);
    NUM(job, listing, true, j->listing);
    NUM(job, expires_at, j->expires_at, j->expires_at);
    STR(job, share_id, j->share_id);
    STR(job, if_none_match, j->if_none_match);
    NUM(job, gone, true, j->gone);
    NUM(job, every_ms, j->every_ms, j->every_ms);
    NUM(job, offset, j->offset, j->offset);
    NUM(job, length, j->length, j->length);
    ocp_pack(&ocp_desc_job, &m, b);
    oc_buf_fini(&metadata);
    oc_buf_fini(&after);
}

static void pack_outcome(const struct ocid_outcome *o, struct oc_buf *b)
{
    struct ocp_outcome m = {0};
    struct oc_buf result;
    oc_buf_init(&result, LINE_MAX);
    STR(outcome, error, o->error_name);
    STR(outcome, text, o->text);
    NUM(outcome, http_status, (uint64_t)o->http_status, o->http_status);
    STR(outcome, service_code, o->service_code);
    STR(outcome, request_id, o->request_id);
    STR(outcome, etag, o->etag);
    STR(outcome, version_id, o->version_id);
    NUM(outcome, verified, (int)o->verified, !o->error_name);
    NUM(outcome, bytes, o->bytes, o->bytes != OCID_UNKNOWN);
    add_pairs(&result, o->result, o->n_result);
    NUM(outcome, result, ocp_span(&result, (uint32_t)o->n_result), o->n_result);
    ocp_pack(&ocp_desc_outcome, &m, b);
    oc_buf_fini(&result);
}

void json_status(const struct ocid_status *s)
{
    struct ocp_status m = {0};
    struct oc_buf job, outcome;
    /* long after its end the daemon knows the outcome of a set, but not its members' number */
    bool set = s->job && (s->job->kind == OCID_KIND_SET || s->job->kind == OCID_KIND_PULL) &&
               (s->n_total || !ocid_state_final((int)s->state));
    oc_buf_init(&job, LINE_MAX);
    oc_buf_init(&outcome, LINE_MAX);
    OCP_SET(&m, status, id, s->id);
    OCP_SET(&m, status, state, (int)s->state);
    NUM(status, why, (int)s->why, s->why != OCID_WHY_NONE);
    NUM(status, created_at, s->created_at, s->created_at);
    NUM(status, ended_at, s->ended_at, s->ended_at);
    NUM(status, retry_at, s->retry_at, s->retry_at);
    NUM(status, tries, s->tries, s->tries);
    OCP_SET(&m, status, bytes_done, s->bytes_done);
    NUM(status, bytes_total, s->bytes_total, s->bytes_total != OCID_UNKNOWN);
    NUM(status, parts_done, s->parts_done, s->parts_total != OCID_UNKNOWN);
    NUM(status, parts_total, s->parts_total, s->parts_total != OCID_UNKNOWN);
    NUM(status, n_total, s->n_total, set);
    NUM(status, n_done, s->n_done, set);
    NUM(status, n_failed, s->n_failed, set);
    NUM(status, n_cancelled, s->n_cancelled, set);
    NUM(status, sealed, s->sealed, set);
    STR(status, held, s->held);
    NUM(status, reading, true, s->reading);
    if (s->job)
        pack_job(s->job, &job);
    NUM(status, job, ocp_span(&job, 1), s->job);
    if (s->outcome)
        pack_outcome(s->outcome, &outcome);
    NUM(status, outcome, ocp_span(&outcome, 1), s->outcome);
    put(&ocp_desc_status, &m);
    oc_buf_fini(&job);
    oc_buf_fini(&outcome);
}

/* A million of these: the buffer is kept. */
void json_row(const struct ocid_row *r)
{
    static struct oc_buf b;
    struct ocp_row m = {0};
    if (!b.ceiling)
        oc_buf_init(&b, LINE_MAX);
    oc_buf_clear(&b);
    STR(row, name, r->name);
    STR(row, prefix, r->prefix);
    NUM(row, size, r->size, r->size != OCID_UNKNOWN);
    STR(row, etag, r->etag);
    STR(row, md5, r->md5);
    STR(row, time_created, r->time_created);
    STR(row, time_modified, r->time_modified);
    STR(row, storage_tier, r->storage_tier);
    STR(row, archival_state, r->archival_state);
    STR(row, upload_id, r->upload_id);
    NUM(row, parts, r->parts, r->upload_id != NULL);
    NUM(row, job, r->job, r->job);
    STR(row, share_id, r->share_id);
    STR(row, share_name, r->share_name);
    STR(row, access, r->access);
    NUM(row, listing, true, r->listing);
    STR(row, time_expires, r->time_expires);
    ocp_json(&ocp_desc_row, &m, &b);
    put_line(&b);
}

static void limit_out(const struct ocid_limit *l, struct ocp_limit *ret)
{
    struct ocp_limit m = {0};
    OCP_SET(&m, limit, scope, (int)l->scope);
    NUM(limit, uid, l->uid, l->uid != OCID_UNKNOWN);
    STR(limit, label, l->label);
    NUM(limit, set, l->set, l->set);
    NUM(limit, bytes_per_s, l->bytes_per_s, l->bytes_per_s != OCID_UNKNOWN);
    NUM(limit, jobs, l->jobs, l->jobs != OCID_UNKNOWN);
    NUM(limit, at_work, l->at_work, !l->configured);
    NUM(limit, at_work_small, l->at_work_small, !l->configured);
    NUM(limit, configured, l->configured, l->configured);
    *ret = m;
}

void json_limit(const struct ocid_limit *l)
{
    struct ocp_limit m;
    limit_out(l, &m);
    put(&ocp_desc_limit, &m);
}

void json_stats(const struct ocid_stats *s)
{
    struct ocp_stats m = {0};
    struct oc_buf profiles, limits;
    oc_buf_init(&profiles, LINE_MAX);
    oc_buf_init(&limits, LINE_MAX);
    STR(stats, software, s->software);
    OCP_SET(&m, stats, pid, s->pid);
    OCP_SET(&m, stats, uptime_ms, s->uptime_ms);
    OCP_SET(&m, stats, clients, s->clients);
    OCP_SET(&m, stats, queued, s->queued);
    OCP_SET(&m, stats, running, s->running);
    OCP_SET(&m, stats, waiting, s->waiting);
    OCP_SET(&m, stats, paused, s->paused);
    OCP_SET(&m, stats, requests, s->requests);
    OCP_SET(&m, stats, retries, s->retries);
    OCP_SET(&m, stats, bytes_up, s->bytes_up);
    OCP_SET(&m, stats, bytes_down, s->bytes_down);
    OCP_SET(&m, stats, in_flight, s->in_flight);
    OCP_SET(&m, stats, in_flight_limit, s->in_flight_limit);
    add_pairs(&profiles, s->profiles, s->n_profiles);
    OCP_SET(&m, stats, profiles, ocp_span(&profiles, (uint32_t)s->n_profiles));
    STR(stats, config, s->config);
    STR(stats, state_dir, s->state_dir);
    OCP_SET(&m, stats, descriptors, s->descriptors);
    for (size_t i = 0; i < s->n_limits; i++) {
        struct ocp_limit l;
        limit_out(&s->limits[i], &l);
        ocp_pack(&ocp_desc_limit, &l, &limits);
    }
    OCP_SET(&m, stats, limits, ocp_span(&limits, (uint32_t)s->n_limits));
    put(&ocp_desc_stats, &m);
    oc_buf_fini(&profiles);
    oc_buf_fini(&limits);
}

void json_ack(const struct ocid_ack *a)
{
    struct ocp_ack m = {0};
    struct ocp_error error = {0};
    struct oc_buf packed;
    oc_buf_init(&packed, LINE_MAX);
    OCP_SET(&m, ack, id, a->id);
    NUM(ack, state, a->state, a->state >= 0);
    if (a->error) {
        OCP_SET(&error, error, code, ocp_str(ocid_error_name(a->error)));
        if (a->text)
            OCP_SET(&error, error, text, ocp_str(a->text));
        ocp_pack(&ocp_desc_error, &error, &packed);
        OCP_SET(&m, ack, error, ocp_span(&packed, 1));
    }
    put(&ocp_desc_ack, &m);
    oc_buf_fini(&packed);
}

static void add_pair(struct oc_buf *b, const struct ocid_pair *p, bool first)
{
    if (!first)
        oc_buf_add(b, ",", 1);
    ocp_json_text(p->key, strlen(p->key), b);
    oc_buf_add(b, ":", 1);
    ocp_json_text(p->value, strlen(p->value), b);
}

void json_pairs(const struct ocid_pair *p, size_t n)
{
    struct oc_buf b;
    oc_buf_init(&b, LINE_MAX);
    oc_buf_add(&b, "{", 1);
    for (size_t i = 0; i < n; i++)
        add_pair(&b, &p[i], !i);
    oc_buf_add(&b, "}", 1);
    put_line(&b);
    oc_buf_fini(&b);
}

void json_user(const struct ocid_pair *p, size_t n)
{
    static const char *const theirs[] = {"id", "name", "description", "email", "user"};
    const char *user = NULL;
    struct oc_buf b;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(p[i].key, "user"))
            user = p[i].value;
    if (!user) { /* longer than the daemon passes on */
        json_pairs(p, n);
        return;
    }
    oc_buf_init(&b, LINE_MAX);
    oc_buf_add(&b, user, strlen(user) - 1); /* without its bracket; there is an id at least */
    for (size_t i = 0; i < n; i++) {
        bool own = true;
        for (size_t k = 0; k < sizeof theirs / sizeof *theirs; k++)
            own &= strcmp(p[i].key, theirs[k]) != 0;
        if (own)
            add_pair(&b, &p[i], false);
    }
    oc_buf_add(&b, "}", 1);
    put_line(&b);
    oc_buf_fini(&b);
}

void json_id(uint64_t id, uint64_t members)
{
    printf("{\"id\":%" PRIu64, id);
    if (members != OCID_UNKNOWN)
        printf(",\"members\":%" PRIu64, members);
    puts("}");
}
