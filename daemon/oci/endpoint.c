/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.c - finds the region and makes host names of it.
 *
 * Pure; any thread. Asked when a profile is loaded; start at oci_endpoint_make().
 * Source: the region table and endpoint templates of Oracle's SDKs.
 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "encode.h"

#define DEFAULT_DOMAIN   "oraclecloud.com"
#define DEDICATED_DOMAIN "customer-oci.com"

/* clang-format off */
static const struct oci_region regions[] = {
#define REGION(id, key, realm, domain) {id, key, realm, domain},
#include "vault/regions.def"
#undef REGION
};
/* clang-format on */

enum { N_REGIONS = sizeof regions / sizeof *regions };

static const struct service {
    const char *name;
    const char *before_domain; /* between region and domain */
    const char *path;          /* base path an override may end in */
} services[] = {
    [OCI_OBJECT_STORAGE] = {"objectstorage", "", ""},
    [OCI_IDENTITY] = {"identity", ".oci", OCI_IDENTITY_PATH},
    [OCI_AUTH] = {"auth", "", "/v1"},
};

static int given(const char *text)
{
    return text && *text;
}

/* text without the spaces around it; returns its length. */
static size_t trim(const char **text)
{
    *text += strspn(*text, " \t\r\n");
    size_t n = strlen(*text);
    while (n && strchr(" \t\r\n", (*text)[n - 1]))
        n--;
    return n;
}

const struct oci_region *oci_region_at(size_t idx)
{
    return idx < N_REGIONS ? &regions[idx] : NULL;
}

static int same(const char *row, const char *text, size_t n)
{
    return strlen(row) == n && !strncasecmp(row, text, n);
}

const struct oci_region *oci_region_find(const char *text)
{
    size_t n = trim(&text);
    for (size_t i = 0; i < N_REGIONS; i++)
        if (same(regions[i].id, text, n) || same(regions[i].key, text, n))
            return &regions[i];
    return NULL;
}

/* Letters, digits, '.', '-' and '_' as the service's own host names have them. */
static int is_host(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = (char)(text[i] | 0x20);
        if (!(c >= 'a' && c <= 'z') && !(text[i] >= '0' && text[i] <= '9') && text[i] != '.' &&
            text[i] != '-' && text[i] != '_')
            return 0;
    }
    return n && n <= 253 && text[0] != '.' && text[0] != '-';
}

static int is_loopback(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return !strcmp(host, "localhost") || !strcmp(host, "[::1]");
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + 32);
}

/* host is a name or an address, in brackets if it is IPv6. */
static void fill(struct oci_endpoint *ret, const char *host, int tls, int port)
{
    int usual = tls ? 443 : 80;
    *ret = (struct oci_endpoint){.tls = tls, .port = port ? port : usual};
    if (ret->port == usual)
        snprintf(ret->host, sizeof ret->host, "%s", host);
    else
        snprintf(ret->host, sizeof ret->host, "%s:%d", host, ret->port);
    lower(ret->host);
    snprintf(ret->base, sizeof ret->base, "%s://%s", tls ? "https" : "http", ret->host);
}

/* What stands before an "@" may be a password: it is not shown. */
static int bad_override(const char *override, const char *why, struct oc_err *err)
{
    if (strchr(override, '@'))
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "the endpoint has a user name in it; write it as https://host or "
                       "https://host:port");
    return oc_fail(err, OCID_E_CONFIG, 0,
                   "endpoint '%.200s' %s; write it as https://host or https://host:port", override,
                   why);
}

/* Length of the host at text (an IPv6 address has brackets), 0 if it is none. */
static size_t host_len(const char *text)
{
    char bare[64];
    struct in6_addr v6;
    size_t n = strcspn(text, "/:?#@");
    if (text[0] != '[')
        return is_host(text, n) ? n : 0;
    n = strcspn(text, "]");
    if (!text[n] || n < 2 || n > sizeof bare)
        return 0;
    memcpy(bare, text + 1, n - 1);
    bare[n - 1] = 0;
    return inet_pton(AF_INET6, bare, &v6) == 1 ? n + 1 : 0;
}

/* ":8080" at *at; 0 with no port there, -1 for one that cannot be. */
static int read_port(const char **at)
{
    int port = 0;
    if (**at != ':')
        return 0;
    size_t n = strspn(++*at, "0123456789");
    for (size_t i = 0; i < n && port <= 65535; i++)
        port = port * 10 + (*at)[i] - '0';
    *at += n;
    return n && port && port <= 65535 ? port : -1;
}

/* "", "/" or the base path of the service. */
static int path_fits(const char *path, const char *base)
{
    size_t n = strlen(base);
    if (!strncmp(path, base, n))
        path += n;
    return !strcmp(path, "") || !strcmp(path, "/");
}

static int from_override(enum oci_service service, const char *override, struct oci_endpoint *ret,
                         struct oc_err *err)
{
    int tls = !strncasecmp(override, "https://", 8);
    if (!tls && strncasecmp(override, "http://", 7))
        return bad_override(override, "does not begin with https://", err);
    const char *at = override + (tls ? 8 : 7);
    size_t n = host_len(at);
    char host[256];
    if (!n || n >= sizeof host)
        return bad_override(override, "has no usable host name", err);
    memcpy(host, at, n);
    host[n] = 0;
    lower(host);
    at += n;
    int port = read_port(&at);
    if (port < 0)
        return bad_override(override, "has a port that is not between 1 and 65535", err);
    if (!path_fits(at, services[service].path))
        return bad_override(override, "has more than a host and a port", err);
    if (!tls && !is_loopback(host))
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "endpoint '%.200s' is plain http, which is allowed to 127.0.0.1, ::1 and "
                       "localhost only; write https://",
                       override);
    fill(ret, host, tls, port);
    return 0;
}

/* Region and domain of a place: from the table, or what the caller has. A whole domain given as
 * region leaves *ret_domain empty. */
static int find_region(const struct oci_place *place, char ret_region[256], const char **ret_domain,
                       struct oc_err *err)
{
    const char *text = given(place->region) ? place->region : "";
    const struct oci_region *row = oci_region_find(text);
    size_t n = trim(&text);
    if (!n)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "no region is known; set 'region' in the profile, such as eu-frankfurt-1");
    if (!row && (!is_host(text, n) || n > 180))
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "region '%.*s' cannot be one; set it to a name such as eu-frankfurt-1",
                       n > 180 ? 180 : (int)n, text);
    snprintf(ret_region, 256, "%.*s", row ? 200 : (int)n, row ? row->id : text);
    if (row)
        *ret_domain = row->domain;
    else if (memchr(text, '.', n))
        *ret_domain = "";
    else
        *ret_domain = given(place->domain) ? place->domain : DEFAULT_DOMAIN;
    return 0;
}

/* NAMESPACE.objectstorage.REGION[.ds].oci.customer-oci.com */
static int dedicated(const struct oci_place *place, const char *region, struct oci_endpoint *ret,
                     struct oc_err *err)
{
    const struct oci_region *row = oci_region_find(region);
    const char *space = given(place->namespace) ? place->namespace : "";
    char host[256 + OCI_NAMESPACE_MAX + 64];
    if (!row || strcmp(row->realm, "oc1"))
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "region '%s' has no dedicated endpoints, only realm oc1 has; switch them "
                       "off",
                       region);
    int code = *space ? oci_namespace_check(space, strlen(space), err) : 0;
    if (code)
        return code;
    snprintf(host, sizeof host, "%s%sobjectstorage.%s%s.oci." DEDICATED_DOMAIN, space,
             *space ? "." : "", region, place->dual_stack ? ".ds" : "");
    fill(ret, host, 1, 0);
    return 0;
}

int oci_endpoint_make(enum oci_service service, const struct oci_place *place,
                      struct oci_endpoint *ret, struct oc_err *err)
{
    char region[256], host[OCI_HOST_SIZE];
    const char *domain = "", *before = services[service].before_domain;
    if (given(place->override))
        return from_override(service, place->override, ret, err);
    int code = find_region(place, region, &domain, err);
    if (code)
        return code;
    if (!is_host(*domain ? domain : region, strlen(*domain ? domain : region)) ||
        strlen(domain) > 60)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "realm domain '%.100s' cannot be one; write it as oraclecloud.com", domain);
    if (service == OCI_OBJECT_STORAGE && place->dedicated)
        return dedicated(place, region, ret, err);
    if (service == OCI_OBJECT_STORAGE && place->dual_stack)
        before = ".ds.oci";
    if (*domain)
        snprintf(host, sizeof host, "%s.%s%s.%s", services[service].name, region, before, domain);
    else
        snprintf(host, sizeof host, "%s.%s", services[service].name, region);
    fill(ret, host, 1, 0);
    return 0;
}

int oci_endpoint_check(enum oci_service service, const char *override, struct oc_err *err)
{
    struct oci_endpoint unused;
    return from_override(service, override, &unused, err);
}
