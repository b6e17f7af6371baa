/* SPDX-License-Identifier: Apache-2.0
 *
 * cage.c - Landlock for files, seccomp for system calls.
 *
 * The list of calls names what is refused, not what is let through: which calls a libc or a
 * sanitizer makes is theirs to change, and without a socket, a process or a program there is no
 * way out for what is in this memory but the two sockets that it was started with.
 */
#include "signer/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "args[0] is loaded as a little-endian word"
#endif

/* ---- files ---- */

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* since version 3 */
#endif

enum {
    REPLACE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
              LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE,
    ALL = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* of version 1 */
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
};

struct files {
    int ruleset;
    uint64_t handled;
    unsigned n_files;
};

static void allow(const struct files *f, const char *dir)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = REPLACE & f->handled};
    rule.parent_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    syscall(SYS_landlock_add_rule, f->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/* The directory of path, or the nearest above it that is there: the file may come later. */
static void allow_beside(const struct files *f, const char *path)
{
    char dir[PATH_MAX];
    char *slash;
    if (strlen(path) >= sizeof dir)
        return;
    strcpy(dir, path);
    while ((slash = strrchr(dir, '/')) && slash > dir) {
        *slash = 0;
        if (access(dir, F_OK))
            continue;
        allow(f, dir);
        return;
    }
}

/* The file itself and, if it is a link, what it leads to. */
static void allow_file(const struct files *f, const char *path)
{
    char real[PATH_MAX];
    if (*path != '/')
        return;
    allow_beside(f, path);
    if (realpath(path, real))
        allow_beside(f, real);
}

/* The configuration: sessions of a new login lie beside it. */
static void on_file(void *arg, const char *path)
{
    struct files *f = arg;
    if (!f->n_files++)
        allow_file(f, path);
}

static int version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int cage_files(const struct creds *c)
{
    struct files f = {.handled = ALL & ~READ};
    int has = version();
    if (has < 0)
        return errno;
    if (has >= 2)
        f.handled |= LANDLOCK_ACCESS_FS_REFER;
    if (has >= 3)
        f.handled |= LANDLOCK_ACCESS_FS_TRUNCATE;
    struct landlock_ruleset_attr attr = {.handled_access_fs = f.handled};
    f.ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (f.ruleset < 0)
        return errno;
    creds_files(c, on_file, &f);
    const struct cred *cred;
    for (size_t i = 0; (cred = creds_at(c, i)); i++)
        if (creds_by_network(cred))
            allow_file(&f, cred->token_file);
    int rc = syscall(SYS_landlock_restrict_self, f.ruleset, 0) ? errno : 0;
    close(f.ruleset);
    return rc;
}

/* ---- calls ---- */

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

static const int refused[] = {
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_pidfd_getfd,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_open_by_handle_at,
    SYS_kcmp,
    SYS_personality,
#ifdef __x86_64__
    SYS_fork,
    SYS_vfork,
#endif
};

enum { N_REFUSED = sizeof refused / sizeof *refused, EDGES = 16 };

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), yes, no)
#define END(what)             BPF_STMT(BPF_RET | BPF_K, what)

int cage_calls(void)
{
    struct sock_filter code[N_REFUSED * 2 + EDGES], *p = code;
    if (!ARCHITECTURE)
        return ENOSYS;
    *p++ = (struct sock_filter)LOAD(arch);
    *p++ = (struct sock_filter)EQUAL(ARCHITECTURE, 1, 0);
    *p++ = (struct sock_filter)END(SECCOMP_RET_KILL_PROCESS);
    *p++ = (struct sock_filter)LOAD(nr);
#ifdef __x86_64__
    *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x40000000, 0, 1); /* x32 */
    *p++ = (struct sock_filter)END(SECCOMP_RET_KILL_PROCESS);
#endif
    for (int i = 0; i < N_REFUSED; i++) {
        *p++ = (struct sock_filter)EQUAL(refused[i], 0, 1);
        *p++ = (struct sock_filter)END(SECCOMP_RET_ERRNO | EPERM);
    }
    *p++ = (struct sock_filter)EQUAL(SYS_clone3, 0, 1); /* its flags cannot be seen: libc then... */
    *p++ = (struct sock_filter)END(SECCOMP_RET_ERRNO | ENOSYS);
    *p++ = (struct sock_filter)EQUAL(SYS_clone, 0, 3); /* ... uses this, for threads only */
    *p++ = (struct sock_filter)LOAD(args[0]);
    *p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
    *p++ = (struct sock_filter)END(SECCOMP_RET_ERRNO | EPERM);
    *p++ = (struct sock_filter)END(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)(p - code), code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? errno : 0;
}
