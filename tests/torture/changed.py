# SPDX-License-Identifier: Apache-2.0
"""changed.py - the source changes while it is being sent: nothing mixed is ever published."""

import os

from harness import KIB, until

from .ledger import PART, Item, Violation, bytes_of

SIZES = (10 * KIB, 200 * KIB, 4 * PART)
HOW = ("rewritten", "replaced", "longer", "shorter", "rewritten and set back")


class Source:
    name, points, long_points, per_life = "changed", 100, 1000, 20

    def life(self, world, number, n_points, tick):
        world.up()
        for k in range(n_points):
            size = world.rng.choice(SIZES)
            where = world.rng.choice(("start", "body", "answer"))
            how = world.rng.choice(HOW)
            crash = world.rng.random() < 0.3
            tick(f"{size} bytes {how}, while a request is held at its {where}"
                 f"{', then a crash' if crash else ''}")
            self._one(world, f"c{k}", size, where, how, crash)
        world.come_to_rest()

    def _one(self, world, key, size, where, how, crash):
        old, new = bytes_of(size, 1), bytes_of(size, 2)
        path = world.ocid.file(old, key)
        item = self._item(world, key, path, old)
        op = "UploadPart" if size > PART else "PutObject"
        extra = {"after": min(size, PART) // 2} if where == "body" else {}
        nth = world.rng.randrange(1, 4) if size > PART else 1
        rule = world.store.on(op, object=key, do="hang", at=where, nth=nth, **extra)
        world.ledger.submit(world.wire, [item])
        world.store.wait_hit(op, nth, object=key)
        new = self._change(path, how, old, new)
        if crash:
            world.died()
            world.up()
        world.store.clear(rule)
        until(lambda: world.look(200) or item.final, f"{item} ends", 20)
        versions = (old, new)
        if item.final[0] == "done" and size > PART and how in ("rewritten", "longer", "shorter"):
            raise Violation(f"{item} is done, though its source was {how}")
        if key in world.names() and world.store.object_bytes(f"{world.bucket}/{key}") not in versions:
            raise Violation(f"{item}: the object is a mixture ({how})")
        if key in world.names():
            item.data = world.store.object_bytes(f"{world.bucket}/{key}")

    @staticmethod
    def _change(path, how, old, new):
        if how == "replaced":
            path.with_suffix(".new").write_bytes(new)
            os.replace(path.with_suffix(".new"), path)
        elif how == "rewritten":
            with open(path, "r+b") as file:
                file.write(new)
        elif how == "rewritten and set back":  # as tools do that keep times: ctime alone has moved
            st = os.stat(path)
            with open(path, "r+b") as file:
                file.write(new)
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        elif how == "longer":
            with open(path, "ab") as file:
                file.write(b"more")
            return old + b"more"
        else:
            os.truncate(path, len(old) // 3)
            return old[:len(old) // 3]
        return new

    @staticmethod
    def _item(world, key, path, data):
        st = os.stat(path)
        job = {"kind": "put", "bucket": world.bucket, "object": key, "key": key,
               "source": os.fsencode(path), "size": st.st_size, "dev": st.st_dev,
               "inode": st.st_ino, "mtime_ns": st.st_mtime_ns, "ctime_ns": st.st_ctime_ns,
               "part_bytes": PART}
        item = Item(key, "put", job, data=data, name=key)
        item.mend = {"source_changed"}
        world.ledger.items[key] = item
        return item
