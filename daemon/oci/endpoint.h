/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint.h - region, realm, override and namespace -> where to connect.
 *
 * Pure; any thread.
 */
#ifndef OCI_ENDPOINT_H
#define OCI_ENDPOINT_H

#include <stddef.h>

#include "proto/err.h"

enum { OCI_HOST_SIZE = 320, OCI_BASE_SIZE = OCI_HOST_SIZE + 8 };

#define OCI_IDENTITY_PATH "/20160918" /* base path of the identity service */

enum oci_service { OCI_OBJECT_STORAGE, OCI_IDENTITY, OCI_AUTH };

struct oci_region {
    const char *id, *key;       /* "eu-frankfurt-1", "fra" */
    const char *realm, *domain; /* "oc1", "oraclecloud.com" */
};

/* Looks an id or a short code up, spaces around it and letter case ignored. NULL: not in the
 * table. The rows are static. */
const struct oci_region *oci_region_find(const char *text);

/* Row idx of the table, NULL behind its end: for completion and tests. */
const struct oci_region *oci_region_at(size_t idx);

/* Where a service may be; all texts are borrowed, NULL or "" is "not given". */
struct oci_place {
    const char *override;  /* http(s)://host[:port]; wins over everything */
    const char *region;    /* id, short code, or a whole domain (has a dot) */
    const char *domain;    /* realm domain of a region that the table does not have */
    const char *namespace; /* for a dedicated endpoint only */
    int dedicated;         /* NAMESPACE.objectstorage.REGION.oci.customer-oci.com */
    int dual_stack;        /* host names with IPv6 */
};

struct oci_endpoint {
    int tls;                  /* 0: plain http, which is for loopback only */
    int port;                 /* of the connection, default filled in */
    char host[OCI_HOST_SIZE]; /* as the Host header: with ":port" if it is not the default one */
    char base[OCI_BASE_SIZE]; /* "https://host[:port]"; URL = base + target of a request */
};

/* Fills *ret. OCID_E_CONFIG with a sentence that says how to mend it: no region and no override,
 * an override that is not one, plain http to a host that is not 127.0.0.0/8, ::1 or localhost. */
int oci_endpoint_make(enum oci_service service, const struct oci_place *place,
                      struct oci_endpoint *ret, struct oc_err *err);

/* The check of the override alone; an identity override may end in its base path. */
int oci_endpoint_check(enum oci_service service, const char *override, struct oc_err *err);

#endif
