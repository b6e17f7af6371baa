/* SPDX-License-Identifier: Apache-2.0
 *
 * checksum.h - CRC32C and how parts combine, base64, the MD5 of a multipart object.
 *
 * Pure; any thread. The MD5 of bytes as they pass is xfer's.
 */
#ifndef OCI_CHECKSUM_H
#define OCI_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define OCI_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1) /* with NUL */

enum {
    OCI_MD5_SIZE = 16,
    OCI_CRC_TEXT_SIZE = OCI_BASE64_SIZE(4),
    OCI_MD5_TEXT_SIZE = OCI_BASE64_SIZE(OCI_MD5_SIZE),
    OCI_MULTIPART_MD5_SIZE = OCI_MD5_TEXT_SIZE + 11, /* "-10000" and to spare */
};

/* Goes on with crc (0 at the start) over n more bytes. */
uint32_t oci_crc32c(uint32_t crc, const void *bytes, size_t n);

/* The CRC of A followed by B, from that of A, that of B and the length of B in bytes. */
uint32_t oci_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t b_bytes);

/* Standard base64 with padding and NUL into out[OCI_BASE64_SIZE(n)]; returns its length. */
size_t oci_base64(const void *bytes, size_t n, char *out);

/* Strict inverse: padding required, unused bits zero, nothing else in it. Writes at most room
 * bytes. 0, OCID_E_INVALID, or OCID_E_TOO_LARGE when it does not fit. */
int oci_unbase64(const char *text, size_t n, void *out, size_t room, size_t *ret_n);

/* As opc-content-crc32c has it: base64 of the four bytes, big-endian. */
void oci_crc_text(uint32_t crc, char out[OCI_CRC_TEXT_SIZE]);
int oci_crc_parse(const char *text, size_t n, uint32_t *ret);

/* opc-multipart-md5 of the parts' binary MD5s in order of part numbers: "BASE64-COUNT".
 * 0 or OCID_E_INTERNAL when libcrypto has no MD5 (FIPS). */
int oci_multipart_md5(const uint8_t (*md5)[OCI_MD5_SIZE], size_t n_parts,
                      char out[OCI_MULTIPART_MD5_SIZE]);

#endif
