# SPDX-License-Identifier: Apache-2.0
"""items.py - one job as its client knows it, and what that was promised: a class for each kind whose
promise depends on more than its bytes."""

import fcntl
import functools
import os

from harness import KIB, MIB, blob

OBJECTS = (0, 5, 90 * KIB, MIB, MIB + 300 * KIB, 2 * MIB + 5)
STREAMS = (0, 7, 40 * KIB, 200 * KIB, 700 * KIB, MIB + 300 * KIB)
PART = 256 * KIB
FAR = 4_000_000_000_000  # when a link ends
ACCESS = ("read", "write", "read_write")


class Violation(Exception):
    """Something was lost, doubled, mixed or forgotten."""


@functools.lru_cache(maxsize=256)
def bytes_of(size, seed):
    return blob(size, seed)


class Item:
    """What its client knows of a job, and what may come of it."""

    def __init__(self, key, kind, job, data=None, name=None, dest=None):
        self.key, self.kind, self.job = key, kind, job
        self.data, self.name, self.dest = data, name, dest
        self.id = self.final = None
        self.state = None  # the last one that was shown
        self.cancelling = False  # asked for; it may have come too late
        self.paused = None  # True, False: a pause, a resume was answered; None: nobody knows
        self.before = None  # the end that it had before it was tried again
        self.again = 0  # so often it was tried again
        self.group = None  # the set that it is a member of
        self.retried = False  # that was answered
        self.life = None  # of the daemon, when it was first sent
        self.mend = None  # errors that are an answer, too
        self.names = [f"o/{i}" for i in range(len(OBJECTS))]  # list: what it must say

    def __repr__(self):
        return f"{self.kind} {self.key} (job {self.id})"

    def sending(self, life):
        """It is about to be sent; the descriptor that goes with it, if there is one."""
        if self.life is None:
            self.life = life

    def seen(self, status):
        """What a status promises."""

    def move(self, hurry):
        """What happens outside of the daemon meanwhile; in a hurry, all of it."""

    def over(self):
        """The daemon has gone, and what it held with it."""

    def excused(self, error, life):
        """Whether it may fail so, in this life of the daemon."""
        return bool(self.mend) and error in self.mend

    def may_be_cancelled(self):
        return self.cancelling

    def done(self, outcome):
        """It was shown as done: what must be so now."""


class Spooled(Item):
    """A put of an open file, whose bytes are the daemon's from the answer on."""

    def __init__(self, key, job, path, data):
        super().__init__(key, "spool", job, data=data, name=key)
        self.path = path
        job["spool"] = True

    def sending(self, life):
        super().sending(life)
        return os.open(self.path, os.O_RDONLY)


class Memory(Item):
    """A put of a sealed memfd that need not outlive the daemon: it ends done, or as lost with it."""

    def __init__(self, key, job, data):
        super().__init__(key, "memory", job, data=data, name=key)
        self.on_disk = False
        job.update(kind="put", object=key, part_bytes=PART, spool=True, in_memory=True)

    def sending(self, life):
        super().sending(life)
        fd = os.memfd_create("torture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(fd, self.data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW |
                    fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        return fd

    def seen(self, status):
        if status.get("job") and not status["job"].get("in_memory"):
            self.on_disk = True  # there was no room for it in memory

    def excused(self, error, life):
        return error == "lost" and life > self.life and not self.on_disk


class Stream(Item):
    """A put of a pipe: until its end was read it ends with the daemon, and from then on it outlives
    it. One whose writer dies short of the size that it has told is never an object."""

    def __init__(self, key, job, rng, data):
        super().__init__(key, "stream", job, data=data, name=key)
        self.rng, self.pipe, self.at = rng, None, 0
        self.ended = self.safe = False
        job.update(kind="put", object=key, part_bytes=PART, spool=True)
        told = rng.random() < 0.5
        if told:
            job["size"] = len(data)
        self.stops_at = rng.randrange(len(data)) if told and data and rng.random() < 0.3 else len(data)

    def sending(self, life):
        super().sending(life)
        self.over()
        self.at = 0
        theirs, self.pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        return theirs

    def move(self, hurry):
        while self.pipe is not None and self.id is not None:
            if self.at == self.stops_at:
                self.ended |= self.stops_at == len(self.data)
                self.over()
                return
            end = min(self.stops_at, self.at + self.rng.randrange(1, 300 * KIB))
            try:
                self.at += os.write(self.pipe, memoryview(self.data)[self.at:end])
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.over()
            if not hurry and self.rng.random() < 0.3:
                return

    def over(self):
        if self.pipe is not None:
            os.close(self.pipe)
        self.pipe = None

    def seen(self, status):
        if status.get("reading") or status["state"] in ("done", "failed", "cancelled"):
            return
        if not self.ended:
            raise Violation(f"{self} is said to be read to its end, which was not written yet")
        self.safe = True

    def excused(self, error, life):
        if error != "source_changed":
            return False
        return self.stops_at < len(self.data) or (life > self.life and not self.safe)

    def done(self, outcome):
        if not self.ended:
            raise Violation(f"{self} is done, and {self.at} of {len(self.data)} bytes were written")


class Watch(Item):
    """Ends when its object appears, changes or is gone; never before, and always then."""

    def __init__(self, key, kind, job, rng, store):
        super().__init__(key, kind, job)
        self.rng, self.store, self.ready, self.etag = rng, store, False, None
        self.where = f"{job['bucket']}/w/{key}"
        job.update(kind="watch", object=f"w/{key}", every_ms=50)
        if kind != "watch":
            etag = store.put_object(self.where, b"first")
            job.update({"gone": True} if kind == "watch_gone" else {"if_none_match": etag})

    def move(self, hurry):
        if self.ready or self.id is None or not (hurry or self.rng.random() < 0.2):
            return
        self.ready = True
        if self.kind == "watch_gone":
            self.store.delete_object(self.where)
        else:
            self.etag = self.store.put_object(self.where, b"second")

    def done(self, outcome):
        if not self.ready:
            raise Violation(f"{self} is done, and nothing has happened to its object")
        if outcome.get("etag") != self.etag:
            raise Violation(f"{self} has seen {outcome}, and the object's etag is {self.etag}")


class Late(Item):
    """A get of what may not be there yet: it fails, and is tried again once it is there."""

    def __init__(self, key, job, rng, store, dest):
        i = rng.randrange(len(OBJECTS))
        super().__init__(key, "late", job, data=bytes_of(OBJECTS[i], 300 + i), dest=dest)
        self.rng, self.store, self.there, self.sure = rng, store, False, False
        job.update(kind="get", object=f"late/{key}", dest=os.fsencode(dest))

    def sending(self, life):
        super().sending(life)
        self.sure = self.there

    def move(self, hurry):
        if not self.there and (hurry or self.rng.random() < 0.1):
            self.store.put_object(f"{self.job['bucket']}/late/{self.key}", self.data)
            self.there = True

    def excused(self, error, life):
        return error == "not_found" and not self.sure


class Share(Item):
    """A link: once it is told there is this one, and no other of the job's."""

    def __init__(self, key, job, rng):
        super().__init__(key, "share", job)
        self.link = self.url = None
        self.revoking = False
        job.update(kind="share", object=f"o/{rng.randrange(len(OBJECTS))}", expires_at=FAR,
                   access=rng.choice(ACCESS))

    def done(self, outcome):
        told = outcome.get("result", {})
        self.link, self.url = told.get("share_id"), told.get("url")
        if not self.link or not self.url:
            raise Violation(f"{self} is done, and tells no link: {outcome}")


class Revoke(Item):
    """Ends a link that was told. One that is gone already may be news to a later life of the daemon."""

    def __init__(self, key, job, share):
        super().__init__(key, "revoke", job)
        self.share = share
        job.update(kind="revoke", share_id=share.link)
        share.revoking = True

    def excused(self, error, life):
        return error == "not_found" and life > self.life


class Group(Item):
    """A set with its members."""

    def __init__(self, key, job):
        super().__init__(key, "set", job)
        self.members, self.sealed, self.status = [], False, {}
        del job["bucket"]
        job.update(kind="set")
        self.mend = {"some_failed"}

    def complete(self):
        """Nothing of it is still to be sent."""
        return self.id is not None and all(item.id is not None for item in self.members)

    def may_be_cancelled(self):
        return self.cancelling or (bool(self.members) and all(item.cancelling for item in self.members))

    def seen(self, status):
        if status.get("n_total"):  # one that has left memory does not tell
            self.status = status

    def agrees(self):
        """The counts of its end are those of its members, if these have ended before."""
        if self.status.get("ended_at") != self.final[2] or \
                any(item.final[2] > self.final[2] for item in self.members):
            return
        ends = [item.final[0] for item in self.members]
        told = [self.status.get(name, 0) for name in ("n_total", "n_done", "n_failed", "n_cancelled")]
        if told != [len(ends), *map(ends.count, ("done", "failed", "cancelled"))]:
            raise Violation(f"{self} has counted {told}, its members have ended as {ends}")
