/* SPDX-License-Identifier: Apache-2.0
 *
 * checksum.c - CRC32C by ISA-L or by table, its combination, base64.
 *
 * Pure; any thread. xfer/body.c calls oci_crc32c() for every byte that passes.
 * Source: RFC 3720 (Castagnoli polynomial), RFC 4648 (base64), Object Storage API.
 */
#include "checksum.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#ifdef OCID_HAVE_ISAL
#include <isa-l/crc.h>
#endif

#include "ocid/error.h"

#define POLY 0x82f63b78u /* reflected */

#ifdef OCID_HAVE_ISAL
uint32_t oci_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    enum { STEP = 1 << 30 };                               /* its length is an int */
    unsigned char *at = (unsigned char *)(uintptr_t)bytes; /* it only reads */
    uint32_t state = ~crc;
    for (; n > STEP; n -= STEP, at += STEP)
        state = crc32_iscsi(at, STEP, state);
    return n ? ~crc32_iscsi(at, (int)n, state) : ~state;
}
#else
static uint32_t table[8][256];

__attribute__((constructor)) static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLY : 0);
        table[0][i] = crc;
    }
    for (int row = 1; row < 8; row++)
        for (int i = 0; i < 256; i++)
            table[row][i] = table[row - 1][i] >> 8 ^ table[0][table[row - 1][i] & 255];
}

/* Eight bytes a step ("slicing"). */
uint32_t oci_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint32_t state = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        state ^=
            (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        state = table[7][state & 255] ^ table[6][state >> 8 & 255] ^ table[5][state >> 16 & 255] ^
                table[4][state >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
                table[0][at[7]];
    }
    for (; n; n--)
        state = state >> 8 ^ table[0][(state ^ *at++) & 255];
    return ~state;
}
#endif

/* a * b modulo the polynomial; bit 31 is x^0. */
static uint32_t mul(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = b >> 1 ^ (b & 1 ? POLY : 0);
    }
    return product;
}

/* A is moved up by the bits of B: times x^(8 * b_bytes). */
uint32_t oci_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t b_bytes)
{
    uint32_t power = 1u << 23; /* x^8 */
    for (uint64_t n = b_bytes; n; n >>= 1) {
        if (n & 1)
            crc_a = mul(power, crc_a);
        power = mul(power, power);
    }
    return crc_a ^ crc_b;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t oci_base64(const void *bytes, size_t n, char *out)
{
    const uint8_t *in = bytes;
    char *to = out;
    for (; n; n -= n < 3 ? n : 3, in += 3) {
        uint32_t v =
            (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[v & 63] : '=';
    }
    *to = 0;
    return (size_t)(to - out);
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int oci_unbase64(const char *text, size_t n, void *out, size_t room, size_t *ret_n)
{
    uint8_t *to = out;
    size_t pad = n && text[n - 1] == '=' ? (n > 1 && text[n - 2] == '=' ? 2 : 1) : 0;
    if (n % 4)
        return OCID_E_INVALID;
    if (n / 4 * 3 - pad > room)
        return OCID_E_TOO_LARGE;
    for (size_t i = 0; i < n; i += 4) {
        size_t have = n - i == 4 ? 4 - pad : 4;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = k < have ? digit_of(text[i + k]) : 0;
            if (digit < 0)
                return OCID_E_INVALID;
            v = v << 6 | (uint32_t)digit;
        }
        if (v & ((1u << 8 * (4 - have)) - 1))
            return OCID_E_INVALID; /* bits that stand for nothing */
        for (size_t k = 0; k + 1 < have; k++)
            *to++ = (uint8_t)(v >> (16 - 8 * k));
    }
    *ret_n = (size_t)(to - (uint8_t *)out);
    return 0;
}

void oci_crc_text(uint32_t crc, char out[OCI_CRC_TEXT_SIZE])
{
    uint8_t bytes[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                        (uint8_t)crc};
    oci_base64(bytes, sizeof bytes, out);
}

int oci_crc_parse(const char *text, size_t n, uint32_t *ret)
{
    uint8_t b[4];
    size_t got = 0;
    if (oci_unbase64(text, n, b, sizeof b, &got) || got != sizeof b)
        return OCID_E_INVALID;
    *ret = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return 0;
}

int oci_multipart_md5(const uint8_t (*md5)[OCI_MD5_SIZE], size_t n_parts,
                      char out[OCI_MULTIPART_MD5_SIZE])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(md5, n_parts * OCI_MD5_SIZE, sum, &n, EVP_md5(), NULL) || n != OCI_MD5_SIZE)
        return OCID_E_INTERNAL;
    size_t used = oci_base64(sum, OCI_MD5_SIZE, out);
    snprintf(out + used, OCI_MULTIPART_MD5_SIZE - used, "-%u", (unsigned)n_parts % 1000000000u);
    return 0;
}
