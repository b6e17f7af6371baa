# SPDX-License-Identifier: Apache-2.0
"""synthetic.py - made-up buckets for measuring: `v-NxS` holds N objects `f0000000`… of S
bytes each, read-only. Nothing is stored; pages of their lists are cached."""

import functools
import hashlib
import json
import re
import zlib
from bisect import bisect_left

from .checksum import b64
from .wire import ServiceError

NAME = re.compile(r"v-(\d{1,9})x(\d{1,13})")
FILLER = b"f" * (1 << 20)
EPOCH = 1767225600.0  # 2026-01-01


def numbers(name):
    """(objects, bytes each) of a made-up bucket; None if the name is not of that kind."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def usage(doc):
    count, size = doc["synthetic"]
    return count, count * size


def read_only(name):
    return ServiceError(403, "BucketIsReadonly", f"The made-up bucket '{name}' is read-only")


class Names:
    """All names of a bucket as a sorted sequence, none of them stored."""

    def __init__(self, count):
        self.count = count
        self.width = max(7, len(str(count - 1)))

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return b"f%0*d" % (self.width, i)


@functools.lru_cache(maxsize=64)
def _md5(size):
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, size, len(FILLER)):
        digest.update(FILLER[:min(len(FILLER), size - start)])
    return b64(digest.digest())


def _object(doc, index):
    count, size = doc["synthetic"]
    tag = f"{zlib.crc32(doc['name'].encode()):08x}-{count & 0xffff:04x}-4000-8000-{index:012x}"
    return {"etag": tag, "version": tag, "size": size, "md5": _md5(size), "created": EPOCH,
            "modified": EPOCH, "tier": "Standard", "headers": {}, "meta": {}, "extents": [],
            "filler": True}


def find(doc, name):
    """An object's document, or None."""
    names, raw = Names(doc["synthetic"][0]), name.encode()
    at = bisect_left(names, raw)
    return _object(doc, at) if at < len(names) and names[at] == raw else None


def scan(doc, low, high, limit):
    """(name, document) of at most `limit` objects with low <= name < high."""
    names = Names(doc["synthetic"][0])
    first = bisect_left(names, low)
    last = len(names) if high is None else bisect_left(names, high)
    return [(names[i], _object(doc, i)) for i in range(first, min(last, first + limit))]


def page(doc, low, high, limit, show):
    """A page of ListObjects as JSON bytes, cached; show(name, document) is an entry of it."""
    names = Names(doc["synthetic"][0])
    first = bisect_left(names, low)
    last = len(names) if high is None else bisect_left(names, high)
    sample = json.dumps(show(names[0], _object(doc, 0))) if names.count else ""
    return _page(doc["name"], names.count, first, min(last, first + limit), last, sample)


@functools.lru_cache(maxsize=2000)
def _page(bucket, count, first, end, last, sample):
    """Entries differ from the sample (object 0) in the digits of name and tag only."""
    names = Names(count)
    name, tag = names[0].decode(), "-8000-000000000000"
    listed = ",".join(sample.replace(name, names[i].decode()).replace(tag, f"-8000-{i:012x}")
                      for i in range(first, end))
    following = f',"nextStartWith":"{names[end].decode()}"' if end < last else ""
    return f'{{"objects":[{listed}]{following}}}'.encode()
