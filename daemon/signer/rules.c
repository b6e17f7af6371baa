/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.c - what may be signed: the form of the string, its host, its date.
 *
 * Pure; any thread. Asked by sign.c before a key is touched: the main program may be wrong or
 * worse, and then gets signatures for requests to its own region and of this minute at most.
 * Source: draft-cavage-http-signatures-08 as Oracle uses it; dates are RFC 9110 IMF-fixdate.
 */
#include "signer/rules.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct line {
    const char *name, *value;
    size_t name_n, value_n;
};

enum { DATE_N = 29 };

static const struct {
    const char *id, *key, *domain;
} regions[] = {
#define REGION(id, key, realm, domain) {id, key, domain},
#include "vault/regions.def"
#undef REGION
};

static const char *const names[] = {
    "date",
    "x-date",
    "(request-target)",
    "host",
    "content-length",
    "content-type",
    "x-content-sha256",
    "opc-obo-token",
    "x-cross-tenancy-request",
    "x-subscription",
};
enum { N_DATE, N_X_DATE, N_TARGET, N_HOST, N_NAMES = sizeof names / sizeof *names };

static const char *const methods[] = {"get", "head", "put", "post", "delete", "patch"};
enum { N_METHODS = sizeof methods / sizeof *methods };

void rules_region(struct rules_hosts *h, const char *region)
{
    size_t n = 0;
    while (isspace((unsigned char)*region))
        region++;
    for (; *region && n < sizeof h->region - 1; region++)
        h->region[n++] = (char)tolower((unsigned char)*region);
    while (n && isspace((unsigned char)h->region[n - 1]))
        n--;
    h->region[n] = 0;
    h->domain = "oraclecloud.com";
    h->known = strchr(h->region, '.') != NULL;
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++)
        if (!strcmp(h->region, regions[i].id) || !strcmp(h->region, regions[i].key)) {
            snprintf(h->region, sizeof h->region, "%s", regions[i].id);
            h->domain = regions[i].domain;
            h->known = 1;
            return;
        }
}

/* --- the host --- */

static int host_is(const char *host, size_t n, const char *want)
{
    return strlen(want) == n && !strncasecmp(host, want, n);
}

/* A name below suffix, of letters that host names have. */
static int host_below(const char *host, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    if (n <= m || strncasecmp(host + n - m, suffix, m) || host[0] == '.')
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)host[i]) && !memchr("-_.", host[i], 3))
            return 0;
    return 1;
}

static int host_of_region(const struct rules_hosts *h, const char *host, size_t n)
{
    static const char *const between[] = {"", "oci.", "ds.oci."};
    char suffix[RULES_REGION_SIZE + 64];
    if (!h->region[0])
        return 0;
    if (strchr(h->region, '.')) {
        snprintf(suffix, sizeof suffix, ".%s", h->region);
        return host_below(host, n, suffix);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(suffix, sizeof suffix, ".%s.%s%s", h->region, between[i], h->domain);
        if (host_below(host, n, suffix))
            return 1;
        snprintf(suffix, sizeof suffix, ".%s.%scustomer-oci.com", h->region, between[i]);
        if (i && host_below(host, n, suffix))
            return 1;
    }
    return 0;
}

int rules_host(const struct rules_hosts *h, const struct rules_string *s, struct oc_err *err)
{
    if (!s->host)
        return s->federated ? 0 : oc_fail(err, OCID_E_INVALID, 0, "the host is not signed");
    for (size_t i = 0; i < h->n_extra; i++)
        if (host_is(s->host, s->host_n, h->extra[i]))
            return 0;
    if (host_of_region(h, s->host, s->host_n))
        return 0;
    return oc_fail(err, OCID_E_DENIED, 0, "'%.*s' is no host of region '%s'",
                   s->host_n < 200 ? (int)s->host_n : 200, s->host, h->region);
}

/* --- the date --- */

static int digits(const char *s, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = 10 * v + s[i] - '0';
    }
    return v;
}

/* Index of a three-letter word in a row of them, -1. */
static int word(const char *s, const char *row)
{
    for (int i = 0; row[3 * i]; i++)
        if (!memcmp(s, row + 3 * i, 3))
            return i;
    return -1;
}

/* Days since 1970 of a date in the Gregorian calendar. */
static int64_t days(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - 400 * era;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The weekday may be wrong: it is signed as it stands, and the service judges. */
static int parse_date(const char *s, size_t n, int64_t *ret)
{
    if (n != DATE_N || word(s, "MonTueWedThuFriSatSun") < 0 || memcmp(s + 3, ", ", 2) ||
        s[7] != ' ' || s[11] != ' ' || s[16] != ' ' || s[19] != ':' || s[22] != ':' ||
        memcmp(s + 25, " GMT", 4))
        return 0;
    int month = word(s + 8, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
    int day = digits(s + 5, 2), year = digits(s + 12, 4);
    int h = digits(s + 17, 2), m = digits(s + 20, 2), sec = digits(s + 23, 2);
    if (!month || day < 1 || day > 31 || year < 1970 || h < 0 || h > 23 || m < 0 || m > 59 ||
        sec < 0 || sec > 60)
        return 0;
    *ret = days(year, month, day) * 86400 + h * 3600 + m * 60 + sec;
    return 1;
}

int rules_date(const struct rules_string *s, int64_t now, struct oc_err *err)
{
    int64_t off = s->date - now;
    if (off >= -RULES_SKEW_S && off <= RULES_SKEW_S)
        return 0;
    return oc_fail(err, OCID_E_UNAVAILABLE, 0, "the request's date is %lld s off, not signed",
                   (long long)off);
}

/* --- the string --- */

static int is_printable(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] > 0x7e)
            return 0;
    return 1;
}

static int split_line(const char *s, size_t n, struct line *ret)
{
    const char *colon = memmem(s, n, ": ", 2);
    if (!colon || !is_printable(s, n))
        return 0;
    ret->name = s;
    ret->name_n = (size_t)(colon - s);
    ret->value = colon + 2;
    ret->value_n = n - ret->name_n - 2;
    return 1;
}

static int find_name(const struct line *l)
{
    for (int i = 0; i < N_NAMES; i++)
        if (strlen(names[i]) == l->name_n && !memcmp(names[i], l->name, l->name_n))
            return i;
    return -1;
}

static int parse_target(const struct line *l, struct rules_string *ret, struct oc_err *err)
{
    const char *space = memchr(l->value, ' ', l->value_n);
    size_t method_n = space ? (size_t)(space - l->value) : 0;
    const char *target = space ? space + 1 : "";
    size_t target_n = space ? l->value_n - method_n - 1 : 0;
    int known = 0;
    for (int i = 0; i < N_METHODS; i++)
        known |= strlen(methods[i]) == method_n && !memcmp(methods[i], l->value, method_n);
    if (!known)
        return oc_fail(err, OCID_E_INVALID, 0, "the request's method is none that is signed");
    if (!target_n || target[0] != '/' || memchr(target, ' ', target_n))
        return oc_fail(err, OCID_E_INVALID, 0, "the request's target is not a path");
    ret->federated = method_n == 4 && !memcmp(l->value, "post", 4) && target_n == 8 &&
                     !memcmp(target, "/v1/x509", 8);
    return 0;
}

static int parse_line(const struct line *l, int name, struct rules_string *ret, struct oc_err *err)
{
    switch (name) {
    case N_DATE:
    case N_X_DATE:
        return parse_date(l->value, l->value_n, &ret->date)
                   ? 0
                   : oc_fail(err, OCID_E_INVALID, 0, "the request's date is not a date");
    case N_TARGET:
        return parse_target(l, ret, err);
    case N_HOST:
        ret->host = l->value;
        ret->host_n = l->value_n;
        return 0;
    default:
        return 0;
    }
}

int rules_parse(const char *s, size_t n, struct rules_string *ret, struct oc_err *err)
{
    unsigned seen = 0, date = 1u << N_DATE | 1u << N_X_DATE, target = 1u << N_TARGET;
    memset(ret, 0, sizeof *ret);
    for (size_t at = 0; at <= n;) {
        const char *end = memchr(s + at, '\n', n - at);
        size_t len = end ? (size_t)(end - s) - at : n - at;
        struct line l;
        if (!split_line(s + at, len, &l))
            return oc_fail(err, OCID_E_INVALID, 0, "the string to sign is not one");
        int name = find_name(&l);
        if (name < 0 || (seen & 1u << name))
            return oc_fail(err, OCID_E_INVALID, 0, "header '%.*s' may not be signed%s",
                           l.name_n < 64 ? (int)l.name_n : 64, l.name, name < 0 ? "" : " twice");
        seen |= 1u << name;
        int rc = parse_line(&l, name, ret, err);
        if (rc)
            return rc;
        at += len + 1;
    }
    if (!(seen & target) || !(seen & date) || (seen & date) == date)
        return oc_fail(err, OCID_E_INVALID, 0, "the string to sign lacks its target or date");
    return 0;
}
