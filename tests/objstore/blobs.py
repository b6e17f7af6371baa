# SPDX-License-Identifier: Apache-2.0
"""blobs.py - object bytes as files below the data folder; never a whole body in memory.

A blob is written once under a fresh id and never changed. Objects refer to blobs by
extents [blob id, size]; a blob being read is unlinked only when its last reader is done.
"""

import contextlib
import os
import uuid
from collections import Counter

BLOCK = 256 * 1024


class Blobs:
    def __init__(self, root):
        self.root = root
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

    def link(self, blob):
        """A second name for the same bytes."""
        twin = uuid.uuid4().hex
        os.link(self.path(blob), self.path(twin))
        return twin

    def remove(self, blob):
        if self.readers[blob]:
            self.doomed.add(blob)
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
        """(path, offset, count) of each file that holds some of the range."""
        for blob, size in extents:
            if length <= 0:
                return
            if start >= size:
                start -= size
                continue
            count = min(size - start, length)
            yield self.path(blob), start, count
            start, length = 0, length - count

    def blocks(self, extents, start, length, block=BLOCK):
        """The bytes of a range, a block at a time."""
        for path, offset, count in self.pieces(extents, start, length):
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                while count:
                    data = file.read(min(block, count))
                    if not data:
                        raise OSError(f"blob {path} is too short")
                    count -= len(data)
                    yield data

    def flip(self, blob, offset):
        """Turns all bits of one stored byte over."""
        with open(self.path(blob), "r+b", buffering=0) as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 0xFF]))
