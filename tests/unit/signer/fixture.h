/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h - a directory with a configuration and keys in it; the signing vectors.
 *
 * For tests of the signer and of the vault. Everything lies below a directory of the test's own.
 */
#ifndef TEST_SIGNER_FIXTURE_H
#define TEST_SIGNER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef N_ROWS
#define N_ROWS(rows) (sizeof(rows) / sizeof *(rows))
#endif

#define VECTORS     OCID_SOURCE_DIR "/tests/vectors"
#define TEST_KEY    VECTORS "/test-key.pem"
#define TENANCY     "ocid1.tenancy.oc1..tttt"
#define USER        "ocid1.user.oc1..uuuu"
#define TEST_PRINT  "54:3e:75:bd:b7:f1:09:8f:99:59:64:40:b6:57:d1:64"
#define OTHER_PRINT "73:61:a2:21:67:e0:df:be:7e:4b:93:1e:15:98:a5:b7"
#define LEAF_PRINT  "ca:44:25:39:ce:68:fc:cd:bf:46:61:14:8e:e5:57:9e"
#define PASS        "correct horse; battery #1"

struct fixture {
    char dir[64];
    char config[128];
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/ocid-test-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->config, sizeof f->config, "%s/config", f->dir);
    *state = f;
    return 0;
}

static inline int fixture_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    nftw(f->dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static inline void fixture_write(const char *path, const char *text, size_t n)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static inline size_t fixture_read(const char *path, char *out, size_t size)
{
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t n = fread(out, 1, size - 1, in);
    fclose(in);
    out[n] = 0;
    return n;
}

/* Copies one of tests/vectors into the fixture. */
static inline void fixture_copy(const struct fixture *f, const char *vector, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX], text[65536];
    snprintf(from, sizeof from, VECTORS "/%s", vector);
    snprintf(to, sizeof to, "%s/%s", f->dir, name);
    fixture_write(to, text, fixture_read(from, text, sizeof text));
}

static inline void fixture_config(const struct fixture *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void fixture_config(const struct fixture *f, const char *fmt, ...)
{
    char text[16384];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fixture_write(f->config, text, (size_t)n);
}

/* A whole section. */
#define PROFILE_FMT                                                                                \
    "[%s]\nuser=" USER "\ntenancy=" TENANCY "\nfingerprint=%s\nregion=%s\nkey_file=%s\n"

/* Base64 without libcrypto, which the tests of the vault do not link. Returns the bytes written. */
static inline size_t fixture_decode(const char *in, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t n = 0, have = 0;
    for (; *in && *in != '='; in++) {
        bits = bits << 6 | (uint32_t)(strchr(digits, *in) - digits);
        have += 6;
        if (have >= 8)
            out[n++] = (char)(bits >> (have -= 8));
    }
    return n;
}

struct vector {
    char name[64], key[64], string[8192], signature[1024];
    size_t string_n;
};

/* The next vector of the file. 0 at its end. */
static inline int vector_next(FILE *in, struct vector *v)
{
    static char line[65536];
    memset(v, 0, sizeof *v);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = 0;
        char *value = strchr(line, ' ');
        if (!line[0] && v->name[0])
            return 1;
        if (line[0] == '#' || !value)
            continue;
        *value++ = 0;
        if (!strcmp(line, "name"))
            snprintf(v->name, sizeof v->name, "%s", value);
        if (!strcmp(line, "key"))
            snprintf(v->key, sizeof v->key, "%s", value);
        if (!strcmp(line, "signature"))
            snprintf(v->signature, sizeof v->signature, "%s", value);
        if (!strcmp(line, "string64"))
            v->string_n = fixture_decode(value, v->string);
    }
    return v->name[0] != 0;
}

/* The profile that holds a vector's key. */
static inline const char *vector_profile(const struct vector *v)
{
    return !strcmp(v->key, "published-key.pem") ? "published"
           : !strcmp(v->key, "leaf-key.pem")    ? "leaf"
                                                : "test";
}

static inline void vector_config(const struct fixture *f)
{
    fixture_config(f, PROFILE_FMT PROFILE_FMT PROFILE_FMT, "test", TEST_PRINT, "us-phoenix-1",
                   TEST_KEY, "published", OTHER_PRINT, "phx", VECTORS "/published-key.pem", "leaf",
                   LEAF_PRINT, "us-phoenix-1", VECTORS "/leaf-key.pem");
}

#endif
