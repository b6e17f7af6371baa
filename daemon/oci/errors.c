/* SPDX-License-Identifier: Apache-2.0
 *
 * errors.c - the table of what the service and the network can say, and our word for it.
 *
 * Pure; any thread. Asked by xfer/request.c for every request that failed; start at oci_judge().
 * Source: Oracle's API error page, recorded answers of the service, its SDKs' retry rules.
 */
#include "errors.h"

#include <stdio.h>
#include <string.h>

#include "proto/text.h"

#include "canonical.h"

enum { TELL = 1 }; /* the service's own message says more than our sentence */

static const struct row {
    int status;       /* 0: any */
    const char *name; /* service code; NULL: any; a "*" at its end: all that begin so */
    int code;
    enum oci_kind kind;
    int tell;
    const char *text;
} rows[] = {
    {304, NULL, OCID_E_CONDITION, OCI_KIND_NOT_MODIFIED, 0, "not modified: it still has that etag"},
    {400, "Unmatched*", OCID_E_CHECKSUM, OCI_KIND_SUM, TELL,
     "the bytes arrived changed, so the service refused them; try again, and check the network "
     "and the source"},
    {400, "MissingOrInvalidChecksum", OCID_E_UNSUPPORTED, OCI_KIND_SUM_UNKNOWN, TELL,
     "the service does not take this checksum; set checksum = md5"},
    {400, "InvalidContentMD5", OCID_E_UNSUPPORTED, OCI_KIND_SUM_UNKNOWN, TELL,
     "the service does not take this checksum"},
    {400, "InvalidUploadPart*", OCID_E_SERVER, OCI_KIND_BAD_PART, TELL,
     "the service misses a part of the upload or has another in its place; put it again"},
    {400, "LimitExceeded", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "a limit of the service is reached; ask for a higher one or delete something"},
    {400, "QuotaExceeded", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "the compartment's quota is used up; ask for more or delete something"},
    {400, "StorageLimitExceeded", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "the tenancy's storage limit is reached; ask for more or delete something"},
    {400, "StorageQuotaExceeded", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "the compartment's storage quota is used up; ask for more or delete something"},
    {400, "TooManyBuckets", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "there are too many buckets; delete one or ask for a higher limit"},
    {400, "InsufficientServicePermissions", OCID_E_DENIED, OCI_KIND_OTHER, TELL,
     "the service itself lacks a policy for this; add one"},
    {400, "RelatedResourceNotAuthorizedOrNotFound", OCID_E_NOT_FOUND, OCI_KIND_OTHER, TELL,
     "something that the request names is not there, or you may not see it; check the OCIDs"},
    {400, "InvalidObjectName", OCID_E_NAME, OCI_KIND_OTHER, TELL,
     "the service does not take this object name; give another"},
    {400, "InvalidBucketName", OCID_E_NAME, OCI_KIND_OTHER, TELL,
     "the service does not take this bucket name; give another"},
    {400, "InvalidNamespaceName", OCID_E_NAME, OCI_KIND_OTHER, TELL,
     "the service does not take this namespace name; check the profile"},
    {400, "MetadataTooLarge", OCID_E_TOO_LARGE, OCI_KIND_OTHER, TELL,
     "the metadata is too large; shorten it"},
    {400, NULL, OCID_E_INVALID, OCI_KIND_OTHER, TELL, "the service does not take the request"},
    {401, NULL, OCID_E_LOGIN, OCI_KIND_CREDENTIALS, TELL,
     "the credentials were refused; run 'ocictl doctor' to see which part is wrong"},
    {402, NULL, OCID_E_DENIED, OCI_KIND_OTHER, TELL, "the tenancy has not signed up for this"},
    {403, "BucketIsReadonly", OCID_E_DENIED, OCI_KIND_OTHER, 0,
     "the bucket is read-only, as the target of a replication is; write to its source"},
    {403, NULL, OCID_E_DENIED, OCI_KIND_OTHER, TELL, "not allowed; check the policies"},
    {404, "ObjectNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_OBJECT, 0, "no such object"},
    {404, "BucketNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_BUCKET, 0,
     "no such bucket, or you may not see it; check the name, the region and the policies"},
    {404, "NamespaceNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_NAMESPACE, 0,
     "no such namespace, or you may not see it; check 'namespace' and the region"},
    {404, "UploadNotFound", OCID_E_NOT_FOUND, OCI_KIND_NO_UPLOAD, 0,
     "no such multipart upload; it was aborted or committed by somebody"},
    {404, "PreauthenticatedRequestNotFound", OCID_E_NOT_FOUND, OCI_KIND_OTHER, 0,
     "no such link; it has been revoked, or its time is over"},
    {404, "NotAuthorizedOrNotFound", OCID_E_NOT_FOUND, OCI_KIND_OTHER, 0,
     "not there, or you may not see it; check the name and the policies"},
    {404, NULL, OCID_E_NOT_FOUND, OCI_KIND_OTHER, TELL, "not there; check the name"},
    {407, NULL, OCID_E_CONFIG, OCI_KIND_OTHER, 0,
     "the proxy wants a login; put it into 'proxy' in ocid.conf"},
    {408, NULL, OCID_E_UNAVAILABLE, OCI_KIND_OTHER, 0, "the service waited too long for the bytes"},
    {409, "IncorrectState", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, TELL,
     "it is in a state that does not allow this now"},
    {409, "LockConflict", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, TELL,
     "somebody else works on it at this moment"},
    {409, "ConcurrentObjectUpdate", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, 0,
     "somebody else writes this object at this moment"},
    {409, "ConcurrentBucketUpdate", OCID_E_UNAVAILABLE, OCI_KIND_CONCURRENT, 0,
     "somebody else changes this bucket at this moment"},
    {409, "ExternalServerIncorrectState", OCID_E_UNAVAILABLE, OCI_KIND_OTHER, TELL,
     "a service behind the service is in a state that does not allow this now"},
    {409, "BucketAlreadyExists", OCID_E_EXISTS, OCI_KIND_EXISTS, 0, "this bucket exists already"},
    {409, "NotAuthorizedOrResourceAlreadyExists", OCID_E_EXISTS, OCI_KIND_EXISTS, 0,
     "it exists already, or you may not make it"},
    {409, "NotRestored", OCID_E_STATE, OCI_KIND_NOT_RESTORED, 0,
     "the object lies in the Archive tier; restore it first, which takes about an hour"},
    {409, "RestoreInProgress", OCID_E_STATE, OCI_KIND_NOT_RESTORED, 0,
     "the object is being restored from the Archive tier; try again within the hour"},
    {409, "BucketNotEmpty", OCID_E_STATE, OCI_KIND_OTHER, 0,
     "the bucket is not empty; delete what is in it, multipart uploads too"},
    {409, "KmsKeyDisabled", OCID_E_DENIED, OCI_KIND_OTHER, 0,
     "the bucket's encryption key is disabled; enable it"},
    {409, NULL, OCID_E_STATE, OCI_KIND_OTHER, TELL, "not possible in its present state"},
    {411, NULL, OCID_E_SERVER, OCI_KIND_OTHER, TELL, "the service missed the length of the body"},
    {412, "IfNoneMatchFailed", OCID_E_EXISTS, OCI_KIND_EXISTS, 0,
     "it exists already, and was to be created only"},
    {412, NULL, OCID_E_CONDITION, OCI_KIND_IF_MATCH, 0,
     "it has another etag than the one asked for: somebody has changed it"},
    {413, NULL, OCID_E_TOO_LARGE, OCI_KIND_OTHER, TELL,
     "the body is larger than the service takes; use smaller parts"},
    {416, NULL, OCID_E_INVALID, OCI_KIND_RANGE, 0, "the range lies beyond the end of the object"},
    {422, NULL, OCID_E_INVALID, OCI_KIND_OTHER, TELL, "the service does not take the request"},
    {428, NULL, OCID_E_CONDITION, OCI_KIND_OTHER, TELL, "the service wants a condition (if_match)"},
    {429, NULL, OCID_E_THROTTLED, OCI_KIND_THROTTLED, 0, "the service asked us to slow down"},
    {501, NULL, OCID_E_SERVER, OCI_KIND_OTHER, TELL, "the service cannot do this"},
    {503, NULL, OCID_E_UNAVAILABLE, OCI_KIND_THROTTLED, TELL, "the service is not available"},
};

static const struct {
    int code;
    const char *text;
} nets[] = {
    [OCI_NET_OK] = {OCID_E_INTERNAL, "no answer, and no error either"},
    [OCI_NET_RESOLVE] = {OCID_E_NETWORK, "the host name cannot be resolved; check region, endpoint "
                                         "and DNS"},
    [OCI_NET_CONNECT] = {OCID_E_NETWORK, "no connection; check the network and the endpoint"},
    [OCI_NET_PROXY] = {OCID_E_NETWORK, "the proxy does not work; check 'proxy' in ocid.conf"},
    [OCI_NET_TLS] = {OCID_E_NETWORK, "the TLS handshake has failed"},
    [OCI_NET_CERT] = {OCID_E_CONFIG, "the server's certificate is not trusted; if a proxy of "
                                     "yours makes it, name its CA in 'ca_file' in ocid.conf"},
    [OCI_NET_CAFILE] = {OCID_E_CONFIG, "the CA file cannot be read; check 'ca_file' in ocid.conf"},
    [OCI_NET_RESET] = {OCID_E_NETWORK, "the connection broke"},
    [OCI_NET_STALLED] = {OCID_E_NETWORK, "the connection has stalled"},
    [OCI_NET_PROTOCOL] = {OCID_E_NETWORK, "the answer is not HTTP; check the endpoint"},
};

int oci_status_ok(int status)
{
    return status >= 200 && status < 300;
}

static int fits(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*')
        return !strncmp(pattern, name, n - 1);
    return !strcmp(pattern, name);
}

static struct row by_range(int status)
{
    if (status >= 500)
        return (struct row){status,         NULL, OCID_E_UNAVAILABLE,
                            OCI_KIND_OTHER, TELL, "the service has a fault"};
    if (status >= 300 && status < 400)
        return (struct row){status,
                            NULL,
                            OCID_E_SERVER,
                            OCI_KIND_OTHER,
                            0,
                            "the endpoint sends us elsewhere, which we do not follow; check it"};
    return (struct row){status,         NULL, OCID_E_SERVER,
                        OCI_KIND_OTHER, TELL, "the service gave an answer that we cannot use"};
}

/* The first row that fits: those with a name stand before the one without. */
static struct row find(int status, const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status && (!rows[i].name || fits(rows[i].name, name)))
            return rows[i];
    return by_range(status);
}

enum { SKEW_MOST_S = 300 }; /* that the service allows */

static int is_skew(const struct oci_failure *f)
{
    if (f->error && *f->error->code)
        return strstr(f->error->message, "clock skew") != NULL;
    return f->clock_off_s > SKEW_MOST_S || f->clock_off_s < -SKEW_MOST_S; /* a HEAD has no body */
}

/* What the status and code alone do not tell: conditions, HEADs, clocks. */
static struct row refine(struct row row, const struct oci_failure *f)
{
    const char *name = f->error ? f->error->code : "";
    if (row.kind == OCI_KIND_CREDENTIALS && is_skew(f)) {
        row.kind = OCI_KIND_CLOCK;
        row.tell = 0;
        row.text = "this machine's clock is more than five minutes off; set it ('timedatectl')";
    }
    if (row.status == 404 && !*name && f->is_object) {
        row.kind = OCI_KIND_NO_OBJECT;
        row.text = "no such object, or no such bucket";
    }
    if (row.kind == OCI_KIND_IF_MATCH && f->if_absent) {
        row.code = OCID_E_EXISTS;
        row.kind = OCI_KIND_EXISTS;
        row.text = "it exists already, and was to be created only";
    }
    return row;
}

/* "what: text", "what: text: more". */
static int tell(const struct oci_failure *f, int code, const char *text, const char *more,
                struct oc_err *err)
{
    int has_more = more && *more;
    return oc_fail(err, code, 0, "%s%s%s%s%s", f->what ? f->what : "", f->what ? ": " : "", text,
                   has_more ? ": " : "", has_more ? more : "");
}

static int judge_net(const struct oci_failure *f, struct oc_err *err)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", f->host ? f->host : "", f->host ? ": " : "",
             nets[f->net].text);
    return tell(f, nets[f->net].code, text, f->detail, err);
}

/* A clock's error shows what the service has, which is in the Date of its answer. */
static int judge_status(const struct oci_failure *f, const struct row *row, struct oc_err *err)
{
    char clock[OCI_DATE_SIZE + 32] = "";
    const char *more = row->tell && f->error ? f->error->message : NULL;
    if (row->kind == OCI_KIND_CLOCK && f->reply->date) {
        memcpy(clock, "the service has ", 16);
        oci_date_format(f->reply->date, clock + 16);
        more = clock;
    }
    return tell(f, row->code, row->text, more, err);
}

int oci_judge(const struct oci_failure *f, enum oci_kind *ret_kind, struct oc_err *err)
{
    int status = f->net == OCI_NET_OK && f->reply ? f->reply->status : 0;
    enum oci_kind kind = OCI_KIND_OTHER;
    int code;
    if (!status) {
        code = judge_net(f, err);
    } else {
        struct row row = refine(find(status, f->error ? f->error->code : ""), f);
        code = judge_status(f, &row, err);
        kind = row.kind;
    }
    if (ret_kind)
        *ret_kind = kind;
    if (!err || !f->reply)
        return code;
    err->http_status = status;
    err->retry_after = f->reply->retry_after;
    if (f->error)
        oc_text_join(err->service_code, sizeof err->service_code, f->error->code, "", "");
    if (f->reply->opc_request_id)
        oc_text_join(err->request_id, sizeof err->request_id, f->reply->opc_request_id, "", "");
    return code;
}
