/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c - memory for secrets, and reading them without a copy anywhere else.
 *
 * Any thread. A block is a mapping of its own: its size stands in front of it. OpenSSL keeps parts
 * of a key (and all of what it decodes) in its plain heap: hence the wiping allocator under it.
 */
#include "signer/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 64, HEAP_BYTES = 1 << 20, HEAP_LEAST = 32 };

void *secret_new(size_t n)
{
    size_t size = HEAD + n;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    madvise(p, size, MADV_DONTDUMP);
    madvise(p, size, MADV_WIPEONFORK);
    if (mlock(p, size) < 0)
        errno = 0; /* said once, at start */
    memcpy(p, &size, sizeof size);
    return p + HEAD;
}

void secret_free(void *p)
{
    if (!p)
        return;
    char *start = (char *)p - HEAD;
    size_t size;
    memcpy(&size, start, sizeof size);
    explicit_bzero(start, size);
    munmap(start, size);
}

static void *wiping_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(n);
}

static void wiping_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    if (p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
    if (!n) {
        wiping_free(p, file, line);
        return NULL;
    }
    void *fresh = malloc(n);
    if (fresh && p) {
        size_t had = malloc_usable_size(p);
        memcpy(fresh, p, had < n ? had : n);
        wiping_free(p, file, line);
    }
    return fresh;
}

int secret_init(void)
{
    if (!CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free))
        return -1;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    int rc = CRYPTO_secure_malloc_init(HEAP_BYTES, HEAP_LEAST);
    return rc == 1 ? 1 : rc == 2 ? 0 : -1;
}

/* Regular files only: a FIFO in the place of a key must not block the signer. */
static int open_regular(const char *path, off_t max, off_t *size, struct oc_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), sys = 0, code = 0;
    if (fd < 0)
        return oc_fail(err, errno == ENOENT || errno == ENOTDIR ? OCID_E_FILE : OCID_E_IO, errno,
                       "cannot open '%s'", path);
    if (fstat(fd, &st)) {
        sys = errno;
        code = OCID_E_IO;
    } else if (!S_ISREG(st.st_mode)) {
        code = OCID_E_FILE;
    } else if (st.st_size > max) {
        code = OCID_E_TOO_LARGE;
    }
    if (!code) {
        *size = st.st_size;
        return fd;
    }
    close(fd);
    return oc_fail(err, code, sys, "'%s' is %s", path,
                   code == OCID_E_TOO_LARGE ? "too large"
                   : sys                    ? "not readable"
                                            : "not a regular file");
}

int secret_read(const char *path, size_t max, char **ret, size_t *n, struct oc_err *err)
{
    off_t size = 0;
    int fd = open_regular(path, (off_t)max, &size, err);
    if (fd < 0)
        return fd;
    size_t room = (size_t)size + 1, used = 0; /* one more byte shows whether it has grown */
    char *text = secret_new(room + 1);
    ssize_t got;
    while (used < room && (got = read(fd, text + used, room - used))) {
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            break;
    }
    int e = used < room && got < 0 ? errno : used == room ? EAGAIN : 0;
    close(fd);
    if (e) {
        secret_free(text);
        return oc_fail(err, OCID_E_IO, e, "cannot read '%s'", path);
    }
    text[used] = 0;
    *ret = text;
    *n = used;
    return 0;
}
