/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn.c - starts ocid-signer: which file, which arguments, which descriptors.
 *
 * Control loop; at start only, so it may look into the password file. The child's environment has
 * what a resource principal is told by it, and at most one variable more: on AMD processors without
 * AVX-512 IFMA, OpenSSL's path for ADX is half as fast again as the one it leaves unused, and
 * libcrypto wants to hear so before main().
 */
#include "vault/spawn.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "proto/text.h"

enum { CHILD_CONTROL = 3, CHILD_SIGN = 4, HOSTS_MAX = 64, THREADS_MAX = 64, ENV_MAX = 32 };

static const char resource[] = "OCI_RESOURCE_PRINCIPAL_";

struct args {
    const char *v[16 + 2 * HOSTS_MAX];
    unsigned n;
};

const char *vault_spawn_capability(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d, bmi2 = 1u << 8, avx2 = 1u << 5, adx = 1u << 19, ifma = 1u << 21;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || d != signature_AMD_edx ||
        c != signature_AMD_ecx || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return "";
    if ((b & avx2) && (b & bmi2) && (b & adx) && !(b & ifma))
        return "OPENSSL_ia32cap=:~0x80000";
#endif
    return "";
}

static void add(struct args *a, const char *name, const char *value)
{
    if (!value)
        return;
    a->v[a->n++] = name;
    a->v[a->n++] = value;
}

/* The signer beside our own program, else in the libexec directory as it lies from there. */
static void find_program(const struct vault_options *o, char *out, size_t size)
{
    if (o->program) {
        oc_text_join(out, size, o->program, "", "");
        return;
    }
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    oc_text_join(out, size, self, "/ocid-signer", "");
    if (access(out, X_OK))
        oc_text_join(out, size, self, "/" OCID_LIBEXECDIR "/ocid-signer", "");
}

static const char *find_home(const struct vault_options *o)
{
    const char *home = o->home ? o->home : getenv("HOME");
    if (home)
        return home;
    struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_dir : NULL;
}

static int make_pairs(int ours[2], int theirs[2], struct oc_err *err)
{
    int control[2], sign[2], type = SOCK_SEQPACKET | SOCK_CLOEXEC;
    if (socketpair(AF_UNIX, type, 0, control))
        return oc_fail(err, OCID_E_INTERNAL, errno, "cannot make a socket for ocid-signer");
    if (socketpair(AF_UNIX, type, 0, sign)) {
        int e = errno;
        close(control[0]);
        close(control[1]);
        return oc_fail(err, OCID_E_INTERNAL, e, "cannot make a socket for ocid-signer");
    }
    ours[0] = control[0];
    theirs[0] = control[1];
    ours[1] = sign[0];
    theirs[1] = sign[1];
    return 0;
}

static void fill_args(struct args *a, const struct vault_options *o, const char *program,
                      const char *threads)
{
    a->v[a->n++] = program;
    add(a, "--control", "3");
    add(a, "--sign", "4");
    add(a, "--threads", threads);
    add(a, "--config", o->config);
    add(a, "--home", find_home(o));
    add(a, "--region", o->region);
    add(a, "--profiles", o->profiles);
    for (size_t i = 0; i < o->n_hosts && i < HOSTS_MAX; i++)
        add(a, "--host", o->hosts[i]);
}

static unsigned count_threads(const struct vault_options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = o->threads ? o->threads : cores > 0 ? (unsigned)cores : 1;
    return n < THREADS_MAX ? n : THREADS_MAX;
}

static int is_resource(const char *variable)
{
    return !strncmp(variable, resource, sizeof resource - 1);
}

static void fill_env(char *env[ENV_MAX], int resources)
{
    unsigned n = 0;
    if (vault_spawn_capability()[0])
        env[n++] = (char *)vault_spawn_capability();
    for (char **at = environ; resources && at && *at && n < ENV_MAX - 1; at++)
        if (is_resource(*at))
            env[n++] = *at;
    env[n] = NULL;
}

/* A key may stand there. */
static void wipe_env(void)
{
    char **to = environ;
    if (!environ)
        return;
    for (char **from = environ; *from; from++)
        if (is_resource(*from))
            explicit_bzero(*from, strlen(*from));
        else
            *to++ = *from;
    *to = NULL;
}

static int start(uv_loop_t *loop, const char *program, struct args *a, char **env,
                 uv_process_t *process, uv_exit_cb on_ended, const int theirs[2])
{
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [CHILD_CONTROL] = {.flags = UV_INHERIT_FD, .data.fd = theirs[0]},
        [CHILD_SIGN] = {.flags = UV_INHERIT_FD, .data.fd = theirs[1]},
    };
    uv_process_options_t po = {
        .file = program,
        .args = (char **)a->v,
        .env = env,
        .exit_cb = on_ended,
        .stdio = stdio,
        .stdio_count = CHILD_SIGN + 1,
    };
    return uv_spawn(loop, process, &po);
}

int vault_spawn(uv_loop_t *loop, const struct vault_options *o, uv_process_t *process,
                uv_exit_cb on_ended, int fd[2], struct oc_err *err)
{
    char program[PATH_MAX], threads[16], *env[ENV_MAX];
    struct args a = {.n = 0};
    int theirs[2] = {-1, -1};
    find_program(o, program, sizeof program);
    snprintf(threads, sizeof threads, "%u", count_threads(o));
    fill_args(&a, o, program, threads);
    int rc = make_pairs(fd, theirs, err);
    if (rc)
        return rc;
    fill_env(env, o->resources);
    rc = start(loop, program, &a, env, process, on_ended, theirs);
    wipe_env();
    close(theirs[0]);
    close(theirs[1]);
    if (!rc)
        return 0;
    close(fd[0]);
    close(fd[1]);
    return oc_fail(err, OCID_E_INTERNAL, -rc, "cannot start '%s'", program);
}
