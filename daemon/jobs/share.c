/* SPDX-License-Identifier: Apache-2.0
 *
 * share.c - links that need no credentials: whose they are, and how they are shown.
 *
 * Pure; any thread.
 */
#include "jobs/share.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/types.h"

char *share_name(const char *uuid, uint64_t job, char out[SHARE_NAME_SIZE])
{
    snprintf(out, SHARE_NAME_SIZE, "ocid-%.40s-%" PRIu64, uuid, job);
    return out;
}

uint64_t share_owner(const char *uuid, const char *name)
{
    char same[SHARE_NAME_SIZE];
    uint64_t job;
    const char *last = strrchr(name, '-');
    if (!last || sscanf(last + 1, "%" SCNu64, &job) != 1)
        return 0;
    return strcmp(share_name(uuid, job, same), name) ? 0 : job;
}

int share_gone(const struct run_request *q)
{
    return q->x.err.code == OCID_E_NOT_FOUND && q->x.kind != OCI_KIND_NO_BUCKET &&
           q->x.kind != OCI_KIND_NO_NAMESPACE;
}

const char *share_access(const char *type, int *ret_prefix)
{
    static const char *const names[][2] = {
        {"ObjectReadWrite", "read_write"}, {"ObjectRead", "read"}, {"ObjectWrite", "write"}};
    const char *rest = strncmp(type, "Any", 3) ? type : type + 3;
    *ret_prefix = rest != type;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(rest, names[i][0]))
            return names[i][1];
    return type;
}
