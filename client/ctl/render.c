/* SPDX-License-Identifier: Apache-2.0
 *
 * render.c - sizes, rates, times, the table of jobs and one job in full.
 *
 * Whatever comes from a file system or the service is escaped here before a terminal sees it.
 */
#include "ctl/render.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "proto/text.h"

/* ---- Numbers */

char *render_size(uint64_t bytes, char out[RENDER_NUMBER])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;
    if (bytes == OCID_UNKNOWN) {
        snprintf(out, RENDER_NUMBER, "-");
        return out;
    }
    if (bytes < 1000) {
        snprintf(out, RENDER_NUMBER, "%" PRIu64 " B", bytes);
        return out;
    }
    for (v /= 1024; v >= 999.5 && u < 5; u++)
        v /= 1024;
    snprintf(out, RENDER_NUMBER, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[u]);
    return out;
}

char *render_rate(double bytes_per_s, char out[RENDER_NUMBER])
{
    render_size(bytes_per_s < 0 ? 0 : (uint64_t)(bytes_per_s + 0.5), out);
    strcat(out, "/s");
    return out;
}

char *render_span(uint64_t ms, char out[RENDER_NUMBER])
{
    uint64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(out, RENDER_NUMBER, "%u ms", (unsigned)ms);
    else if (s < 60)
        snprintf(out, RENDER_NUMBER, "%u s", (unsigned)s);
    else if (s < 3600)
        snprintf(out, RENDER_NUMBER, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(out, RENDER_NUMBER, "%u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else
        snprintf(out, RENDER_NUMBER, "%" PRIu64 " d %02u h", s / 86400, (unsigned)(s / 3600 % 24));
    return out;
}

char *render_eta(uint64_t done, uint64_t total, double bytes_per_s, char out[RENDER_NUMBER])
{
    double left = total == OCID_UNKNOWN || total < done ? -1 : (double)(total - done);
    if (left < 0 || bytes_per_s < 1 || left / bytes_per_s > 8.64e6)
        snprintf(out, RENDER_NUMBER, "-");
    else
        render_span((uint64_t)(left / bytes_per_s) * 1000 + 1000, out);
    return out;
}

char *render_time(uint64_t at_ms, char out[RENDER_NUMBER])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    if (!at_ms || !localtime_r(&s, &tm) || !strftime(out, RENDER_NUMBER, "%F %T", &tm))
        snprintf(out, RENDER_NUMBER, "-");
    return out;
}

char *render_percent(uint64_t done, uint64_t total, char out[RENDER_NUMBER])
{
    if (total == OCID_UNKNOWN)
        snprintf(out, RENDER_NUMBER, "-");
    else if (done >= total)
        snprintf(out, RENDER_NUMBER, "100%%");
    else
        snprintf(out, RENDER_NUMBER, "%u%%", (unsigned)((double)done / (double)total * 100));
    return out;
}

/* ---- Names */

const char *render_name(const char *name)
{
    static char ring[8][RENDER_NAME];
    static unsigned next;
    char *out = ring[next++ % 8];
    oc_text_escape(name ? name : "", name ? strlen(name) : 0, out, RENDER_NAME);
    return out;
}

static uint32_t code_point(const char *p, size_t len)
{
    static const unsigned char first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)*p & first[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

/* Near enough for a table: combining marks take no column, East Asian letters and emoji two. */
static size_t columns_of(uint32_t c)
{
    if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c < 0xfe10))
        return 0;
    bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
                (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
                (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
                (c >= 0x1f300 && c < 0x1fb00) || (c >= 0x20000 && c < 0x40000);
    return wide ? 2 : 1;
}

/* Bytes of text within so many columns; *ret_used: columns of these. */
static size_t fit(const char *text, size_t columns, size_t *ret_used)
{
    size_t n = strlen(text), at = 0, used = 0;
    while (at < n) {
        size_t len = oc_utf8_len(text + at, n - at);
        size_t more = len ? columns_of(code_point(text + at, len)) : 1;
        if (used + more > columns)
            break;
        used += more;
        at += len ? len : 1;
    }
    *ret_used = used;
    return at;
}

size_t render_width(const char *text)
{
    size_t used;
    fit(text, SIZE_MAX, &used);
    return used;
}

size_t render_fit(const char *text, size_t columns)
{
    size_t used;
    return fit(text, columns, &used);
}

static const char *or_nothing(const char *s)
{
    return s ? s : "";
}

char *render_uri(const struct ocid_job *job, char *out, size_t size)
{
    bool space = job->name_space && *job->name_space;
    snprintf(out, size, "oci://%s%s%s/%s", render_name(job->bucket), space ? "@" : "",
             space ? render_name(job->name_space) : "", render_name(job->object));
    return out;
}

char *render_what(const struct ocid_job *job, char *out, size_t size)
{
    char uri[RENDER_NAME];
    if (!job) {
        snprintf(out, size, "-");
        return out;
    }
    const char *kind = ocid_kind_name((int)job->kind), *label = or_nothing(job->label);
    render_uri(job, uri, sizeof uri);
    switch (job->kind) {
    case OCID_KIND_PUT:
        snprintf(out, size, "put %s to %s",
                 job->in_memory               ? "(memory)"
                 : job->source && !job->spool ? render_name(job->source)
                                              : "(standard input)",
                 uri);
        break;
    case OCID_KIND_GET:
    case OCID_KIND_PULL:
    case OCID_KIND_LIST:
        snprintf(out, size, "%s %s%s%s", kind, uri, job->dest ? " to " : "",
                 job->dest ? render_name(job->dest) : "");
        break;
    case OCID_KIND_HEAD:
    case OCID_KIND_DELETE:
    case OCID_KIND_UPLOADS:
    case OCID_KIND_SHARES:
        snprintf(out, size, "%s %s", kind, uri);
        break;
    case OCID_KIND_ABORT:
        snprintf(out, size, "abort the upload of %s", uri);
        break;
    case OCID_KIND_SHARE:
        snprintf(out, size, "share %s%s", uri, job->prefix ? "*" : "");
        break;
    case OCID_KIND_WATCH:
        snprintf(out, size, "watch %s%s", uri, job->gone ? " go" : "");
        break;
    case OCID_KIND_REVOKE:
        snprintf(out, size, "revoke a link of bucket %s", render_name(job->bucket));
        break;
    case OCID_KIND_MKBUCKET:
        snprintf(out, size, "%s %s", kind, render_name(job->bucket));
        break;
    default:
        snprintf(out, size, "%s", kind);
        break;
    }
    if (*label) {
        size_t n = strlen(out);
        snprintf(out + n, size - n, " (%s)", render_name(label));
    }
    return out;
}

char *render_subject(const struct ocid_job *job, uint64_t id, char *out, size_t size)
{
    const char *name = !job ? NULL : job->object && *job->object ? job->object : job->bucket;
    if (name && *name)
        snprintf(out, size, "%s '%s'", ocid_kind_name((int)job->kind), name);
    else
        snprintf(out, size, "job %" PRIu64, id);
    return out;
}

char *render_state(const struct ocid_status *s, char *out, size_t size)
{
    bool why = s->state == OCID_STATE_WAITING && s->why != OCID_WHY_NONE;
    snprintf(out, size, "%s%s%s", ocid_state_name((int)s->state),
             why          ? ": "
             : s->reading ? ": reading"
                          : "",
             why ? ocid_why_name((int)s->why) : "");
    return out;
}

const char *render_why(const struct ocid_status *s, uint64_t now_ms, char *out, size_t size)
{
    char span[RENDER_NUMBER];
    const char *profile = s->job && s->job->profile ? s->job->profile : NULL;
    if (s->state != OCID_STATE_WAITING)
        return NULL;
    switch (s->why) {
    case OCID_WHY_RETRY:
        snprintf(out, size, "a try has failed; the next one is in %s",
                 render_span(s->retry_at > now_ms ? s->retry_at - now_ms : 0, span));
        return out;
    case OCID_WHY_LOCKED:
        snprintf(out, size, "the key is locked: ocictl unlock%s%s", profile ? " --profile " : "",
                 profile ? profile : "");
        return out;
    case OCID_WHY_LOGIN:
        return "fresh credentials are needed: 'ocictl doctor' says which part is wrong; when it is "
               "mended, the job goes on";
    case OCID_WHY_FILE:
        return "the source file is not where it was, or cannot be read: put it back, or cancel the "
               "job";
    case OCID_WHY_SPACE:
        return "the disk where its file is written is full: free some space, and it goes on";
    case OCID_WHY_DESTINATION:
        return "the destination directory is not there, or cannot be written";
    case OCID_WHY_PUBLISH:
        return "the finished file has to be put in its place by its owner";
    case OCID_WHY_AFTER:
        return "the jobs that it follows have not ended yet";
    case OCID_WHY_NETWORK:
        snprintf(out, size, "the service cannot be reached; the next try is in %s",
                 render_span(s->retry_at > now_ms ? s->retry_at - now_ms : 0, span));
        return out;
    case OCID_WHY_OBJECT:
        snprintf(out, size, "the object %s; the next look is in %s",
                 !s->job || (!s->job->gone && !s->job->if_none_match) ? "is not there yet"
                 : s->job->gone                                       ? "is still there"
                                                                      : "has not changed yet",
                 render_span(s->retry_at > now_ms ? s->retry_at - now_ms : 0, span));
        return out;
    case OCID_WHY_MEMBERS:
        if (s->sealed)
            return "its members are at work";
        snprintf(out, size, "more members may come; if its maker has gone: %scancel it",
                 s->job && s->job->key ? "run the same command again, or " : "");
        return out;
    default:
        return NULL;
    }
}

bool render_is_set(const struct ocid_status *s)
{
    return s->job && (s->job->kind == OCID_KIND_SET || s->job->kind == OCID_KIND_PULL);
}

/* Long after its end the daemon knows a set's outcome, but no longer its members' number. */
static bool forgotten(const struct ocid_status *s)
{
    return ocid_state_final((int)s->state) && !s->n_total;
}

/* ---- The table */

static const char *state_color(int state)
{
    switch (state) {
    case OCID_STATE_DONE:
        return "\033[32m";
    case OCID_STATE_FAILED:
        return "\033[31m";
    case OCID_STATE_WAITING:
        return "\033[33m";
    default:
        return "";
    }
}

void render_head(void)
{
    printf("%8s  %-20s  %10s  %6s  %-19s  %s\n", "ID", "STATE", "SIZE", "DONE", "CREATED", "WHAT");
}

void render_line(const struct ocid_status *s, bool color)
{
    char state[64], size[RENDER_NUMBER], done[RENDER_NUMBER], at[RENDER_NUMBER], what[9000];
    bool set = render_is_set(s);
    render_state(s, state, sizeof state);
    render_what(s->job, what, sizeof what);
    if (set && !forgotten(s))
        snprintf(size, sizeof size, "%" PRIu64 "/%" PRIu64, s->n_done, s->n_total);
    else
        render_size(s->bytes_total != OCID_UNKNOWN ? s->bytes_total
                    : s->outcome                   ? s->outcome->bytes
                                                   : OCID_UNKNOWN,
                    size);
    if (s->state == OCID_STATE_DONE)
        snprintf(done, sizeof done, "100%%");
    else
        render_percent(s->bytes_done, s->bytes_total, done);
    const char *on = color ? state_color((int)s->state) : "";
    printf("%8" PRIu64 "  %s%-20s%s  %10s  %6s  %-19s  %s", s->id, on, state, *on ? "\033[0m" : "",
           size, done, render_time(s->created_at, at), what);
    if (s->n_failed)
        printf(", %" PRIu64 " failed", s->n_failed);
    if (s->n_cancelled)
        printf(", %" PRIu64 " cancelled", s->n_cancelled);
    if (set && !s->sealed && !ocid_state_final((int)s->state) && s->job->kind == OCID_KIND_SET)
        printf(", not complete");
    putchar('\n');
}

/* ---- One job in full */

void render_pair(const char *key, const char *value)
{
    printf("%-19s  %s\n", render_name(key), render_name(value));
}

static void text(const char *key, const char *value)
{
    if (value && *value)
        render_pair(key, value);
}

static void bytes(const char *key, uint64_t v)
{
    char size[RENDER_NUMBER];
    if (v == OCID_UNKNOWN)
        return;
    printf("%-19s  %" PRIu64, key, v);
    if (v >= 1000)
        printf(" (%s)", render_size(v, size));
    putchar('\n');
}

static void number(const char *key, uint64_t v)
{
    if (v)
        printf("%-19s  %" PRIu64 "\n", key, v);
}

static void moment(const char *key, uint64_t at_ms)
{
    char at[RENDER_NUMBER];
    if (at_ms)
        render_pair(key, render_time(at_ms, at));
}

static void pairs(const char *lead, const struct ocid_pair *p, size_t n)
{
    char key[300];
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%s%s", lead, p[i].key);
        render_pair(key, p[i].value);
    }
}

static void job_lines(const struct ocid_job *j)
{
    char uri[RENDER_NAME];
    text("kind", ocid_kind_name((int)j->kind));
    text("from", j->spool ? "(standard input)" : j->in_memory ? "(memory)" : j->source);
    if (j->bucket && *j->bucket)
        render_pair(j->kind == OCID_KIND_PUT ? "to" : "object", render_uri(j, uri, sizeof uri));
    text("to", j->dest);
    text("label", j->label);
    text("profile", j->profile);
    if (j->priority >= 0)
        printf("%-19s  %d\n", "priority", j->priority);
    number("set", j->set);
    for (size_t i = 0; i < j->n_after; i++)
        number("after", j->after[i]);
    text("key", j->key);
    text("content-type", j->content_type);
    text("content-encoding", j->content_encoding);
    text("content-language", j->content_language);
    text("content-disposition", j->content_disposition);
    text("cache-control", j->cache_control);
    text("tier", j->storage_tier);
    pairs("metadata ", j->metadata, j->n_metadata);
    text("if-match", j->if_match);
    if (j->if_absent)
        render_pair("if-absent", "yes");
    if (j->timeout_ms) {
        char span[RENDER_NUMBER];
        render_pair("timeout", render_span(j->timeout_ms, span));
    }
}

static void outcome_lines(const struct ocid_outcome *o)
{
    char status[32];
    if (o->error_name)
        printf("%-19s  %s: %s\n", "error", render_name(o->error_name),
               render_name(o->text ? o->text : ocid_error_text(o->error)));
    else
        text("note", o->text);
    if (o->http_status) {
        snprintf(status, sizeof status, "%d ", o->http_status);
        printf("%-19s  %s%s\n", "answer", status, render_name(o->service_code));
    }
    text("request", o->request_id);
    text("etag", o->etag);
    text("version", o->version_id);
    bytes("object bytes", o->bytes);
    if (o->verified != OCID_VERIFIED_NONE)
        text("verified", ocid_verified_name((int)o->verified));
    pairs("= ", o->result, o->n_result);
}

static void members(const struct ocid_status *s)
{
    printf("%-19s  %" PRIu64 " of %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled%s\n",
           "members", s->n_done, s->n_total, s->n_failed, s->n_cancelled,
           s->sealed || ocid_state_final((int)s->state) ? "" : ", not complete");
}

void render_job(const struct ocid_status *s, uint64_t now_ms, bool color)
{
    char state[64], why_text[512], percent[RENDER_NUMBER];
    const char *on = color ? state_color((int)s->state) : "";
    const char *why = render_why(s, now_ms, why_text, sizeof why_text);
    printf("%-19s  %" PRIu64 "\n", "id", s->id);
    printf("%-19s  %s%s%s\n", "state", on, render_state(s, state, sizeof state),
           *on ? "\033[0m" : "");
    text("waits because", why);
    text("held back", s->held);
    text("reading", s->reading
                        ? "the end of its pipe is still to come; should the daemon end before "
                          "that, the job fails"
                        : NULL);
    if (s->job)
        job_lines(s->job);
    if (render_is_set(s) && !forgotten(s))
        members(s);
    bytes("bytes", s->bytes_total);
    if (s->bytes_done && !ocid_state_final((int)s->state)) {
        bytes("bytes done", s->bytes_done);
        text("done", render_percent(s->bytes_done, s->bytes_total, percent));
    }
    if (s->parts_total != OCID_UNKNOWN && s->parts_total > 1)
        printf("%-19s  %" PRIu64 " of %" PRIu64 "\n", "parts", s->parts_done, s->parts_total);
    number("repeated requests", s->tries);
    moment("created", s->created_at);
    moment("next try", s->state == OCID_STATE_WAITING && s->retry_at > now_ms ? s->retry_at : 0);
    moment("ended", s->ended_at);
    if (s->outcome)
        outcome_lines(s->outcome);
}
