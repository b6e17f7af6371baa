# SPDX-License-Identifier: Apache-2.0
"""ledger.py - what a client was promised: each job with its key, its id once that was answered, the
bytes that must come of it, and the end that was shown. It lies outside of what is tortured."""

import datetime
import functools
import os

from harness import FINAL, KIB, MIB, Refused, blob

SIZES = (0, 7, 3 * KIB, 40 * KIB, 200 * KIB, 700 * KIB)
OBJECTS = (0, 5, 90 * KIB, MIB, MIB + 300 * KIB, 2 * MIB + 5)
PART = 256 * KIB
OLD = b"what was there before"
KINDS = ("put",) * 6 + ("if_absent", "spool") + ("get",) * 4 + ("over", "over", "delete", "list")


class Violation(Exception):
    """Something was lost, doubled, mixed or forgotten."""


@functools.lru_cache(maxsize=256)
def bytes_of(size, seed):
    return blob(size, seed)


class Item:
    """One job as its client knows it."""

    def __init__(self, key, kind, job, data=None, name=None, dest=None):
        self.key, self.kind, self.job = key, kind, job
        self.data, self.name, self.dest = data, name, dest
        self.id = self.final = None
        self.cancelling = False  # asked for; it may have come too late
        self.mend = None  # errors that are an answer, too
        self.names = [f"o/{i}" for i in range(len(OBJECTS))]  # list: what it must say

    def __repr__(self):
        return f"{self.kind} {self.key} (job {self.id})"


class Ledger:
    def __init__(self, rng, world):
        self.rng, self.world = rng, world
        self.items, self.by_id = {}, {}
        self.orphans = set()  # uploads that nobody can know whose they are
        self.cut_off = []  # (from, to): answers that the store gave then may not have come
        self.n = 0
        self.sources = []
        for i, size in enumerate(SIZES):
            self.sources.append((self.world.ocid.file(bytes_of(size, i), f"source-{i}"),
                                 bytes_of(size, i)))
        for i, size in enumerate(OBJECTS):
            world.store.put_object(f"{world.bucket}/o/{i}", bytes_of(size, 100 + i))

    # New jobs.

    def new(self, kind=None):
        """A job that was not submitted yet."""
        self.n += 1
        key, kind = f"k{self.n}", kind or self.rng.choice(KINDS)
        job = {"bucket": self.world.bucket, "key": key}
        make = {"put": self._put, "if_absent": self._put, "spool": self._put, "get": self._get,
                "over": self._get, "delete": self._delete, "list": self._list}[kind]
        item = make(key, kind, job)
        self.items[key] = item
        return item

    def _put(self, key, kind, job):
        path, data = self.rng.choice(self.sources)
        st = os.stat(path)
        job.update(kind="put", object=key, size=st.st_size, part_bytes=PART)
        if kind == "spool":
            job.update(spool=True, source=os.fsencode(path))
        else:
            job.update(source=os.fsencode(path), dev=st.st_dev, inode=st.st_ino,
                       mtime_ns=st.st_mtime_ns, ctime_ns=st.st_ctime_ns)
        if kind == "if_absent":
            job["if_absent"] = True
        return Item(key, kind, job, data=data, name=key)

    def _get(self, key, kind, job):
        i = self.rng.randrange(len(OBJECTS))
        dest = self.world.ocid.files / f"g-{key}"
        if kind == "over":
            self._write(dest, OLD)
            job["overwrite"] = True
        job.update(kind="get", object=f"o/{i}", dest=os.fsencode(dest))
        return Item(key, kind, job, data=bytes_of(OBJECTS[i], 100 + i), dest=dest)

    @staticmethod
    def _write(path, data):
        """A client's own file, synced: what it loses is not ours."""
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _delete(self, key, kind, job):
        self.world.store.put_object(f"{self.world.bucket}/{key}", b"to be deleted")
        job.update(kind="delete", object=key)
        return Item(key, kind, job, name=key)

    def _list(self, key, kind, job):
        dest = self.world.ocid.files / f"l-{key}"
        job.update(kind="list", object="o/", dest=os.fsencode(dest))
        return Item(key, kind, job, dest=dest)

    # Said to the daemon.

    def submit(self, wire, items):
        """Takes the ids down. ConnectionError, EOFError if the daemon ended on it; jobs that it
        refused are left for another time."""
        jobs, fds = [], []
        try:
            for item in items:
                job = dict(item.job)
                if item.kind == "spool":
                    fds.append(os.open(job.pop("source"), os.O_RDONLY))
                    job["fd"] = len(fds) - 1
                jobs.append(job)
            ids = wire.call("job.submit", {"jobs": jobs}, fds)["ids"]
        except Refused:
            return
        finally:
            for fd in fds:
                os.close(fd)
        for item, found in zip(items, ids, strict=True):
            self.answered(item, found)

    def answered(self, item, found):
        if item.id not in (None, found):
            raise Violation(f"{item} was given another id, {found}, for the same key")
        other = self.by_id.setdefault(found, item)
        if other is not item:
            raise Violation(f"id {found} was given to {item} and to {other}")
        item.id = found

    def cancel(self, wire, item):
        item.cancelling = True
        wire.call("job.cancel", {"ids": [item.id]})

    def observe(self, statuses):
        """An end that was shown stays."""
        for status in statuses:
            item = self.by_id.get(status["id"])
            if item is None or status["state"] not in FINAL:
                if item and item.final:
                    raise Violation(f"{item} was {item.final[0]}, and is {status['state']} now")
                continue
            end = (status["state"], status.get("outcome"), status.get("ended_at"))
            if item.final and item.final != end:
                raise Violation(f"{item} has ended twice: {item.final}, then {end}")
            if not item.final:
                item.final = end
                self.world.check.end(item)

    def forget(self):
        """What has ended was looked at: neither it nor its traces are needed any more."""
        store, bucket = self.world.store, self.world.bucket
        names = self.world.names()
        for item in self.items.values():
            if item.dest:
                item.dest.unlink(missing_ok=True)
            if item.name in names:
                store.delete_object(f"{bucket}/{item.name}")
        self.items, self.by_id = {}, {}
        store.clear_log()

    # What there is.

    def is_orphan(self, upload):
        """Its id cannot be known: a crash came between request and answer, or the network kept the
        answer. One that has parts was known."""
        made = datetime.datetime.fromisoformat(upload["timeCreated"]).timestamp()
        return upload["uploadId"] in self.orphans or (
            not upload["parts"] and any(a <= made <= b for a, b in self.cut_off))

    def unsent(self):
        return [item for item in self.items.values() if item.id is None]

    def open(self):
        return [item for item in self.items.values() if item.id is not None and not item.final]
