/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - arguments of ocid; no logic.
 */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "app.h"
#include "core/env.h"
#include "core/fault.h"
#include "core/log.h"
#include "ocid/version.h"

static const char usage[] =
    "usage: ocid [--config FILE] [--system]\n"
    "       ocid --check-config [--config FILE]   names a line at fault, or what is in force\n"
    "       ocid --print-config                   prints every setting with its default\n"
    "       ocid --recover [--config FILE] [--system]\n"
    "                                             makes a queue of what is left of a damaged one\n"
    "       ocid --version\n"
    "\n"
    "Runs in the foreground. `ocictl start` runs it in the background; systemd runs it by\n"
    "ocid.socket. Settings are in ocid.conf, see ocid(8).\n";

enum { OPT_CHECK = 256, OPT_PRINT, OPT_SYSTEM, OPT_RECOVER };

static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                        {"check-config", no_argument, NULL, OPT_CHECK},
                                        {"print-config", no_argument, NULL, OPT_PRINT},
                                        {"recover", no_argument, NULL, OPT_RECOVER},
                                        {"system", no_argument, NULL, OPT_SYSTEM},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

static int complain(const struct oc_err *err)
{
    char text[1024];
    fprintf(stderr, "ocid: %s\n", oc_err_print(err, text, sizeof text));
    return oc_err_exit(err->code);
}

/* No core, no ptrace by others of the same uid: passed pass phrases cross no memory of ours, but
 * tokens will. */
static void close_doors(void)
{
    struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}

int main(int argc, char **argv)
{
    struct app_options opt = {0};
    struct oc_err err = {0};
    int check = 0, recover = 0, c;
    static const char *const resources[] = {"OCI_RESOURCE_PRINCIPAL_*", NULL};
    env_cut(resources); /* what is left goes to the signer, or away */
    while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            opt.config = optarg;
            break;
        case OPT_CHECK:
            check = 1;
            break;
        case OPT_PRINT:
            return config_print_example(stdout) ? 1 : 0;
        case OPT_RECOVER:
            recover = 1;
            break;
        case OPT_SYSTEM:
            opt.system = 1;
            break;
        case 'V':
            puts("ocid " OCID_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "ocid: '%s' is no option\n%s", argv[optind], usage);
        return 2;
    }
    if (config_load(opt.config, opt.system, &opt.loaded, &err))
        return complain(&err);
    if (check) {
        printf("%s:\tok\n", opt.loaded->path ? opt.loaded->path : "no file, all defaults");
        int failed = config_print(stdout, opt.loaded);
        config_unref(opt.loaded);
        return failed ? 1 : 0;
    }
    close_doors();
    log_init(opt.loaded->daemon_log_level, LOG_FIND_OUT);
#ifdef OCID_FAULTS
    fault_init(getenv("OCID_FAULT"));
#endif
    int status = recover ? app_recover(&opt, &err) : app_run(&opt, &err);
    return err.code ? complain(&err) : status;
}
