/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - one builder per API call: what is to be sent, all but date, signature and ids.
 *
 * Pure; any thread. A builder fills *ret, which owns all that it points to and may be moved by
 * assignment; texts given to a builder are copied. It returns 0 or, with *ret empty:
 *   OCID_E_NAME     a bucket, object or namespace name cannot be used
 *   OCID_E_INVALID  another argument cannot be sent, such as a header value with a line break
 * Lengths are in bytes; texts end with NUL; NULL is "not given" unless said otherwise.
 */
#ifndef OCI_CALLS_H
#define OCI_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

#include "arena.h"
#include "canonical.h"
#include "checksum.h"

enum { OCI_PARTS_MAX = 10000, OCI_PAGE_MAX = 1000 };

struct oci_header {
    const char *line;  /* "name: value", ready for a list of libcurl's */
    const char *name;  /* lower case, except what the caller chose for metadata */
    const char *value; /* points into line */
};

enum oci_body {
    OCI_BODY_NONE,      /* no body at all: GET, HEAD, DELETE */
    OCI_BODY_HERE,      /* body and body_bytes; may be empty ("content-length: 0") */
    OCI_BODY_ELSEWHERE, /* body_bytes come from the caller; body is NULL, never signed */
};

struct oci_request {
    const char *method, *target; /* target: path and query, encoded */
    const char *host;            /* of the Host header */
    struct oci_header *headers;  /* all to be sent but host, date, authorization, opc-obo-token,
                                    opc-client-request-id; content-length is among them */
    size_t n_headers;
    enum oci_body body_kind;
    const char *body;
    uint64_t body_bytes;
    /* NULL when the body is not signed (and for GET, HEAD, DELETE); else as in headers */
    const char *content_length, *content_type, *content_sha256;
    const char *names;   /* list to sign, in order; NULL: oci_names() */
    int expect_continue; /* a hint: "Expect: 100-continue" is worth a round trip */
    int conditional;     /* it has if-match, if-none-match */
    int is_object;       /* the path names an object: what a 404 without a body is about */
    struct oci_arena arena;
};

/* Wipes and frees; *r is empty afterwards. NULL is allowed. */
void oci_request_fini(struct oci_request *r);

/* Value of the header of that name, letter case ignored; NULL: it has none. */
const char *oci_request_header(const struct oci_request *r, const char *name);

/* What to sign for r: borrows from r, date and obo_token (NULL: none). */
struct oci_to_sign oci_request_to_sign(const struct oci_request *r, const char *date,
                                       const char *obo_token);

/* Where an object is. host is the endpoint's; what a call does not need is ignored. */
struct oci_where {
    const char *host, *namespace, *bucket, *object;
};

enum oci_sum_kind { OCI_SUM_NONE, OCI_SUM_CRC32C, OCI_SUM_MD5 };

struct oci_sum {
    enum oci_sum_kind kind;
    int known; /* the value is sent too; CRC32C without: the service computes and tells */
    uint32_t crc32c;
    uint8_t md5[OCI_MD5_SIZE];
};

struct oci_pair {
    const char *name, *value;
};

/* Of a put and of the start of a multipart upload. All zero is a plain put. */
struct oci_put_options {
    const char *content_type; /* NULL: application/octet-stream */
    const char *cache_control, *content_disposition, *content_encoding, *content_language;
    const char *storage_tier;        /* "Standard", "InfrequentAccess", "Archive" */
    const struct oci_pair *metadata; /* "opc-meta-" is put before a name that lacks it; bytes of a
                                        value that are not printable ASCII go as %XX, and then
                                        "%" as %25 */
    size_t n_metadata;
    const char *if_match; /* etag: replace only that */
    int if_absent;        /* if-none-match: "*": create only */
    struct oci_sum sum;   /* for the start of a multipart upload only the kind counts */
};

/* GET /n: the answer is a JSON string. compartment may be NULL. */
int oci_call_namespace(const char *host, const char *compartment, struct oci_request *ret,
                       struct oc_err *err);

/* PUT of a whole object of that many bytes, which come from elsewhere. */
int oci_call_put(const struct oci_where *w, uint64_t bytes, const struct oci_put_options *options,
                 struct oci_request *ret, struct oc_err *err);

int oci_call_upload_create(const struct oci_where *w, const struct oci_put_options *options,
                           struct oci_request *ret, struct oc_err *err);

/* part_no from 1 to 10000. */
int oci_call_upload_part(const struct oci_where *w, const char *upload_id, unsigned part_no,
                         uint64_t bytes, const struct oci_sum *sum, struct oci_request *ret,
                         struct oc_err *err);

struct oci_part_etag {
    unsigned part_no;
    const char *etag;
};

/* The parts in ascending order. if_match and if_absent are those of the upload's start. */
int oci_call_upload_commit(const struct oci_where *w, const char *upload_id,
                           const struct oci_part_etag *parts, size_t n_parts, const char *if_match,
                           int if_absent, struct oci_request *ret, struct oc_err *err);

int oci_call_upload_abort(const struct oci_where *w, const char *upload_id, struct oci_request *ret,
                          struct oc_err *err);

/* limit 0: the service's; page NULL: the first, else opc-next-page of the one before. */
int oci_call_parts(const struct oci_where *w, const char *upload_id, unsigned limit,
                   const char *page, struct oci_request *ret, struct oc_err *err);
int oci_call_uploads(const struct oci_where *w, unsigned limit, const char *page,
                     struct oci_request *ret, struct oc_err *err);

struct oci_get_options {
    int ranged;           /* first and last count */
    uint64_t first, last; /* bytes first..last, both included; UINT64_MAX: to the end */
    const char *if_match, *if_none_match, *version_id;
};

/* options may be NULL for these three; of head and delete the range is ignored. */
int oci_call_get(const struct oci_where *w, const struct oci_get_options *options,
                 struct oci_request *ret, struct oc_err *err);
int oci_call_head(const struct oci_where *w, const struct oci_get_options *options,
                  struct oci_request *ret, struct oc_err *err);
int oci_call_delete(const struct oci_where *w, const struct oci_get_options *options,
                    struct oci_request *ret, struct oc_err *err);

struct oci_list_options {
    const char *prefix, *start, *end; /* start: names from it on, included */
    const char *delimiter;            /* "/" or NULL */
    const char *fields;               /* NULL: OCI_LIST_FIELDS */
    unsigned limit;                   /* 0: 1000 */
};

#define OCI_LIST_FIELDS "name,size,etag,md5,timeModified,storageTier,archivalState"

/* options may be NULL: everything, page by page. */
int oci_call_list(const struct oci_where *w, const struct oci_list_options *options,
                  struct oci_request *ret, struct oc_err *err);

int oci_call_buckets(const struct oci_where *w, const char *compartment, unsigned limit,
                     const char *page, struct oci_request *ret, struct oc_err *err);

/* storage_tier: "Standard", "Archive" or NULL. */
int oci_call_bucket_create(const struct oci_where *w, const char *compartment,
                           const char *storage_tier, struct oci_request *ret, struct oc_err *err);
int oci_call_bucket(const struct oci_where *w, struct oci_request *ret, struct oc_err *err);

/* Pre-authenticated requests: links that need no signature. */
enum oci_access { OCI_ACCESS_READ, OCI_ACCESS_WRITE, OCI_ACCESS_READ_WRITE };

struct oci_par_options {
    const char *name; /* for people; need not be unique */
    enum oci_access access;
    int prefix;  /* w.object is a prefix ("" or NULL: the whole bucket); else one object */
    int listing; /* of a prefix that may be read: its names may be listed */
    int64_t expires_ms;
};

/* The answer has the link, once: the service never tells it again. */
int oci_call_par_create(const struct oci_where *w, const struct oci_par_options *options,
                        struct oci_request *ret, struct oc_err *err);

/* Those whose object or prefix begins with w.object (NULL: all); page as for oci_call_parts(). */
int oci_call_pars(const struct oci_where *w, unsigned limit, const char *page,
                  struct oci_request *ret, struct oc_err *err);
int oci_call_par_delete(const struct oci_where *w, const char *id, struct oci_request *ret,
                        struct oc_err *err);

/* GET of the metadata service of an instance; document is "instance/region" or the like. */
int oci_call_metadata(const char *host, const char *document, struct oci_request *ret,
                      struct oc_err *err);

/* POST of JSON text to the Auth service. federated: signed without the host, as that call is. */
int oci_call_auth(const char *host, const char *target, const char *json, int federated,
                  struct oci_request *ret, struct oc_err *err);

/* Of the identity service: host is its endpoint's. "Do my credentials work?" */
int oci_call_user(const char *host, const char *user_id, struct oci_request *ret,
                  struct oc_err *err);

#endif
