/* SPDX-License-Identifier: Apache-2.0
 *
 * files.h - what runs do with files, in the I/O pool: open and compare a source, make, sum and
 * publish a part file, spool a descriptor.
 *
 * A task is filled and submitted on the control loop, runs in the pool, and comes back through
 * done(), which frees it with file_task_free().
 */
#ifndef JOBS_FILES_H
#define JOBS_FILES_H

#include <sys/stat.h>

#include "core/work.h"
#include "proto/codec.h"
#include "xfer/engine.h"

enum file_verb {
    FILE_SOURCE,  /* open path, compare with identity; small ones are read and closed at once */
    FILE_CHECK,   /* is the open source still what it was? summed: if its ctime alone has moved, it
                     is read once more, for all of it must sum up to crc32c */
    FILE_PART,    /* make the directories below `root`, make or open the part file */
    FILE_SYNC,    /* fdatasync */
    FILE_SUM,     /* MD5 of the first `size` bytes */
    FILE_CRC,     /* CRC32C of `length` bytes from `offset` */
    FILE_PUBLISH, /* fsync, set the time, link or rename to dest, fsync the directory; what an
                     earlier try has done of it stands */
    FILE_REMOVE, /* unlink path; that it has gone already is no error; with dest: sync its directory
                  */
    FILE_SPOOL,  /* copy fd to path (made anew), fsync both; size is filled in */
    FILE_STREAM, /* open path, to write and read; fresh: make it anew */
    FILE_FILL,   /* from fd, a pipe that does not block, into file from `offset`, `length` bytes at
                    most: `size` have come. ended: there are no more, and all are synced */
    FILE_DROP,   /* give the disk back what `length` bytes from `offset` take, where it can be */
};

/* Files up to so many bytes are read whole before a connection is asked for. */
enum { FILE_SMALL_BYTES = 64 << 10 };

/* What a source was when it was submitted. */
struct file_identity {
    int known;
    uint64_t size, dev, inode;
    int64_t mtime_ns, ctime_ns;
};

/* Pure. */
void file_identity_of(const struct stat *st, struct file_identity *ret);

struct file_task {
    struct work work;
    enum file_verb verb;
    void (*done)(struct file_task *t);
    void *arg;

    char *path, *dest;      /* owned copies; dest: the final name */
    uint64_t root_len;      /* FILE_PART: that much of dest's directory must exist; deeper ones are
                               made, and links there are not followed; 0: the directory exists */
    struct xfer_file *file; /* a reference; SOURCE and PART give one back */
    struct file_identity identity;
    int summed;
    int overwrite, fresh; /* FILE_PART: fresh: never take an old part file */
    int same_is_ok;       /* FILE_PUBLISH: an existing file with the same bytes will do: an earlier
                             life may have published it */
    uint64_t inode; /* FILE_PART: of an earlier life's part file of `size` bytes, 0: not known;
                       comes back as the file's */
    int fd;         /* FILE_SPOOL, FILE_FILL: owned */
    uint64_t offset, length, size;
    int64_t mtime_ns; /* FILE_PUBLISH: 0: leave it */

    /* results */
    char *bytes;   /* FILE_SOURCE, small: the file; owned */
    int ended;     /* FILE_FILL */
    int published; /* FILE_PART: dest is the file of that inode already: no file is opened */
    int gone;      /* FILE_PUBLISH: the part file was removed, so there is nothing to publish */
    uint32_t crc32c;
    unsigned char md5[16];
    struct oc_err err;
};

struct file_task *file_task_new(enum file_verb verb, void (*done)(struct file_task *t), void *arg);
void file_task_submit(struct work_gate *gate, struct file_task *t);

/* Small tasks of one turn that go to the pool together, so that a wake-up serves several: in chains
 * of one mount's. Gathered tasks must be flushed before the turn ends. */
struct file_chain {
    struct work *first, **last;
    uint64_t dev;
    unsigned n;
};
void file_task_gather(struct file_chain *c, struct work_gate *gate, struct file_task *t);
void file_tasks_flush(struct file_chain *c, struct work_gate *gate);
void file_task_free(struct file_task *t);

/* The part file's name for a destination: ".ocid-<id>.part" in its directory; freed by free(). */
char *file_part_name(struct ocp_str dest, uint64_t job);

#endif
