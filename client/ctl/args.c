/* SPDX-License-Identifier: Apache-2.0
 *
 * args.c - every verb and option of ocictl once, and the reader of command lines.
 *
 * Pure. Start at args_parse(): options that hold for any verb, the verb, then the verb's own
 * options and words in any order. Long options may be shortened as far as they stay unique.
 */
#include "ctl/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ctl/ctl.h"

enum { MANY = 1 << 30, N_FLAGS_MAX = 96, WORD_MAX = 64 };

const struct verb ctl_verbs[N_VERBS] = {
    [VERB_push] = {"push", 2, MANY, "SRC... oci://BUCKET/OBJECT", "upload files", cmd_push},
    [VERB_pull] = {"pull", 1, 2, "oci://BUCKET/OBJECT [DEST]", "download an object, or a prefix",
                   cmd_pull},
    [VERB_ls] = {"ls", 1, 1, "oci://BUCKET/PREFIX", "list objects", cmd_ls},
    [VERB_head] = {"head", 1, 1, "oci://BUCKET/OBJECT", "show an object's headers", cmd_head},
    [VERB_cat] = {"cat", 1, MANY, "oci://BUCKET/OBJECT...", "write objects to standard output",
                  cmd_cat},
    [VERB_rm] = {"rm", 1, MANY, "oci://BUCKET/OBJECT...", "delete objects", cmd_rm},
    [VERB_status] = {"status", 0, MANY, "[ID...]", "show the jobs, or one in full", cmd_status},
    [VERB_wait] = {"wait", 1, MANY, "ID...", "follow jobs to their end", cmd_wait},
    [VERB_cancel] = {"cancel", 1, MANY, "ID...", "end jobs", cmd_cancel},
    [VERB_pause] = {"pause", 1, MANY, "ID...", "stop jobs until they are resumed", cmd_pause},
    [VERB_resume] = {"resume", 1, MANY, "ID...", "undo pause; a waiting job tries at once",
                     cmd_resume},
    [VERB_retry] = {"retry", 1, MANY, "ID...", "queue failed or cancelled jobs again", cmd_retry},
    [VERB_buckets] = {"buckets", 0, 0, "", "list buckets", cmd_buckets},
    [VERB_mkbucket] = {"mkbucket", 1, 1, "BUCKET", "make a bucket", cmd_mkbucket},
    [VERB_uploads] = {"uploads", 1, 1, "oci://BUCKET", "list unfinished uploads, abort old ones",
                      cmd_uploads},
    [VERB_share] = {"share", 1, 1, "oci://BUCKET/OBJECT",
                    "make a link for those without credentials", cmd_share},
    [VERB_shares] = {"shares", 1, 1, "oci://BUCKET[/PREFIX]", "list the links of a bucket",
                     cmd_shares},
    [VERB_revoke] = {"revoke", 2, MANY, "oci://BUCKET ID...", "end links before their time",
                     cmd_revoke},
    [VERB_watch] = {"watch", 1, 1, "oci://BUCKET/OBJECT", "wait until an object appears",
                    cmd_watch},
    [VERB_whoami] = {"whoami", 0, 0, "", "ask the service who the profile's user is", cmd_whoami},
    [VERB_setup] = {"setup", 0, 2, "[key|fingerprint KEY|permissions]",
                    "make a key and a profile of it", cmd_setup},
    [VERB_doctor] = {"doctor", 0, 0, "", "find out what is wrong, and what mends it", cmd_doctor},
    [VERB_unlock] = {"unlock", 0, 0, "", "open an encrypted key", cmd_unlock},
    [VERB_lock] = {"lock", 0, 0, "", "wipe keys from memory", cmd_lock},
    [VERB_start] = {"start", 0, 0, "", "start your daemon in the background", cmd_start},
    [VERB_stop] = {"stop", 0, 0, "", "end your daemon; its queue stays", cmd_stop},
    [VERB_reload] = {"reload", 0, 0, "", "let the daemon read its configuration again", cmd_reload},
    [VERB_limit] = {"limit", 0, 0, "", "show or set limits of bandwidth and of jobs", cmd_limit},
    [VERB_stats] = {"stats", 0, 0, "", "show the daemon at a glance", cmd_stats},
    [VERB_version] = {"version", 0, 0, "", "show version numbers", cmd_version},
    [VERB_help] = {"help", 0, 1, "[VERB]", "explain a verb", cmd_help},
};

#define B(verb)   CTL_BIT(verb)
#define AT(field) offsetof(struct args, field)
#define CALLS     (B(head) | B(cat) | B(buckets) | B(mkbucket) | B(uploads) | B(shares) | B(whoami))
#define DURABLE   (B(push) | B(pull) | B(ls) | B(rm) | B(share) | B(revoke) | B(watch))
#define JOBS      (CALLS | DURABLE)

const struct flag ctl_flags[] = {
    /* what */
    {"recursive", 'r', TAKE_YES, AT(recursive), B(push) | B(pull) | B(ls) | B(share), NULL,
     "directories; ls, pull, share: everything below the prefix"},
    {"symlinks", 0, TAKE_LINKS, AT(links), B(push), "follow|skip|error",
     "what to do with symbolic links below a directory (follow)"},
    {"long", 'l', TAKE_YES, AT(lengthy), B(ls), NULL, "more columns: tier, etag, MD5"},
    {"prefix", 0, TAKE_TEXT, AT(prefix), B(ls), "TEXT", "only names that go on like this"},
    {"start", 0, TAKE_TEXT, AT(start), B(ls), "NAME", "begin with this name"},
    {"end", 0, TAKE_TEXT, AT(end), B(ls), "NAME", "only names before this one"},
    {"limit", 'n', TAKE_NUMBER, AT(limit), B(ls) | B(buckets) | B(status), "N",
     "so many rows at most"},
    {"fields", 0, TAKE_TEXT, AT(fields), B(ls), "LIST",
     "columns: name,size,etag,md5,time_created,time_modified,storage_tier,archival_state"},
    {"to", 0, TAKE_TEXT, AT(to), B(ls), "FILE",
     "have the daemon write the list there, as JSON lines"},
    {"overwrite", 0, TAKE_YES, AT(overwrite), B(pull) | B(ls) | B(setup), NULL,
     "replace existing files; setup: change the profile"},

    /* stored with the object */
    {"content-type", 0, TAKE_TEXT, AT(content_type), B(push), "TYPE",
     "media type (by the name's suffix)"},
    {"content-encoding", 0, TAKE_TEXT, AT(content_encoding), B(push), "TEXT", "stored as it is"},
    {"content-language", 0, TAKE_TEXT, AT(content_language), B(push), "TEXT", "stored as it is"},
    {"content-disposition", 0, TAKE_TEXT, AT(content_disposition), B(push), "TEXT",
     "stored as it is"},
    {"cache-control", 0, TAKE_TEXT, AT(cache_control), B(push), "TEXT", "stored as it is"},
    {"metadata", 'm', TAKE_PAIRS, AT(pairs), B(push), "NAME=VALUE",
     "user metadata; may be given several times"},
    {"tier", 0, TAKE_TIER, AT(tier), B(push) | B(mkbucket), "TIER",
     "Standard, InfrequentAccess or Archive"},
    {"part-size", 0, TAKE_SIZE, AT(part_bytes), B(push), "SIZE",
     "size of a part, as 64MiB (the daemon chooses)"},
    {"size", 0, TAKE_SIZE, AT(size), B(push), "SIZE",
     "standard input: fail if another number of bytes comes"},

    /* on condition */
    {"if-absent", 0, TAKE_YES, AT(if_absent), B(push), NULL, "only if there is no such object"},
    {"no-overwrite", 0, TAKE_YES, AT(if_absent), B(push), NULL, "the same"},
    {"if-match", 0, TAKE_TEXT, AT(if_match), B(push) | B(pull) | B(head) | B(cat) | B(rm), "ETAG",
     "only if the object's etag is this"},
    {"version-id", 0, TAKE_TEXT, AT(version_id), B(pull) | B(head) | B(cat) | B(rm), "ID",
     "this version of the object"},

    /* how */
    {"profile", 'p', TAKE_TEXT, AT(profile), JOBS | B(unlock) | B(lock) | B(setup) | B(doctor),
     "NAME", "profile of ~/.oci/config"},
    {"compartment", 0, TAKE_TEXT, AT(compartment), B(buckets) | B(mkbucket), "OCID",
     "compartment (the tenancy)"},
    {"priority", 0, TAKE_DIGIT, AT(priority), JOBS, "0-9", "higher first (4)"},
    {"label", 0, TAKE_TEXT, AT(label), JOBS, "TEXT", "shown by status"},
    {"after", 0, TAKE_IDS, AT(after), DURABLE, "ID",
     "when that job is done; may be given several times"},
    {"key", 0, TAKE_TEXT, AT(key), DURABLE, "TEXT",
     "the same key twice is one job: a script may be run again"},
    {"timeout", 't', TAKE_TIME, AT(timeout_ms),
     JOBS | B(wait) | B(start) | B(stop) | B(setup) | B(doctor), "TIME",
     "jobs: fail when not done after so long, as 90s or 1h30m; others: wait no longer"},
    {"wait", 'w', TAKE_YES, AT(wait), DURABLE | B(mkbucket) | B(uploads) | B(setup), NULL,
     "return when it has ended; setup: when the service knows the key"},
    {"no-wait", 0, TAKE_NO, AT(wait), DURABLE | B(mkbucket) | B(uploads), NULL,
     "return when it is queued"},

    /* uploads */
    {"abort-older", 0, TAKE_TIME, AT(abort_older_ms), B(uploads), "TIME",
     "abort those that were begun so long ago, as 7d, and that no job here owns"},

    /* share */
    {"expires", 'e', TAKE_TIME, AT(expires_ms), B(share), "TIME",
     "the link ends after so long (1h)"},
    {"write", 0, TAKE_YES, AT(write), B(share), NULL, "the link is for writing, not for reading"},
    {"read-write", 0, TAKE_YES, AT(read_write), B(share), NULL, "the link is for both"},
    {"listing", 0, TAKE_YES, AT(listing), B(share), NULL,
     "with -r: names may be listed by the link, too"},

    /* watch */
    {"changed", 0, TAKE_YES, AT(changed), B(watch), NULL, "until it is another than it is now"},
    {"etag", 0, TAKE_TEXT, AT(etag), B(watch), "ETAG", "until it has another etag than this"},
    {"gone", 0, TAKE_YES, AT(gone), B(watch), NULL, "until there is no such object"},
    {"every", 0, TAKE_TIME, AT(every_ms), B(watch), "TIME",
     "look so often at least (30s; a new watch looks more often)"},

    /* status */
    {"state", 's', TAKE_STATE, AT(state), B(status), "STATE",
     "only queued, running, waiting, paused, done, failed or cancelled"},
    {"set", 0, TAKE_ID, AT(set), B(status) | B(limit), "ID",
     "the members of this set; limit: hold them together"},
    {"all", 'a', TAKE_YES, AT(all), B(status), NULL, "not only the newest"},
    {"follow", 'f', TAKE_YES, AT(follow), B(status), NULL, "a line for each change, until Ctrl-C"},

    /* limit */
    {"rate", 0, TAKE_RATE, AT(rate), B(limit), "RATE|none",
     "bytes a second, up and down together, as 20M or 500K"},
    {"jobs", 0, TAKE_COUNT, AT(jobs), B(limit), "N|none",
     "so many large jobs at work at a time, and so many up to 1 MiB"},
    {"uid", 0, TAKE_NUMBER, AT(uid), B(limit), "N", "hold this user"},
    {"client", 0, TAKE_TEXT, AT(client), B(limit), "LABEL",
     "hold this client: the label that a program or a notebook has given itself"},

    /* keys, daemon */
    {"passphrase-fd", 0, TAKE_FD, AT(fd), B(unlock) | B(setup) | B(doctor), "N",
     "read the pass phrase from descriptor N"},
    {"ttl", 0, TAKE_TIME, AT(ttl_ms), B(unlock), "TIME", "lock again after so long, as 8h"},
    {"config", 'c', TAKE_TEXT, AT(config), B(start) | B(setup) | B(doctor), "FILE",
     "configuration file of the daemon; setup, doctor: instead of ~/.oci/config"},
    {"daemon", 0, TAKE_YES, AT(daemon), B(version), NULL, "the running daemon's, too"},

    /* setup */
    {"user", 0, TAKE_TEXT, AT(user), B(setup), "OCID", "user"},
    {"tenancy", 0, TAKE_TEXT, AT(tenancy), B(setup), "OCID", "tenancy"},
    {"region", 0, TAKE_TEXT, AT(region), B(setup), "REGION", "as eu-frankfurt-1"},
    {"key-file", 0, TAKE_TEXT, AT(key_file), B(setup), "FILE",
     "the key; made if it is not there (oci_api_key.pem beside the configuration)"},
    {"no-passphrase", 0, TAKE_YES, AT(no_phrase), B(setup), NULL, "the key is open"},
    {"print-policy", 0, TAKE_TEXT, AT(policy), B(setup), "oci://BUCKET/PREFIX",
     "print the statements that allow this place only"},

    /* doctor */
    {"quick", 0, TAKE_YES, AT(quick), B(doctor), NULL, "this machine only, as for probes"},
    {"bucket", 0, TAKE_TEXT, AT(bucket), B(doctor), "oci://BUCKET/PREFIX",
     "list, write, read and delete there, too"},

    /* any verb */
    {"json", 'j', TAKE_YES, AT(json), CTL_ALL & ~(B(cat) | B(help)), NULL, "lines of JSON"},
    {"quiet", 'q', TAKE_YES, AT(quiet), CTL_ALL, NULL, "no progress, nothing but errors"},
    {"socket", 'S', TAKE_TEXT, AT(socket), CTL_ALL, "PATH", "socket of the daemon"},
    {"help", 'h', TAKE_YES, AT(help), CTL_ALL, NULL, "explain the verb"},
};

const size_t ctl_n_flags = sizeof ctl_flags / sizeof *ctl_flags;

_Static_assert(sizeof ctl_flags / sizeof *ctl_flags < N_FLAGS_MAX, "room for getopt's table");

static int fail(char *why, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(char *why, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, size, fmt, ap);
    va_end(ap);
    return -1;
}

/* ---- Numbers of people */

int args_number(const char *text, uint64_t *ret)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end)
        return -1;
    *ret = v;
    return 0;
}

/* A decimal number at *at, "1.5"; moves behind it. */
static int decimal(const char **at, double *ret)
{
    double v = 0, unit = 1;
    const char *p = *at;
    if (*p < '0' || *p > '9')
        return -1;
    for (; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++)
            v += (*p - '0') * (unit /= 10);
    *at = p;
    *ret = v;
    return 0;
}

int args_size(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    const char *at = text, *unit;
    double v;
    if (!args_number(text, ret))
        return 0;
    if (decimal(&at, &v))
        return -1;
    while (*at == ' ')
        at++;
    if (*at && *at != 'B' && (unit = strchr(units, *at == 'k' ? 'K' : *at)) != NULL) {
        for (const char *u = units; u <= unit; u++)
            v *= 1024;
        at++;
        if (*at == 'i')
            at++;
        else if (*at == 'B')
            return -1; /* MB: a thousand thousands, or not? */
    }
    if (*at == 'B')
        at++;
    if (*at || v >= 18e18)
        return -1;
    *ret = (uint64_t)v;
    return 0;
}

static int unit_ms(const char **at, double *ret)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"m", 6e4}, {"h", 36e5}, {"d", 864e5}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strncmp(*at, units[i].name, strlen(units[i].name))) {
            *at += strlen(units[i].name);
            *ret = units[i].ms;
            return 0;
        }
    return -1;
}

int args_time(const char *text, uint64_t *ret_ms)
{
    const char *at = text;
    double sum = 0, v, unit;
    if (!*text)
        return -1;
    while (*at) {
        if (decimal(&at, &v))
            return -1;
        if (!*at && at > text && sum == 0)
            unit = 1e3; /* a bare number: seconds */
        else if (unit_ms(&at, &unit))
            return -1;
        sum += v * unit;
    }
    if (sum > 1e15)
        return -1;
    *ret_ms = (uint64_t)(sum + 0.5);
    return 0;
}

/* ---- What was meant */

/* Levenshtein's distance with swaps of neighbours as one step; words are short. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *args_nearest(const char *word, const char *(*next)(size_t, const void *),
                         const void *arg)
{
    const char *best = NULL, *name;
    unsigned least = 1 + (unsigned)strlen(word) / 3;
    for (size_t i = 0; (name = next(i, arg)); i++) {
        size_t n = strlen(word);
        unsigned d = n > 2 && !strncmp(name, word, n) ? 1 : distance(word, name);
        if (d <= least && (!best || d < least)) {
            least = d;
            best = name;
        }
    }
    return best;
}

/* Words of other tools, for which there is a verb here. */
static const char *const habits[][2] = {
    {"put", "push"},        {"upload", "push"},  {"cp", "push"},         {"get", "pull"},
    {"download", "pull"},   {"list", "ls"},      {"dir", "ls"},          {"delete", "rm"},
    {"remove", "rm"},       {"stat", "head"},    {"info", "head"},       {"jobs", "status"},
    {"queue", "status"},    {"kill", "cancel"},  {"abort", "cancel"},    {"mb", "mkbucket"},
    {"continue", "resume"}, {"follow", "wait"},  {"top", "stats"},       {"configure", "setup"},
    {"init", "setup"},      {"check", "doctor"}, {"diagnose", "doctor"}, {"throttle", "limit"},
    {"bwlimit", "limit"},   {"par", "share"},    {"presign", "share"},   {"link", "share"},
};

static const char *verb_name(size_t i, const void *arg)
{
    (void)arg;
    return i < N_VERBS ? ctl_verbs[i].name : NULL;
}

static const char *verb_meant(const char *word)
{
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++)
        if (!strcmp(word, habits[i][0]))
            return habits[i][1];
    return args_nearest(word, verb_name, NULL);
}

static int verb_find(const char *word)
{
    for (int i = 0; i < N_VERBS; i++)
        if (!strcmp(ctl_verbs[i].name, word))
            return i;
    return -1;
}

/* ---- Options */

/* getopt's tables of the options that all verbs of a mask share. */
struct table {
    char letters[2 * N_FLAGS_MAX + 4];
    struct option longs[N_FLAGS_MAX + 1];
    size_t n;
};

static void table_make(struct table *t, uint32_t verbs, const char *lead)
{
    memset(t, 0, sizeof *t);
    size_t n = (size_t)snprintf(t->letters, sizeof t->letters, "%s:", lead);
    for (size_t i = 0; i < ctl_n_flags; i++) {
        const struct flag *f = &ctl_flags[i];
        if ((f->verbs & verbs) != verbs)
            continue;
        t->longs[t->n++] = (struct option){f->name, f->value != NULL, NULL, 256 + (int)i};
        if (f->letter)
            n += (size_t)snprintf(t->letters + n, sizeof t->letters - n, "%c%s", f->letter,
                                  f->value ? ":" : "");
    }
}

static const char *long_name(size_t i, const void *arg)
{
    return ((const struct table *)arg)->longs[i].name;
}

static const struct flag *by_letter(int c)
{
    for (size_t i = 0; i < ctl_n_flags; i++)
        if (ctl_flags[i].letter == c)
            return &ctl_flags[i];
    return NULL;
}

static const char *bad_value(const struct flag *f)
{
    switch (f->take) {
    case TAKE_SIZE:
        return "a size, as 67108864, 64MiB or 1.5G";
    case TAKE_TIME:
        return "a time, as 90s, 15m, 1h30m or 7d";
    case TAKE_RATE:
        return "a rate, as 20M, 1.5MiB or 500K (bytes a second, units of 1024), or none";
    case TAKE_COUNT:
        return "a number from 1 on, or none";
    case TAKE_DIGIT:
        return "a digit from 0 to 9";
    case TAKE_FD:
        return "the number of an open descriptor";
    case TAKE_ID:
    case TAKE_IDS:
        return "the id of a job";
    case TAKE_PAIRS:
        return "NAME=VALUE";
    case TAKE_STATE:
        return "queued, running, waiting, paused, done, failed or cancelled";
    case TAKE_LINKS:
        return "follow, skip or error";
    case TAKE_TIER:
        return "Standard, InfrequentAccess or Archive";
    default:
        return "a number";
    }
}

static int take_tier(const char *text, const char **ret)
{
    static const char *const tiers[] = {"Standard", "InfrequentAccess", "Archive"};
    for (size_t i = 0; i < 3; i++)
        if (!strcasecmp(text, tiers[i])) {
            *ret = tiers[i];
            return 0;
        }
    return -1;
}

static int take_links(const char *text, int *ret)
{
    static const char *const names[] = {"follow", "skip", "error"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) {
            *ret = i;
            return 0;
        }
    return -1;
}

static int take_pair(struct args *a, char *text)
{
    char *sign = strchr(text, '=');
    if (!sign || sign == text || a->n_pairs == ARGS_PAIRS_MAX)
        return -1;
    *sign = 0;
    a->pairs[a->n_pairs++] = (struct ocid_pair){text, sign + 1};
    return 0;
}

/* "none", or a number or size that is not 0. */
static int take_or_none(const char *text, int (*read)(const char *text, uint64_t *ret),
                        uint64_t *ret)
{
    uint64_t v = 0;
    if (strcasecmp(text, "none") && (read(text, &v) || !v))
        return -1;
    *ret = v;
    return 0;
}

/* "20MiB/s" is "20MiB", too. */
static int take_rate(char *text, uint64_t *ret)
{
    size_t n = strlen(text);
    if (n > 2 && !strcmp(text + n - 2, "/s"))
        text[n - 2] = 0;
    return take_or_none(text, args_size, ret);
}

/* -1: not a value of that sort. */
static int take(struct args *a, const struct flag *f, char *text)
{
    void *at = (char *)a + f->at;
    uint64_t v = 0;
    int rc = 0;
    switch (f->take) {
    case TAKE_YES:
    case TAKE_NO:
        *(int *)at = f->take == TAKE_YES;
        return 0;
    case TAKE_TEXT:
        *(const char **)at = text;
        return 0;
    case TAKE_NUMBER:
        return args_number(text, at);
    case TAKE_SIZE:
        return args_size(text, at);
    case TAKE_TIME:
        a->has_timeout |= f->at == AT(timeout_ms);
        return args_time(text, at);
    case TAKE_DIGIT:
    case TAKE_FD:
        rc = args_number(text, &v);
        if (rc || v > (f->take == TAKE_DIGIT ? 9 : 1 << 20))
            return -1;
        *(int *)at = (int)v;
        return 0;
    case TAKE_ID:
        return args_number(text, at) || !*(uint64_t *)at ? -1 : 0;
    case TAKE_IDS:
        if (args_number(text, &v) || !v || a->n_after == ARGS_AFTER_MAX)
            return -1;
        a->after[a->n_after++] = v;
        return 0;
    case TAKE_PAIRS:
        return take_pair(a, text);
    case TAKE_STATE:
        rc = ocid_state_find(text);
        *(int *)at = rc;
        return rc < 0 ? -1 : 0;
    case TAKE_LINKS:
        return take_links(text, at);
    case TAKE_TIER:
        return take_tier(text, at);
    case TAKE_RATE:
        return take_rate(text, at);
    case TAKE_COUNT:
        return take_or_none(text, args_number, at);
    }
    return -1;
}

/* c is ':' or '?'; the word is where getopt stands. */
static int bad_option(const struct table *t, int c, char *const *argv, const char *verb, char *why,
                      size_t size)
{
    char word[WORD_MAX + 1];
    const struct flag *f = optopt >= 256 ? &ctl_flags[optopt - 256] : by_letter(optopt);
    const char *given = argv[optind - 1];
    if (c == ':' && f)
        return fail(why, size, "the option '%s' needs a value: %s", given, f->value);
    if (optopt >= 256)
        return fail(why, size, "the option '--%s' takes no value", f->name);
    if (optopt)
        return fail(why, size, "%s%sunknown option '-%c'", verb, *verb ? ": " : "", optopt);
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given + 2, "="), given + 2);
    const char *meant = args_nearest(word, long_name, t);
    for (size_t i = 0, n = 0; i < t->n; i++)
        if (!strncmp(t->longs[i].name, word, strlen(word)) && n++)
            return fail(why, size, "the option '--%s' may be --%s or --%s", word, meant,
                        t->longs[i].name);
    return fail(why, size, "%s%sunknown option '--%s'%s%s%s", verb, *verb ? ": " : "", word,
                meant ? "; did you mean --" : "", meant ? meant : "", meant ? "?" : "");
}

static int options(int argc, char **argv, const struct table *t, struct args *a, const char *verb,
                   char *why, size_t size)
{
    int c;
    opterr = 0;
    optopt = 0;
    while ((c = getopt_long(argc, argv, t->letters, t->longs, NULL)) >= 0) {
        const struct flag *f = c >= 256 ? &ctl_flags[c - 256] : by_letter(c);
        if (c == '?' || c == ':')
            return bad_option(t, c, argv, verb, why, size);
        if (take(a, f, optarg))
            return fail(why, size, "'%s' is not what --%s takes: %s", optarg, f->name,
                        bad_value(f));
        optopt = 0;
    }
    return 0;
}

/* ---- What does not go together */

static int check_words(const struct args *a, char *why, size_t size)
{
    const struct verb *v = &ctl_verbs[a->verb];
    if (a->n_words < v->min)
        return fail(why, size, "%s: something is missing: ocictl %s %s", v->name, v->name,
                    v->usage);
    if (a->n_words > v->max)
        return fail(why, size, "%s: '%s' is one word too many", v->name, a->words[v->max]);
    return 0;
}

static int check(const struct args *a, char *why, size_t size)
{
    const char *verb = ctl_verbs[a->verb].name;
    if (check_words(a, why, size))
        return -1;
    if (a->if_match && a->if_absent)
        return fail(why, size, "%s: --if-match and --if-absent exclude each other", verb);
    if (a->verb == VERB_ls && !a->to && (a->overwrite || a->wait >= 0 || a->key || a->n_after))
        return fail(why, size,
                    "ls: --overwrite, --wait, --no-wait, --key and --after belong to --to FILE");
    if (a->verb == VERB_ls && a->to && a->lengthy)
        return fail(why, size,
                    "ls: --long is for people, --to FILE gets JSON lines; "
                    "choose with --fields");
    if (a->verb == VERB_limit && a->set && (a->client || a->uid != ARGS_NONE))
        return fail(why, size, "limit: --set excludes --client and --uid");
    if (a->verb == VERB_limit && (a->set || a->client || a->uid != ARGS_NONE) &&
        a->rate == ARGS_NONE && a->jobs == ARGS_NONE)
        return fail(why, size, "limit: --rate or --jobs is missing");
    if (a->verb == VERB_share && a->write && a->read_write)
        return fail(why, size, "share: --write and --read-write exclude each other");
    if (a->verb == VERB_share && a->listing && (!a->recursive || a->write))
        return fail(why, size, "share: --listing is for the link to a prefix (-r) that is read");
    if (a->verb == VERB_watch && (a->changed != 0) + (a->gone != 0) + (a->etag != NULL) > 1)
        return fail(why, size, "watch: --changed, --etag and --gone exclude each other");
    if (a->verb == VERB_setup && a->no_phrase && a->fd >= 0)
        return fail(why, size, "setup: --no-passphrase and --passphrase-fd exclude each other");
    if (a->verb == VERB_status && (a->state >= 0 || a->set || a->all || a->limit) && a->n_words)
        return fail(why, size,
                    "status: --state, --set, --all and --limit are for the table: "
                    "leave the ids out");
    if (a->verb == VERB_status && a->follow && (a->set || a->limit || a->all))
        return fail(why, size, "status: --follow goes with ids and --state only");
    return 0;
}

int args_parse(int argc, char **argv, struct args *ret, char *why, size_t size)
{
    struct table t;
    *ret = (struct args){.verb = VERB_help,
                         .priority = -1,
                         .wait = -1,
                         .state = -1,
                         .fd = -1,
                         .abort_older_ms = ARGS_NO_AGE,
                         .rate = ARGS_NONE,
                         .jobs = ARGS_NONE,
                         .uid = ARGS_NONE};
    table_make(&t, CTL_ALL & ~(B(cat) | B(help)), "+");
    optind = 0; /* glibc: begin anew */
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
        ret->verb = VERB_version;
        return 0;
    }
    if (options(argc, argv, &t, ret, "", why, size))
        return -1;
    if (optind >= argc) {
        ret->words = argv + argc;
        if (ret->help)
            return 0;
        return fail(why, size, "a verb is missing");
    }
    char *word = argv[optind];
    int verb = verb_find(word);
    if (verb < 0) {
        const char *meant = verb_meant(word);
        return fail(why, size, "there is no verb '%s'%s%s%s", word, meant ? "; did you mean " : "",
                    meant ? meant : "", meant ? "?" : "");
    }
    ret->verb = (enum verb_id)verb;

    int first = optind;
    table_make(&t, 1u << verb, "");
    optind = 0;
    if (options(argc - first, argv + first, &t, ret, word, why, size))
        return -1;
    ret->words = argv + first + optind;
    ret->n_words = argc - first - optind;
    return ret->help ? 0 : check(ret, why, size);
}

uint64_t args_patience_ms(const struct args *a, uint64_t otherwise_ms)
{
    return a->has_timeout && !(JOBS >> a->verb & 1) ? a->timeout_ms : otherwise_ms;
}

int args_ids(const struct args *a, uint64_t *ret, char *why, size_t size)
{
    for (int i = 0; i < a->n_words; i++)
        if (args_number(a->words[i], &ret[i]) || !ret[i])
            return fail(why, size, "%s: '%s' is not the id of a job (a number, see: ocictl status)",
                        ctl_verbs[a->verb].name, a->words[i]);
    return 0;
}
