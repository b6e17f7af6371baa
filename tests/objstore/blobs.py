# SPDX-License-Identifier: Apache-2.0
"""blobs.py - object bytes as files below the data folder; never a whole body in memory.

A blob is written once under a fresh id and never changed. Objects refer to blobs by
extents [blob id, size]; a blob being read goes only when its last reader is done. Creating
a file costs more than all the rest of a small put, so small blobs are rows of the catalog.
"""

import contextlib
import io
import os
import uuid
from collections import Counter

BLOCK = 256 * 1024
ROW_MAX = 32 * 1024
ROW = "row-"


class Blobs:
    def __init__(self, root, catalog):
        self.root, self.catalog = root, catalog
        self.readers = Counter()
        self.doomed = set()
        for i in range(256):
            os.makedirs(os.path.join(root, f"{i:02x}"), exist_ok=True)

    def path(self, blob):
        return os.path.join(self.root, blob[:2], blob)

    def create(self):
        """(id, file open for writing); the caller closes it."""
        blob = uuid.uuid4().hex
        return blob, open(self.path(blob), "xb", buffering=0)

    def create_row(self, data):
        """Id of a blob of at most ROW_MAX bytes."""
        blob = ROW + uuid.uuid4().hex
        self.catalog.put_bytes(blob, data)
        return blob

    def link(self, blob):
        """A second name for the same bytes."""
        if blob.startswith(ROW):
            return self.create_row(self.catalog.bytes_of(blob))
        twin = uuid.uuid4().hex
        os.link(self.path(blob), self.path(twin))
        return twin

    def remove(self, blob):
        if self.readers[blob]:
            self.doomed.add(blob)
            return
        if blob.startswith(ROW):
            self.catalog.drop_bytes(blob)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(blob))

    def remove_all(self, extents):
        for blob, _ in extents:
            self.remove(blob)

    @contextlib.contextmanager
    def reading(self, extents):
        """Keeps these blobs until the end of the block."""
        names = [blob for blob, _ in extents]
        self.readers.update(names)
        try:
            yield
        finally:
            self._read(names)

    def _read(self, names):
        for blob in names:
            self.readers[blob] -= 1
            if self.readers[blob] > 0:
                continue
            del self.readers[blob]
            if blob in self.doomed:
                self.doomed.discard(blob)
                self.remove(blob)

    def pieces(self, extents, start, length):
        """(blob, offset, count) of each blob that holds some of the range."""
        for blob, size in extents:
            if length <= 0:
                return
            if start >= size:
                start -= size
                continue
            count = min(size - start, length)
            yield blob, start, count
            start, length = 0, length - count

    def blocks(self, extents, start, length, block=BLOCK):
        """The bytes of a range, a block at a time."""
        for blob, offset, count in self.pieces(extents, start, length):
            with self.open(blob) as file:
                file.seek(offset)
                while count:
                    data = file.read(min(block, count))
                    if not data:
                        raise OSError(f"blob {blob} is too short")
                    count -= len(data)
                    yield data

    def open(self, blob):
        """The blob as a binary file; a real one unless it is a row."""
        if blob.startswith(ROW):
            return io.BytesIO(self.catalog.bytes_of(blob))
        return open(self.path(blob), "rb", buffering=0)

    def flip(self, blob, offset):
        """Turns all bits of one stored byte over."""
        if blob.startswith(ROW):
            data = bytearray(self.catalog.bytes_of(blob))
            data[offset] ^= 0xFF
            self.catalog.put_bytes(blob, data)
            return
        with open(self.path(blob), "r+b", buffering=0) as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 0xFF]))
