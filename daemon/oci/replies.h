/* SPDX-License-Identifier: Apache-2.0
 *
 * replies.h - headers and bodies of answers -> structs. The sender is not trusted.
 *
 * Pure; any thread. Errors are OCID_E_SERVER: the answer makes no sense or is beyond a limit.
 */
#ifndef OCI_REPLIES_H
#define OCI_REPLIES_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "proto/err.h"

#include "arena.h"

enum {
    OCI_LINE_MAX = 8192,            /* bytes of one header line */
    OCI_HEADERS_MAX = 65536,        /* bytes of all header lines of one answer */
    OCI_META_MAX = 128,             /* metadata pairs; more are dropped */
    OCI_BODY_MAX = 4 * 1024 * 1024, /* bytes of a JSON body */
    OCI_USER_JSON_SIZE = 16 * 1024,
    OCI_ERROR_BODY_MAX = 64 * 1024, /* bytes of an error body worth keeping */
    OCI_DEPTH_MAX = 16,             /* nested arrays and objects of a JSON body */
    OCI_UPLOAD_ID_SIZE = 512,
};

struct oci_meta {
    const char *name, *value; /* name without "opc-meta-" */
    struct oci_meta *next;
};

/* What the headers say. Texts are NULL when absent and live as long as the reply. */
struct oci_reply {
    int status;             /* 0: no status line yet */
    int64_t content_length; /* -1: absent */
    int has_range;          /* content-range was there */
    uint64_t range_first, range_last;
    int64_t range_total; /* -1: unknown ("*") */
    int range_none;      /* "bytes * / TOTAL" of a 416: first and last are not there */
    int has_crc32c;
    uint32_t crc32c;      /* opc-content-crc32c, decoded */
    time_t date;          /* 0: absent or not readable */
    time_t last_modified; /* the same */
    uint32_t retry_after; /* seconds, at most a day; 0: absent */
    const char *etag;
    const char *content_type, *content_md5, *opc_content_md5, *opc_multipart_md5;
    const char *opc_request_id, *opc_client_request_id, *opc_next_page;
    const char *storage_tier, *archival_state, *version_id;
    struct oci_meta *meta; /* in the order received */
    unsigned n_meta;

    /* private */
    time_t retry_at;
    size_t n_bytes;
    struct oci_meta **meta_end;
    struct oci_arena arena;
};

/* The reply must stay where it is until its end. */
void oci_reply_init(struct oci_reply *r);
void oci_reply_fini(struct oci_reply *r);

/* One line as libcurl's header callback gives it, with or without CR LF. A status line starts
 * anew, so that a 100 Continue or a proxy's answer is forgotten. A header that is not understood
 * is dropped; of one sent twice the first counts.
 * 0, or OCID_E_SERVER: a limit, or a status line or content-range that is none. */
int oci_reply_line(struct oci_reply *r, const char *line, size_t n, struct oc_err *err);

/* One header alone; the same rules. */
int oci_reply_header(struct oci_reply *r, const char *name, size_t n_name, const char *value,
                     size_t n_value, struct oc_err *err);

/* RFC 3339 ("2023-01-25T14:52:44.123Z", offsets too) -> milliseconds since 1970.
 * 0 or OCID_E_INVALID. */
int oci_time_parse(const char *text, int64_t *ret_ms);

/* GetNamespace. *ret_namespace has NUL. */
int oci_parse_namespace(const char *body, size_t n, char *ret_namespace, size_t size,
                        struct oc_err *err);

/* Start of a multipart upload. */
int oci_parse_upload(const char *body, size_t n, char ret_id[OCI_UPLOAD_ID_SIZE],
                     struct oc_err *err);

/* Lists: the callback gets one entry at a time, which lives until it returns; what the service
 * did not tell is NULL, and times are 0. A return other than 0 ends the parse and is passed on. */

struct oci_object {
    const char *name, *etag, *md5, *storage_tier, *archival_state;
    uint64_t size;
    int has_size;
    int64_t created_ms, modified_ms;
};

struct oci_objects_sink {
    int (*on_object)(void *arg, const struct oci_object *object);
    int (*on_prefix)(void *arg, const char *prefix);
    void *arg;
};

/* *ret_next: start of the next page, freed by free(); NULL: this was the last. start is the one
 * that this page was asked with (NULL: from the beginning): a next one that is not beyond it is
 * refused, since such a list would never end. */
int oci_parse_objects(const char *body, size_t n, const char *start,
                      const struct oci_objects_sink *sink, char **ret_next, struct oc_err *err);

struct oci_upload {
    const char *object, *id, *bucket;
    int64_t created_ms;
};

int oci_parse_uploads(const char *body, size_t n,
                      int (*on_upload)(void *arg, const struct oci_upload *upload), void *arg,
                      struct oc_err *err);

struct oci_part {
    unsigned part_no; /* 1 to 10000 */
    const char *etag, *md5;
    uint64_t size;
};

int oci_parse_parts(const char *body, size_t n,
                    int (*on_part)(void *arg, const struct oci_part *part), void *arg,
                    struct oc_err *err);

struct oci_bucket {
    const char *name, *namespace, *compartment, *etag;
    const char *storage_tier, *versioning, *public_access; /* of a single bucket only */
    int64_t created_ms;
};

int oci_parse_buckets(const char *body, size_t n,
                      int (*on_bucket)(void *arg, const struct oci_bucket *bucket), void *arg,
                      struct oc_err *err);
/* One bucket: calls on_bucket once. */
int oci_parse_bucket(const char *body, size_t n,
                     int (*on_bucket)(void *arg, const struct oci_bucket *bucket), void *arg,
                     struct oc_err *err);

/* A pre-authenticated request. */
struct oci_par {
    const char *id, *name, *access;
    const char *object; /* the object or (access "Any…") the prefix; NULL: the whole bucket */
    const char *uri;    /* of a new one only: the path that is the secret */
    const char *full;   /* the same with scheme and host, or NULL */
    int listing;
    int64_t created_ms, expires_ms;
};

int oci_parse_pars(const char *body, size_t n, int (*on_par)(void *arg, const struct oci_par *par),
                   void *arg, struct oc_err *err);
/* A new one: calls on_par once; one without its path is refused. */
int oci_parse_par(const char *body, size_t n, int (*on_par)(void *arg, const struct oci_par *par),
                  void *arg, struct oc_err *err);

/* The link itself: par->full, or base (scheme and host) and par->uri. What a URL, a terminal or a
 * shell would take amiss and the service has left as it is, is encoded. 0, or OCID_E_TOO_LARGE:
 * out is too short. */
enum { OCI_LINK_SIZE = 8192 };
int oci_par_link(const struct oci_par *par, const char *base, char *out, size_t size);

struct oci_user {
    char id[256], name[256], state[32]; /* cut to size */
    char description[256], email[256], created[64];
    char json[OCI_USER_JSON_SIZE]; /* all of it, compact and in ASCII; "" if it is longer */
};

int oci_parse_user(const char *body, size_t n, struct oci_user *ret, struct oc_err *err);

/* Error body: {"code","message"}. One that is not JSON leaves code empty and gives its first
 * bytes, escaped, as the message. Never fails. */
struct oci_service_error {
    char code[64], message[256];
};

void oci_parse_error(const char *body, size_t n, struct oci_service_error *ret);

#endif
