/* SPDX-License-Identifier: Apache-2.0
 *
 * put_proof.c - whether the service has got the bytes that were sent, and whose an object is.
 *
 * Control loop.
 */
#include <openssl/evp.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "jobs/room.h"
#include "jobs/run_put.h"

enum oci_sum_kind put_sum_kind(const struct run *u)
{
    switch (u->room->config->transfer_checksum) {
    case CONFIG_CHECKSUM_OFF:
        return OCI_SUM_NONE;
    case CONFIG_CHECKSUM_MD5:
        return OCI_SUM_MD5;
    case CONFIG_CHECKSUM_CRC32C:
        return OCI_SUM_CRC32C;
    default:
        return u->account->sums == SUMS_NO_CRC32C ? OCI_SUM_NONE : OCI_SUM_CRC32C;
    }
}

unsigned put_engine_sums(const struct run *u)
{
    enum config_checksum how = u->room->config->transfer_checksum;
    if (how == CONFIG_CHECKSUM_OFF)
        return 0;
    if (how == CONFIG_CHECKSUM_MD5)
        return XFER_CRC32C | XFER_MD5;
    if (how == CONFIG_CHECKSUM_CRC32C || u->account->sums == SUMS_CRC32C)
        return XFER_CRC32C;
    return XFER_CRC32C | XFER_MD5;
}

int put_sums_agree(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct put *p = u->of;
    const struct oci_reply *r = &q->x.reply;
    char md5[32];
    p->verified = OCP_ENUM_verified_none;
    if (u->room->config->transfer_checksum == CONFIG_CHECKSUM_OFF)
        return 0;
    if (r->has_crc32c) {
        if (r->crc32c != q->x.crc32c)
            return oc_fail(err, OCID_E_CHECKSUM, 0,
                           "%s arrived changed: CRC32C %08x was sent, %08x arrived", u->what,
                           q->x.crc32c, r->crc32c);
        u->account->sums = SUMS_CRC32C;
        p->verified = OCP_ENUM_verified_crc32c;
        return 0;
    }
    if (u->account->sums == SUMS_UNKNOWN && put_sum_kind(u) == OCI_SUM_CRC32C) {
        u->account->sums = SUMS_NO_CRC32C;
        log_info("%s does not answer with CRC32C: bodies are proven by MD5",
                 u->account->at->storage.host);
    }
    if (!r->opc_content_md5 || !q->x.has_md5)
        return oc_fail(err, OCID_E_CHECKSUM, 0, "%s: the answer holds no checksum to prove it by",
                       u->what);
    oci_base64(q->x.md5, sizeof q->x.md5, md5);
    if (strcmp(md5, r->opc_content_md5))
        return oc_fail(err, OCID_E_CHECKSUM, 0, "%s arrived changed: MD5 %s was sent, %s arrived",
                       u->what, md5, r->opc_content_md5);
    p->verified = OCP_ENUM_verified_md5;
    return 0;
}

/* Whether the object of an answer is ours, by the best sum that both sides have. */
enum sameness { SAME, OTHER, SAME_UNKNOWN };

static enum sameness compare(struct put *p, const struct put_sums *ours, const struct oci_reply *r)
{
    const char *md5 = r->opc_multipart_md5 ? r->opc_multipart_md5 : r->content_md5;
    if (r->has_crc32c && ours->has_crc32c) {
        p->verified = OCP_ENUM_verified_crc32c;
        return r->crc32c == ours->crc32c ? SAME : OTHER;
    }
    if (!md5 || !ours->md5[0])
        return SAME_UNKNOWN;
    p->verified = OCP_ENUM_verified_md5;
    return strcmp(md5, ours->md5) ? OTHER : SAME;
}

/* What the sums of the object of a commit have to be. */
static struct put_sums whole_of(const struct run *u)
{
    const struct put *p = u->of;
    struct put_facts f;
    xfer_put_facts(p->plan, &f);
    struct put_sums whole = *f.whole;
    whole.has_crc32c = whole.has_crc32c && put_engine_sums(u); /* else nothing was summed here */
    return whole;
}

int put_object_agrees(struct run *u, struct run_request *q, struct oc_err *err)
{
    struct put *p = u->of;
    const struct oci_reply *r = &q->x.reply;
    struct put_sums whole = whole_of(u);
    if (u->room->config->transfer_checksum == CONFIG_CHECKSUM_OFF || compare(p, &whole, r) != OTHER)
        return 0;
    if (r->has_crc32c && whole.has_crc32c)
        return oc_fail(err, OCID_E_CHECKSUM, 0,
                       "%s was put together wrong: CRC32C %08x of its parts, %08x at the service",
                       u->what, whole.crc32c, r->crc32c);
    return oc_fail(err, OCID_E_CHECKSUM, 0,
                   "%s was put together wrong: MD5 %s of its parts, %s at the service", u->what,
                   whole.md5, r->opc_multipart_md5);
}

static void on_summed(struct file_task *t)
{
    struct run *u = t->arg;
    struct put *p = u->of;
    struct oc_err err = t->err;
    p->at_source = 0;
    if (!err.code && t->verb == FILE_SUM) {
        oci_base64(t->md5, sizeof t->md5, p->sums.md5);
    } else if (!err.code) {
        p->sums.has_crc32c = 1;
        p->sums.crc32c = t->crc32c;
    }
    file_task_free(t);
    run_go_on(u, &err);
}

/* Reads the source for its sum of that kind; HEAD is asked once more when it is there. */
static void sum_source(struct run *u, enum file_verb verb, uint64_t size)
{
    struct put *p = u->of;
    struct file_task *t = file_task_new(verb, on_summed, u);
    t->path = oc_strndup(u->spec.source.p, u->spec.source.n);
    t->file = xfer_file_ref(p->file);
    t->size = t->length = size;
    p->at_source = 1;
    run_work_begin(u);
    file_task_submit(u->room->gate, t);
}

static void sum_bytes(struct put *p, uint64_t size)
{
    unsigned char md5[OCI_MD5_SIZE];
    if (EVP_Digest(p->bytes, size, md5, NULL, EVP_md5(), NULL))
        oci_base64(md5, sizeof md5, p->sums.md5);
}

enum step_end put_is_ours(struct run *u, struct run_request *q)
{
    struct put *p = u->of;
    struct put_facts f;
    const struct oci_reply *r = &q->x.reply;
    xfer_put_facts(p->plan, &f);
    struct put_sums whole = whole_of(u);
    if (r->content_length != (int64_t)f.size)
        return STEP_NO_UPLOAD;
    enum sameness same = compare(p, &whole, r);
    if (same == SAME_UNKNOWN && p->bytes && !p->sums.md5[0])
        sum_bytes(p, f.size);
    if (same == SAME_UNKNOWN)
        same = compare(p, &p->sums, r);
    if (same != SAME_UNKNOWN)
        return same == SAME ? STEP_OK : STEP_NO_UPLOAD;
    if (!p->file || (!r->has_crc32c && !r->content_md5)) /* one of the two has no sum */
        return STEP_NO_UPLOAD;
    sum_source(u, r->has_crc32c ? FILE_CRC : FILE_SUM, f.size);
    return STEP_AGAIN;
}
