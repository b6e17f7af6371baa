/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor_service.c - doctor: the way to the service, and what it lets the profile do.
 *
 * All but the name's resolution is asked by the daemon, with its proxy, its certificates, its
 * clock and its key: what works here works for jobs.
 */
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/doctor.h"
#include "ctl/follow.h"

enum { ANSWER_MS = 30000, TEXT = 1200, SKEW_REFUSED_S = 300, SKEW_ODD_S = 30 };

/* What came of one job. */
struct answer {
    int code;        /* OCID_OK, or the error */
    int http_status; /* 0: the service has not said so */
    char text[TEXT];
    uint64_t took_ms;
    const struct ocid_outcome *outcome; /* until the next call on the connection; may be NULL */
};

/* ---- Jobs */

static const struct ocid_status *look(struct doctor *d, uint64_t id)
{
    struct ocid_query q = ocid_query_of();
    const struct ocid_page *page;
    q.ids = &id;
    q.n_ids = 1;
    return ocid_status(d->ctl->c, &q, CTL_REPLY_MS, &page) || !page->n_jobs ? NULL : page->jobs;
}

/* What it waits for is the answer, too. */
static void ask(struct doctor *d, const struct ocid_job *job, struct answer *ret)
{
    struct ocid *c = d->ctl->c;
    const struct ocid_status *s;
    uint64_t id, limit = args_patience_ms(d->ctl->args, ANSWER_MS);
    uint64_t from = follow_clock();
    *ret = (struct answer){0};
    ret->code = ocid_submit(c, job, 1, CTL_REPLY_MS, &id);
    if (!ret->code)
        ret->code = ocid_wait(c, &id, 1, limit < INT32_MAX ? (int)limit : INT32_MAX, NULL, NULL);
    ret->took_ms = follow_clock() - from;
    if (ret->code) {
        ocid_failure_print(ocid_failure(c), ret->text, sizeof ret->text);
        ret->http_status = ocid_failure(c)->http_status;
    }
    if (ret->code == OCID_E_TIMED_OUT || ret->code == OCID_E_DETACHED) {
        s = look(d, id);
        if (s && s->outcome && s->outcome->text) {
            snprintf(ret->text, sizeof ret->text, "%s", s->outcome->text);
            ret->code = s->outcome->error ? s->outcome->error : ret->code;
        }
        ocid_act(c, OCID_ACT_CANCEL, &id, 1, CTL_REPLY_MS, NULL);
    } else if (!ret->code && (s = look(d, id))) {
        ret->outcome = s->outcome;
    }
}

static struct ocid_job job_of(const struct doctor *d, enum ocid_kind kind, const struct uri *uri)
{
    struct ocid_job job = ctl_job(d->ctl, kind, uri);
    job.profile = d->profile;
    job.timeout_ms = 0; /* ask() has the bound */
    return job;
}

static const char *value(const struct answer *a, const char *name)
{
    for (size_t i = 0; a->outcome && i < a->outcome->n_result; i++)
        if (!strcmp(a->outcome->result[i].key, name))
            return a->outcome->result[i].value;
    return "";
}

/* ---- The way there */

/* Host of scheme://host[:port], or the whole. */
static void host_of(const char *url, char *out, size_t size)
{
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t n = *at == '[' ? strcspn(at, "]") : strcspn(at, ":/");
    snprintf(out, size, "%.*s", (int)n, at + (*at == '['));
    if (*at == '[' && n)
        out[n - 1] = 0;
}

/* The host that has to be found from here: the proxy's, if there is one. */
static int check_name(struct doctor *d)
{
    const char *proxy = doctor_setting(d, "network.proxy");
    const char *endpoint = doctor_setting(d, "network.endpoint");
    char host[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    host_of(*proxy ? proxy : *endpoint ? endpoint : doctor_fact(d, "host"), host, sizeof host);
    if (!d->settings.text) /* the daemon may go elsewhere */
        return 0;
    if (*proxy)
        doctor_tell(d, DOCTOR_OK, "proxy", "'%s'", proxy);
    if (!*host)
        return 0;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (!rc) {
        freeaddrinfo(found);
        doctor_tell(d, DOCTOR_OK, "name", "'%s' is known", host);
        return 0;
    }
    doctor_mend(d, "getent hosts %s (%s, then DNS)", host,
                *proxy      ? "proxy in ocid.conf"
                : *endpoint ? "endpoint in ocid.conf"
                            : "region in the profile");
    doctor_tell(d, DOCTOR_FAIL, "name", "the host '%s' cannot be found: %s", host,
                gai_strerror(rc));
    return -1;
}

/* ---- The service */

static void refuse(struct doctor *d, const char *name, const struct answer *a)
{
    const char *endpoint = doctor_setting(d, "network.endpoint");
    if (ctl_interrupted)
        return;
    switch (a->code) {
    case OCID_E_LOCKED:
        doctor_mend(d, "ocictl unlock --profile %s", d->profile);
        doctor_tell(d, DOCTOR_FAIL, "key", "it is locked in the daemon, too");
        return;
    case OCID_E_NETWORK:
    case OCID_E_UNAVAILABLE:
    case OCID_E_TIMED_OUT:
        doctor_mend(d, "curl -v %s%s/", *endpoint ? "" : "https://",
                    *endpoint ? endpoint : doctor_fact(d, "host"));
        break;
    case OCID_E_DENIED:
    case OCID_E_NOT_FOUND:
        doctor_mend(d, "ocictl setup --print-policy %s",
                    d->ctl->args->bucket ? d->ctl->args->bucket : "oci://BUCKET");
        break;
    default: /* the files are well: the daemon has older ones, or its settings are wrong */
        if (strstr(a->text, "ocid.conf"))
            doctor_mend(d, "${EDITOR:-vi} '%s' && ocictl reload",
                        d->config ? d->config : "ocid.conf");
        else
            doctor_mend(d, "ocictl reload");
    }
    doctor_tell(d, DOCTOR_FAIL, name, "%s", a->text);
}

/* A signed call: of what is signed the service says no more than 401. */
static void refuse_call(struct doctor *d, const struct answer *a)
{
    if (a->http_status != 401) {
        refuse(d, "service", a);
        return;
    }
    doctor_mend(d, "ocictl setup --overwrite --wait --profile %s --key-file %s", d->profile,
                doctor_fact(d, "key_file"));
    doctor_tell(d, DOCTOR_FAIL, "service",
                "the service knows no such key: the public half was not uploaded, or user, tenancy "
                "and fingerprint do not belong together ('%s'): %s",
                doctor_fact(d, "key_id"), a->text);
}

static void judge_clock(struct doctor *d, const char *text)
{
    long s = strtol(text, NULL, 10), off = labs(s);
    if (!*text)
        return;
    doctor_mend(d, "timedatectl set-ntp true");
    if (off < SKEW_ODD_S)
        doctor_tell(d, DOCTOR_OK, "clock", "within %ld s of the service's", off);
    else
        doctor_tell(
            d, off < SKEW_REFUSED_S ? DOCTOR_WARN : DOCTOR_FAIL, "clock",
            "this machine's is %ld s %s the service's%s", off, s > 0 ? "behind" : "ahead of",
            off < SKEW_REFUSED_S ? "" : ": ocid allows for it, Oracle's own tools are refused");
}

static int check_call(struct doctor *d)
{
    struct ocid_job job = job_of(d, OCID_KIND_NAMESPACE, NULL);
    struct answer a;
    char clock[24];
    ask(d, &job, &a);
    if (a.code) {
        refuse_call(d, &a);
        return -1;
    }
    snprintf(clock, sizeof clock, "%s", value(&a, "clock_ahead_s"));
    if (d->locked)
        doctor_tell(d, DOCTOR_OK, "key", "open in the daemon");
    doctor_tell(d, DOCTOR_OK, "service",
                "%s answers a signed call in %" PRIu64 " ms, namespace '%s'", value(&a, "endpoint"),
                a.took_ms, value(&a, "namespace"));
    judge_clock(d, clock);
    return 0;
}

static void check_user(struct doctor *d)
{
    struct ocid_job job = job_of(d, OCID_KIND_WHOAMI, NULL);
    struct answer a;
    if (!*doctor_fact(d, "key_id")) /* not a user's key */
        return;
    ask(d, &job, &a);
    if (a.code)
        refuse(d, "user", &a);
    else
        doctor_tell(d, DOCTOR_OK, "user", "'%s', %s", value(&a, "name"), value(&a, "id"));
}

void doctor_service(struct doctor *d)
{
    if (!check_name(d) && !check_call(d))
        check_user(d);
}

/* ---- A bucket */

static int on_row(void *user, const struct ocid_row *row)
{
    (void)user;
    (void)row;
    return 0;
}

static void check_list(struct doctor *d, const struct uri *uri)
{
    struct ocid_job job = job_of(d, OCID_KIND_LIST, uri);
    struct answer a = {0};
    job.limit = 1;
    a.code = ocid_list(d->ctl->c, &job, ANSWER_MS, on_row, NULL, NULL);
    if (a.code) {
        ocid_failure_print(ocid_failure(d->ctl->c), a.text, sizeof a.text);
        refuse(d, "list", &a);
    } else {
        doctor_tell(d, DOCTOR_OK, "list", "objects of '%s' may be listed", uri->bucket);
    }
}

static void try_object(struct doctor *d, const char *name, struct ocid_job *job, const char *done)
{
    struct answer a;
    ask(d, job, &a);
    if (a.code)
        refuse(d, name, &a);
    else
        doctor_tell(d, DOCTOR_OK, name, "%s '%s'", done, job->object);
}

/* An object of a name that nobody else has. */
static void check_object(struct doctor *d, struct uri *uri)
{
    static const char bytes[] = "written by ocictl doctor\n";
    char *object =
        ctl_printf("%s.ocid-doctor-%d-%lld", uri->object, (int)getpid(), (long long)time(NULL));
    struct ocid_failure why;
    unsigned before = d->n_failed;
    int fd;
    uri->object = object;
    struct ocid_job put = job_of(d, OCID_KIND_PUT, uri), head = job_of(d, OCID_KIND_HEAD, uri),
                    rm = job_of(d, OCID_KIND_DELETE, uri);
    if (ocid_bytes(bytes, sizeof bytes - 1, &fd, &why)) {
        doctor_tell(d, DOCTOR_FAIL, "write", "%s", why.text);
    } else {
        put.fd = fd;
        put.spool = true;
        put.if_absent = true;
        try_object(d, "write", &put, "has written");
        close(fd);
    }
    if (d->n_failed == before) {
        try_object(d, "read", &head, "has found");
        try_object(d, "delete", &rm, "has deleted");
    }
    free(object);
}

int doctor_bucket(struct doctor *d, const char *text)
{
    struct uri uri;
    int status = ctl_uri(d->ctl, text, &uri);
    if (status)
        return status;
    check_list(d, &uri);
    check_object(d, &uri);
    return 0;
}
