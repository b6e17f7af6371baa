# SPDX-License-Identifier: Apache-2.0
"""synthetic.py - made-up buckets for measuring: `v-NxS` holds N objects `f0000000`… of S
bytes each, read-only. Nothing is stored; pages of their lists are cached."""

import functools
import hashlib
import re
import uuid
from bisect import bisect_left

from .checksum import b64
from .wire import ServiceError

NAME = re.compile(r"v-(\d{1,9})x(\d{1,13})")
FILLER = b"f" * (1 << 20)
ETAGS = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
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


def _object(doc, name):
    size = doc["synthetic"][1]
    tag = str(uuid.uuid5(ETAGS, f"{doc['name']}/{name}"))
    return {"etag": tag, "version": tag, "size": size, "md5": _md5(size), "created": EPOCH,
            "modified": EPOCH, "tier": "Standard", "headers": {}, "meta": {}, "extents": [],
            "filler": True}


def find(doc, name):
    """An object's document, or None."""
    names, raw = Names(doc["synthetic"][0]), name.encode()
    at = bisect_left(names, raw)
    return _object(doc, name) if at < len(names) and names[at] == raw else None


def scan(doc, low, high, limit):
    """As Catalog.scan(), with documents instead of their text."""
    names = Names(doc["synthetic"][0])
    first = bisect_left(names, low)
    last = len(names) if high is None else bisect_left(names, high)
    return _page(doc["name"], first, min(last, first + limit), doc["synthetic"])


_pages = {}


def _page(name, first, last, counts):
    key = (name, first, last)
    if key not in _pages:
        if len(_pages) > 256:
            _pages.clear()
        doc, names = {"name": name, "synthetic": counts}, Names(counts[0])
        _pages[key] = [(names[i], _object(doc, names[i].decode())) for i in range(first, last)]
    return _pages[key]
