/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h - the packets between ocid and ocid-signer.
 *
 * Two SOCK_SEQPACKET pairs: control (one question at a time matters to somebody) and sign (many).
 * Each packet is a struct wire_head and the bytes of its parts, one after another, without NUL.
 * Same machine, same build: host byte order. Both sides check every length by wire_parse().
 *
 * verb     parts asked          number asked   reply: parts (see enum wire_part), number
 * SIGN     profile, string      -              key_id, signature, text; number: seconds that the
 *                                              token lives on, 0: there is none, or it says nothing
 * FACTS    profile              -              all of WIRE_F_, number: enum wire_key
 * UNLOCK   profile; one fd      ttl in ms      text: which profiles it opened, or why not
 * LOCK     profile ("": all)    -              text
 * RELOAD   profiles             -              text: what did not go well, "" if all did
 * OFFSET   host                 seconds        -
 * REFUSED  profile              -              text; the service refused what it signed: files are
 *                                              read again, and a token is renewed
 * FETCHED  body, or why not     HTTP status    -; the answer to a FETCH, whose tag is in its
 *                                              second part; code is an error or 0
 *
 * From the signer, unasked:
 * CHANGED  (tag 0)              facts have changed by themselves: a ttl has passed, a token is new
 * FETCH    enum wire_fetch_part; number: enum wire_fetch. The signer has no network: it asks ocid
 *                               for one request, and hears of it by FETCHED.
 *
 * The profiles of RELOAD are what ocid.conf says of them: "NAME\tMODE\tREGION\tREFRESH\n" each.
 * A reply has the verb and tag of its question; code is 0 or an error, whose sentence is the last
 * part. There is no verb that gives a key away.
 */
#ifndef VAULT_WIRE_H
#define VAULT_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_PARTS = 10,
    WIRE_PROFILE_MAX = 255,
    WIRE_STRING_MAX = 16384, /* string to sign */
    WIRE_HOST_MAX = 320,
    WIRE_TEXT_MAX = 383,       /* a sentence: fits into struct oc_err */
    WIRE_KEY_ID_MAX = 8191,    /* "ST$" and a token, which are 1 to 3 KB */
    WIRE_SIGNATURE_MAX = 2732, /* base64 of RSA-16384 */
    WIRE_PASS_MAX = 1024,      /* bytes of a pass phrase */
    WIRE_ASK_MAX = 48 + WIRE_PROFILE_MAX + WIRE_STRING_MAX,
    WIRE_REPLY_MAX = 16384,
    WIRE_SIGNED_MAX = 48 + WIRE_KEY_ID_MAX + WIRE_SIGNATURE_MAX + WIRE_TEXT_MAX,
};

enum wire_verb {
    WIRE_SIGN = 1,
    WIRE_FACTS,
    WIRE_UNLOCK,
    WIRE_LOCK,
    WIRE_RELOAD,
    WIRE_OFFSET,
    WIRE_CHANGED,
    WIRE_REFUSED,
    WIRE_FETCH,
    WIRE_FETCHED,
};

/* Where the signer wants a request to go, and how it is signed. */
enum wire_fetch {
    WIRE_FETCH_METADATA, /* GET of the instance's metadata service, not signed */
    WIRE_FETCH_AUTH,     /* POST of JSON to the Auth service of the region, signed by the profile */
    WIRE_FETCH_FEDERATE, /* the same, signed as federation is: without the host */
};

enum wire_fetch_part {
    WIRE_FETCH_PROFILE,
    WIRE_FETCH_TARGET, /* document of the metadata service, or path */
    WIRE_FETCH_REGION, /* "" for metadata */
    WIRE_FETCH_BODY,
};

/* State of a profile's key. */
enum wire_key {
    WIRE_KEY_OK,     /* signs */
    WIRE_KEY_LOCKED, /* wants a pass phrase, or was locked by hand */
    WIRE_KEY_ABSENT, /* the profile names none, or the file is not there */
    WIRE_KEY_BAD,    /* the file is no usable key, or not the one of the fingerprint */
    WIRE_KEY_OVER,   /* the token has expired */
};

/* Parts of the reply to FACTS. */
enum wire_fact {
    WIRE_F_KEY_ID, /* "" for who signs by a token */
    WIRE_F_TENANCY,
    WIRE_F_USER,
    WIRE_F_REGION,      /* short codes are written out */
    WIRE_F_FINGERPRINT, /* of the configuration */
    WIRE_F_MODE,        /* how it proves who it is: "api_key", … */
    WIRE_F_TOKEN_FILE,  /* path of the session (or delegation) token, ~ expanded */
    WIRE_F_KEY_TEXT,    /* why the key is not OK */
    WIRE_F_NOTES,       /* warnings, joined by "; " */
    WIRE_F_TEXT,        /* the error's sentence */
};

struct wire_head {
    uint32_t verb; /* enum wire_verb */
    int32_t code;  /* replies: 0 or OCID_E_ */
    uint64_t tag;
    int64_t number;
    uint16_t len[WIRE_PARTS]; /* bytes of each part */
    uint32_t n_parts;
};

_Static_assert(sizeof(struct wire_head) == 48, "no padding on the wire");

struct wire_part {
    const char *s;
    size_t n;
};

/* Takes the n bytes of a packet apart: *ret is the head, part[] borrows from bytes, missing parts
 * are empty. 1, or 0 when the lengths do not add up to n. */
static inline int wire_parse(const void *bytes, size_t n, struct wire_head *ret,
                             struct wire_part part[WIRE_PARTS])
{
    if (n < sizeof *ret)
        return 0;
    memcpy(ret, bytes, sizeof *ret);
    if (ret->n_parts > WIRE_PARTS)
        return 0;
    size_t at = sizeof *ret;
    for (unsigned i = 0; i < WIRE_PARTS; i++) {
        size_t len = ret->len[i];
        if ((i >= ret->n_parts && len) || len > n - at)
            return 0;
        part[i] = (struct wire_part){(const char *)bytes + at, len};
        at += len;
    }
    return at == n;
}

/* Puts head and parts into out. Bytes of the packet, 0 when they do not fit. */
static inline size_t wire_pack(struct wire_head *head, const struct wire_part *part,
                               unsigned n_parts, void *out, size_t size)
{
    size_t at = sizeof *head;
    if (n_parts > WIRE_PARTS || size < at)
        return 0;
    memset(head->len, 0, sizeof head->len);
    head->n_parts = n_parts;
    for (unsigned i = 0; i < n_parts; i++) {
        if (part[i].n > UINT16_MAX || part[i].n > size - at)
            return 0;
        if (part[i].n)
            memcpy((char *)out + at, part[i].s, part[i].n);
        head->len[i] = (uint16_t)part[i].n;
        at += part[i].n;
    }
    memcpy(out, head, sizeof *head);
    return at;
}

#endif
