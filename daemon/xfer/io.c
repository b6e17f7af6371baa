/* SPDX-License-Identifier: Apache-2.0
 *
 * io.c - file I/O through the pool, and the open files that requests share.
 *
 * Transfer thread, but for io_run() in the pool and for xfer_file_ref() and _unref() anywhere.
 * Used by body.c for sources and sink.c for destinations that may block.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fault.h"
#include "oci/checksum.h"
#include "xfer/room.h"

enum { SPARE_IOS = 8 };

/* ---- files ---- */

static pthread_mutex_t closer_lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine *closer; /* under closer_lock */

void file_set_closer(struct engine *e)
{
    pthread_mutex_lock(&closer_lock);
    closer = e;
    pthread_mutex_unlock(&closer_lock);
}

struct xfer_file *xfer_file_new(int fd, int slow, dev_t mount)
{
    struct xfer_file *f = OC_NEW(struct xfer_file);
    atomic_init(&f->n_refs, 1);
    f->fd = fd;
    f->slow = slow;
    f->mount = mount;
    return f;
}

struct xfer_file *xfer_file_ref(struct xfer_file *f)
{
    if (f)
        atomic_fetch_add(&f->n_refs, 1);
    return f;
}

int xfer_file_fd(const struct xfer_file *f)
{
    return f->fd;
}

dev_t xfer_file_mount(const struct xfer_file *f)
{
    return f->slow ? f->mount : 0;
}

static void file_free(struct xfer_file *f)
{
    close(f->fd);
    free(f);
}

/* 0: there is no engine that could. */
static int send_to_pool(struct xfer_file *f)
{
    pthread_mutex_lock(&closer_lock);
    struct engine *e = closer;
    if (e) {
        f->farewell = (struct note){.kind = NOTE_FILE, .file = f};
        mailbox_post(&e->notes, &f->farewell.mail);
    }
    pthread_mutex_unlock(&closer_lock);
    return e != NULL;
}

/* Closing a local file does not block; one of a network file system writes back. */
void xfer_file_unref(struct xfer_file *f)
{
    if (!f || atomic_fetch_sub(&f->n_refs, 1) != 1)
        return;
    if (!f->slow || !send_to_pool(f))
        file_free(f);
}

static void close_run(struct work *w)
{
    close(OC_OWNER(w, struct xfer_file, work)->fd);
}

static void close_done(struct work *w)
{
    struct engine *e = w->req.data;
    free(OC_OWNER(w, struct xfer_file, work));
    engine_try_shut(e);
}

void file_close_in_pool(struct engine *e, struct xfer_file *f)
{
    f->work.run = close_run;
    f->work.done = close_done;
    f->work.req.data = e;
    work_submit(e->gate, &f->work, f->mount);
}

/* ---- pieces ---- */

struct body_io *io_get(struct engine *e)
{
    struct body_io *io = e->spare_ios;
    if (io) {
        e->spare_ios = io->next;
        e->n_spare_ios--;
        char *buf = io->buf;
        *io = (struct body_io){.e = e, .buf = buf};
        return io;
    }
    io = OC_NEW(struct body_io);
    io->e = e;
    io->buf = oc_new(1, IO_BYTES);
    return io;
}

static void io_free(struct body_io *io)
{
    free(io->buf);
    free(io);
}

void io_put(struct body_io *io)
{
    if (!io)
        return;
    struct engine *e = io->e;
    xfer_file_unref(io->file);
    io->file = NULL;
    if (e->closing || e->n_spare_ios == SPARE_IOS) {
        io_free(io);
        return;
    }
    io->next = e->spare_ios;
    e->spare_ios = io;
    e->n_spare_ios++;
}

void io_spare_free(struct engine *e)
{
    for (struct body_io *io; (io = e->spare_ios);) {
        e->spare_ios = io->next;
        io_free(io);
    }
    e->n_spare_ios = 0;
}

/* Up to len bytes; *ret_n is less at the end of the file. 0 or errno. */
static int read_full(int fd, char *to, size_t len, uint64_t offset, size_t *ret_n)
{
    size_t n = 0;
    while (n < len) {
        ssize_t got = pread(fd, to + n, len - n, (off_t)(offset + n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (!got)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

static int write_full(int fd, const char *from, size_t len, uint64_t offset)
{
    for (size_t n = 0; n < len;) {
        ssize_t put = pwrite(fd, from + n, len - n, (off_t)(offset + n));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put ? errno : EIO;
        n += (size_t)put;
    }
    return 0;
}

static int sum_full(struct body_io *io)
{
    while (io->done < io->len) {
        size_t want = io->len - io->done, n = 0;
        if (want > IO_BYTES)
            want = IO_BYTES;
        int sys = read_full(io->file->fd, io->buf, want, io->offset + io->done, &n);
        if (sys || !n)
            return sys;
        io->crc = oci_crc32c(io->crc, io->buf, n);
        io->done += n;
    }
    return 0;
}

int file_look(int fd, const struct xfer_source *was, const char **ret_differs)
{
    struct stat st;
    *ret_differs = NULL;
    if (OC_MUTANT("check"))
        return 0;
    if (fstat(fd, &st))
        return errno;
    if ((uint64_t)st.st_size != was->size)
        *ret_differs = "its size";
    else if ((uint64_t)st.st_ino != was->inode)
        *ret_differs = "the file itself";
    else if ((int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != was->mtime_ns)
        *ret_differs = "its time of modification";
    return 0;
}

/* In the pool. */
static void io_run(struct work *w)
{
    struct body_io *io = OC_OWNER(w, struct body_io, work);
    if (OC_FAULT("xfer.hang"))
        sleep(3);
    if (OC_FAULT("xfer.pool")) {
        io->sys = EIO;
        return;
    }
    switch (io->op) {
    case IO_READ:
        io->sys = read_full(io->file->fd, io->buf, io->len, io->offset, &io->done);
        break;
    case IO_WRITE:
        io->sys = write_full(io->file->fd, io->buf, io->len, io->offset);
        break;
    case IO_SUM:
        io->sys = sum_full(io);
        break;
    case IO_LOOK:
        io->sys = file_look(io->file->fd, &io->source, &io->differs);
        break;
    }
}

static void io_done(struct work *w)
{
    struct body_io *io = OC_OWNER(w, struct body_io, work);
    struct engine *e = io->e;
    struct xfer_job *j = io->job;
    if (!j) {
        io_put(io);
        engine_try_shut(e);
        return;
    }
    j->busy = NULL;
    io->job = NULL;
    if (io->op == IO_WRITE)
        sink_on_written(j, io);
    else
        body_on_read(j, io);
    engine_pump(e);
}

void io_submit(struct xfer_job *j, struct body_io *io)
{
    io->job = j;
    io->file = xfer_file_ref(j->r->file);
    io->done = 0;
    io->sys = 0;
    io->work.run = io_run;
    io->work.done = io_done;
    j->busy = io;
    work_submit(j->e->gate, &io->work, io->file->mount);
}
