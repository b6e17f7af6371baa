/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - the settings of ocid.conf: struct config, unfolded from config.def.
 *
 * A loaded configuration never changes: a reload makes a fresh one, the old one lives as long as
 * somebody holds it. Reading fields and ref/unref: any thread.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "core/log.h"
#include "core/mem.h"
#include "proto/err.h"

enum config_checksum {
    CONFIG_CHECKSUM_AUTO,
    CONFIG_CHECKSUM_CRC32C,
    CONFIG_CHECKSUM_MD5,
    CONFIG_CHECKSUM_OFF,
};

enum config_auth {
    CONFIG_AUTH_AUTO,
#define MODE(NAME, name) CONFIG_AUTH_##NAME,
#include "proto/modes.def"
#undef MODE
};

enum { CONFIG_PROFILES_MAX = 64, CONFIG_PROFILE_NAME_MAX = 41 };

/* What a TYPE of config.def is in C. Texts are never NULL, an empty one is "". A PATH is absolute
 * ("~/" was replaced), a URL is scheme://host[:port] without a slash at its end. */
#define CONFIG_C_BOOL     int
#define CONFIG_C_U32      uint32_t
#define CONFIG_C_U64      uint64_t
#define CONFIG_C_STR      char *
#define CONFIG_C_PATH     char *
#define CONFIG_C_URL      char *
#define CONFIG_C_PROXY    char *
#define CONFIG_C_LEVEL    enum log_level
#define CONFIG_C_CHECKSUM enum config_checksum
#define CONFIG_C_AUTH     enum config_auth

/* What stands in [profile NAME]. */
struct config_profile {
    char *name;
#define OF_PROFILE(key, type, def, min, max, doc) CONFIG_C_##type key;
#include "core/config.def"
};

/* One field a setting, named section_key: c->transfer_part_mib. */
struct config {
    unsigned n_refs; /* atomic */
    char *path;      /* of the file that was read; NULL: there is none, all are defaults */
#define SETTING(section, key, type, def, min, max, doc) CONFIG_C_##type section##_##key;
#include "core/config.def"
    struct config_profile profile[CONFIG_PROFILES_MAX];
    unsigned n_profiles;
};

/* The word of ocid.conf; static. */
const char *config_auth_word(enum config_auth auth);

/* Reads path, or the file at the user's default place (system: /etc/ocid/ocid.conf) if path is
 * NULL; only the latter may be missing, which gives the defaults. All or nothing. *ret starts with
 * one reference. Blocks: at start, or in the pool. OCID_E_CONFIG with file, line and how to mend
 * it; OCID_E_IO. */
int config_load(const char *path, int system, struct config **ret, struct oc_err *err);

/* The same from text that is at hand; name stands for the file in errors. */
int config_parse(const char *name, const char *text, size_t n, struct config **ret,
                 struct oc_err *err);

struct config *config_ref(struct config *c);
void config_unref(struct config *c);

/* Every setting with its sentence, bounds and default, commented out: conf/ocid.conf. 0, or -1 if
 * out cannot be written. */
int config_print_example(FILE *out);

/* Every setting as it is in force, "section.key<TAB>value" a line; those of [profile NAME] are
 * "profile.NAME.key". 0, or -1 if out cannot be written. */
int config_print(FILE *out, const struct config *c);

OC_AUTO_BY(config, config_unref)

#endif
