/* SPDX-License-Identifier: Apache-2.0
 *
 * help.c - prints the tables of args.c, with what is worth knowing about each verb.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

static const char *const more[N_VERBS] = {
    [VERB_push] =
        "One file takes the URI's object name; if the URI ends in '/', its own name is added.\n"
        "Of a directory (-r) everything below it goes below the URI; of several sources each\n"
        "directory keeps its own name. '-' is standard input.\n"
        "\n"
        "Several files make one set, with one id. On a terminal push waits and shows progress,\n"
        "else it prints the id and returns; Ctrl-C detaches, the jobs go on.\n"
        "\n"
        "  ocictl push report.pdf oci://docs/2024/\n"
        "  ocictl push -r photos oci://backup/photos/\n"
        "  pg_dump shop | ocictl push - oci://backup/shop.sql\n",
    [VERB_pull] =
        "DEST is a file, a directory, or '-' for standard output; without one the object goes\n"
        "into the working directory under its own name. With -r everything below the prefix\n"
        "goes below the directory DEST, which is made.\n"
        "\n"
        "  ocictl pull oci://docs/2024/report.pdf\n"
        "  ocictl pull -r oci://backup/photos/ restored\n",
    [VERB_ls] =
        "Shows one level: names below a further '/' are one row. -r shows all. --json gives a\n"
        "line for each row, as the message `row` of the protocol.\n"
        "\n"
        "  ocictl ls oci://backup/photos/\n"
        "  ocictl ls -r --json oci://backup | wc -l\n",
    [VERB_uploads] =
        "Size and number of the parts that have arrived, age, the job of this daemon that owns it\n"
        "('-': none), id and object of each. Parts cost money until their upload is committed or\n"
        "aborted. What no job owns may be another machine's, still running: give --abort-older\n"
        "a time in which any upload of yours has ended. A job's own is never aborted so: cancel\n"
        "the job.\n"
        "\n"
        "  ocictl uploads oci://backup\n"
        "  ocictl uploads --abort-older 7d oci://backup\n",
    [VERB_status] = "Without ids: the newest jobs, a set as one line. With ids: each in full, with "
                    "what it waits\nfor. --json gives the message `status` of the protocol.\n",
    [VERB_wait] =
        "The exit status is that of the result: 0 all done, 1 failed, 4 no such object "
        "or job,\n5 credentials, 6 condition not met, 7 source changed, 8 some of several "
        "failed,\n124 time is up, 130 Ctrl-C (the jobs go on).\n",
    [VERB_setup] =
        "Asks what the options do not tell, makes an RSA key (or takes the one of --key-file), "
        "and\n"
        "writes a profile that Oracle's SDKs read, too; all else in the file stays as it is. "
        "Prints\n"
        "what to paste into the console. Ended at any point it leaves the old files or the new "
        "ones;\n"
        "doing it again goes on with the same key.\n"
        "\n"
        "  ocictl setup --wait\n"
        "  ocictl setup --profile BACKUP --user OCID --tenancy OCID --region eu-frankfurt-1 \\\n"
        "               --passphrase-fd 3 3<phrase\n"
        "  ocictl setup key --key-file new.pem      only a key and its public half\n"
        "  ocictl setup fingerprint ~/.oci/key.pem  of a private or a public key\n"
        "  ocictl setup permissions                 close keys and configuration to others\n"
        "  ocictl setup --print-policy oci://backup/photos/\n",
    [VERB_doctor] =
        "One line a check, OK, WARN, FAIL or SKIP; what is wrong is followed by the command that\n"
        "mends it. This machine first, which works without a daemon, then the service. Nothing is\n"
        "changed, but that --bucket writes and deletes an object of its own. The exit status is 1\n"
        "if anything has failed.\n"
        "\n"
        "  ocictl doctor\n"
        "  ocictl doctor --quick --quiet           for probes: only what is wrong is printed\n"
        "  ocictl doctor --bucket oci://backup/photos/\n",
    [VERB_unlock] = "Asks once on the terminal. Jobs that wait for the key go on by themselves.\n",
    [VERB_limit] =
        "Without options: the limits that hold. A limit holds at once, for transfers in flight, "
        "too,\n"
        "and until it is lifted (none), over restarts; that of a set ends with it. Where several "
        "hold\n"
        "for a job, the lowest counts. Only root and the daemon's own user may limit others.\n"
        "\n"
        "  ocictl limit --rate 20M                 all transfers together\n"
        "  ocictl limit --jobs 4 --set 12          four large members of set 12 at a time\n"
        "  ocictl limit --rate 2M --client nb-7\n"
        "  ocictl limit --rate none\n",
    [VERB_start] = "For machines without systemd (else: systemctl --user enable --now "
                   "ocid.socket).\nIt is started once, however many ask at the same moment. Its "
                   "words are kept in\n$XDG_STATE_HOME/ocid/ocid-HOSTNAME.log.\n",
};

static void print_flags(uint32_t verbs, uint32_t but)
{
    for (size_t i = 0; i < ctl_n_flags; i++) {
        const struct flag *f = &ctl_flags[i];
        char left[64];
        bool any = (f->verbs & but) == but;
        if ((f->verbs & verbs) != verbs || (but && any))
            continue;
        snprintf(left, sizeof left, "%c%c%s--%s%s%s", f->letter ? '-' : ' ',
                 f->letter ? f->letter : ' ', f->letter ? ", " : "  ", f->name, f->value ? " " : "",
                 f->value ? f->value : "");
        if (strlen(left) > 31)
            printf("  %s\n  %-32s%s\n", left, "", f->brief);
        else
            printf("  %-32s%s\n", left, f->brief);
    }
}

void help_all(void)
{
    puts("ocictl - hand transfers to the local ocid daemon and follow them\n"
         "\n"
         "  ocictl VERB [OPTION...] [WORD...]\n");
    for (int i = 0; i < N_VERBS; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", ctl_verbs[i].name, ctl_verbs[i].usage);
        printf("  %-41s%s\n", left, ctl_verbs[i].brief);
    }
    puts("\nOptions of any verb:");
    print_flags(CTL_ALL & ~(CTL_BIT(cat) | CTL_BIT(help)), 0);
    puts("\nObjects are named oci://BUCKET[@NAMESPACE]/OBJECT. More: ocictl help VERB, "
         "man ocictl");
}

void help_verb(enum verb_id verb)
{
    const struct verb *v = &ctl_verbs[verb];
    printf("ocictl %s%s%s - %s\n\n", v->name, *v->usage ? " " : "", v->usage, v->brief);
    if (more[verb])
        printf("%s\n", more[verb]);
    puts("Options:");
    print_flags(1u << verb, 0);
}
