/* SPDX-License-Identifier: Apache-2.0
 *
 * paths.c - where the daemon's files are, and that nobody else's hands are on them.
 *
 * Blocks; start or pool thread. SQLite's WAL needs shared memory and honest fsync: a state
 * directory must not lie on a network file system. What is behind FUSE cannot be known: never by
 * default, but an explicit setting is believed. Source: XDG Base Directory Specification 0.8;
 * statfs(2), linux/magic.h.
 */
#include "core/paths.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/config.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/mem.h"
#include "proto/paths.h"

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = oc_new(n, 1);
    snprintf(path, n, "%s/%s", dir, name);
    return path;
}

static int home_dir(char **ret, struct oc_err *err)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/') {
        *ret = oc_strdup(home);
        return 0;
    }
    char space[4096];
    struct passwd entry, *found = NULL;
    int sys = getpwuid_r(geteuid(), &entry, space, sizeof space, &found);
    if (!found || !entry.pw_dir || entry.pw_dir[0] != '/')
        return oc_fail(err, OCID_E_CONFIG, sys,
                       "there is no home directory; set HOME, or write whole paths");
    *ret = oc_strdup(entry.pw_dir);
    return 0;
}

int paths_expand(const char *path, char **ret, struct oc_err *err)
{
    if (strncmp(path, "~/", 2) != 0) {
        *ret = oc_strdup(path);
        return 0;
    }
    oc_auto_mem char *home = NULL;
    int rc = home_dir(&home, err);
    if (rc)
        return rc;
    *ret = join(home, path + 2);
    return 0;
}

/* variable if it is an absolute path (XDG: others are to be ignored), else ~/below. */
static int xdg_dir(const char *variable, const char *below, char **ret, struct oc_err *err)
{
    const char *dir = getenv(variable);
    if (dir && dir[0] == '/') {
        *ret = oc_strdup(dir);
        return 0;
    }
    oc_auto_mem char *home = NULL;
    int rc = home_dir(&home, err);
    if (rc)
        return rc;
    *ret = join(home, below);
    return 0;
}

int paths_config(int system, char **ret, struct oc_err *err)
{
    if (system) {
        *ret = oc_strdup("/etc/ocid/ocid.conf");
        return 0;
    }
    oc_auto_mem char *dir = NULL;
    int rc = xdg_dir("XDG_CONFIG_HOME", ".config", &dir, err);
    if (rc)
        return rc;
    *ret = join(dir, "ocid/ocid.conf");
    return 0;
}

/* ---- directories ---- */

/* Makes those above path that are missing, 0700 as XDG wants it. */
static int make_above(const char *path, struct oc_err *err)
{
    oc_auto_mem char *part = oc_strdup(path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST) {
            /* an unwritable directory that exists is reported as such by some file systems */
            int sys = errno;
            struct stat st;
            if (stat(part, &st) < 0)
                return oc_fail(err, OCID_E_CONFIG, sys, "cannot make the directory '%s'", part);
        }
        *slash = '/';
    }
    return 0;
}

static int make_private(const char *path, struct oc_err *err)
{
    int rc = make_above(path, err);
    return rc ? rc : ocp_dir_make(path, err);
}

enum paths_fs paths_fs_kind(unsigned long f_type)
{
    switch (f_type & 0xffffffff) { /* 32 bits, sign-extended on some machines */
    case 0x65735546:               /* FUSE */
        return PATHS_FS_FUSE;
    case 0x00006969: /* NFS */
    case 0x0000517b: /* SMB */
    case 0xff534d42: /* CIFS */
    case 0xfe534d42: /* SMB2 */
    case 0x0bd00bd0: /* Lustre */
    case 0x01021997: /* 9P */
    case 0x5346414f: /* AFS (OpenAFS) */
    case 0x6b414653: /* AFS (kernel) */
    case 0x73757245: /* Coda */
    case 0x00c36400: /* Ceph */
    case 0x47504653: /* GPFS */
    case 0x19830326: /* BeeGFS (FhGFS) */
    case 0xaad7aaea: /* PanFS */
    case 0x564c:     /* NCP */
    case 0x20030528: /* OrangeFS */
    case 0x01161970: /* GFS2 */
    case 0x7461636f: /* OCFS2 */
    case 0x786f4256: /* VirtualBox shared folder */
        return PATHS_FS_NETWORK;
    }
    return PATHS_FS_LOCAL;
}

static int fs_of(const char *dir, enum paths_fs *ret, struct oc_err *err)
{
    struct statfs fs;
    int rc = statfs(dir, &fs);
    if (rc < 0)
        return oc_fail(err, OCID_E_CONFIG, errno, "cannot ask what file system holds '%s'", dir);
    *ret = OC_FAULT("paths.network") ? PATHS_FS_NETWORK : paths_fs_kind((unsigned long)fs.f_type);
    return 0;
}

/* ---- the state directory ---- */

/* The directory of this host: homes are shared between the nodes of a cluster. */
static void host_name(char *out, size_t size)
{
    memset(out, 0, size);
    if (gethostname(out, size - 1) < 0 || !out[0] || out[0] == '.' || strchr(out, '/'))
        snprintf(out, size, "localhost");
}

/* A place of ours on this machine that outlives a boot. */
static int local_state(const char *instead_of, char **ret, struct oc_err *err)
{
    char host[HOST_NAME_MAX + 1], base[64];
    host_name(host, sizeof host);
    snprintf(base, sizeof base, "/var/tmp/ocid-%lu", (unsigned long)geteuid());
    oc_auto_mem char *dir = join(base, host);
    enum paths_fs fs;
    int rc = ocp_dir_make(base, err);
    if (!rc)
        rc = ocp_dir_make(dir, err);
    if (!rc)
        rc = fs_of(dir, &fs, err);
    if (!rc && fs != PATHS_FS_LOCAL)
        rc = oc_fail(err, OCID_E_CONFIG, 0, "'%s' is not on a local disk either", dir);
    if (rc) {
        oc_wrap(err, "'%s' lies on a network file system; set state_dir in [daemon]", instead_of);
        return OCID_E_CONFIG;
    }
    log_warn("'%s' lies on a network file system, where the queue could be damaged; using '%s'",
             instead_of, dir);
    *ret = oc_take(dir);
    return 0;
}

static int default_state(int system, char **ret, struct oc_err *err)
{
    if (system) {
        *ret = oc_strdup("/var/lib/ocid");
        return 0;
    }
    char host[HOST_NAME_MAX + 1];
    host_name(host, sizeof host);
    oc_auto_mem char *home = NULL;
    int rc = xdg_dir("XDG_STATE_HOME", ".local/state", &home, err);
    if (rc)
        return rc;
    oc_auto_mem char *ours = join(home, "ocid");
    *ret = join(ours, host);
    return 0;
}

static int open_state(const struct config *c, int system, char **ret, struct oc_err *err)
{
    int is_set = c->daemon_state_dir[0] != 0;
    oc_auto_mem char *dir = is_set ? oc_strdup(c->daemon_state_dir) : NULL;
    int rc = is_set ? 0 : default_state(system, &dir, err);
    if (!rc)
        rc = make_private(dir, err);
    enum paths_fs fs = PATHS_FS_LOCAL;
    if (!rc)
        rc = fs_of(dir, &fs, err);
    if (rc)
        return rc;
    if (fs != PATHS_FS_LOCAL && !is_set && !system)
        return local_state(dir, ret, err);
    if (fs == PATHS_FS_NETWORK)
        return oc_fail(err, OCID_E_CONFIG, 0,
                       "'%s' lies on a network file system, where the queue could be damaged; set "
                       "state_dir in [daemon] to a local directory",
                       dir);
    if (fs == PATHS_FS_FUSE)
        log_warn("'%s' lies on a FUSE file system; the queue is as safe as that is", dir);
    *ret = oc_take(dir);
    return 0;
}

/* ---- the socket ---- */

/* In user mode its directory is made; in system mode the manager has made it for the group. */
static int open_socket(const struct config *c, int system, char **ret, struct oc_err *err)
{
    char path[OCP_SOCKET_MAX];
    if (c->daemon_socket[0]) {
        if (strlen(c->daemon_socket) >= OCP_SOCKET_MAX) /* once its ~ is replaced */
            return oc_fail(err, OCID_E_CONFIG, 0,
                           "'%s' is longer than %d bytes; set socket in [daemon] to a shorter path",
                           c->daemon_socket, OCP_SOCKET_MAX - 1);
        *ret = oc_strdup(c->daemon_socket);
        return 0;
    }
    if (system) {
        *ret = oc_strdup(OCP_SOCKET_SYSTEM);
        return 0;
    }
    int rc = ocp_socket_make(path, sizeof path, err);
    if (rc)
        return rc;
    *ret = oc_strdup(path);
    return 0;
}

int paths_open(const struct config *c, int system, struct paths *ret, struct oc_err *err)
{
    struct paths p = {0};
    int rc = open_socket(c, system, &p.socket, err);
    if (!rc)
        rc = open_state(c, system, &p.state_dir, err);
    if (rc) {
        paths_fini(&p);
        return rc;
    }
    *ret = p;
    return 0;
}

void paths_fini(struct paths *p)
{
    if (!p)
        return;
    free(p->socket);
    free(p->state_dir);
    *p = (struct paths){0};
}
