# SPDX-License-Identifier: Apache-2.0
"""checksum.py - MD5, CRC32C and SHA while bytes go by, and how parts' values combine. Pure."""

import base64
import hashlib
from functools import lru_cache

import google_crc32c

POLYNOMIAL = 0x82F63B78
ALGORITHMS = {"CRC32C": "crc32c", "SHA256": "sha256", "SHA384": "sha384"}


def b64(raw):
    return base64.b64encode(raw).decode()


class Crc32c:
    """hashlib's manners for CRC32C."""

    def __init__(self):
        self.value = 0

    def update(self, data):
        self.value = google_crc32c.extend(self.value, bytes(data))

    def digest(self):
        return self.value.to_bytes(4, "big")


class Digests:
    """MD5 always; further ones (`crc32c`, `sha256`, `sha384`) by name."""

    def __init__(self, *names):
        self.running = {"md5": hashlib.md5(usedforsecurity=False)}
        for name in names:
            self.running[name] = Crc32c() if name == "crc32c" else hashlib.new(name)

    def update(self, data):
        for one in self.running.values():
            one.update(data)

    def results(self):
        """name -> base64."""
        return {name: b64(one.digest()) for name, one in self.running.items()}


def _multiply(a, b):
    """a * b modulo the polynomial, bit-reflected: the top bit is x^0."""
    product = 0
    mask = 1 << 31
    while mask:
        if a & mask:
            product ^= b
        mask >>= 1
        b = (b >> 1) ^ (POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=4096)
def _power(n_bytes):
    """x^(8 * n_bytes) modulo the polynomial."""
    result, base = 1 << 31, 1 << 23
    while n_bytes:
        if n_bytes & 1:
            result = _multiply(base, result)
        base = _multiply(base, base)
        n_bytes >>= 1
    return result


def combine_crc32c(pieces):
    """CRC32C of a concatenation, from (base64 value, length) of each piece in order."""
    crc = 0
    for value, n_bytes in pieces:
        crc = _multiply(_power(n_bytes), crc) ^ int.from_bytes(base64.b64decode(value), "big")
    return b64(crc.to_bytes(4, "big"))


def hash_of_hashes(name, values):
    """Digest over the parts' binary digests, then `-` and the number of parts."""
    whole = hashlib.new(name)
    for value in values:
        whole.update(base64.b64decode(value))
    return f"{b64(whole.digest())}-{len(values)}"
