/* SPDX-License-Identifier: Apache-2.0
 *
 * body.c - the bytes of a request on their way out, and the sums of bytes either way.
 *
 * Transfer thread. Small bodies are read before they are sent, so that their sum stands in the
 * headers; large ones are read straight into libcurl's buffer where that cannot block, else by the
 * pool while the transfer is paused. All reads are at absolute offsets.
 */
#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "core/fault.h"
#include "oci/checksum.h"
#include "xfer/room.h"

/* ---- sums ---- */

void body_sum_start(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    r->crc32c = 0;
    j->md5_on = 0;
    if (!(r->sums & XFER_MD5) || !j->e->md5)
        return;
    if (!j->md5)
        j->md5 = EVP_MD_CTX_new();
    j->md5_on = j->md5 && EVP_DigestInit_ex(j->md5, j->e->md5, NULL);
}

void body_sum(struct xfer_job *j, const void *bytes, size_t n)
{
    if (j->r->sums & XFER_CRC32C || j->r->sum_first)
        j->r->crc32c = oci_crc32c(j->r->crc32c, bytes, n);
    if (j->md5_on && !EVP_DigestUpdate(j->md5, bytes, n))
        j->md5_on = 0;
}

void body_sum_end(struct xfer_job *j)
{
    unsigned n = 0;
    j->r->has_md5 = j->md5_on && EVP_DigestFinal_ex(j->md5, j->r->md5, &n) && n == 16;
    j->md5_on = 0;
}

/* ---- before it is sent ---- */

static void changed(struct xfer_job *j)
{
    job_fail(j, OCID_E_SOURCE_CHANGED, 0, "the source of %s has become shorter while it was read",
             job_what(j));
}

static void another(struct xfer_job *j)
{
    job_fail(j, OCID_E_SOURCE_CHANGED, 0,
             "the source of %s has changed while it was read: %s is not what it was", job_what(j),
             j->differs);
}

static void unreadable(struct xfer_job *j, int sys)
{
    j->r->local_sys = sys;
    job_fail(j, OCID_E_IO, sys, "cannot read the source of %s", job_what(j));
}

/* A file system in memory may not know RWF_NOWAIT, but it does not block either. */
static int is_calm(struct xfer_file *f)
{
    struct statfs fs;
    return f->calm =
               fstatfs(f->fd, &fs) == 0 && (unsigned long)fs.f_type == (unsigned long)TMPFS_MAGIC;
}

/* What can be read without blocking; -1: errno, EAGAIN when the pool must. */
static ssize_t read_now(struct xfer_file *f, char *to, size_t n, uint64_t offset)
{
    if (f->slow || OC_FAULT("xfer.cold")) {
        errno = EAGAIN;
        return -1;
    }
    struct iovec v = {to, n};
    ssize_t got;
    do
        got = preadv2(f->fd, &v, 1, (off_t)offset, f->calm ? 0 : RWF_NOWAIT);
    while (got < 0 && (errno == EINTR || (errno == EOPNOTSUPP && !f->calm && is_calm(f))));
    if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        errno = EAGAIN;
    return got;
}

static void ask_pool(struct xfer_job *j, int op, uint64_t at, uint64_t most)
{
    uint64_t left = j->r->length - at;
    struct body_io *io = io_get(j->e);
    io->op = op;
    io->offset = j->r->offset + at;
    io->len = (size_t)(left < most ? left : most);
    io->crc = j->crc_first;
    j->asked = at + io->len;
    io_submit(j, io);
}

static void small_ready(struct xfer_job *j)
{
    body_sum_start(j);
    body_sum(j, j->small, j->small_len);
    body_sum_end(j);
    j->crc_first = j->r->crc32c_announced = j->r->crc32c;
    job_sign(j);
}

void body_read_small(struct xfer_job *j)
{
    struct xfer_request *r = j->r;
    if (j->small_room < r->length) {
        j->small = oc_grow(j->small, (size_t)r->length, 1);
        j->small_room = (size_t)r->length;
    }
    while (j->small_len < r->length) {
        ssize_t n = read_now(r->file, j->small + j->small_len, (size_t)r->length - j->small_len,
                             r->offset + j->small_len);
        if (n > 0) {
            j->small_len += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            ask_pool(j, IO_READ, j->small_len, SMALL_BODY);
            return;
        }
        if (n < 0)
            unreadable(j, errno);
        else
            changed(j);
        job_settle(j);
        return;
    }
    small_ready(j);
}

static void small_read(struct xfer_job *j, struct body_io *io)
{
    memcpy(j->small + j->small_len, io->buf, io->done);
    j->small_len += io->done;
    if (j->small_len < j->r->length) {
        changed(j);
        job_settle(j);
    } else {
        small_ready(j);
    }
}

void body_sum_first(struct xfer_job *j)
{
    j->crc_first = 0;
    ask_pool(j, IO_SUM, 0, SUM_BYTES);
}

static void summed(struct xfer_job *j, struct body_io *io)
{
    j->crc_first = j->r->crc32c_announced = io->crc;
    if (io->done < io->len) {
        changed(j);
        job_settle(j);
    } else if (j->asked < j->r->length) {
        ask_pool(j, IO_SUM, j->asked, SUM_BYTES);
    } else {
        j->asked = 0;
        job_sign(j);
    }
}

/* ---- while it is sent ---- */

void body_resume(struct xfer_job *j)
{
    if (!j->paused || j->state != MOVE_RUNNING)
        return;
    struct engine *e = j->e;
    j->paused = 0;
    j->heard_ms = engine_now_ms(e);
    CURLcode rc = curl_easy_pause(j->lane->easy, CURLPAUSE_CONT);
    if (rc)
        job_finish(j, rc); /* a callback failed in there; libcurl would not end it by itself */
    engine_drain(e);
}

void body_on_read(struct xfer_job *j, struct body_io *io)
{
    if (io->sys) {
        unreadable(j, io->sys);
        io_put(io);
        if (j->state == MOVE_RUNNING)
            job_finish(j, CURLE_ABORTED_BY_CALLBACK);
        else
            job_settle(j);
        return;
    }
    if (io->op == IO_LOOK) {
        j->looked = 1;
        j->differs = io->differs;
        io_put(io);
        body_resume(j);
        return;
    }
    if (j->state == MOVE_RUNNING) {
        if (j->have)
            j->behind = io;
        else
            j->have = io;
        body_resume(j);
        return;
    }
    if (io->op == IO_SUM)
        summed(j, io);
    else
        small_read(j, io);
    io_put(io);
}

/* The piece in hand; asks for the one after it if the file is slow. NULL: none is there yet. */
static struct body_io *piece(struct xfer_job *j)
{
    if (j->have && j->have->at == j->have->done && j->have->done) {
        io_put(j->have);
        j->have = j->behind;
        j->behind = NULL;
    }
    if (j->have && j->r->file->slow && !j->busy && !j->behind && j->asked < j->r->length)
        ask_pool(j, IO_READ, j->asked, IO_BYTES);
    return j->have;
}

static size_t pause_read(struct xfer_job *j)
{
    if (!j->busy && !j->pace)
        ask_pool(j, IO_READ, j->at, IO_BYTES);
    j->paused = 1;
    return CURL_READFUNC_PAUSE;
}

/* All of a slow source is here: a look at it may block, too. 1: it is under way. */
static int must_look(struct xfer_job *j)
{
    const struct xfer_request *r = j->r;
    const struct body_io *io = piece(j);
    if (!r->source.known || j->looked || !r->file->slow || !io ||
        io->offset + io->done < r->offset + r->length)
        return 0;
    if (!j->busy) {
        struct body_io *look = io_get(j->e);
        look->op = IO_LOOK;
        look->source = r->source;
        io_submit(j, look);
    }
    return 1;
}

/* With the last bytes in hand, and before they are sent: 1 if they must not be. */
static int is_another(struct xfer_job *j, uint64_t at)
{
    const struct xfer_request *r = j->r;
    int sys = 0;
    if (r->source.known && !j->looked && at == r->length)
        sys = file_look(r->file->fd, &r->source, &j->differs);
    if (sys)
        unreadable(j, sys);
    else if (j->differs)
        another(j);
    return sys || j->differs;
}

static ssize_t next_bytes(struct xfer_job *j, char *to, size_t room)
{
    struct body_io *io = piece(j);
    if (!io && j->busy) {
        errno = EAGAIN;
        return -1;
    }
    if (!io)
        return read_now(j->r->file, to, room, j->r->offset + j->at);
    size_t n = io->done - io->at;
    if (io->offset + io->at != j->r->offset + j->at)
        n = 0; /* the piece before it was short */
    if (n > room)
        n = room;
    memcpy(to, io->buf + io->at, n);
    io->at += n;
    return (ssize_t)n;
}

size_t on_read_cb(char *to, size_t size, size_t n, void *arg)
{
    struct xfer_job *j = ((struct lane *)arg)->job;
    struct xfer_request *r = j->r;
    uint64_t left = r->length - j->at;
    size_t room = size * n < left ? size * n : (size_t)left;
    j->heard_ms = engine_now_ms(j->e);
    if (!room)
        return 0;
    size_t may = pace_ask(j, room);
    if (!may)
        return pause_read(j);
    if (must_look(j)) {
        j->paused = 1;
        return CURL_READFUNC_PAUSE;
    }
    ssize_t got = next_bytes(j, to, may);
    if (got < 0 && errno == EAGAIN)
        return pause_read(j);
    if (got <= 0) {
        if (got < 0)
            unreadable(j, errno);
        else
            changed(j);
        return CURL_READFUNC_ABORT;
    }
    if (is_another(j, j->at + (uint64_t)got))
        return CURL_READFUNC_ABORT;
    body_sum(j, to, (size_t)got);
    pace_moved(j, (size_t)got);
    j->at += (uint64_t)got;
    atomic_store_explicit(&r->bytes_moved, j->at, memory_order_relaxed);
    atomic_fetch_add_explicit(&j->e->bytes_up, (uint64_t)got, memory_order_relaxed);
    return (size_t)got;
}

/* Pieces of the source that are here or under way. */
static void source_drop(struct xfer_job *j)
{
    if (j->busy && j->busy->op != IO_WRITE) {
        j->busy->job = NULL;
        j->busy = NULL;
    }
    io_put(j->have);
    io_put(j->behind);
    j->have = j->behind = NULL;
}

/* libcurl found a kept connection dead and begins again on another one. */
int on_seek_cb(void *arg, curl_off_t offset, int origin)
{
    struct xfer_job *j = ((struct lane *)arg)->job;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    source_drop(j);
    j->at = j->asked = 0;
    j->looked = 0;
    j->paused = 0;
    pace_leave(j);
    atomic_store(&j->r->bytes_moved, 0);
    body_sum_start(j);
    return CURL_SEEKFUNC_OK;
}

void body_drop(struct xfer_job *j)
{
    source_drop(j);
    sink_drop(j);
}
