/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.h - what may be signed: the form of the string, its host, its date.
 *
 * Pure; any thread.
 */
#ifndef SIGNER_RULES_H
#define SIGNER_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "proto/err.h"

enum { RULES_REGION_SIZE = 128, RULES_SKEW_S = 300 };

/* Hosts of a profile, by its region, and of all profiles, by name. */
struct rules_hosts {
    char region[RULES_REGION_SIZE]; /* id, or a whole domain (has a dot); "": none */
    const char *domain;             /* of the region's realm */
    int known;                      /* the table of regions has it, or it is a whole domain */
    const char *const *extra;       /* as in the Host header, with the port */
    size_t n_extra;
};

/* The lines of a canonical string that a decision rests on; borrowed from the string. */
struct rules_string {
    const char *host; /* NULL: not signed */
    size_t host_n;
    int64_t date;  /* seconds since 1970 */
    int federated; /* POST /v1/x509, the one request without a host */
};

/* Sets region (short code or id, blanks around it, any case) and domain. */
void rules_region(struct rules_hosts *h, const char *region);

/* Takes a canonical string apart. OCID_E_INVALID: not one, or with a method or header that ocid
 * never signs; the sentence says which. */
int rules_parse(const char *s, size_t n, struct rules_string *ret, struct oc_err *err);

/* OCID_E_DENIED: the host is not one of these. */
int rules_host(const struct rules_hosts *h, const struct rules_string *s, struct oc_err *err);

/* OCID_E_UNAVAILABLE: the date is more than RULES_SKEW_S off now (seconds, as the host has it). */
int rules_date(const struct rules_string *s, int64_t now, struct oc_err *err);

#endif
