/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_doctor.c - doctor: what is wrong with this set-up, one line a check, and what mends it.
 *
 * Here is what this machine alone can tell, in the order in which one thing rests upon another;
 * what needs the service is in doctor_service.c. Nothing is changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctl/ask.h"
#include "ctl/doctor.h"
#include "ctl/json.h"
#include "ctl/render.h"
#include "ocid/version.h"

enum { TEXT = 2048, DESCRIPTORS = 1024, SPACE_FEW_MIB = 1024, SPACE_NONE_MIB = 64 };

/* ---- Verdicts */

void doctor_mend(struct doctor *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->mend, sizeof d->mend, fmt, ap);
    va_end(ap);
}

void doctor_tell(struct doctor *d, enum doctor_level level, const char *name, const char *fmt, ...)
{
    static const char *const words[][2] = {
        {"ok", "OK"}, {"warn", "WARN"}, {"fail", "FAIL"}, {"skip", "SKIP"}};
    char text[TEXT];
    bool mends = d->mend[0] && (level == DOCTOR_WARN || level == DOCTOR_FAIL);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t n = strlen(text);
    if (n && text[n - 1] == '.') /* more may follow in the line */
        text[n - 1] = 0;
    d->n_failed += level == DOCTOR_FAIL;
    if (d->ctl->args->json)
        json_pairs((struct ocid_pair[]){{"check", name},
                                        {"level", words[level][0]},
                                        {"text", text},
                                        {"mend", mends ? d->mend : ""}},
                   4);
    else if (!d->ctl->args->quiet || level == DOCTOR_FAIL || level == DOCTOR_WARN)
        printf("%-4s  %-11s  %s%s%s\n", words[level][1], name, render_name(text),
               mends ? "; mend: " : "", mends ? d->mend : "");
    fflush(stdout); /* the next one may take a while */
    d->mend[0] = 0;
}

static const char *value_of(const struct child *c, const char *name)
{
    const char *value = c->text ? child_value(c, name) : NULL;
    return value ? value : "";
}

const char *doctor_setting(const struct doctor *d, const char *name)
{
    return value_of(&d->settings, name);
}

const char *doctor_fact(const struct doctor *d, const char *name)
{
    return value_of(&d->checked, name);
}

/* ---- The daemon */

static void refuse_daemon(struct doctor *d, const struct ocid_failure *why)
{
    const char *mend = ocid_error_mend(why->code);
    doctor_mend(d, "%s", mend ? mend : "ocictl stop && ocictl start");
    doctor_tell(d, DOCTOR_FAIL, "daemon", "%s", why->text);
}

static void check_daemon(struct doctor *d)
{
    struct ocid_options o = ocid_options_of();
    const struct ocid_stats *s;
    struct ocid_failure why;
    o.socket = d->ctl->args->socket;
    o.software = "ocictl " OCID_VERSION;
    if (ocid_open(&o, ctl_hello_ms(args_patience_ms(d->ctl->args, UINT64_MAX)), &d->ctl->c, &why)) {
        refuse_daemon(d, &why);
        return;
    }
    ctl_catch(d->ctl);
    if (ocid_stats(d->ctl->c, CTL_REPLY_MS, &s)) {
        refuse_daemon(d, ocid_failure(d->ctl->c));
        return;
    }
    d->config = s->config ? ctl_copy(s->config) : NULL;
    d->state_dir = s->state_dir ? ctl_copy(s->state_dir) : NULL;
    d->descriptors = s->descriptors;
    doctor_tell(d, DOCTOR_OK, "daemon", "%s, process %" PRIu64 ", socket '%s'", s->software, s->pid,
                ocid_info(d->ctl->c)->socket);
}

/* "ocid: 'FILE' line 3: ..." */
static void refuse_settings(struct doctor *d, const char *text)
{
    unsigned line;
    char path[512];
    text += strncmp(text, "ocid: ", 6) ? 0 : 6;
    if (sscanf(text, "'%500[^']' line %u:", path, &line) == 2)
        doctor_mend(d, "${EDITOR:-vi} +%u '%s' && ocictl reload", line, path);
    else
        doctor_mend(d, "ocid --check-config");
    doctor_tell(d, DOCTOR_FAIL, "settings", "%s", text);
}

/* As the running daemon reads them, else as one would that is started now. */
static void check_settings(struct doctor *d)
{
    const char *words[] = {"--check-config", d->config ? "--config" : NULL, d->config, NULL};
    if (child_ocid(words, &d->settings)) {
        doctor_mend(d, "install ocid of version " OCID_VERSION);
        doctor_tell(d, DOCTOR_WARN, "settings",
                    "the program ocid cannot be run: no word on ocid.conf");
        return;
    }
    if (!d->settings.status) {
        doctor_tell(d, DOCTOR_OK, "settings", d->settings.text[0] == '/' ? "'%.*s'" : "%.*s",
                    (int)strcspn(d->settings.text, ":"), d->settings.text);
        return;
    }
    refuse_settings(d, d->settings.text);
    child_free(&d->settings);
}

/* ---- The environment: what Oracle's tools look at and ocid does not */

static const char *proxy_of_environment(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (int i = 0; i < 4; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return names[i];
    }
    return NULL;
}

static void check_environment(struct doctor *d)
{
    const char *config = getenv("OCI_CONFIG_FILE"), *profile = getenv("OCI_CLI_PROFILE");
    const char *proxy = proxy_of_environment();
    if (config && *config && strcmp(config, doctor_setting(d, "credentials.config_file")) != 0) {
        doctor_mend(d, "set config_file = %s in [credentials] of ocid.conf && ocictl reload",
                    config);
        doctor_tell(d, DOCTOR_WARN, "environment",
                    "OCI_CONFIG_FILE names '%s', which ocid does not look at", config);
    }
    if (profile && *profile && strcmp(profile, d->profile) != 0) {
        doctor_mend(d, "ocictl doctor --profile %s", profile);
        doctor_tell(d, DOCTOR_WARN, "environment",
                    "OCI_CLI_PROFILE names '%s'; ocid takes '%s' without --profile", profile,
                    d->profile);
    }
    if (proxy && !*doctor_setting(d, "network.proxy")) {
        doctor_mend(d, "set proxy = $%s in [network] of ocid.conf && ocictl reload", proxy);
        doctor_tell(d, DOCTOR_WARN, "environment",
                    "%s names a proxy, which ocid does not ask: ocid.conf has none", proxy);
    }
}

/* ---- The profile and its key */

static const char *home(void)
{
    const char *dir = getenv("HOME");
    struct passwd *pw = dir && *dir ? NULL : getpwuid(getuid());
    return pw ? pw->pw_dir : dir ? dir : "";
}

static ssize_t read_phrase(const struct doctor *d, char *out)
{
    int fd = d->ctl->args->fd;
    ssize_t n = fd < 0 ? 0 : ask_line(fd, out, ASK_MAX);
    if (n < 0)
        ctl_say("doctor: cannot read the pass phrase from descriptor %d: %s", fd, strerror(errno));
    return n;
}

/* What ocid.conf says in [profile NAME]; NULL: nothing. */
static const char *of_profile(const struct doctor *d, const char *key)
{
    char *name = ctl_printf("profile.%s.%s", d->profile, key);
    const char *value = doctor_setting(d, name);
    free(name);
    return *value && strcmp(value, "auto") != 0 ? value : NULL;
}

static int ask_signer(struct doctor *d)
{
    const struct args *a = d->ctl->args;
    const char *set = doctor_setting(d, "credentials.config_file");
    const char *options[][2] = {{"--home", home()},
                                {"--profile", d->profile},
                                {"--config", a->config ? a->config
                                             : *set    ? set
                                                       : NULL},
                                {"--auth", of_profile(d, "auth")},
                                {"--region", of_profile(d, "region")}};
    const char *words[16] = {"check", "--quick"};
    size_t n_words = a->quick ? 2 : 1;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i][1]) {
            words[n_words++] = options[i][0];
            words[n_words++] = options[i][1];
        }
    words[n_words] = NULL;
    char *phrase = ask_page();
    if (!phrase)
        return EXIT_FAILED;
    ssize_t n = read_phrase(d, phrase);
    int status = n < 0 ? EXIT_FAILED : child_signer(words, phrase, (size_t)n, &d->checked);
    ask_free(phrase);
    return status;
}

static void tell_checked(struct doctor *d, const char *name, const char *level, const char *text,
                         const char *mend)
{
    doctor_mend(d, "%s", mend);
    if (!strcmp(level, "locked")) {
        bool later = d->ctl->c && !d->ctl->args->quick; /* it shows when the daemon signs */
        d->locked = true;
        doctor_tell(d, later ? DOCTOR_SKIP : DOCTOR_WARN, name, "%s%s", text,
                    later ? "; the daemon is asked below whether it has it" : "");
    } else {
        doctor_tell(d,
                    !strcmp(level, "ok")     ? DOCTOR_OK
                    : !strcmp(level, "warn") ? DOCTOR_WARN
                                             : DOCTOR_FAIL,
                    name, "%s", text);
    }
}

static int check_credentials(struct doctor *d)
{
    const char *at = NULL, *name, *value, *check = "", *level = "", *text = "";
    int status = ask_signer(d);
    if (status)
        return status;
    while ((name = child_next(&d->checked, &at, &value)))
        if (!strcmp(name, "check"))
            check = value;
        else if (!strcmp(name, "level"))
            level = value;
        else if (!strcmp(name, "text"))
            text = value;
        else if (!strcmp(name, "mend"))
            tell_checked(d, check, level, text, value);
    return 0;
}

/* ---- The machine */

static void check_space(struct doctor *d)
{
    struct statvfs v;
    if (!d->state_dir || statvfs(d->state_dir, &v))
        return;
    uint64_t mib = (uint64_t)v.f_bavail * v.f_frsize >> 20;
    doctor_mend(d, "df -h '%s'", d->state_dir);
    doctor_tell(d,
                mib < SPACE_NONE_MIB  ? DOCTOR_FAIL
                : mib < SPACE_FEW_MIB ? DOCTOR_WARN
                                      : DOCTOR_OK,
                "space", "%" PRIu64 " MiB are free below '%s'", mib, d->state_dir);
}

static void check_descriptors(struct doctor *d)
{
    if (!d->descriptors)
        return;
    doctor_mend(d, "ocictl stop && ulimit -Hn 4096 && ocictl start (systemd: LimitNOFILE=4096)");
    doctor_tell(d, d->descriptors < DESCRIPTORS ? DOCTOR_WARN : DOCTOR_OK, "descriptors",
                "the daemon may have %" PRIu64 " open", d->descriptors);
}

/* Without it systemd ends a user's services when he logs out. */
static void check_linger(struct doctor *d)
{
    char path[300];
    struct passwd *pw = getpwuid(getuid());
    if (access("/run/systemd/system", F_OK) || !pw || !getuid())
        return;
    snprintf(path, sizeof path, "/var/lib/systemd/linger/%.200s", pw->pw_name);
    doctor_mend(d, "loginctl enable-linger %s", pw->pw_name);
    if (access(path, F_OK))
        doctor_tell(d, DOCTOR_WARN, "linger", "jobs stop when '%s' logs out", pw->pw_name);
    else
        doctor_tell(d, DOCTOR_OK, "linger", "jobs go on when '%s' logs out", pw->pw_name);
}

/* ---- All of it */

static void find_profile(struct doctor *d)
{
    const char *set = doctor_setting(d, "credentials.profile");
    snprintf(d->profile, sizeof d->profile, "%s",
             d->ctl->args->profile ? d->ctl->args->profile
             : *set                ? set
                                   : "DEFAULT");
}

static int check_service(struct doctor *d)
{
    const char *bucket = d->ctl->args->bucket;
    unsigned before = d->n_failed;
    doctor_service(d);
    return bucket && d->n_failed == before ? doctor_bucket(d, bucket) : 0;
}

static int check_all(struct doctor *d)
{
    const struct args *a = d->ctl->args;
    check_daemon(d);
    check_settings(d);
    find_profile(d);
    check_environment(d);
    unsigned before = d->n_failed;
    int status = check_credentials(d);
    if (status)
        return status;
    bool good = d->n_failed == before;
    check_space(d);
    check_descriptors(d);
    check_linger(d);
    if (!d->ctl->c || a->quick)
        return 0;
    const char *set = doctor_setting(d, "credentials.config_file");
    if (!good)
        doctor_tell(d, DOCTOR_SKIP, "service", "it is not asked before the above is mended");
    else if (a->config && *set && strcmp(a->config, set) != 0)
        doctor_tell(d, DOCTOR_SKIP, "service", "the daemon goes by '%s'", set);
    else
        return check_service(d);
    return 0;
}

int cmd_doctor(struct ctl *ctl)
{
    struct doctor d = {.ctl = ctl};
    struct uri uri;
    int status = ctl->args->bucket ? ctl_uri(ctl, ctl->args->bucket, &uri) : 0;
    if (!status)
        status = check_all(&d);
    child_free(&d.settings);
    child_free(&d.checked);
    free(d.config);
    free(d.state_dir);
    if (ctl_interrupted)
        return ctl_detached(NULL, 0);
    return status ? status : d.n_failed ? EXIT_FAILED : EXIT_OK;
}
