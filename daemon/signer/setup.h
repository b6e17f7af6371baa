/* SPDX-License-Identifier: Apache-2.0
 *
 * setup.h - from nothing to a key and a profile of it on disk; and the rights of those files.
 *
 * Blocks on the file system and on making a key. One at a time a directory: it is locked meanwhile.
 */
#ifndef SIGNER_SETUP_H
#define SIGNER_SETUP_H

#include <limits.h>
#include <stddef.h>

#include "signer/key.h"

enum { SETUP_PEM_SIZE = 4096 };

struct setup_options {
    const char *config; /* NULL: ~/.oci/config */
    const char *home;   /* what ~ stands for */
    const char *profile, *user, *tenancy, *region;
    const char *key_file; /* NULL: oci_api_key.pem (or oci_api_key_PROFILE.pem) beside config */
    const char *pass;     /* of the key, be it made or there already */
    size_t pass_n;
    int overwrite;    /* a profile of that name may be changed */
    const char *auth; /* check: the mode that ocid.conf names; NULL */
    int quick;        /* nothing is measured */
};

struct setup_result {
    char config[PATH_MAX], key_file[PATH_MAX], public_file[PATH_MAX + 16];
    char fingerprint[KEY_FINGERPRINT_SIZE];
    unsigned bits;
    int there;                /* the key was there before */
    int made;                 /* the key is new */
    int encrypted;            /* the key wants a pass phrase */
    char pem[SETUP_PEM_SIZE]; /* the public half */
};

/* Where the key is or would be, whether it is there, and whether it is encrypted; makes nothing. */
int setup_look(const struct setup_options *o, struct setup_result *ret, struct oc_err *err);

/* Uses the key that is there, else makes one. Fills *ret as far as it came. */
int setup_key(const struct setup_options *o, struct setup_result *ret, struct oc_err *err);

/* The key, then the profile of it in the configuration. Ended at any moment, the configuration is
 * the old one or the new one, and the new one names a key that is there; doing it again goes on
 * with the same key. OCID_E_EXISTS: the profile is there and says something else; OCID_E_INVALID:
 * a value is not of its form; OCID_E_LOCKED, OCID_E_KEY: of key_load(); OCID_E_CONFIG: the file
 * that is there cannot be read. */
int setup_profile(const struct setup_options *o, struct setup_result *ret, struct oc_err *err);

/* Closes config, and the keys and tokens it names, to others (0600), and its directory (0700).
 * told(arg, path) for each that was open. */
int setup_permissions(const struct setup_options *o, void (*told)(void *arg, const char *path),
                      void *arg, struct oc_err *err);

#endif
