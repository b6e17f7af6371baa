# SPDX-License-Identifier: Apache-2.0
"""faults.py - the store does each thing that it should not, to each kind of transfer, at its start, in
its middle and at its end. A life is a dozen of them side by side, and a healthy client beside them."""

import os
import time

from harness import KIB, MIB, SLOW, Wire

from .ledger import PART, Item, Violation, bytes_of

PUT, MULTI, GET = 200 * KIB, 3 * PART, 2 * MIB + 5
KINDS = ("put", "multipart", "get", "list")
WHERE = ("start", "middle", "end")
AT = [dict(do="hang"), dict(do="reset"), dict(do="delay", seconds=0.3), dict(do=503), dict(do=429),
      dict(do=500, count=3)]
STATUS = [dict(do=401), dict(do=408), dict(do=502, body="<html>Bad Gateway</html>"), dict(do=504),
          dict(do="status", status=409, code="ConcurrentObjectUpdate")]
BYTES = [dict(do="truncate"), dict(do="corrupt"), dict(do="slow", rate=2 * MIB)]
HEADERS = [dict(do="close"), dict(do="wrong_checksum"), dict(do="clock", offset=3600),
           dict(do="no_continue"), dict(do="headers", headers={"etag": None}),
           dict(do="short_pages", limit=1)]
REFUSED = [dict(do=400), dict(do=403), dict(do=404), dict(do=412)]
CASES = [(kind, where, fault) for fault in AT + STATUS + BYTES + HEADERS + REFUSED for kind in KINDS
         for where in WHERE if (kind, fault["do"]) != ("list", "corrupt")]  # no list has a checksum
REASONS = {"invalid", "denied", "auth", "not_found", "condition", "exists", "checksum", "server"}


def rule_of(kind, where, fault):
    """op, nth and the rest of a rule."""
    i = WHERE.index(where)
    rule = dict(fault)
    if kind == "multipart":
        rule["op"] = ("CreateMultipartUpload", "UploadPart", "CommitMultipartUpload")[i]
        size = PART
    else:
        rule["op"] = {"put": "PutObject", "get": "GetObject", "list": "ListObjects"}[kind]
        size = {"put": PUT, "get": MIB, "list": 100}[kind]
    if fault in AT:
        rule["at"] = ("start", "body", "answer")[i] if kind != "multipart" else "answer"
        if rule["at"] == "body":
            rule["after"] = size // 2
    elif fault["do"] == "truncate":
        rule["after"] = (0, size // 2, size - 1)[i]
    elif fault["do"] == "corrupt":
        rule["offset"] = (0, size // 2, size - 1)[i]
    elif kind == "get":
        rule["nth"] = i + 1
    return rule


class Store:
    """Each job ends with the right bytes, or says with a reason of the list what was refused."""

    name, points, long_points, per_life = "store", len(CASES), 3 * len(CASES), 12
    settings = {"network__stall_seconds": 1, "transfer__connections": 24}

    def life(self, world, number, n_points, tick):
        cases = [CASES[(number * self.per_life + k) % len(CASES)] for k in range(n_points)]
        world.up()
        items = []
        for k, (kind, where, fault) in enumerate(cases):
            tick(f"{fault} at the {where} of each {kind}")
            items.append(self._prepare(world, k, kind, where, fault))
        healthy = [world.ledger.new("put") for _ in range(5)]
        world.ledger.submit(world.wire, items)
        self._healthy(world, healthy)
        world.come_to_rest()
        for item, case in zip(items, cases):
            self._judge(item, case)

    @staticmethod
    def _healthy(world, items):
        """Another client's jobs go on meanwhile."""
        with Wire(world.ocid.socket, hello=False) as other:
            other.call("hello", {"min": 1, "max": 1, "label": "healthy"})
            world.ledger.submit(other, items)
            end = time.monotonic() + 20 * SLOW
            while any(not item.final for item in items):
                found = other.call("job.status", {"ids": [item.id for item in items]})["jobs"]
                world.ledger.observe(found)
                if time.monotonic() > end:
                    raise Violation(f"another client's jobs do not go on: {found}, "
                                    f"{other.call('daemon.stats', {})}")
                time.sleep(0.02)

    def _prepare(self, world, k, kind, where, fault):
        ledger, key = world.ledger, f"case{k}"
        bucket = f"{world.bucket}-{k}" if kind == "list" else world.bucket
        rule = rule_of(kind, where, fault)
        if kind == "list":
            world.store.make_bucket(bucket)
            for name in ("o/a", "o/b", "o/c"):
                world.store.put_object(f"{bucket}/{name}")
            item = ledger.new("list")
            item.job.update(bucket=bucket)
            item.names = ["o/a", "o/b", "o/c"]
            world.store.on(bucket=bucket, **rule)
        else:
            item = self._transfer(world, kind, key)
            world.store.on(bucket=bucket, object=item.job["object"], **rule)
        item.mend = REASONS if fault in REFUSED else {"checksum"} if fault["do"] == "headers" else None
        return item

    @staticmethod
    def _transfer(world, kind, key):
        ledger = world.ledger
        if kind == "get":
            data = bytes_of(GET, 7)
            world.store.put_object(f"{world.bucket}/{key}", data)
            dest = world.ocid.files / f"g-{key}"
            job = {"kind": "get", "dest": os.fsencode(dest)}
            item = Item(key, kind, job, data=data, dest=dest)
        else:
            data = bytes_of(PUT if kind == "put" else MULTI, 8)
            path = world.ocid.file(data, key)
            st = os.stat(path)
            job = {"kind": "put", "source": os.fsencode(path), "size": st.st_size, "dev": st.st_dev,
                   "inode": st.st_ino, "mtime_ns": st.st_mtime_ns, "ctime_ns": st.st_ctime_ns,
                   "part_bytes": PART}
            item = Item(key, kind, job, data=data, name=key)
        job.update(bucket=world.bucket, object=key, key=key)
        ledger.items[key] = item
        return item

    @staticmethod
    def _judge(item, case):
        if case[2] not in REFUSED and item.final[0] != "done" and not item.mend:
            raise Violation(f"{case}: {item} has {item.final}")
