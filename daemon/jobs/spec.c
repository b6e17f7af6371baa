/* SPDX-License-Identifier: Apache-2.0
 *
 * spec.c - the rules for submitted jobs, a row a kind.
 *
 * Pure; any thread.
 */
#include "jobs/spec.h"

#include <string.h>

#include "jobs/job.h"
#include "oci/encode.h"

enum { JOB_BYTES = 32 << 10 };

enum need { NO, MAY, MUST };

static const struct rule {
    enum need bucket, object, source, dest, fd;
} rules[OCP_ENUM_kind_COUNT] = {
    [OCP_ENUM_kind_put] = {MUST, MUST, MAY, NO, MAY},
    [OCP_ENUM_kind_get] = {MUST, MUST, NO, MAY, MAY},
    [OCP_ENUM_kind_list] = {MUST, MAY, NO, MAY, MAY},
    [OCP_ENUM_kind_head] = {MUST, MUST, NO, NO, NO},
    [OCP_ENUM_kind_delete] = {MUST, MUST, NO, NO, NO},
    [OCP_ENUM_kind_mkbucket] = {MUST, NO, NO, NO, NO},
    [OCP_ENUM_kind_buckets] = {NO, NO, NO, NO, MUST},
    [OCP_ENUM_kind_whoami] = {NO, NO, NO, NO, NO},
    [OCP_ENUM_kind_namespace] = {NO, NO, NO, NO, NO},
    [OCP_ENUM_kind_set] = {NO, NO, NO, NO, NO},
    [OCP_ENUM_kind_pull] = {MUST, MAY, NO, MUST, NO},
    [OCP_ENUM_kind_uploads] = {MUST, NO, NO, NO, MUST},
    [OCP_ENUM_kind_abort] = {MUST, MUST, NO, NO, NO},
    [OCP_ENUM_kind_share] = {MUST, MAY, NO, NO, NO},
    [OCP_ENUM_kind_shares] = {MUST, MAY, NO, NO, MUST},
    [OCP_ENUM_kind_revoke] = {MUST, NO, NO, NO, NO},
    [OCP_ENUM_kind_watch] = {MUST, MUST, NO, NO, NO},
};

static int need(const char *kind, const char *field, enum need n, int has, struct oc_err *err)
{
    if (n == MUST && !has)
        return oc_fail(err, OCID_E_INVALID, 0, "a %s needs the field '%s'", kind, field);
    if (n == NO && has)
        return oc_fail(err, OCID_E_INVALID, 0, "a %s has no use for the field '%s'", kind, field);
    return 0;
}

static int path_check(const char *field, struct ocp_str path, struct oc_err *err)
{
    if (!path.n)
        return 0;
    if (path.p[0] != '/')
        return oc_fail(
            err, OCID_E_INVALID, 0,
            "'%s' must be an absolute path: the daemon has a working directory of its own", field);
    if (memchr(path.p, 0, path.n))
        return oc_fail(err, OCID_E_INVALID, 0, "'%s' has a NUL byte", field);
    if (path.p[path.n - 1] == '/' && strcmp(field, "dest"))
        return oc_fail(err, OCID_E_INVALID, 0, "'%s' names a directory", field);
    return 0;
}

static int names_check(const struct ocp_job *j, struct oc_err *err)
{
    int rc = 0;
    if (j->bucket.n)
        rc = oci_bucket_check(j->bucket.p, j->bucket.n, err);
    if (!rc && j->namespace.n)
        rc = oci_namespace_check(j->namespace.p, j->namespace.n, err);
    int prefix = j->kind == OCP_ENUM_kind_list || j->kind == OCP_ENUM_kind_pull ||
                 j->kind == OCP_ENUM_kind_shares || j->prefix;
    if (!rc && j->object.n)
        rc = prefix ? oci_prefix_check(j->object.p, j->object.n, err)
                    : oci_object_check(j->object.p, j->object.n, err);
    if (!rc)
        rc = path_check("source", j->source, err);
    if (!rc)
        rc = path_check("dest", j->dest, err);
    return rc;
}

static int fd_check(const struct ocp_job *j, unsigned n_fds, struct oc_err *err)
{
    if (OCP_HAS(j, job, fd) && j->fd >= n_fds)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'fd' is %u, but %u descriptors came with the message", (unsigned)j->fd,
                       n_fds);
    if (j->kind == OCP_ENUM_kind_put && !j->source.n && !(OCP_HAS(j, job, fd) && j->spool))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "a put needs 'source', or a descriptor ('fd') to be spooled ('spool')");
    if (j->in_memory && !j->spool)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'in_memory' is about bytes that would else be spooled: it needs 'spool'");
    if (j->kind == OCP_ENUM_kind_put && j->source.n && j->spool)
        return oc_fail(err, OCID_E_INVALID, 0, "'spool' copies a descriptor: leave 'source' out");
    if ((j->kind == OCP_ENUM_kind_get || j->kind == OCP_ENUM_kind_list) &&
        !j->dest.n == !OCP_HAS(j, job, fd))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "a %s needs either 'dest' or a pipe ('fd') to write to",
                       ocp_enum_name(&ocp_enum_kind, j->kind));
    if ((j->offset || j->length) && (j->kind != OCP_ENUM_kind_get || j->dest.n))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'offset' and 'length' are for a get into a pipe ('fd') alone");
    if (j->length && j->offset > UINT64_MAX - j->length)
        return oc_fail(err, OCID_E_INVALID, 0, "'offset' and 'length' are beyond any object");
    return 0;
}

static int share_check(const struct ocp_job *j, struct oc_err *err)
{
    int share = j->kind == OCP_ENUM_kind_share;
    if (!share && (OCP_HAS(j, job, access) || j->prefix || j->listing || j->expires_at))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'access', 'prefix', 'listing' and 'expires_at' are for a share alone");
    if (!share)
        return 0;
    if (!j->expires_at)
        return oc_fail(err, OCID_E_INVALID, 0, "a share needs the field 'expires_at'");
    if (!j->object.n && !j->prefix)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "a share needs an 'object', or 'prefix' for all that begins like it");
    if (j->listing && (!j->prefix || j->access == OCP_ENUM_access_write))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'listing' is for the share of a prefix that may be read");
    return 0;
}

static int watch_check(const struct ocp_job *j, struct oc_err *err)
{
    if (j->kind != OCP_ENUM_kind_watch && (j->if_none_match.n || j->gone || j->every_ms))
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'if_none_match', 'gone' and 'every_ms' are for a watch alone");
    if (j->if_none_match.n && j->gone)
        return oc_fail(err, OCID_E_INVALID, 0,
                       "'if_none_match' and 'gone' exclude each other: it changes, or it goes");
    return 0;
}

int spec_check(const struct ocp_job *j, unsigned n_fds, struct oc_err *err)
{
    const struct rule *r = &rules[j->kind];
    const char *kind = ocp_enum_name(&ocp_enum_kind, j->kind);
    int rc = need(kind, "bucket", r->bucket, j->bucket.n > 0, err);
    if (!rc)
        rc = need(kind, "object", r->object, j->object.n > 0, err);
    if (!rc)
        rc = need(kind, "source", r->source, j->source.n > 0, err);
    if (!rc)
        rc = need(kind, "dest", r->dest, j->dest.n > 0, err);
    if (!rc)
        rc = need(kind, "fd", r->fd, OCP_HAS(j, job, fd), err);
    if (!rc)
        rc = need(kind, "upload_id", j->kind == OCP_ENUM_kind_abort ? MUST : NO, j->upload_id.n > 0,
                  err);
    if (!rc)
        rc = need(kind, "share_id", j->kind == OCP_ENUM_kind_revoke ? MUST : NO, j->share_id.n > 0,
                  err);
    if (!rc)
        rc = share_check(j, err);
    if (!rc)
        rc = watch_check(j, err);
    if (!rc)
        rc = names_check(j, err);
    if (!rc)
        rc = fd_check(j, n_fds, err);
    if (!rc && j->delimiter.n && j->delimiter.p[0] != '/')
        rc = oc_fail(err, OCID_E_INVALID, 0, "the delimiter of a list can only be '/'");
    if (!rc && j->if_match.n && j->if_absent)
        rc = oc_fail(err, OCID_E_INVALID, 0, "'if_match' and 'if_absent' exclude each other");
    if (!rc && job_is_set_kind(j->kind) && j->set)
        rc = oc_fail(err, OCID_E_INVALID, 0, "a set cannot be a member of a set");
    return rc;
}

int spec_size_check(size_t n, struct oc_err *err)
{
    if (n <= JOB_BYTES)
        return 0;
    return oc_fail(err, OCID_E_TOO_LARGE, 0, "a job of %zu bytes: at most %d are taken", n,
                   JOB_BYTES);
}

int spec_is_stream(const struct ocp_job *j)
{
    return j->kind == OCP_ENUM_kind_put && j->spool && !OCP_HAS(j, job, inode);
}

int spec_durable(const struct ocp_job *j)
{
    switch (j->kind) {
    case OCP_ENUM_kind_head:
    case OCP_ENUM_kind_whoami:
    case OCP_ENUM_kind_namespace:
    case OCP_ENUM_kind_buckets:
    case OCP_ENUM_kind_uploads:
    case OCP_ENUM_kind_shares:
        return 0;
    case OCP_ENUM_kind_get: /* neither: a pulled name that cannot become a file */
        return j->dest.n > 0 || !OCP_HAS(j, job, fd);
    case OCP_ENUM_kind_list:
        return j->dest.n > 0;
    default:
        return 1;
    }
}
