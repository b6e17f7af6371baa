/* SPDX-License-Identifier: Apache-2.0
 *
 * page.c - see page.h.
 */
#include "jobs/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "jobs/share.h"
#include "proto/frame.h"
#include "proto/json.h"
#include "proto/text.h"
#include "xfer/engine.h"

enum { OBJECT_NAME_MAX = 1024 };

static void add_row(struct page *t, const struct ocp_row *row)
{
    if (t->to == PAGE_TO_PIPE) {
        ocp_frame_message(&t->rows, &ocp_desc_row, row);
    } else {
        ocp_json(&ocp_desc_row, row, &t->rows);
        oc_buf_add(&t->rows, "\n", 1);
    }
    t->n_rows++;
}

/* dest/rest-of-name; 0, or why the name cannot become a file below dest. */
static const char *member_path(const struct page *t, const char *name, char out[4097])
{
    size_t skip = strlen(t->prefix);
    if (strncmp(name, t->prefix, skip))
        return "it does not begin with the prefix asked for";
    const char *rest = name + skip;
    if (rest > name && rest[-1] != '/' && *rest == '/')
        rest++;
    if (!*rest)
        return "nothing is left of it behind the prefix";
    if (*rest == '/')
        return "it begins with '/'";
    for (const char *at = rest; at;) {
        size_t n = strcspn(at, "/");
        if (!n && !at[n])
            return "it ends in '/': a directory marker";
        if (!n)
            return "it has an empty component";
        if (n > 255)
            return "a component is longer than 255 bytes";
        if ((n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return "it has a component '.' or '..'";
        at = at[n] ? at + n + 1 : NULL;
    }
    for (const unsigned char *c = (const unsigned char *)rest; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            return "it has control bytes";
    size_t n = strlen(t->dest);
    int len = snprintf(out, 4097, "%s%s%s", t->dest, n && t->dest[n - 1] == '/' ? "" : "/", rest);
    return len > 4096 ? "the path would be longer than 4096 bytes" : NULL;
}

/* A member of a pull. One whose name cannot be used is made, too: it fails at once and says so. */
static void add_member(struct page *t, const struct oci_object *o)
{
    char path[4097];
    struct ocp_job job = t->member;
    size_t n = strlen(o->name);
    const char *bad =
        n > OBJECT_NAME_MAX ? "it is longer than 1024 bytes" : member_path(t, o->name, path);
    OCP_SET(&job, job, kind, OCP_ENUM_kind_get);
    OCP_SET(&job, job, object, ocp_str(n > OBJECT_NAME_MAX ? "" : o->name));
    OCP_SET(&job, job, size, o->size);
    if (bad) {
        OCP_SET(&job, job, label, ocp_str(bad));
        OCP_SET(&job, job, dest, ocp_str(""));
    } else {
        OCP_SET(&job, job, dest, ocp_str(path));
    }
    ocp_pack(&ocp_desc_job, &job, &t->rows);
    t->n_rows++;
}

static int on_object(void *arg, const struct oci_object *o)
{
    struct page *t = arg;
    struct ocp_row row = {0};
    char created[OC_TIME_SIZE], modified[OC_TIME_SIZE];
    if (t->n_rows >= t->left)
        return 0;
    t->has_objects = 1;
    if (t->to == PAGE_TO_MEMBERS) {
        size_t n = strlen(o->name);
        if (!n || o->name[n - 1] != '/' || o->size) /* markers of directories are no files */
            add_member(t, o);
        return 0;
    }
    OCP_SET(&row, row, name, ocp_str(o->name));
    if (o->has_size)
        OCP_SET(&row, row, size, o->size);
    if (o->etag)
        OCP_SET(&row, row, etag, ocp_str(o->etag));
    if (o->md5)
        OCP_SET(&row, row, md5, ocp_str(o->md5));
    if (o->created_ms)
        OCP_SET(&row, row, time_created, ocp_str(oc_text_time(o->created_ms, created)));
    if (o->modified_ms)
        OCP_SET(&row, row, time_modified, ocp_str(oc_text_time(o->modified_ms, modified)));
    if (o->storage_tier)
        OCP_SET(&row, row, storage_tier, ocp_str(o->storage_tier));
    if (o->archival_state)
        OCP_SET(&row, row, archival_state, ocp_str(o->archival_state));
    add_row(t, &row);
    return 0;
}

static int on_prefix(void *arg, const char *prefix)
{
    struct page *t = arg;
    struct ocp_row row = {0};
    if (t->to == PAGE_TO_MEMBERS || t->n_rows >= t->left || !strcmp(prefix, t->last_prefix))
        return 0;
    snprintf(t->last_prefix, sizeof t->last_prefix, "%s", prefix);
    OCP_SET(&row, row, prefix, ocp_str(prefix));
    add_row(t, &row);
    return 0;
}

static int on_bucket(void *arg, const struct oci_bucket *b)
{
    struct page *t = arg;
    struct ocp_row row = {0};
    char created[OC_TIME_SIZE];
    OCP_SET(&row, row, name, ocp_str(b->name));
    if (b->etag)
        OCP_SET(&row, row, etag, ocp_str(b->etag));
    if (b->created_ms)
        OCP_SET(&row, row, time_created, ocp_str(oc_text_time(b->created_ms, created)));
    add_row(t, &row);
    return 0;
}

/* The link itself is not among what the service tells of it. */
static int on_par(void *arg, const struct oci_par *p)
{
    struct page *t = arg;
    struct ocp_row row = {0};
    char created[OC_TIME_SIZE], expires[OC_TIME_SIZE];
    int prefix;
    OCP_SET(&row, row, access, ocp_str(share_access(p->access, &prefix)));
    if (prefix)
        OCP_SET(&row, row, prefix, ocp_str(p->object ? p->object : ""));
    else
        OCP_SET(&row, row, name, ocp_str(p->object ? p->object : ""));
    OCP_SET(&row, row, share_id, ocp_str(p->id));
    OCP_SET(&row, row, share_name, ocp_str(p->name));
    if (p->listing)
        OCP_SET(&row, row, listing, true);
    if (p->created_ms)
        OCP_SET(&row, row, time_created, ocp_str(oc_text_time(p->created_ms, created)));
    if (p->expires_ms)
        OCP_SET(&row, row, time_expires, ocp_str(oc_text_time(p->expires_ms, expires)));
    uint64_t job = share_owner(t->uuid, p->name);
    if (job)
        OCP_SET(&row, row, job, job);
    add_row(t, &row);
    return 0;
}

static void write_rows(struct page *t)
{
    int fd = xfer_file_fd(t->file);
    for (size_t at = 0; at < t->rows.len;) {
        ssize_t n = pwrite(fd, t->rows.data + at, t->rows.len - at, (off_t)(t->offset + at));
        if (n < 0 && errno != EINTR) {
            oc_fail(&t->err, errno == ENOSPC || errno == EDQUOT ? OCID_E_SPACE : OCID_E_DESTINATION,
                    errno, "cannot write the listing");
            return;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (fdatasync(fd))
        oc_fail(&t->err, OCID_E_DESTINATION, errno, "cannot sync the listing");
}

void page_take_apart(struct work *w)
{
    struct page *t = OC_OWNER(w, struct page, work);
    struct oci_objects_sink sink = {on_object, on_prefix, t};
    if (t->kind == OCP_ENUM_kind_buckets || t->kind == OCP_ENUM_kind_uploads ||
        t->kind == OCP_ENUM_kind_shares) {
        if (t->kind == OCP_ENUM_kind_buckets)
            oci_parse_buckets(t->body, t->n, on_bucket, t, &t->err);
        else if (t->kind == OCP_ENUM_kind_shares)
            oci_parse_pars(t->body, t->n, on_par, t, &t->err);
        else
            uploads_parse(&t->uploads, t->body, t->n, &t->err);
        t->next = t->page_token;
        t->page_token = NULL;
    } else {
        oci_parse_objects(t->body, t->n, t->start, &sink, &t->next, &t->err);
    }
    if (!t->err.code && t->n_rows >= t->left) {
        free(t->next);
        t->next = NULL;
    }
    if (!t->err.code && t->to == PAGE_TO_FILE)
        write_rows(t);
}

void page_free(struct page *t)
{
    oc_buf_fini(&t->rows);
    uploads_fini(&t->uploads);
    if (t->file)
        xfer_file_unref(t->file);
    free(t->body);
    free(t->page_token);
    free(t->start);
    free(t->next);
    free(t->dest);
    free(t->prefix);
    free(t);
}
