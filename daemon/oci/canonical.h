/* SPDX-License-Identifier: Apache-2.0
 *
 * canonical.h - request -> string to sign -> Authorization header; dates of HTTP.
 *
 * Pure; any thread. The signature itself is made by ocid-signer.
 */
#ifndef OCI_CANONICAL_H
#define OCI_CANONICAL_H

#include <stddef.h>
#include <time.h>

#include "proto/buf.h"
#include "proto/err.h"

/* What may be signed, in the order that Oracle's Python SDK uses. */
#define OCI_NAMES           "date (request-target) host"
#define OCI_NAMES_OBO       OCI_NAMES " opc-obo-token"
#define OCI_NAMES_BODY      " content-length content-type x-content-sha256"
#define OCI_NAMES_FEDERATED "date (request-target)" OCI_NAMES_BODY

enum {
    OCI_DATE_SIZE = 30,            /* "Thu, 01 Jan 2026 00:00:00 GMT" and NUL */
    OCI_STRING_MAX = 16384,        /* a good ceiling for the string to sign */
    OCI_AUTHORIZATION_MAX = 16384, /* and for the header: tokens take 1 to 3 KB */
};

/* All texts are borrowed. Values are those of the headers on the wire, to the byte. */
struct oci_to_sign {
    const char *names;     /* list in signing order, one space between; NULL: oci_names() */
    const char *method;    /* any letter case */
    const char *target;    /* path and query exactly as in the request line */
    const char *host;      /* as in the Host header, with the port if it is there */
    const char *date;      /* stands for "date" and for "x-date" */
    const char *obo_token; /* NULL: none */
    const char *content_length, *content_type, *content_sha256; /* NULL: body not signed */
};

/* The list to sign for what *in has (the names field is ignored). Static text. */
const char *oci_names(const struct oci_to_sign *in);

/* Appends the string to sign to out, no newline at its end.
 * OCID_E_INVALID: a listed header has no value, is not known here, or a value has a control byte;
 * OCID_E_TOO_LARGE: beyond the ceiling of out. */
int oci_string_to_sign(const struct oci_to_sign *in, struct oc_buf *out, struct oc_err *err);

/* Appends the value of the Authorization header: names is the list that was signed, signature is
 * base64. OCID_E_INVALID: a quote or a control byte in an argument; OCID_E_TOO_LARGE. */
int oci_authorization(const char *names, const char *key_id, const char *signature,
                      struct oc_buf *out, struct oc_err *err);

/* Writes at (seconds since 1970, years 1 to 9999, clamped) as IMF-fixdate, in no locale. */
void oci_date_format(time_t at, char out[OCI_DATE_SIZE]);

/* Reads an IMF-fixdate of 29 bytes; its weekday must be the right one. 0 or OCID_E_INVALID. */
int oci_date_parse(const char *text, size_t n, time_t *ret);

#endif
