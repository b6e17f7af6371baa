# SPDX-License-Identifier: Apache-2.0
"""faults.py - the store does each thing that it should not, to each kind of transfer, at its start, in
its middle and at its end. A life is a dozen of them side by side, and a healthy client beside them."""

import os
import time

from harness import KIB, MIB, SLOW, Wire

from .ledger import PART, Item, Violation, bytes_of

PUT, MULTI, GET = 200 * KIB, 3 * PART, 2 * MIB + 5
WHERE = ("start", "middle", "end")
AT = [dict(do="hang"), dict(do="reset"), dict(do="delay", seconds=0.3), dict(do=503), dict(do=429),
      dict(do=500, count=3)]
STATUS = [dict(do=401), dict(do=408), dict(do=502, body="<html>Bad Gateway</html>"), dict(do=504),
          dict(do="status", status=409, code="ConcurrentObjectUpdate"),
          dict(do=429, retry_after=1)]
BYTES = [dict(do="truncate"), dict(do="corrupt"), dict(do="slow", rate=2 * MIB)]
HEADERS = [dict(do="close"), dict(do="wrong_checksum"), dict(do="missing_checksum", count=0),
           dict(do="clock", offset=3600), dict(do="no_continue"),
           dict(do="headers", headers={"etag": None}), dict(do="short_pages", limit=1),
           dict(do="repeat_prefix", count=0)]
REFUSED = [dict(do=400), dict(do=403), dict(do=404), dict(do=412)]

# A kind of job, and what is left out since it means nothing there. Left out altogether: `work`, as the
# daemon asks for no copies, and bytes that are damaged where they are stored: the service has vouched
# for them by then.
PAGES, SUMS = {"short_pages", "repeat_prefix"}, {"corrupt", "wrong_checksum", "missing_checksum"}
KINDS = {
    "put": PAGES | {"truncate"},  # its answer has no body
    "multipart": PAGES,
    "get": PAGES | {"no_continue"},
    "list": SUMS | {"headers", "no_continue"},  # no list has a checksum or an ETag
    "share": PAGES | SUMS | {"headers", "no_continue"},  # nor has a link
    # The answers to a HEAD have no body, not even one that says what a 409 means; without an ETag, or
    # with a 404, they say something else.
    "watch": PAGES | SUMS | {"truncate", "slow", "headers", "no_continue", "status", 404},
}
CASES = [(kind, where, fault) for fault in AT + STATUS + BYTES + HEADERS + REFUSED for kind in KINDS
         for where in WHERE if fault["do"] not in KINDS[kind]]
REASONS = {"invalid", "denied", "auth", "not_found", "condition", "exists", "checksum", "server"}
OPS = {"put": "PutObject", "get": "GetObject", "list": "ListObjects", "watch": "HeadObject",
       "share": "CreatePreauthenticatedRequest"}
WATCHES = ("watch", "watch_gone", "watch_changed")


def rule_of(kind, where, fault):
    """op, nth and the rest of a rule."""
    i = WHERE.index(where)
    rule = dict(fault)
    if kind == "multipart":
        rule["op"] = ("CreateMultipartUpload", "UploadPart", "CommitMultipartUpload")[i]
        size = PART
    else:
        rule["op"] = OPS[kind]
        size = {"put": PUT, "get": MIB}.get(kind, 100)
    if fault in AT:
        rule["at"] = "answer" if kind == "multipart" else ("start", "body", "answer")[i]
        if kind == "watch" and where == "middle":
            rule["at"] = "start"
        if rule["op"].startswith("Create") and fault["do"] == 429:  # it says that nothing was made
            rule["at"] = "start"
        if rule["at"] == "body":
            rule["after"] = size // 2
    elif fault["do"] == "truncate":
        rule["after"] = (0, size // 2, size - 1)[i]
    elif fault["do"] == "corrupt":
        rule["offset"] = (0, size // 2, size - 1)[i]
    elif kind == "get":
        rule["nth"] = i + 1
    if kind == "watch":  # its first looks
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
        for item, (kind, where, _) in zip(items, cases):
            if kind == "watch":  # nothing has happened to its object yet
                world.store.wait_hit("HeadObject", WHERE.index(where) + 1, object=item.job["object"])
        world.come_to_rest()
        for item, case in zip(items, cases):
            self._judge(item, case)
        idle = [rule for rule in world.store.rules() if not rule["fired"]]
        if idle:
            raise Violation(f"what should go wrong did not: {idle}")

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
        bucket, rule = world.bucket, rule_of(kind, where, fault)
        if kind in ("multipart", "list", "share"):  # they have requests that name no object for a rule
            bucket = world.another_bucket(k)
        if kind == "list":
            item = self._list(world, bucket, where, fault)
        elif kind == "share":
            item = self._share(world, bucket)
        elif kind == "watch":
            item = world.ledger.new(WATCHES[WHERE.index(where)])
            rule["object"] = item.job["object"]
        else:
            item = self._transfer(world, kind, bucket, f"case{k}")
            if kind != "multipart":
                rule["object"] = item.name or item.key
        if rule["op"] == "CreateMultipartUpload":
            world.ledger.unanswered.add(item.name)
        world.store.on(bucket=bucket, **rule)
        if fault in REFUSED:
            item.mend = REASONS
        elif fault["do"] == "headers" or (fault["do"] == "missing_checksum" and kind != "get"):
            item.mend = {"checksum"}  # it was sent, and cannot be proven
        return item

    @staticmethod
    def _list(world, bucket, where, fault):
        item = world.ledger.new("list")
        item.job.update(bucket=bucket)
        item.names = ["o/a", "o/b", "o/c", "o/d", "o/e"]
        if fault["do"] == "repeat_prefix":
            item.job.update(delimiter="/")
            item.names = [f"{name}/" for name in item.names]
            world.store.on("ListObjects", bucket=bucket, do="short_pages",
                           limit=2 + WHERE.index(where), count=0)
        for name in item.names:
            world.store.put_object(f"{bucket}/{name}{'1' if name.endswith('/') else ''}")
        return item

    @staticmethod
    def _share(world, bucket):
        world.store.put_object(f"{bucket}/o")
        item = world.ledger.new("share")
        item.job.update(bucket=bucket, object="o")
        return item

    @staticmethod
    def _transfer(world, kind, bucket, key):
        ledger = world.ledger
        if kind == "get":
            data = bytes_of(GET, 7)
            world.store.put_object(f"{bucket}/{key}", data)
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
        job.update(bucket=bucket, object=key, key=key)
        ledger.items[key] = item
        return item

    @staticmethod
    def _judge(item, case):
        if case[2] not in REFUSED and item.final[0] != "done" and not item.mend:
            raise Violation(f"{case}: {item} has {item.final}")
