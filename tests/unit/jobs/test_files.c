/* SPDX-License-Identifier: Apache-2.0
 *
 * test_files.c - what runs do with files, through a real loop and the pool.
 */
#include "core/fault.h"
#include "jobs/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/kit.h"
#include "oci/checksum.h"
#include "ocid/error.h"

struct hall {
    struct loop *loop;
    struct work_gate *gate;
    struct file_task *back;
    char dir[64];
};

static struct hall hall;

static char *path_of(const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", hall.dir, name) > 0);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    oc_auto_mem char *path = path_of(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static int holds(const char *name, const char *want)
{
    oc_auto_mem char *path = path_of(name);
    char found[64] = {0};
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof found - 1);
    if (fd >= 0)
        close(fd);
    return n >= 0 && !strcmp(found, want);
}

static int is_there(const char *name)
{
    oc_auto_mem char *path = path_of(name);
    return !access(path, F_OK);
}

static int setup(void **state)
{
    (void)state;
    memset(&hall, 0, sizeof hall);
    strcpy(hall.dir, "/tmp/ocid-files-XXXXXX");
    assert_non_null(mkdtemp(hall.dir));
    hall.loop = loop_new();
    hall.gate = work_gate_new(loop_uv(hall.loop), 2);
    return 0;
}

static void remove_all(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char below[512];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(below, sizeof below, "%s/%s", path, e->d_name);
        if (unlink(below))
            remove_all(below);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static int teardown(void **state)
{
    (void)state;
    work_gate_free(hall.gate);
    loop_run(hall.loop);
    loop_free(hall.loop);
    remove_all(hall.dir);
    return 0;
}

static void on_done(struct file_task *t)
{
    hall.back = t;
}

static struct file_task *task(enum file_verb verb, const char *name)
{
    struct file_task *t = file_task_new(verb, on_done, NULL);
    t->path = path_of(name);
    return t;
}

/* Runs a task; returns its error's code. It is the caller's to free. */
static int do_it(struct file_task *t)
{
    hall.back = NULL;
    file_task_submit(hall.gate, t);
    loop_run(hall.loop);
    assert_ptr_equal(hall.back, t);
    return t->err.code;
}

static int do_and_free(struct file_task *t)
{
    int code = do_it(t);
    file_task_free(t);
    return code;
}

static struct file_identity identity_of_file(const char *name)
{
    struct file_task *t = task(FILE_SOURCE, name);
    assert_int_equal(do_it(t), 0);
    struct file_identity is = t->identity;
    file_task_free(t);
    assert_true(is.known);
    return is;
}

/* ---- sources ---- */

static void test_a_source_must_be_what_it_was(void **state)
{
    static const struct {
        const char *name;
        struct file_identity change;
        int code;
    } rows[] = {
        {"nothing", {0}, 0},
        {"size", {.size = 1}, OCID_E_SOURCE_CHANGED},
        {"device: another one after a mount", {.dev = 1}, 0},
        {"inode", {.inode = 1}, OCID_E_SOURCE_CHANGED},
        {"mtime", {.mtime_ns = 1}, OCID_E_SOURCE_CHANGED},
        {"ctime alone: a chmod, a link", {.ctime_ns = 1}, 0},
    };
    (void)state;
    write_file("f", "bytes", 5);
    struct file_identity is = identity_of_file("f");
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct file_task *t = task(FILE_SOURCE, "f");
        t->identity = is;
        t->identity.size += rows[i].change.size;
        t->identity.dev += rows[i].change.dev;
        t->identity.inode += rows[i].change.inode;
        t->identity.mtime_ns += rows[i].change.mtime_ns;
        t->identity.ctime_ns += rows[i].change.ctime_ns;
        int code = do_and_free(t);
        if (code != rows[i].code)
            fail_msg("%s: %d", rows[i].name, code);
    }
}

static void test_small_sources_are_read_large_ones_opened(void **state)
{
    static char bytes[FILE_SMALL_BYTES + 1];
    static const size_t sizes[] = {0, 1, FILE_SMALL_BYTES, FILE_SMALL_BYTES + 1};
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (unsigned i = 0; i < N_ROWS(sizes); i++) {
        write_file("f", bytes, sizes[i]);
        struct file_task *t = task(FILE_SOURCE, "f");
        assert_int_equal(do_it(t), 0);
        assert_int_equal(t->size, sizes[i]);
        int small = sizes[i] <= FILE_SMALL_BYTES;
        assert_int_equal(t->bytes != NULL, small);
        assert_int_equal(t->file != NULL, !small);
        if (small)
            assert_int_equal(t->crc32c, oci_crc32c(0, bytes, sizes[i]));
        file_task_free(t);
    }
}

static void test_what_is_no_source(void **state)
{
    (void)state;
    oc_auto_mem char *fifo = path_of("fifo"), *dir = path_of("dir");
    mkfifo(fifo, 0600);
    mkdir(dir, 0700);
    assert_int_equal(do_and_free(task(FILE_SOURCE, "none")), OCID_E_FILE);
    assert_int_equal(do_and_free(task(FILE_SOURCE, "none/below")), OCID_E_FILE);
    assert_int_equal(do_and_free(task(FILE_SOURCE, "fifo")), OCID_E_INVALID);
    assert_int_equal(do_and_free(task(FILE_SOURCE, "dir")), OCID_E_INVALID);
}

static void test_a_change_while_it_is_open(void **state)
{
    static char bytes[FILE_SMALL_BYTES + 10];
    (void)state;
    write_file("f", bytes, sizeof bytes);
    struct file_task *t = task(FILE_SOURCE, "f");
    assert_int_equal(do_it(t), 0);
    for (int changed = 0; changed < 2; changed++) {
        struct file_task *c = task(FILE_CHECK, "f");
        c->file = xfer_file_ref(t->file);
        c->identity = t->identity;
        if (changed)
            write_file("f", bytes, sizeof bytes - 1);
        assert_int_equal(do_and_free(c), changed ? OCID_E_SOURCE_CHANGED : 0);
    }
    file_task_free(t);
}

static void test_a_moved_ctime_is_settled_by_the_content(void **state)
{
    static char bytes[FILE_SMALL_BYTES + 10];
    static const struct {
        const char *name;
        int touched, summed, wrong, code;
    } rows[] = {
        {"nothing moved, so nothing is read", 0, 1, 1, 0},
        {"the same bytes", 1, 1, 0, 0},
        {"others", 1, 1, 1, OCID_E_SOURCE_CHANGED},
        {"others, but nobody knows of which sum", 1, 0, 1, 0},
    };
    (void)state;
    write_file("f", bytes, sizeof bytes);
    struct file_task *t = task(FILE_SOURCE, "f");
    assert_int_equal(do_it(t), 0);
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        struct file_task *c = task(FILE_CHECK, "f");
        c->file = xfer_file_ref(t->file);
        c->identity = t->identity;
        c->identity.ctime_ns -= rows[i].touched;
        c->summed = rows[i].summed;
        c->crc32c = oci_crc32c(0, bytes, sizeof bytes) ^ (uint32_t)rows[i].wrong;
        int code = do_and_free(c);
        if (code != rows[i].code)
            fail_msg("%s: %d", rows[i].name, code);
    }
    file_task_free(t);
}

/* ---- part files ---- */

static struct file_task *part_task(const char *part, const char *dest, int fresh)
{
    struct file_task *t = task(FILE_PART, part);
    t->dest = path_of(dest);
    t->fresh = fresh;
    return t;
}

static void test_part_files(void **state)
{
    (void)state;
    oc_auto_mem char *dest = path_of("d/x"), *name = file_part_name(ocp_str(dest), 17);
    oc_auto_mem char *want = path_of("d/.ocid-17.part"), *part = path_of(".p");
    assert_string_equal(name, want);
    write_file(".p", "old", 3);
    struct file_task *t = part_task(".p", "f", 0);
    assert_int_equal(do_and_free(t), 0);
    assert_true(holds(".p", "old"));
    assert_int_equal(do_and_free(part_task(".p", "f", 1)), 0);
    assert_true(holds(".p", ""));
    write_file("f", "there", 5);
    assert_int_equal(do_and_free(part_task(".p", "f", 1)), OCID_E_EXISTS);
    t = part_task(".p", "f", 1);
    t->overwrite = 1;
    assert_int_equal(do_and_free(t), 0);
    assert_int_equal(do_and_free(part_task(".p", "none/f", 1)), OCID_E_DESTINATION);
    assert_false(is_there("none"));
}

/* In a directory of others somebody may have put something else under the name. */
static void test_part_files_of_others_are_refused(void **state)
{
    (void)state;
    oc_auto_mem char *link_to = path_of("victim"), *as = path_of(".p"), *hard = path_of(".q");
    oc_auto_mem char *fifo = path_of(".r");
    write_file("victim", "mine", 4);
    assert_int_equal(symlink(link_to, as), 0);
    assert_int_equal(link(link_to, hard), 0);
    mkfifo(fifo, 0600);
    assert_int_equal(do_and_free(part_task(".p", "f", 0)), OCID_E_DESTINATION);
    assert_int_equal(do_and_free(part_task(".q", "f", 0)), OCID_E_DESTINATION);
    assert_int_equal(do_and_free(part_task(".r", "f", 0)), OCID_E_DESTINATION);
    assert_int_equal(do_and_free(part_task(".p", "f", 1)), 0); /* anew: the link goes */
    assert_true(holds("victim", "mine"));
}

static void test_directories_below_the_root_only(void **state)
{
    (void)state;
    oc_auto_mem char *root = path_of("root"), *out = path_of("out"), *link_to = path_of("root/ln");
    mkdir(root, 0700);
    mkdir(out, 0700);
    assert_int_equal(symlink(out, link_to), 0);
    struct file_task *t = part_task("root/a/b/.p", "root/a/b/f", 1);
    t->root_len = strlen(root);
    assert_int_equal(do_and_free(t), 0);
    assert_true(is_there("root/a/b/.p"));
    t = part_task("root/ln/.p", "root/ln/f", 1);
    t->root_len = strlen(root);
    assert_int_equal(do_and_free(t), OCID_E_DESTINATION);
    t = part_task("root/ln/deep/.p", "root/ln/deep/f", 1);
    t->root_len = strlen(root);
    assert_int_equal(do_and_free(t), OCID_E_DESTINATION);
    assert_false(is_there("out/.p") || is_there("out/deep"));
}

/* ---- publishing ---- */

static int publish(const char *bytes, int overwrite, int same_is_ok)
{
    struct file_task *p = part_task(".p", "f", 1);
    p->overwrite = 1;
    assert_int_equal(do_it(p), 0);
    size_t n = strlen(bytes);
    assert_int_equal(pwrite(xfer_file_fd(p->file), bytes, n, 0), n);
    assert_int_equal(pwrite(xfer_file_fd(p->file), "behind it", 9, (off_t)n), 9);
    struct file_task *t = task(FILE_PUBLISH, ".p");
    t->dest = path_of("f");
    t->file = xfer_file_ref(p->file);
    t->size = n;
    t->overwrite = overwrite;
    t->same_is_ok = same_is_ok;
    t->mtime_ns = 1234567890123456789;
    file_task_free(p);
    return do_and_free(t);
}

static void test_publishing(void **state)
{
    static const struct {
        const char *name, *there, *bytes;
        int overwrite, same_is_ok, code;
        const char *after;
    } rows[] = {
        {"a new name", NULL, "new", 0, 0, 0, "new"},
        {"a name that exists", "old", "new", 0, 0, OCID_E_EXISTS, "old"},
        {"on request", "old", "new", 1, 0, 0, "new"},
        {"the same bytes of an earlier life", "new", "new", 0, 1, 0, "new"},
        {"the same bytes of another", "new", "new", 0, 0, OCID_E_EXISTS, "new"},
        {"as long, but others", "old", "new", 0, 1, OCID_E_EXISTS, "old"},
        {"longer", "newer", "new", 0, 1, OCID_E_EXISTS, "newer"},
        {"empty", NULL, "", 0, 0, 0, ""},
    };
    (void)state;
    oc_auto_mem char *dest = path_of("f");
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        unlink(dest);
        if (rows[i].there)
            write_file("f", rows[i].there, strlen(rows[i].there));
        int code = publish(rows[i].bytes, rows[i].overwrite, rows[i].same_is_ok);
        if (code != rows[i].code || !holds("f", rows[i].after))
            fail_msg("%s: %d", rows[i].name, code);
        assert_int_equal(is_there(".p"), code != 0);
        struct stat st;
        stat(dest, &st);
        if (!code && !rows[i].same_is_ok)
            assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    }
}

/* Of a part file that was removed nothing can be published; without its directory nobody can say.
 */
static void test_publishing_what_was_removed(void **state)
{
    static const struct {
        const char *name, *part;
        int without_directory, gone;
    } rows[] = {
        {"the part file", NULL, 0, 1},
        {"the part file, another is there", "another's", 0, 1},
        {"the directory", NULL, 1, 0},
    };
    (void)state;
    oc_auto_mem char *dir = path_of("gone");
    for (unsigned i = 0; i < N_ROWS(rows); i++) {
        for (int overwrite = 0; overwrite < 2; overwrite++) {
            mkdir(dir, 0700);
            struct file_task *p = part_task("gone/.p", "gone/f", 1);
            assert_int_equal(do_it(p), 0);
            unlink(p->path);
            if (rows[i].part)
                write_file("gone/.p", rows[i].part, strlen(rows[i].part));
            if (rows[i].without_directory)
                rmdir(dir);
            struct file_task *t = task(FILE_PUBLISH, "gone/.p");
            t->dest = path_of("gone/f");
            t->file = xfer_file_ref(p->file);
            t->overwrite = overwrite;
            int code = do_it(t);
            if (code != OCID_E_DESTINATION || t->gone != rows[i].gone || is_there("gone/f"))
                fail_msg("%s: %d, %d: %s", rows[i].name, code, t->gone, t->err.text);
            unlink(p->path);
            file_task_free(p);
            file_task_free(t);
        }
    }
    rmdir(dir);
}

/* The name must not show before the bytes are on the disk. */
static void test_publishing_without_sync_leaves_no_name(void **state)
{
    (void)state;
#ifdef OCID_FAULTS
    oc_auto_mem char *dest = path_of("f");
    unlink(dest);
    fault_init("publish.fsync:1");
    assert_int_equal(publish("new", 0, 0), OCID_E_DESTINATION);
    fault_init("");
    assert_false(is_there("f"));
    assert_true(is_there(".p"));
#endif
}

/* After a crash the file in place is the job's own: "exists" would be a lie. */
static void test_a_look_that_fails_is_no_file_of_others(void **state)
{
    (void)state;
#ifdef OCID_FAULTS
    static const char *const looks[] = {"publish.look:1", "publish.look:2", "publish.look:3"};
    write_file("f", "same", 4);
    for (unsigned i = 0; i < N_ROWS(looks); i++) {
        fault_init(looks[i]);
        assert_int_equal(publish("same", 0, 1), OCID_E_DESTINATION);
    }
    fault_init("publish.look:4");
    assert_int_equal(publish("same", 0, 1), 0);
    fault_init("");
#endif
}

/* ---- sums, spool ---- */

static void test_sums(void **state)
{
    (void)state;
    write_file(".p", "0123456789", 10);
    struct file_task *p = part_task(".p", "f", 0);
    assert_int_equal(do_it(p), 0);
    struct file_task *t = task(FILE_CRC, ".p");
    t->file = xfer_file_ref(p->file);
    t->offset = 2;
    t->length = 5;
    assert_int_equal(do_it(t), 0);
    assert_int_equal(t->crc32c, oci_crc32c(0, "23456", 5));
    file_task_free(t);
    t = task(FILE_CRC, ".p");
    t->file = xfer_file_ref(p->file);
    t->length = 11;
    assert_int_equal(do_and_free(t), OCID_E_IO); /* it is shorter */
    t = task(FILE_SUM, ".p");
    t->file = xfer_file_ref(p->file);
    t->size = 10;
    assert_int_equal(do_it(t), 0);
    assert_int_equal(t->md5[0], 0x78); /* 781e5e245d69b566979b86e28d23f2c7 */
    assert_int_equal(t->md5[15], 0xc7);
    file_task_free(t);
    file_task_free(p);
}

static void test_spool(void **state)
{
    (void)state;
    int fd = memfd_create("bytes", MFD_CLOEXEC);
    assert_int_equal(write(fd, "spooled", 7),
                     7); /* its position is at the end: it does not count */
    struct file_task *t = task(FILE_SPOOL, "s");
    t->fd = dup(fd);
    assert_int_equal(do_it(t), 0);
    assert_int_equal(t->identity.size, 7);
    assert_true(t->identity.known);
    file_task_free(t);
    assert_true(holds("s", "spooled"));
    struct file_identity is = identity_of_file("s");
    assert_int_equal(is.size, 7);
    t = task(FILE_SPOOL, "s");
    t->fd = fd;
    assert_int_equal(do_and_free(t), OCID_E_IO); /* never over another's */
    assert_true(holds("s", "spooled"));
    assert_int_equal(do_and_free(task(FILE_REMOVE, "s")), 0);
    assert_int_equal(do_and_free(task(FILE_REMOVE, "s")), 0);
    assert_false(is_there("s"));
}

#ifdef OCID_FAULTS
/* Two remove a part file at the same time. The one that came too late took it for gone while that
 * was not on disk, the row went, and a power cut brought the file back (tortures, seed 548962668).
 */
static void test_what_is_gone_is_gone_for_good(void **state)
{
    (void)state;
    write_file("part", "bytes", 5);
    for (unsigned i = 0; i < 2; i++) {
        struct file_task *t = task(FILE_REMOVE, "part");
        t->dest = path_of("dest");
        fault_init("publish.syncdir:1");
        int code = do_and_free(t);
        fault_init("");
        assert_int_equal(code, OCID_E_DESTINATION);
        assert_false(is_there("part"));
    }
    struct file_task *t = task(FILE_REMOVE, "none/part");
    t->dest = path_of("none/dest");
    assert_int_equal(do_and_free(t), 0);
}
#endif

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_a_source_must_be_what_it_was),
        TEST(test_small_sources_are_read_large_ones_opened),
        TEST(test_what_is_no_source),
        TEST(test_a_change_while_it_is_open),
        TEST(test_a_moved_ctime_is_settled_by_the_content),
        TEST(test_part_files),
        TEST(test_part_files_of_others_are_refused),
        TEST(test_directories_below_the_root_only),
        TEST(test_publishing),
        TEST(test_publishing_what_was_removed),
        TEST(test_publishing_without_sync_leaves_no_name),
        TEST(test_a_look_that_fails_is_no_file_of_others),
        TEST(test_sums),
        TEST(test_spool),
#ifdef OCID_FAULTS
        TEST(test_what_is_gone_is_gone_for_good),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
