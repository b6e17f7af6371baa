/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.c - one request for a signature -> its reply.
 *
 * Any thread. Called by worker.c; start at sign_answer().
 */
#include "signer/sign.h"

#include <openssl/evp.h>
#include <string.h>

#include "signer/rules.h"

struct answer {
    struct borrowed by;
    char signature[WIRE_SIGNATURE_MAX + 4]; /* base64, NUL */
    size_t signature_n;
};

static int check(struct creds *c, const struct rules_hosts *hosts, const struct rules_string *s,
                 int64_t now, struct oc_err *err)
{
    int rc = rules_host(hosts, s, err);
    return rc ? rc : rules_date(s, now + creds_ahead(c, s->host, s->host_n), err);
}

static int sign(struct creds *c, unsigned seat, const struct wire_part *part, int64_t now,
                struct answer *ret, struct oc_err *err)
{
    unsigned char raw[KEY_SIGNATURE_MAX];
    size_t n;
    struct rules_string s;
    int rc = rules_parse(part[1].s, part[1].n, &s, err);
    if (!rc)
        rc = creds_borrow(c, part[0].s, part[0].n, s.federated && !s.host, now, &ret->by, err);
    if (rc)
        return rc;
    rc = check(c, &ret->by.hosts, &s, now, err);
    if (!rc)
        rc = key_sign(ret->by.key, seat, part[1].s, part[1].n, raw, &n, err);
    if (!rc)
        ret->signature_n = (size_t)EVP_EncodeBlock((unsigned char *)ret->signature, raw, (int)n);
    key_unref(ret->by.key);
    return rc;
}

size_t sign_answer(struct creds *c, unsigned seat, const void *asked, size_t n, int64_t now,
                   char reply[WIRE_SIGNED_MAX])
{
    struct wire_head head = {0};
    struct wire_part part[WIRE_PARTS];
    struct answer a;
    struct oc_err err = {0};
    if (n < sizeof head || !wire_parse(asked, n, &head, part) || head.verb != WIRE_SIGN ||
        part[0].n > WIRE_PROFILE_MAX || part[1].n > WIRE_STRING_MAX)
        oc_fail(&err, OCID_E_INVALID, 0, "not a request for a signature");
    else
        sign(c, seat, part, now, &a, &err);
    head = (struct wire_head){.verb = WIRE_SIGN, .tag = head.tag, .code = err.code};
    if (!err.code)
        head.number = a.by.good_s;
    struct wire_part out[] = {
        {a.by.key_id, err.code ? 0 : strlen(a.by.key_id)},
        {a.signature, err.code ? 0 : a.signature_n},
        {err.text, strlen(err.text)},
    };
    return wire_pack(&head, out, 3, reply, WIRE_SIGNED_MAX);
}
