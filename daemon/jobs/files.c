/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - everything that may block on a disk: the pool does it, the control loop hears of it.
 *
 * run() is the pool's, everything else the control loop's.
 */
#include "jobs/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/mem.h"
#include "core/mounts.h"
#include "oci/checksum.h"
#include "proto/io.h"
#include "proto/text.h"

enum { CHUNK = 1 << 20, CHAIN_MOST = 8, FILL_MOST = 16 << 20 };

static int fail_errno(struct file_task *t, int code, int sys, const char *what, const char *path)
{
    char shown[256];
    oc_text_escape(path, strlen(path), shown, sizeof shown);
    if (sys == ENOSPC || sys == EDQUOT)
        code = OCID_E_SPACE;
    return oc_fail(&t->err, code, sys, "%s '%s'", what, shown);
}

/* A file system that may hang: the network's, and programs'. */
static int is_slow(int fd)
{
    struct statfs fs;
    if (OC_FAULT("files.slow") || fstatfs(fd, &fs))
        return 1;
    switch ((unsigned long)fs.f_type) {
    case 0xef53:     /* ext */
    case 0x58465342: /* xfs */
    case 0x9123683e: /* btrfs */
    case 0x01021994: /* tmpfs */
    case 0x794c7630: /* overlayfs */
    case 0xf2f52010: /* f2fs */
    case 0x2fc12fc1: /* zfs */
        return 0;
    default:
        return 1;
    }
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void file_identity_of(const struct stat *st, struct file_identity *ret)
{
    *ret = (struct file_identity){.known = 1,
                                  .size = (uint64_t)st->st_size,
                                  .dev = st->st_dev,
                                  .inode = st->st_ino,
                                  .mtime_ns = ns_of(st->st_mtim),
                                  .ctime_ns = ns_of(st->st_ctim)};
}

/* Which fact differs, NULL: none. A ctime alone (a chmod, a new link) need not change the bytes,
 * see check(); and the number of the device may be another one after each mount. */
static const char *differs(const struct file_identity *was, const struct file_identity *is)
{
    if (was->size != is->size)
        return "its size";
    if (was->inode != is->inode)
        return "the file itself (another inode)";
    if (was->mtime_ns != is->mtime_ns)
        return "its time of modification";
    return NULL;
}

static int fail_changed(struct file_task *t, const char *path, const char *what)
{
    fail_errno(t, OCID_E_SOURCE_CHANGED, 0, "the source has changed:", path);
    size_t n = strlen(t->err.text);
    snprintf(t->err.text + n, sizeof t->err.text - n, ": %s is not what it was", what);
    return t->err.code;
}

static int compare(struct file_task *t, int fd, const char *path)
{
    struct stat st;
    struct file_identity now;
    if ((OC_FAULT("files.look") && (errno = EIO)) || fstat(fd, &st))
        return fail_errno(t, OCID_E_IO, errno, "cannot look at", path);
    if (!S_ISREG(st.st_mode))
        return fail_errno(t, OCID_E_INVALID, 0, "not a regular file:", path);
    file_identity_of(&st, &now);
    const char *what =
        t->identity.known && !OC_MUTANT("check") ? differs(&t->identity, &now) : NULL;
    if (what)
        return fail_changed(t, path, what);
    t->identity = now;
    return 0;
}

static int read_all(struct file_task *t, int fd)
{
    t->bytes = oc_new(1, t->identity.size + 1);
    for (uint64_t at = 0; at < t->identity.size;) {
        ssize_t n = pread(fd, t->bytes + at, t->identity.size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(t, OCID_E_IO, errno, "cannot read", t->path);
        if (!n)
            return fail_errno(t, OCID_E_SOURCE_CHANGED, 0, "the source became shorter:", t->path);
        at += (uint64_t)n;
    }
    t->crc32c = oci_crc32c(0, t->bytes, t->identity.size);
    return compare(t, fd, t->path);
}

static void source(struct file_task *t)
{
    int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        int gone = errno == ENOENT || errno == ENOTDIR || errno == ESTALE || errno == EACCES;
        fail_errno(t, gone ? OCID_E_FILE : OCID_E_IO, errno, "cannot open", t->path);
        return;
    }
    if (compare(t, fd, t->path)) {
        close(fd);
        return;
    }
    t->size = t->identity.size;
    if (t->size <= FILE_SMALL_BYTES) {
        read_all(t, fd);
        close(fd);
        return;
    }
    t->file = xfer_file_new(fd, is_slow(fd), t->identity.dev);
}

/* The directory that a name is in; freed by the caller. */
static char *dir_of(const char *path)
{
    char *dir = oc_strdup(path), *slash = strrchr(dir, '/');
    slash[slash == dir ? 1 : 0] = 0;
    return dir;
}

/* The directory of t->dest, made below root_len where it is missing; links below are refused. */
static int open_dir(struct file_task *t)
{
    char *dir = dir_of(t->dest);
    size_t root = t->root_len && t->root_len < strlen(dir) ? t->root_len : strlen(dir);
    char keep = dir[root];
    dir[root] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir[root] = keep;
    for (char *at = dir + root; fd >= 0 && *at;) {
        at += strspn(at, "/");
        size_t n = strcspn(at, "/");
        if (!n)
            break;
        char rest = at[n];
        at[n] = 0;
        if (mkdirat(fd, at, 0777) && errno != EEXIST) {
            int sys = errno;
            close(fd);
            errno = sys;
            fd = -1;
            break;
        }
        int next = openat(fd, at, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        int sys = errno;
        close(fd);
        errno = sys;
        fd = next;
        at[n] = rest;
        at += n;
    }
    if (fd < 0)
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot write into the directory", dir);
    free(dir);
    return fd;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What a crash on the way to the verdict leaves: dest is the part file, which may have its old
 * name, too. That one goes. */
static void see_published(struct file_task *t, int dir)
{
    struct stat dest, st;
    if (fstatat(dir, base_of(t->dest), &dest, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT)
            fail_errno(t, OCID_E_DESTINATION, errno, "cannot look at", t->dest);
        return;
    }
    if (!S_ISREG(dest.st_mode))
        return;
    t->published = t->inode && dest.st_ino == t->inode && (uint64_t)dest.st_size == t->size;
    int rc = fstatat(dir, base_of(t->path), &st, AT_SYMLINK_NOFOLLOW);
    if (!rc && st.st_ino == dest.st_ino)
        rc = unlinkat(dir, base_of(t->path), 0);
    if (rc && errno != ENOENT)
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot remove", t->path);
}

static void part(struct file_task *t)
{
    struct stat st;
    int dir = open_dir(t);
    if (dir < 0)
        return;
    if (!t->overwrite && !fstatat(dir, base_of(t->dest), &st, AT_SYMLINK_NOFOLLOW)) {
        fail_errno(t, OCID_E_EXISTS, 0,
                   "it exists already (say --overwrite to replace it):", t->dest);
        close(dir);
        return;
    }
    const char *name = base_of(t->path);
    if (!t->fresh)
        see_published(t, dir);
    if (t->published || t->err.code) {
        close(dir);
        return;
    }
    if (t->fresh)
        unlinkat(dir, name, 0);
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (t->fresh ? O_EXCL : 0),
                    0666);
    int sys = fd < 0 || fstat(fd, &st) ? errno : 0;
    close(dir);
    if (sys) {
        fail_errno(t, OCID_E_DESTINATION, sys, "cannot make", t->path);
    } else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1) {
        /* in a directory that others may write: a file of theirs would stay theirs */
        fail_errno(t, OCID_E_DESTINATION, 0, "not a part file of ours:", t->path);
    }
    if (t->err.code) {
        if (fd >= 0)
            close(fd);
        return;
    }
    t->size = (uint64_t)st.st_size;
    t->inode = st.st_ino;
    t->file = xfer_file_new(fd, is_slow(fd), st.st_dev);
}

/* Hands length bytes from offset on to eat(), a chunk at a time. */
static int each_chunk(struct file_task *t, void (*eat)(void *arg, const char *p, size_t n),
                      void *arg)
{
    char *chunk = oc_new(1, CHUNK);
    uint64_t at = t->offset, end = t->offset + t->length;
    while (at < end) {
        size_t want = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        ssize_t n = pread(xfer_file_fd(t->file), chunk, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fail_errno(t, OCID_E_IO, n ? errno : 0, "cannot read once more", t->path);
            break;
        }
        eat(arg, chunk, (size_t)n);
        at += (uint64_t)n;
    }
    free(chunk);
    return t->err.code;
}

static void eat_md5(void *arg, const char *p, size_t n)
{
    EVP_DigestUpdate(arg, p, n);
}

static void eat_crc(void *arg, const char *p, size_t n)
{
    uint32_t *crc = arg;
    *crc = oci_crc32c(*crc, p, n);
}

/* Who writes and sets the time of modification back moves ctime, as a chmod does: then the content
 * decides. */
static void check(struct file_task *t)
{
    int64_t ctime_ns = t->identity.ctime_ns;
    uint32_t crc = 0;
    if (compare(t, xfer_file_fd(t->file), t->path) || !t->summed ||
        t->identity.ctime_ns == ctime_ns || OC_MUTANT("check"))
        return;
    t->offset = 0;
    t->length = t->identity.size;
    if (!each_chunk(t, eat_crc, &crc) && crc != t->crc32c)
        fail_changed(t, t->path, "what is in it");
}

static void sum(struct file_task *t)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_md5(), NULL);
    t->offset = 0;
    t->length = t->size;
    if (!each_chunk(t, eat_md5, md))
        EVP_DigestFinal_ex(md, t->md5, NULL);
    EVP_MD_CTX_free(md);
}

static int sync_dir(struct file_task *t)
{
    char *dir = dir_of(t->dest);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if ((OC_FAULT("publish.syncdir") && (errno = EIO)) || fd < 0 || fsync(fd))
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot sync the directory", dir);
    if (fd >= 0)
        close(fd);
    free(dir);
    return t->err.code;
}

/* 1 if dest holds the very bytes of the part file; what cannot be read now is no answer: t->err. */
static int is_same(struct file_task *t)
{
    struct stat st;
    char *ours = oc_new(1, CHUNK), *theirs = oc_new(1, CHUNK);
    int fd = open(t->dest, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (OC_FAULT("publish.look") ? (errno = EIO) : fd < 0 ? errno != ELOOP : fstat(fd, &st))
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot compare with", t->dest);
    int same = fd >= 0 && !t->err.code && S_ISREG(st.st_mode) && (uint64_t)st.st_size == t->size;
    for (uint64_t at = 0; same && at < t->size; at += CHUNK) {
        ssize_t n = pread(fd, theirs, CHUNK, (off_t)at);
        ssize_t m = n > 0 ? pread(xfer_file_fd(t->file), ours, CHUNK, (off_t)at) : n;
        if (n < 0 || m < 0)
            fail_errno(t, OCID_E_DESTINATION, errno, "cannot compare with", t->dest);
        same = n > 0 && m == n && !memcmp(ours, theirs, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    free(ours);
    free(theirs);
    return same;
}

/* Whose a name is, seen from an open file. */
enum named { NAMED_IT, NAMED_ANOTHER, NAMED_NOTHING, NAMED_UNSEEN /* errno; it may be anything */ };

static enum named named(const char *path, int fd)
{
    struct stat ours, there;
    if (OC_FAULT("publish.look") ? (errno = EIO) : fstat(fd, &ours))
        return NAMED_UNSEEN;
    if (lstat(path, &there))
        return errno == ENOENT ? NAMED_NOTHING : NAMED_UNSEEN;
    return ours.st_ino == there.st_ino && ours.st_dev == there.st_dev ? NAMED_IT : NAMED_ANOTHER;
}

/* That of a name is there. */
static int has_dir(const char *path)
{
    struct stat st;
    char *dir = dir_of(path);
    int is = !stat(dir, &st) && S_ISDIR(st.st_mode);
    free(dir);
    return is;
}

/* The part file cannot be published. Somebody has removed it, or put another one in its place; or
 * its directory has gone, with it perhaps: when that is there again, the next try says. */
static void say_gone(struct file_task *t, enum named part, int sys)
{
    t->gone = part == NAMED_ANOTHER || (part == NAMED_NOTHING && has_dir(t->path));
    if (t->gone)
        fail_errno(t, OCID_E_DESTINATION, 0, "all is fetched again, for somebody has removed",
                   t->path);
    else
        fail_errno(t, OCID_E_DESTINATION, sys, "cannot put in place", t->dest);
}

static void put_in_place(struct file_task *t)
{
    int rc = t->overwrite ? rename(t->path, t->dest) : link(t->path, t->dest);
    if (rc && !t->overwrite && (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS))
        rc = renameat2(AT_FDCWD, t->path, AT_FDCWD, t->dest, RENAME_NOREPLACE);
    int sys = errno;
    if (!rc || (sys == EEXIST && t->same_is_ok && is_same(t)) || t->err.code)
        return;
    if (sys == EEXIST)
        fail_errno(t, OCID_E_EXISTS, 0,
                   "it exists already (say --overwrite to replace it):", t->dest);
    else
        fail_errno(t, OCID_E_DESTINATION, sys, "cannot put in place", t->dest);
}

/* The bytes reach the disk before the name does. */
static void publish(struct file_task *t)
{
    int fd = xfer_file_fd(t->file);
    if (ftruncate(fd, (off_t)t->size)) {
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot finish", t->path);
        return;
    }
    if (t->mtime_ns) {
        struct timespec at = {t->mtime_ns / 1000000000, t->mtime_ns % 1000000000};
        futimens(fd, (struct timespec[]){at, at});
    }
    if (OC_FAULT("publish.fsync") || (!OC_MUTANT("publish") && fsync(fd))) {
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot sync", t->path);
        return;
    }
    enum named dest = named(t->dest, fd); /* its own: an earlier try failed after that */
    if (dest == NAMED_UNSEEN) {
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot look at", t->dest);
    } else if (dest != NAMED_IT) {
        enum named part = named(t->path, fd);
        if (part == NAMED_IT)
            put_in_place(t);
        else
            say_gone(t, part, errno);
    }
    if (t->err.code)
        return;
    if (!t->overwrite && unlink(t->path) && errno != ENOENT)
        fail_errno(t, OCID_E_DESTINATION, errno, "cannot remove", t->path);
    else
        sync_dir(t);
}

static int copy_fd(struct file_task *t, int to)
{
    char *chunk = oc_new(1, CHUNK);
    for (;;) {
        ssize_t n = pread(t->fd, chunk, CHUNK, (off_t)t->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            oc_fail(&t->err, OCID_E_IO, errno, "cannot read the passed descriptor");
        if (n <= 0)
            break;
        int sys = oc_write_all(to, chunk, (size_t)n);
        if (sys) {
            fail_errno(t, OCID_E_IO, sys, "cannot write the spool file", t->path);
            break;
        }
        t->size += (uint64_t)n;
    }
    free(chunk);
    return t->err.code;
}

static void spool(struct file_task *t)
{
    struct stat st;
    int to = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0) {
        fail_errno(t, OCID_E_IO, errno, "cannot make the spool file", t->path);
        return;
    }
    if (!copy_fd(t, to) && (fsync(to) || fstat(to, &st)))
        fail_errno(t, OCID_E_IO, errno, "cannot sync the spool file", t->path);
    close(to);
    t->dest = oc_strdup(t->path); /* of which the directory is synced */
    if (!t->err.code && !sync_dir(t))
        file_identity_of(&st, &t->identity);
    if (t->err.code)
        unlink(t->path);
}

static void open_stream(struct file_task *t)
{
    struct stat st;
    int fd = open(t->path, O_RDWR | O_CLOEXEC | (t->fresh ? O_CREAT | O_TRUNC : 0), 0600);
    if (fd < 0 || fstat(fd, &st)) {
        fail_errno(t, OCID_E_IO, errno, "cannot open the spool file", t->path);
        if (fd >= 0)
            close(fd);
        return;
    }
    t->size = (uint64_t)st.st_size;
    t->file = xfer_file_new(fd, is_slow(fd), st.st_dev);
}

/* What the disk does not take stays in the pipe. */
static void fill(struct file_task *t)
{
    uint64_t most = t->length < FILL_MOST ? t->length : FILL_MOST;
    while (t->size < most) {
        loff_t at = (loff_t)(t->offset + t->size);
        ssize_t n = OC_FAULT("spool.fill") ? (errno = ENOSPC, -1)
                                           : splice(t->fd, NULL, xfer_file_fd(t->file), &at,
                                                    most - t->size, SPLICE_F_NONBLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            fail_errno(t, OCID_E_IO, errno, "cannot keep what comes down the pipe in", t->path);
        t->ended = !n;
        if (n <= 0)
            break;
        t->size += (uint64_t)n;
    }
    if (!t->ended)
        return;
    t->dest = oc_strdup(t->path);
    if (fdatasync(xfer_file_fd(t->file)))
        fail_errno(t, OCID_E_IO, errno, "cannot sync the spool file", t->path);
    else
        sync_dir(t);
}

static void remove_file(struct file_task *t)
{
    int rc = OC_FAULT("files.remove") ? (errno = EIO, -1) : unlink(t->path);
    if (rc && errno != ENOENT && errno != ENOTDIR)
        fail_errno(t, OCID_E_IO, errno, "cannot remove", t->path);
    else if (t->dest)
        sync_dir(t); /* gone already: somebody else may have removed it and not synced that yet */
    if (rc && (t->err.sys == ENOENT || t->err.sys == ENOTDIR))
        oc_err_clear(&t->err); /* and its directory with it */
}

static void run(struct work *w)
{
    struct file_task *t = OC_OWNER(w, struct file_task, work);
    switch (t->verb) {
    case FILE_SOURCE:
        source(t);
        break;
    case FILE_CHECK:
        check(t);
        break;
    case FILE_PART:
        part(t);
        break;
    case FILE_SYNC:
        if (fdatasync(xfer_file_fd(t->file)))
            fail_errno(t, OCID_E_DESTINATION, errno, "cannot sync", t->path);
        break;
    case FILE_SUM:
        sum(t);
        break;
    case FILE_CRC:
        each_chunk(t, eat_crc, &t->crc32c);
        break;
    case FILE_PUBLISH:
        publish(t);
        break;
    case FILE_REMOVE:
        remove_file(t);
        break;
    case FILE_SPOOL:
        spool(t);
        break;
    case FILE_STREAM:
        open_stream(t);
        break;
    case FILE_FILL:
        fill(t);
        break;
    case FILE_DROP: /* not every file system can: then it goes with the file */
        fallocate(xfer_file_fd(t->file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)t->offset, (off_t)t->length);
        break;
    }
}

static void done(struct work *w)
{
    struct file_task *t = OC_OWNER(w, struct file_task, work);
    t->done(t);
}

struct file_task *file_task_new(enum file_verb verb, void (*on_done)(struct file_task *t),
                                void *arg)
{
    struct file_task *t = OC_NEW(struct file_task);
    t->work.run = run;
    t->work.done = done;
    t->verb = verb;
    t->done = on_done;
    t->arg = arg;
    t->fd = -1;
    return t;
}

/* What it may hang on: the open file's, the source's as it was submitted, else the path's. */
static dev_t mount_of(const struct file_task *t)
{
    if (t->file)
        return xfer_file_mount(t->file);
    return t->identity.dev ? (dev_t)t->identity.dev : mounts_slow_of(t->dest ? t->dest : t->path);
}

void file_task_submit(struct work_gate *gate, struct file_task *t)
{
    work_submit(gate, &t->work, mount_of(t));
}

void file_tasks_flush(struct file_chain *c, struct work_gate *gate)
{
    if (c->first)
        work_submit(gate, c->first, (dev_t)c->dev);
    *c = (struct file_chain){0};
}

void file_task_gather(struct file_chain *c, struct work_gate *gate, struct file_task *t)
{
    if (c->n == CHAIN_MOST || (c->first && c->dev != t->identity.dev))
        file_tasks_flush(c, gate);
    *(c->first ? c->last : &c->first) = &t->work;
    c->last = &t->work.with;
    c->dev = t->identity.dev;
    c->n++;
}

void file_task_free(struct file_task *t)
{
    if (t->file)
        xfer_file_unref(t->file);
    if (t->fd >= 0)
        close(t->fd);
    free(t->path);
    free(t->dest);
    free(t->bytes);
    free(t);
}

char *file_part_name(struct ocp_str dest, uint64_t job)
{
    size_t n = dest.n;
    while (n && dest.p[n - 1] != '/')
        n--;
    char *name = oc_new(1, n + 40);
    memcpy(name, dest.p, n);
    snprintf(name + n, 40, ".ocid-%" PRIu64 ".part", job);
    return name;
}
