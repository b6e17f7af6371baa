/* SPDX-License-Identifier: Apache-2.0
 *
 * errors.h - what came back (status, code, network) -> our error, retry or not.
 *
 * Pure; any thread.
 */
#ifndef OCI_ERRORS_H
#define OCI_ERRORS_H

#include "proto/err.h"

#include "replies.h"

/* How the network failed; xfer makes it of libcurl's result. */
enum oci_net {
    OCI_NET_OK,       /* an answer came: status counts */
    OCI_NET_RESOLVE,  /* no such host name, or the resolver does not answer */
    OCI_NET_CONNECT,  /* refused, unreachable, or timed out while connecting */
    OCI_NET_PROXY,    /* the proxy cannot be reached or refuses */
    OCI_NET_TLS,      /* handshake failed */
    OCI_NET_CERT,     /* the server's certificate is not trusted */
    OCI_NET_CAFILE,   /* the CA file cannot be read */
    OCI_NET_RESET,    /* closed or reset in the middle */
    OCI_NET_STALLED,  /* too slow for too long */
    OCI_NET_PROTOCOL, /* what came is not HTTP */
};

/* What a failure is about, where the code alone does not tell. */
enum oci_kind {
    OCI_KIND_OTHER,
    OCI_KIND_CLOCK,       /* 401: date not within the allowed skew: learn from Date, sign again */
    OCI_KIND_CREDENTIALS, /* any other 401: reload, sign once more, then wait as login */
    OCI_KIND_NO_OBJECT,
    OCI_KIND_NO_BUCKET, /* or not allowed to see it */
    OCI_KIND_NO_NAMESPACE,
    OCI_KIND_NO_UPLOAD,    /* aborted, or already committed */
    OCI_KIND_BAD_PART,     /* commit: a part is missing or has another etag */
    OCI_KIND_IF_MATCH,     /* 412: it has another etag */
    OCI_KIND_EXISTS,       /* 412 by if-none-match "*", or a bucket that is there already */
    OCI_KIND_NOT_MODIFIED, /* 304 */
    OCI_KIND_RANGE,        /* 416: beyond the end, or of an empty object */
    OCI_KIND_NOT_RESTORED, /* the object is in the Archive tier */
    OCI_KIND_SUM,          /* the body did not match its checksum: one more try makes sense */
    OCI_KIND_SUM_UNKNOWN,  /* the service does not know the checksum asked for */
    OCI_KIND_CONCURRENT,   /* another writer at the same moment */
    OCI_KIND_THROTTLED,    /* 429, 503: fewer requests at a time for this host */
};

/* What is known of a request that did not do what it should. All borrowed; NULL, 0 when unknown. */
struct oci_failure {
    const char *what;   /* for the sentence: "object 'b/o'", "part 7 of 'b/o'" */
    const char *host;   /* for network errors */
    const char *method; /* "HEAD" has no body to tell more */
    const char *detail; /* of the network: libcurl's text */
    enum oci_net net;
    int is_object;       /* the path names an object (struct oci_request) */
    int if_absent;       /* if-none-match "*" was sent */
    int64_t clock_off_s; /* Date of the answer less the request's; 0: not known */
    const struct oci_reply *reply;
    const struct oci_service_error *error;
};

/* Fills *err: code (whose retry rule is that of include/ocid/error.h), status, service code,
 * request id, retry_after and a sentence that says what and how to mend. Returns the code.
 * *ret_kind may be NULL. */
int oci_judge(const struct oci_failure *f, enum oci_kind *ret_kind, struct oc_err *err);

/* 1 if the status is one of success. */
int oci_status_ok(int status);

#endif
