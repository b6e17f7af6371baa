/* SPDX-License-Identifier: Apache-2.0
 *
 * err.h - what went wrong: filled once where it happened, printed once where it is absorbed.
 */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

#include <stddef.h>
#include <stdint.h>

#include "ocid/error.h"

enum oc_retry { OC_RETRY_NEVER, OC_RETRY_LATER, OC_RETRY_CURED };

struct oc_err {
    int code;             /* enum ocid_error */
    int sys;              /* errno, or 0 */
    int http_status;      /* 0: no answer of the service is behind this */
    uint32_t retry_after; /* seconds the service asked us to wait; 0: did not */
    char service_code[64];
    char request_id[128]; /* opc-request-id */
    char text[384];       /* one sentence, with the names in it */
};

/* Fills *err (which may be NULL) and returns code. sys is an errno or 0; its text is appended. */
int oc_fail(struct oc_err *err, int code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "what: " before the sentence; returns err->code. */
int oc_wrap(struct oc_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void oc_err_clear(struct oc_err *err);

/* Name on the wire ("not_found"), its sentence, retry rule and exit status. An unknown number is
 * treated as INTERNAL, so that an old client survives a new daemon. */
const char *oc_err_name(int code);
const char *oc_err_text(int code);
enum oc_retry oc_err_retry(int code);
int oc_err_exit(int code);

/* The command that mends it; NULL: there is none that always does. */
const char *oc_err_mend(int code);

/* The inverse of oc_err_name(); OCID_E_INTERNAL for a name that is not known. */
int oc_err_by_name(const char *name, size_t n);

/* "text (404 ObjectNotFound, request 1F3C)" into out, control bytes escaped; always ends with
 * NUL. Returns out. */
const char *oc_err_print(const struct oc_err *err, char *out, size_t size);

#endif
