/* SPDX-License-Identifier: Apache-2.0
 *
 * canonical.c - the string that is signed, and the header that carries the signature.
 *
 * Pure; any thread. Asked by xfer for every request, with what calls.c has built.
 * Source: OCI request signatures, version 1 (draft-cavage-http-signatures-08); RFC 9110 for dates.
 */
#include "canonical.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

const char *oci_names(const struct oci_to_sign *in)
{
    if (in->content_sha256)
        return in->obo_token ? OCI_NAMES_OBO OCI_NAMES_BODY : OCI_NAMES OCI_NAMES_BODY;
    return in->obo_token ? OCI_NAMES_OBO : OCI_NAMES;
}

static int has_control(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return 1;
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static void add(struct oc_buf *out, const char *text)
{
    oc_buf_add(out, text, strlen(text));
}

static void add_lower(struct oc_buf *out, const char *text, size_t n)
{
    char *to;
    if (oc_buf_reserve(out, n, &to))
        return;
    for (size_t i = 0; i < n; i++)
        to[i] = lower(text[i]);
    out->len += n;
}

/* Value of a listed name other than (request-target); NULL: there is none. */
static const char *value_of(const struct oci_to_sign *in, const char *name, size_t n)
{
    const struct {
        const char *name, *value;
    } known[] = {
        {"date", in->date},
        {"x-date", in->date},
        {"host", in->host},
        {"opc-obo-token", in->obo_token},
        {"content-length", in->content_length},
        {"content-type", in->content_type},
        {"x-content-sha256", in->content_sha256},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == n && !strncasecmp(known[i].name, name, n))
            return known[i].value;
    return NULL;
}

static int is_target(const char *name, size_t n)
{
    return n == 16 && !strncasecmp(name, "(request-target)", n);
}

/* One line of the string, without its end. */
static int add_line(const struct oci_to_sign *in, const char *name, size_t n, struct oc_buf *out,
                    struct oc_err *err)
{
    const char *value = is_target(name, n) ? in->target : value_of(in, name, n);
    if (!value)
        return oc_fail(err, OCID_E_INVALID, 0, "header '%.*s' is to be signed but is not sent",
                       (int)n, name);
    if (has_control(value, strlen(value)))
        return oc_fail(err, OCID_E_INVALID, 0, "header '%.*s' has a control character", (int)n,
                       name);
    add_lower(out, name, n);
    oc_buf_add(out, ": ", 2);
    if (is_target(name, n)) {
        add_lower(out, in->method, strlen(in->method));
        oc_buf_add(out, " ", 1);
    }
    add(out, value);
    return 0;
}

int oci_string_to_sign(const struct oci_to_sign *in, struct oc_buf *out, struct oc_err *err)
{
    const char *name = in->names ? in->names : oci_names(in);
    for (;;) {
        size_t n = strcspn(name, " ");
        int code = add_line(in, name, n, out, err);
        if (code)
            return code;
        name += n;
        if (!*name++)
            break;
        oc_buf_add(out, "\n", 1);
    }
    return out->failed ? oc_fail(err, out->failed, 0, "the string to sign is too long") : 0;
}

int oci_authorization(const char *names, const char *key_id, const char *signature,
                      struct oc_buf *out, struct oc_err *err)
{
    const char *part[] = {
        "Signature version=\"1\",headers=\"",       names,     "\",keyId=\"", key_id,
        "\",algorithm=\"rsa-sha256\",signature=\"", signature, "\""};
    for (size_t i = 1; i < 6; i += 2)
        if (strchr(part[i], '"') || has_control(part[i], strlen(part[i])))
            return oc_fail(err, OCID_E_INVALID, 0,
                           "the key's id has a quote or a control character");
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        add(out, part[i]);
    return out->failed ? oc_fail(err, out->failed, 0, "the Authorization header is too long") : 0;
}

static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { DAY_S = 86400 };
static const int64_t min_s = -62135596800, max_s = 253402300799; /* years 1 and 9999 */

/* Days since 1970 of a date of the proleptic Gregorian calendar, month from 1. */
static int64_t days_from(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int weekday_of(int64_t day)
{
    return (int)((day % 7 + 7) % 7);
}

static void put_digits(char *out, int n, int value)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

void oci_date_format(time_t at, char out[OCI_DATE_SIZE])
{
    int64_t s = at < min_s ? min_s : at > max_s ? max_s : at;
    int64_t day = (s >= 0 ? s : s - (DAY_S - 1)) / DAY_S;
    int of_day = (int)(s - day * DAY_S);
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", OCI_DATE_SIZE);
    memcpy(out, days + 3 * weekday_of(day), 3);
    put_digits(out + 5, 2, (int)(doy - (153 * mp + 2) / 5 + 1));
    memcpy(out + 8, months + 3 * (month - 1), 3);
    put_digits(out + 12, 4, (int)(yoe + era * 400 + (month <= 2)));
    put_digits(out + 17, 2, of_day / 3600);
    put_digits(out + 20, 2, of_day / 60 % 60);
    put_digits(out + 23, 2, of_day % 60);
}

/* n digits as a number, -1 if one is none. */
static int digits(const char *text, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

static int month_of(const char *text)
{
    for (int i = 0; i < 12; i++)
        if (!memcmp(months + 3 * i, text, 3))
            return i + 1;
    return -1;
}

/* Writing it back proves weekday, punctuation and that the day exists. */
int oci_date_parse(const char *text, size_t n, time_t *ret)
{
    if (n != OCI_DATE_SIZE - 1)
        return OCID_E_INVALID;
    int day = digits(text + 5, 2), month = month_of(text + 8), year = digits(text + 12, 4);
    int hour = digits(text + 17, 2), min = digits(text + 20, 2), sec = digits(text + 23, 2);
    int leap = sec == 60; /* a leap second counts as the one before it */
    if (day < 1 || month < 1 || year < 1 || hour < 0 || hour > 23 || min < 0 || min > 59 ||
        sec < 0 || sec > 60)
        return OCID_E_INVALID;
    int64_t at = days_from(year, month, day) * DAY_S + hour * 3600 + min * 60 + sec - leap;
    char again[OCI_DATE_SIZE];
    oci_date_format((time_t)at, again);
    if (leap)
        put_digits(again + 23, 2, 60);
    if (memcmp(again, text, n))
        return OCID_E_INVALID;
    *ret = (time_t)at;
    return 0;
}
