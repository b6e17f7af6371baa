/* SPDX-License-Identifier: Apache-2.0
 *
 * encode.h - percent-encoding, names of buckets and objects, oci:// URIs.
 *
 * Pure; any thread.
 */
#ifndef OCI_ENCODE_H
#define OCI_ENCODE_H

#include <stddef.h>

#include "proto/err.h"

enum {
    OCI_OBJECT_MAX = 1024, /* bytes of an object name */
    OCI_BUCKET_MAX = 256,
    OCI_NAMESPACE_MAX = 64, /* a ceiling of ours; real ones have 12 or so */
};

/* Writes in[0..n) with all but A-Z a-z 0-9 - . _ ~ as %XX, so that "/" becomes %2F; "." and ".."
 * alone become %2E and %2E%2E. out has 3 * n bytes; returns the end of what was written (no NUL).
 * For path segments and query values alike. */
char *oci_encode(char *out, const char *in, size_t n);

/* Length of oci_encode()'s result. */
size_t oci_encoded_len(const char *in, size_t n);

/* Undoes it: any %XX, and "+" as a space if plus is set (queries). out has n bytes (it may be in
 * itself); *ret_n is what was written. OCID_E_INVALID: a "%" without two hex digits behind it. */
int oci_decode(const char *in, size_t n, int plus, char *out, size_t *ret_n);

/* 0, or OCID_E_NAME with a sentence that says how to mend the name. */
int oci_bucket_check(const char *name, size_t n, struct oc_err *err);
int oci_namespace_check(const char *name, size_t n, struct oc_err *err);

/* UTF-8 of 1 to 1024 bytes without NUL, CR, LF; not "." nor "..". */
int oci_object_check(const char *name, size_t n, struct oc_err *err);

/* A prefix, start or end of a list: as an object name, but it may be empty, "." or "..". */
int oci_prefix_check(const char *name, size_t n, struct oc_err *err);

/* Pieces of oci://bucket[@namespace][/object]; they borrow from the text. */
struct oci_uri {
    const char *bucket, *namespace, *object; /* namespace NULL: none given; object never NULL */
    size_t n_bucket, n_namespace, n_object;  /* n_object 0: the bucket itself */
};

/* 1 if the text starts with "oci://". */
int oci_uri_is(const char *text, size_t n);

/* The object is taken as it stands, without percent-decoding, so that a name can be pasted; its
 * length is checked as a prefix's, since a URI may name one ("oci://b/logs/").
 * OCID_E_NAME with a sentence otherwise. */
int oci_uri_parse(const char *text, size_t n, struct oci_uri *ret, struct oc_err *err);

#endif
