# SPDX-License-Identifier: Apache-2.0
"""ledger.py - what clients were promised: each job with its key, its id once that was answered, the
bytes that must come of it, and the end that was shown; links that were told, and limits that were
answered. It lies outside of what is tortured."""

import contextlib
import datetime
import os

from harness import FINAL, KIB, Refused

from .items import (OBJECTS, PART, STREAMS, Group, Item, Late, Memory, Revoke, Share, Spooled, Stream,
                    Violation, Watch, bytes_of)

SIZES = (0, 7, 3 * KIB, 40 * KIB, 200 * KIB, 700 * KIB)
OLD = b"what was there before"
KINDS = ("put",) * 12 + ("if_absent", "if_absent", "spool", "spool") + ("get",) * 8 + (
    "over", "over", "over", "over", "delete", "delete", "list", "list", "stream", "stream", "stream",
    "memory", "memory", "share", "share", "revoke", "watch", "watch_gone", "watch_changed", "late")
OURS = ("internal", "invalid")  # what no request of these clients may be refused with


class Ledger:
    def __init__(self, rng, world):
        self.rng, self.world = rng, world
        self.items, self.by_id = {}, {}
        self.orphans = set()  # uploads that nobody can know whose they are
        self.links = {}  # share id -> the job that has told it
        self.groups = []
        self.limits = {}  # scope -> (bytes a second, jobs), as answered
        self.maybe = {}  # scope -> what it may be, too: asked for, and not answered
        self.cut_off = []  # (from, to): answers that the store gave then may not have come
        self.unanswered = set()  # objects whose upload may have been made without an answer to that
        self.n = 0
        self.sources = []
        for i, size in enumerate(SIZES):
            self.sources.append((self.world.ocid.file(bytes_of(size, i), f"source-{i}"),
                                 bytes_of(size, i)))
        for i, size in enumerate(OBJECTS):
            world.store.put_object(f"{world.bucket}/o/{i}", bytes_of(size, 100 + i))

    # New jobs.

    def new(self, kind=None, group=None):
        """A job that was not submitted yet; group: the set that it is a member of."""
        self.n += 1
        key, kind = f"k{self.n}", kind or self.rng.choice(KINDS)
        job = {"bucket": self.world.bucket, "key": key}
        make = {"put": self._put, "if_absent": self._put, "spool": self._put, "get": self._get,
                "over": self._get, "delete": self._delete, "list": self._list,
                "stream": self._stream, "memory": self._memory, "late": self._late,
                "watch": self._watch, "watch_gone": self._watch, "watch_changed": self._watch,
                "share": self._share, "revoke": self._revoke, "set": self._set}[kind]
        item = self.items[key] = make(key, kind, job)
        if group:
            job["set"], item.group = group.id, group
            group.members.append(item)
        return item

    def _put(self, key, kind, job):
        path, data = self.rng.choice(self.sources)
        st = os.stat(path)
        job.update(kind="put", object=key, size=st.st_size, part_bytes=PART)
        if kind == "spool":
            return Spooled(key, job, path, data)
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

    def _stream(self, key, kind, job):
        i = self.rng.randrange(len(STREAMS))
        return Stream(key, job, self.rng, bytes_of(STREAMS[i], 200 + i))

    def _memory(self, key, kind, job):
        return Memory(key, job, self.rng.choice(self.sources)[1])

    def _late(self, key, kind, job):
        return Late(key, job, self.rng, self.world.store, self.world.ocid.files / f"g-{key}")

    def _watch(self, key, kind, job):
        return Watch(key, kind, job, self.rng, self.world.store)

    def _share(self, key, kind, job):
        return Share(key, job, self.rng)

    def _revoke(self, key, kind, job):
        told = [item for item in self.links.values() if not item.revoking]
        return Revoke(key, job, self.rng.choice(told)) if told else self._share(key, kind, job)

    def _set(self, key, kind, job):
        self.groups.append(Group(key, job))
        return self.groups[-1]

    # Said to the daemon.

    def submit(self, wire, items):
        """Takes the ids down. ConnectionError, EOFError if the daemon ended on it; jobs that it
        refused are left for another time."""
        jobs, fds = [], []
        with contextlib.ExitStack() as stack:
            for item in items:
                job, fd = dict(item.job), item.sending(self.world.life)
                if fd is not None:
                    job["fd"] = len(fds)
                    fds.append(fd)
                    stack.callback(os.close, fd)
                jobs.append(job)
            try:
                ids = wire.call("job.submit", {"jobs": jobs}, fds)["ids"]
            except Refused as refused:
                if refused.code in OURS:
                    raise
                return
        for item, found in zip(items, ids, strict=True):
            self.answered(item, found)

    def answered(self, item, found):
        if item.id not in (None, found):
            raise Violation(f"{item} was given another id, {found}, for the same key")
        other = self.by_id.setdefault(found, item)
        if other is not item:
            raise Violation(f"id {found} was given to {item} and to {other}")
        item.id = found

    def act(self, wire, verb, item):
        """Whether it was done, and the daemon said so."""
        if verb == "cancel":
            item.cancelling = True
            for member in getattr(item, "members", ()):
                member.cancelling, member.paused = True, None
        if verb == "retry":
            self._reopen(item)
        item.paused = None
        (ack,) = wire.call(f"job.{verb}", {"ids": [item.id]})["jobs"]
        if "error" in ack and ack["error"]["code"] in OURS:
            raise Refused(ack["error"])
        if verb in ("pause", "resume") and "error" not in ack:
            item.paused = verb == "pause"
        if verb == "retry" and "error" not in ack:
            item.retried = item.before is not None  # a member may still be cleaned up behind
        if verb == "seal" and "error" not in ack:
            item.sealed = True
        return "error" not in ack

    @staticmethod
    def _of_retry(item):
        """All that may end anew when it is tried again."""
        group = item.group
        return [item, *(item.members if isinstance(item, Group) else [group] if group else [])]

    def _reopen(self, item):
        """Its end may be shown once more, if it is not tried again, or it gets a new one. A set that
        has left memory does not hear of a member."""
        for one in self._of_retry(item):  # a set may be done though some of it was cancelled
            if one.final and (one.final[0] != "done" or one is item.group):
                one.before, one.final, one.retried = one.final, None, False
                one.sending(self.world.life)
                one.again += 1

    def limit(self, wire, scope, ask):
        """Sets a limit; the answer tells all that hold."""
        old = self.limits.get(scope, (0, 0))
        new = tuple(ask.get(name, was) for name, was in zip(("bytes_per_s", "jobs"), old))
        self.maybe.setdefault(scope, {old}).add(new)
        told = limits_of(wire.call("daemon.limit", ask)["limits"])
        self.maybe[scope] = {new}
        self.world.check.limits(told)
        self.limits, self.maybe = told, {}

    def observe(self, statuses):
        """An end that was shown stays, and what was paused is at rest."""
        for status in statuses:
            item = self.by_id.get(status["id"])
            if item is None:
                continue
            item.state = status["state"]
            item.seen(status)
            if item.paused is not None and item.state not in FINAL and \
                    item.paused != (item.state == "paused"):
                raise Violation(f"{item} is {item.state}: its {'pause' if item.paused else 'resume'} "
                                "was answered")
            if item.state in FINAL:
                self._ended(item, (item.state, status.get("outcome"), status.get("ended_at")))
            elif item.final:
                raise Violation(f"{item} was {item.final[0]}, and is {item.state} now")

    def _ended(self, item, end):
        if item.final and item.final != end:
            raise Violation(f"{item} has ended twice: {item.final}, then {end}")
        if item.final:
            return
        as_before = item.before == end
        if as_before and item.retried:
            raise Violation(f"{item} was to be tried again, which was answered, and is as before: {end}")
        item.final, item.before, item.retried = end, None, False
        if as_before:
            return
        self.world.check.end(item)
        if isinstance(item, Share) and item.link:
            self.links[item.link] = item
        if isinstance(item, Revoke) and end[0] != "cancelled":
            self.links.pop(item.share.link, None)

    def move(self, hurry=False):
        """What happens outside of the daemon while its jobs are open."""
        for item in self.open():
            item.move(hurry)

    def over(self):
        """The daemon has gone."""
        for item in self.items.values():
            item.over()

    def forget(self):
        """What has ended was looked at: neither it nor its traces are needed any more."""
        store, bucket = self.world.store, self.world.bucket
        for item in self.items.values():
            if item.dest:
                item.dest.unlink(missing_ok=True)
        for name in self.world.names():
            if not name.startswith("o/"):
                store.delete_object(f"{bucket}/{name}")
        store.drop_links(bucket)
        self.items, self.by_id, self.links, self.groups = {}, {}, {}, []
        store.clear_log()

    # What there is.

    def is_orphan(self, upload):
        """Its id cannot be known: a crash came between request and answer, or the network kept the
        answer. One that has parts was known."""
        made = made_at(upload)
        return upload["uploadId"] in self.orphans or (
            not upload["parts"] and (upload["object"] in self.unanswered or
                                     any(a <= made <= b for a, b in self.cut_off)))

    def unsent(self):
        return [item for item in self.items.values() if item.id is None]

    def open(self):
        return [item for item in self.items.values() if item.id is not None and not item.final]


def made_at(upload):
    return datetime.datetime.fromisoformat(upload["timeCreated"]).timestamp()


def limits_of(messages):
    """Limits as (bytes a second, jobs) by scope, without those of ocid.conf."""
    return {(one["scope"], one.get("uid"), one.get("label"), one.get("set")):
            (one.get("bytes_per_s", 0), one.get("jobs", 0))
            for one in messages if not one.get("configured")}
