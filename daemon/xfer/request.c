/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - the life of one request: prepared, signed, sent, judged.
 *
 * Transfer thread. One try: who wants another posts it again, and it is dated and signed anew.
 * Every way out leads through job_settle(). job_enter() is the only writer of the state; a job is
 * in exactly one of the engine's three lists.
 * Source: libcurl 7.76 and newer, easy options; Object Storage API, headers.
 */
#include <assert.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <utlist.h>

#include "core/fault.h"
#include "core/loop.h"
#include "oci/canonical.h"
#include "oci/checksum.h"
#include "xfer/room.h"

enum { STUCK_S = 10 }; /* that a file may keep a connection waiting */
enum { SPARE_JOBS = 128, KEEP_BYTES = 16 * 1024, URL_MAX = 64 * 1024 };
enum { TOO_LARGE = 100 }; /* CURLE_TOO_LARGE of libcurl 8.6 and newer */

/* ---- states ---- */

static struct xfer_job **list_of(struct engine *e, enum move_state s)
{
    return s == MOVE_QUEUED ? &e->queued : s == MOVE_READY ? &e->ready : &e->active;
}

static const unsigned may[N_MOVES] = {
    [MOVE_QUEUED] = OC_BIT(MOVE_READING) | OC_BIT(MOVE_SETTLING),
    [MOVE_READING] = OC_BIT(MOVE_SIGNING) | OC_BIT(MOVE_SETTLING),
    [MOVE_SIGNING] = OC_BIT(MOVE_SIGNING) | OC_BIT(MOVE_READY) | OC_BIT(MOVE_SETTLING),
    [MOVE_READY] = OC_BIT(MOVE_RUNNING) | OC_BIT(MOVE_SIGNING) | OC_BIT(MOVE_SETTLING),
    [MOVE_RUNNING] = OC_BIT(MOVE_SETTLING),
    [MOVE_SETTLING] = OC_BIT(MOVE_SETTLING) | OC_BIT(MOVE_ENDED),
};

/* Behind the last one that is as urgent: nearly always at the end. */
static void list_add(struct xfer_job **list, struct xfer_job *j)
{
    struct xfer_job *at = *list ? (*list)->prev : NULL;
    while (at && at->r->priority < j->r->priority)
        at = at == *list ? NULL : at->prev;
    if (at)
        DL_APPEND_ELEM(*list, at, j);
    else
        DL_PREPEND(*list, j);
}

static void job_enter(struct xfer_job *j, enum move_state next)
{
    struct engine *e = j->e;
    assert(may[j->state] & OC_BIT(next));
    struct xfer_job **from = list_of(e, j->state), **to = list_of(e, next);
    if (from != to) {
        DL_DELETE(*from, j);
        list_add(to, j);
    }
    e->n_in[j->state]--;
    e->n_in[next]++;
    int runs = (next == MOVE_RUNNING) - (j->state == MOVE_RUNNING);
    if (j->r->apart)
        e->n_apart += (unsigned)runs;
    else
        j->to->n_running += (unsigned)runs;
    j->state = next;
}

const char *job_what(const struct xfer_job *j)
{
    return j->r->what ? j->r->what : "the request";
}

void job_fail(struct xfer_job *j, int code, int sys, const char *fmt, ...)
{
    char text[sizeof j->r->err.text];
    va_list ap;
    if (j->r->err.code)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    oc_fail(&j->r->err, code, sys, "%s", text);
}

/* ---- beginning and end ---- */

void xfer_job_new(struct engine *e, struct xfer_request *r)
{
    struct xfer_job *j = e->spare_jobs;
    if (j) {
        e->spare_jobs = j->next;
        e->n_spare_jobs--;
    } else {
        j = OC_NEW(struct xfer_job);
        oc_buf_init(&j->string, OCI_STRING_MAX);
        oc_buf_init(&j->authorization, OCI_AUTHORIZATION_MAX);
        oc_buf_init(&j->url, URL_MAX);
    }
    j->e = e;
    j->r = r;
    j->to = engine_host(e, r->call.host);
    if (r->host_limit)
        j->to->limit = r->host_limit;
    j->pipe_fd = -1;
    j->state = MOVE_QUEUED;
    r->slot = j;
    pace_resolve(j);
    if (r->urgent)
        wipe_from_here();
    e->n_in[MOVE_QUEUED]++;
    list_add(&e->queued, j);
    atomic_fetch_add_explicit(&e->n_requests, 1, memory_order_relaxed);
}

void xfer_job_free(struct xfer_job *j)
{
    oc_buf_fini(&j->string);
    oc_buf_fini(&j->authorization);
    oc_buf_fini(&j->url);
    EVP_MD_CTX_free(j->md5);
    free(j->lines);
    free(j->small);
    free(j->rest);
    free(j);
}

/* Kept for the next request, with those of its buffers that are small; tokens are wiped. */
static void job_spare(struct xfer_job *j)
{
    struct engine *e = j->e;
    if (e->closing || e->n_spare_jobs == SPARE_JOBS) {
        xfer_job_free(j);
        return;
    }
    if (j->authorization.len)
        explicit_bzero(j->authorization.data, j->authorization.len); /* may hold a token */
    if (j->small_room > KEEP_BYTES) {
        free(j->small);
        j->small = NULL;
        j->small_room = 0;
    }
    free(j->rest);
    struct xfer_job kept = {
        .string = j->string,
        .authorization = j->authorization,
        .url = j->url,
        .lines = j->lines,
        .n_lines_max = j->n_lines_max,
        .md5 = j->md5,
        .small = j->small,
        .small_room = j->small_room,
    };
    *j = kept;
    j->next = e->spare_jobs;
    e->spare_jobs = j;
    e->n_spare_jobs++;
}

static void job_end(struct xfer_job *j)
{
    struct engine *e = j->e;
    struct xfer_request *r = j->r;
    body_drop(j);
    job_enter(j, MOVE_ENDED);
    DL_DELETE(e->active, j);
    e->n_in[MOVE_ENDED]--;
    r->slot = NULL;
    job_spare(j);
    mail_list_add(&e->done, &r->mail);
}

void job_settle(struct xfer_job *j)
{
    job_enter(j, MOVE_SETTLING);
    if (!sink_flush(j))
        return;
    if (!j->r->err.code && j->r->from == BODY_NONE)
        body_sum_end(j);
    job_end(j);
}

/* A connection in the middle of a transfer is of no use to anybody: libcurl closes it. */
static void lane_take_back(struct xfer_job *j)
{
    struct lane *l = j->lane;
    if (!l)
        return;
    pace_end(j);
    curl_multi_remove_handle(j->e->multi, l->easy);
    l->job = NULL;
    l->next = j->e->idle_lanes;
    j->e->idle_lanes = l;
    j->lane = NULL;
}

static void break_off(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    vault_link_cancel(&j->ask);
    if (j->lane) {
        long sent = 0;
        curl_easy_getinfo(j->lane->easy, CURLINFO_REQUEST_SIZE, &sent);
        r->sent_any = sent > 0;
    }
    if (j->lane)
        sockets_forget(j->lane);
    lane_take_back(j);
    body_drop(j);
    job_enter(j, MOVE_SETTLING);
    job_end(j);
}

void job_cancel(struct xfer_job *j)
{
    oc_fail(&j->r->err, OCID_E_CANCELLED, 0, "%s was cancelled", job_what(j));
    break_off(j);
}

int job_is_stuck(struct xfer_job *j, uint64_t now_ms)
{
    unsigned most_s = j->e->settings->stall_seconds;
    if (!j->busy || work_pace_of(xfer_file_mount(j->busy->file)) == WORK_MOVES) {
        j->stuck_ms = 0;
        return 0;
    }
    if (!j->stuck_ms)
        j->stuck_ms = now_ms;
    return now_ms - j->stuck_ms >= 1000ull * (most_s < STUCK_S ? most_s : STUCK_S);
}

void job_give_up_file(struct xfer_job *j)
{
    int reads = j->r->from == BODY_FILE;
    oc_fail(&j->r->err, reads ? OCID_E_FILE : OCID_E_DESTINATION, 0,
            "%s: the file system of its %s does not answer", job_what(j),
            reads ? "source" : "destination");
    break_off(j);
}

/* ---- signing ---- */

void job_prepare(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    job_enter(j, MOVE_READING);
    if (r->from == BODY_FILE && r->length <= SMALL_BODY) {
        body_read_small(j);
    } else if (r->from == BODY_FILE && r->sum_first) {
        body_sum_first(j);
    } else {
        body_sum_start(j);
        if (r->from == BODY_REQUEST) {
            body_sum(j, r->call.body, r->call.body_bytes);
            body_sum_end(j);
        }
        job_sign(j);
    }
}

/* The text is made once a second and host. */
static void set_date(struct xfer_job *j)
{
    struct host *h = j->to;
    int64_t now = engine_now_s() + h->offset_s;
    if (h->date_at != now) {
        oci_date_format((time_t)now, h->date);
        h->date_at = now;
    }
    snprintf(j->date, sizeof j->date, "date: %s", h->date);
    j->signed_ms = engine_now_ms(j->e);
}

static const char *date_value(const struct xfer_job *j)
{
    return j->date + strlen("date: ");
}

static int write_authorization(struct xfer_job *j, const char *key_id, const char *signature)
{
    struct oci_to_sign what = oci_request_to_sign(&j->r->call, date_value(j), j->r->obo_token);
    static const char name[] = "authorization: ";
    oc_buf_clear(&j->authorization);
    oc_buf_add(&j->authorization, name, sizeof name - 1);
    const char *names = what.names ? what.names : oci_names(&what);
    int code = oci_authorization(names, key_id, signature, &j->authorization, &j->r->err);
    return code ? code : oc_buf_add(&j->authorization, "", 1);
}

/* A signature is good for as long as its token, whose last second is not used up. */
static uint64_t good_for(const struct vault_ask *ask)
{
    uint64_t ms = ask->good_s > 0 ? 1000 * (uint64_t)(ask->good_s - 1) : SIGNED_FOR_MS;
    return ms > SIGNED_FOR_MS ? SIGNED_FOR_MS : ms < SIGNED_LEAST_MS ? SIGNED_LEAST_MS : ms;
}

static void on_signed(struct vault_ask *ask)
{
    struct xfer_job *j = OC_OWNER(ask, struct xfer_job, ask);
    struct engine *e = j->e;
    struct xfer_request *r = j->r;
    if (ask->code == OCID_E_UNAVAILABLE && j->n_signed++ == 0) {
        job_sign(j); /* the date has become stale on the way */
        return;
    }
    j->good_ms = good_for(ask);
    if (!ask->code && !strncmp(ask->key_id, "ST$", 3))
        wipe_from_here();
    if (ask->code)
        r->err = *ask->err;
    else if (write_authorization(j, ask->key_id, ask->signature))
        job_fail(j, OCID_E_TOO_LARGE, 0, "the authorization of %s is too long", job_what(j));
    if (r->err.code)
        job_settle(j);
    else
        job_enter(j, MOVE_READY);
    engine_pump(e);
}

void job_sign(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    job_enter(j, MOVE_SIGNING);
    set_date(j);
    if (!r->profile) {
        job_enter(j, MOVE_READY);
        return;
    }
    struct oci_to_sign what = oci_request_to_sign(&r->call, date_value(j), r->obo_token);
    oc_buf_clear(&j->string);
    if (oci_string_to_sign(&what, &j->string, &r->err)) {
        job_fail(j, OCID_E_TOO_LARGE, 0, "%s makes too long a string to sign", job_what(j));
        job_settle(j);
        return;
    }
    j->ask = (struct vault_ask){
        .profile = r->profile,
        .string = j->string.data,
        .len = j->string.len,
        .cb = on_signed,
    };
    vault_link_sign(j->e->link, &j->ask);
}

/* ---- headers ---- */

static void add_line(struct xfer_job *j, const char *line)
{
    j->lines[j->n_lines] = (struct curl_slist){(char *)line, NULL};
    if (j->n_lines)
        j->lines[j->n_lines - 1].next = &j->lines[j->n_lines];
    j->n_lines++;
}

/* 32 upper-case hex digits, as the service wants them. */
static void set_request_id(struct xfer_job *j)
{
    snprintf(j->request_id, sizeof j->request_id, "opc-client-request-id: %016lX%016lX",
             (unsigned long)clock_random(), (unsigned long)clock_random());
}

static void add_sum(struct xfer_job *j)
{
    char text[OCI_CRC_TEXT_SIZE];
    oci_crc_text(j->crc_first, text);
    snprintf(j->sum, sizeof j->sum, "opc-content-crc32c: %s", text);
    add_line(j, j->sum);
    if (!oci_request_header(&j->r->call, "opc-checksum-algorithm"))
        add_line(j, "opc-checksum-algorithm: CRC32C");
}

/* The list that libcurl reads: all texts are borrowed, none is copied. content-length is left to
 * libcurl, which knows it as well. */
static void build_lines(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    int has_type = 0;
    size_t most = r->call.n_headers + 10;
    if (j->n_lines_max < most) {
        j->lines = oc_grow(j->lines, most, sizeof *j->lines);
        j->n_lines_max = most;
    }
    j->n_lines = 0;
    snprintf(j->host, sizeof j->host, "host: %s", r->call.host);
    set_request_id(j);
    add_line(j, j->host);
    add_line(j, j->date);
    for (size_t i = 0; i < r->call.n_headers; i++) {
        const struct oci_header *h = &r->call.headers[i];
        has_type |= !strcasecmp(h->name, "content-type");
        if (strcasecmp(h->name, "content-length"))
            add_line(j, h->line);
    }
    if (!has_type)
        add_line(j, "Content-Type:"); /* libcurl's own guess: away with it */
    if (r->sum_first)
        add_sum(j);
    add_line(j, j->request_id);
    if (r->profile)
        add_line(j, j->authorization.data);
    add_line(j, r->call.expect_continue && r->from == BODY_FILE && r->length > SMALL_BODY
                    ? "Expect: 100-continue"
                    : "Expect:");
}

/* ---- answers ---- */

static void refuse(struct xfer_job *j, const char *why)
{
    job_fail(j, OCID_E_SERVER, 0, "%s: %s answered %s", job_what(j), j->r->call.host, why);
}

/* 1 if the answer's range begins where the request's does and is no longer. */
static int range_fits(const struct xfer_request *r)
{
    const char *asked = oci_request_header(&r->call, "range");
    unsigned long long first, last;
    if (!r->reply.has_range || r->reply.range_none)
        return 0;
    int n = asked ? sscanf(asked, "bytes=%llu-%llu", &first, &last) : 0;
    return n < 1 || (r->reply.range_first == first && (n < 2 || r->reply.range_last <= last));
}

/* The headers of the final answer are complete: 0 refuses its body before the first byte. */
static int headers_end(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    if (r->reply.status < 200)
        return 1;
    j->headers_done = 1;
    if (r->reply.date)
        r->server_date_offset_s = (int64_t)r->reply.date - engine_now_s();
    j->to_error = !oci_status_ok(r->reply.status);
    if (j->to_error)
        return 1;
    if (r->ranged && r->reply.status != 206)
        refuse(j, "a request for a range with something else");
    else if (r->ranged && !range_fits(r))
        refuse(j, "with another range than was asked for");
    else if (r->to == SINK_FILE && r->reply.content_length > 0 &&
             (uint64_t)r->reply.content_length > r->length)
        refuse(j, "with more bytes than were asked for");
    if (r->sums & XFER_MD5_LATE && r->reply.content_md5 && !r->reply.has_crc32c) {
        r->sums |= XFER_MD5;
        body_sum_start(j);
    }
    return !r->err.code;
}

static size_t on_header_cb(char *line, size_t size, size_t n, void *arg)
{
    struct xfer_job *j = ((struct lane *)arg)->job;
    struct oc_err err;
    n *= size;
    j->heard_ms = engine_now_ms(j->e);
    if (j->headers_done)
        return n; /* a trailer */
    if (n <= 2 && (line[0] == '\r' || line[0] == '\n'))
        return headers_end(j) ? n : 0;
    if (oci_reply_line(&j->r->reply, line, n, &err)) {
        if (!j->r->err.code)
            j->r->err = err;
        oc_wrap(&j->r->err, "%s", j->r->call.host);
        return 0;
    }
    return n;
}

/* The connection is there, the request is about to go out: for the first time, or once more. */
static int on_prereq_cb(void *arg, char *primary_ip, char *local_ip, int primary_port,
                        int local_port)
{
    (void)primary_ip;
    (void)local_ip;
    (void)primary_port;
    (void)local_port;
    ((struct lane *)arg)->job->r->n_sent++;
    return CURL_PREREQFUNC_OK;
}

static const struct {
    CURLcode rc;
    enum oci_net net;
} nets[] = {
    {CURLE_COULDNT_RESOLVE_HOST, OCI_NET_RESOLVE},
    {CURLE_COULDNT_RESOLVE_PROXY, OCI_NET_PROXY},
    {CURLE_PROXY, OCI_NET_PROXY},
    {CURLE_COULDNT_CONNECT, OCI_NET_CONNECT},
    {CURLE_SSL_CONNECT_ERROR, OCI_NET_TLS},
    {CURLE_SSL_CIPHER, OCI_NET_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, OCI_NET_CERT},
    {CURLE_SSL_ISSUER_ERROR, OCI_NET_CERT},
    {CURLE_SSL_CACERT_BADFILE, OCI_NET_CAFILE},
    {CURLE_SEND_ERROR, OCI_NET_RESET},
    {CURLE_RECV_ERROR, OCI_NET_RESET},
    {CURLE_GOT_NOTHING, OCI_NET_RESET},
    {CURLE_PARTIAL_FILE, OCI_NET_RESET},
    {CURLE_SEND_FAIL_REWIND, OCI_NET_RESET},
};

static enum oci_net net_of(CURL *easy, CURLcode rc)
{
    curl_off_t connected_us = 0;
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        return connected_us ? OCI_NET_STALLED : OCI_NET_CONNECT;
    }
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (nets[i].rc == rc)
            return nets[i].net;
    return OCI_NET_PROTOCOL;
}

/* "Connection refused" says more than that it could not connect. */
static const char *detail_of(const struct lane *l, CURLcode rc)
{
    long sys = 0;
    if (rc == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(l->easy, CURLINFO_OS_ERRNO, &sys);
    if (sys && strerrordesc_np((int)sys))
        return strerrordesc_np((int)sys);
    return *l->error ? l->error : curl_easy_strerror(rc);
}

static void judge(struct xfer_job *j, enum oci_net net, const char *detail)
{
    struct xfer_request *r = j->r;
    struct oci_service_error said = {.code = ""};
    if (net == OCI_NET_OK)
        oci_parse_error(r->reply_body, r->reply_len, &said);
    struct oci_failure f = {
        .what = job_what(j),
        .host = r->call.host,
        .method = r->call.method,
        .detail = detail,
        .net = net,
        .is_object = r->call.is_object,
        .if_absent = r->if_absent,
        .clock_off_s = r->reply.date ? r->server_date_offset_s - j->to->offset_s : 0,
        .reply = &r->reply,
        .error = net == OCI_NET_OK ? &said : NULL,
    };
    oci_judge(&f, &r->kind, &r->err);
}

/* What came is one of success: did all of it come, and all of ours go? */
static void check_moved(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    const struct oci_reply *p = &r->reply;
    if (r->from == BODY_FILE && r->length > SMALL_BODY) {
        body_sum_end(j);
        if (j->at < r->length)
            judge(j, OCI_NET_RESET, "it answered before it had the whole body");
        else if (r->sum_first && r->crc32c != j->crc_first)
            job_fail(j, OCID_E_SOURCE_CHANGED, 0, "the source of %s changed while it was read",
                     job_what(j));
    }
    if (r->from != BODY_NONE || !strcmp(r->call.method, "HEAD") || r->to == SINK_MEMORY)
        return;
    if ((p->has_range && !p->range_none && j->at != p->range_last - p->range_first + 1) ||
        (p->content_length >= 0 && j->at != (uint64_t)p->content_length))
        judge(j, OCI_NET_RESET, "the body is not as long as its headers say");
}

/* A body that libcurl has whole is counted here; a streamed one as it goes. */
static void count_body_here(struct xfer_job *j)
{
    const struct xfer_request *r = j->r;
    curl_off_t up = 0;
    if (r->from == BODY_NONE || (r->from == BODY_FILE && r->length > SMALL_BODY))
        return;
    curl_easy_getinfo(j->lane->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    atomic_fetch_add_explicit(&j->e->bytes_up, (uint64_t)up, memory_order_relaxed);
}

/* How long the service thought, without connecting; of a large body it would be its sending. */
static void measure(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    curl_off_t began = 0, heard = 0;
    r->others_wait = j->e->ready != NULL;
    curl_easy_getinfo(j->lane->easy, CURLINFO_PRETRANSFER_TIME_T, &began);
    curl_easy_getinfo(j->lane->easy, CURLINFO_STARTTRANSFER_TIME_T, &heard);
    if (j->headers_done && heard > began && heard - began < UINT32_MAX)
        r->took_us = (uint32_t)(heard - began);
}

void job_finish(struct xfer_job *j, CURLcode rc)
{
    struct xfer_request *r = j->r;
    struct lane *l = j->lane;
    long sent = 0;
    measure(j);
    curl_easy_getinfo(l->easy, CURLINFO_REQUEST_SIZE, &sent);
    r->sent_any = sent > 0;
    count_body_here(j);
    /* An error that was read in full counts more than the connection's end behind it. */
    if (j->enough || (rc == CURLE_SEND_ERROR && j->to_error))
        rc = CURLE_OK;
    if (rc == CURLE_OUT_OF_MEMORY || (int)rc == TOO_LARGE) /* libcurl's ceiling, not memory's end */
        refuse(j, "with a header line that is too long");
    enum oci_net net = rc ? net_of(l->easy, rc) : OCI_NET_OK;
    if (!r->err.code && (rc || j->to_error))
        judge(j, net, rc ? detail_of(l, rc) : NULL);
    else if (!r->err.code)
        check_moved(j);
    else if (r->reply.opc_request_id)
        snprintf(r->err.request_id, sizeof r->err.request_id, "%s", r->reply.opc_request_id);
    if (!rc)
        sockets_keep(l);
    lane_take_back(j);
    job_settle(j);
}

/* ---- lanes ---- */

/* An instance asks for its own metadata: no proxy could. */
#define METADATA_HOSTS "169.254.169.254,fd00:c1::a9fe:a9fe"

static void lane_proxy(struct lane *l, const struct settings *s)
{
    char direct[512];
    curl_easy_setopt(l->easy, CURLOPT_PROXY, s->proxy ? s->proxy : "");
    snprintf(direct, sizeof direct, "%s%s" METADATA_HOSTS, s->no_proxy ? s->no_proxy : "",
             s->no_proxy ? "," : "");
    curl_easy_setopt(l->easy, CURLOPT_NOPROXY, direct);
    curl_easy_setopt(l->easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(l->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (s->ca_file)
        curl_easy_setopt(l->easy, CURLOPT_PROXY_CAINFO, s->ca_file);
}

/* A directory of certificates keeps libcurl from caching the store: with a file it is not used. */
static void lane_tls(struct lane *l, const struct settings *s)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    curl_easy_setopt(l->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (s->ca_file)
        curl_easy_setopt(l->easy, CURLOPT_CAINFO, s->ca_file);
    if (s->ca_file || v->cainfo)
        curl_easy_setopt(l->easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(l->easy, CURLOPT_SHARE, l->e->share);
}

static void lane_callbacks(struct lane *l)
{
    CURL *easy = l->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, l);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, l->error);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header_cb);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, l);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write_cb);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, l);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read_cb);
    curl_easy_setopt(easy, CURLOPT_READDATA, l);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek_cb);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, l);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prereq_cb);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, l);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket_cb);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, l);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket_cb);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, l->e); /* outlives the lane's use of it */
}

/* Options that stay: the handle is never reset. */
static void lane_setup(struct lane *l)
{
    const struct settings *s = l->e->settings;
    CURL *easy = l->easy;
    curl_easy_reset(easy);
    l->generation = l->e->generation;
    l->buffer = l->upload_buffer = 0;
    lane_callbacks(l);
    lane_proxy(l, s);
    lane_tls(l, s);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a cancel does not wait for the resolver */
#endif
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)s->connect_seconds);
    curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 200L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, s->user_agent ? s->user_agent : "ocid");
}

static struct lane *lane_take(struct xfer_job *j)
{
    struct engine *e = j->e;
    struct lane *l = e->idle_lanes;
    if (l) {
        e->idle_lanes = l->next;
    } else {
        l = OC_NEW(struct lane);
        l->e = e;
        l->easy = curl_easy_init();
        if (!l->easy)
            abort(); /* out of memory */
    }
    if (l->generation != e->generation)
        lane_setup(l);
    l->job = j;
    l->fd = -1;
    l->error[0] = 0;
    return l;
}

void lane_free(struct lane *l)
{
    curl_easy_cleanup(l->easy);
    free(l);
}

/* ---- sending ---- */

/* A small body leaves with its headers in one write. */
static void use_body_here(struct xfer_job *j, const char *bytes, size_t n)
{
    CURL *easy = j->lane->easy;
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, n ? bytes : "");
    pace_take(j, n);
}

static void use_method(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    CURL *easy = j->lane->easy;
    const char *method = r->call.method;
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L); /* forgets what was before */
    if (r->from == BODY_FILE && r->length > SMALL_BODY) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->length);
    } else if (r->from == BODY_FILE) {
        use_body_here(j, j->small, j->small_len);
    } else if (r->from == BODY_REQUEST) {
        use_body_here(j, r->call.body, (size_t)r->call.body_bytes);
    } else if (!strcmp(method, "HEAD")) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        method = NULL;
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
}

static void use_buffers(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    struct lane *l = j->lane;
    int is_big = r->to != SINK_MEMORY && (r->length >= BIG_BODY || !r->length);
    long buffer =
        r->from == BODY_NONE && is_big && !pace_is_slow(j) ? 256 * 1024 : CURL_MAX_WRITE_SIZE;
    long upload = r->from == BODY_FILE && r->length >= BIG_BODY ? 512 * 1024 : 16 * 1024;
    if (l->buffer != buffer)
        curl_easy_setopt(l->easy, CURLOPT_BUFFERSIZE, l->buffer = buffer);
    if (l->upload_buffer != upload)
        curl_easy_setopt(l->easy, CURLOPT_UPLOAD_BUFFERSIZE, l->upload_buffer = upload);
}

void job_launch(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    struct engine *e = j->e;
    if (r->profile && engine_now_ms(e) - j->signed_ms > j->good_ms) {
        job_sign(j);
        return;
    }
    j->lane = lane_take(j);
    oc_buf_clear(&j->url);
    oc_buf_add(&j->url, r->base, strlen(r->base));
    oc_buf_add(&j->url, r->call.target, strlen(r->call.target) + 1);
    build_lines(j);
    curl_easy_setopt(j->lane->easy, CURLOPT_URL, j->url.data);
    curl_easy_setopt(j->lane->easy, CURLOPT_HTTPHEADER, j->lines);
    use_method(j);
    use_buffers(j);
    if (r->from == BODY_FILE && r->length > SMALL_BODY)
        body_sum_start(j);
    j->at = 0;
    j->looked = 0;
    j->differs = NULL;
    j->heard_ms = engine_now_ms(e);
    job_enter(j, MOVE_RUNNING);
    CURLMcode rc = curl_multi_add_handle(e->multi, j->lane->easy);
    assert(rc == CURLM_OK);
    (void)rc;
}

/* No byte for so long, in either direction, not even out of the socket's queue; while we are
 * paused it is not the network's fault, and connecting has a limit of its own. */
int job_stalled(struct xfer_job *j, uint64_t now_ms)
{
    curl_off_t connected_us = 0;
    int unsent = 0;
    if (j->paused || now_ms - j->heard_ms < 1000)
        return 0;
    curl_easy_getinfo(j->lane->easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
    if (j->lane->fd >= 0)
        ioctl(j->lane->fd, SIOCOUTQ, &unsent);
    if (!connected_us || unsent != j->unsent)
        j->heard_ms = now_ms;
    j->unsent = unsent;
    return now_ms - j->heard_ms >= j->e->settings->stall_seconds * 1000ull;
}
