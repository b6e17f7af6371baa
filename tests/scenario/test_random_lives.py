# SPDX-License-Identifier: Apache-2.0
"""test_random_lives.py - anything a client may say, in any order, while the service misbehaves and
the daemon is killed: no job is lost, nothing hangs, nothing leaks.

Environment:
  OCID_LIVES_SEED     repeats a run; the seed is printed
  OCID_LIVES_SECONDS  how long to go on at random (10)
"""

import contextlib
import os
import random
import time

import pytest
from harness import FINAL, KIB, MIB, SLOW, Refused, Wire, blob, rss, until

SECONDS = float(os.environ.get("OCID_LIVES_SECONDS", "10"))
SIZES = (0, 1, 4 * KIB, 70 * KIB, 1500 * KIB, 3300 * KIB)
FAULTS = [dict(do="hang"), dict(do="reset"), dict(do="reset", at="answer"), dict(do=503),
          dict(do=429, retry_after=1), dict(do=500), dict(do=401), dict(do=404), dict(do=409),
          dict(do=412), dict(do="status", status=503, at="answer"), dict(do="delay", seconds=0.3),
          dict(do="truncate", after=1000), dict(do="wrong_checksum"), dict(do="close")]
OPS = ["*", "PutObject", "UploadPart", "CreateMultipartUpload", "CommitMultipartUpload",
       "AbortMultipartUpload", "GetObject", "ListObjects", "HeadObject", "GetNamespace"]
KINDS = ["put"] * 30 + ["get"] * 14 + ["list"] * 5 + ["set"] * 5 + ["pull"] * 3 + ["delete"] * 6 + [
    "head", "head", "buckets", "whoami", "namespace", "mkbucket"]
EPHEMERAL = ("head", "whoami", "namespace", "buckets")
ACTS = ["cancel", "cancel", "pause", "pause", "resume", "resume", "retry", "seal"]
# Why a job may still wait when the service is well again, keys are there and all is resumed.
MAY_WAIT = ("file", "destination", "after", "members")
RESIDENT = 700 * MIB


class Life:
    """One client's whole life, at random."""

    def __init__(self, rng, ocid, store, bucket):
        self.rng, self.ocid, self.store, self.bucket = rng, ocid, store, bucket
        self.sources = [ocid.file(blob(size)) for size in SIZES]
        self.wires, self.readers = [], []
        self.durable, self.sets, self.known = set(), [], []
        self.n = 0
        for i in range(12):
            store.put_object(f"{bucket}/d/{i}", blob(SIZES[i % len(SIZES)]))

    # Connections.

    def wire(self):
        if not self.wires or (len(self.wires) < 6 and self.rng.random() < 0.1):
            self.wires.append(Wire(self.ocid.socket))
        return self.rng.choice(self.wires)

    def drop(self, wire):
        wire.sock.close()
        self.wires.remove(wire)

    def call(self, method, params, fds=()):
        """The result, or None when it was refused."""
        wire = self.wire()
        try:
            return wire.call(method, params, fds)
        except Refused as refused:
            assert refused.code != "INTERNAL", refused
            return None
        finally:
            for fd in fds:
                os.close(fd)

    # Jobs.

    def pipe(self, fds):
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self.readers.append(ours)
        fds.append(theirs)
        return len(fds) - 1

    def put(self, fds):
        path = self.rng.choice(self.sources)
        facts = os.stat(path)
        job = dict(bucket=self.bucket, object=f"p/{self.rng.randrange(60)}")
        if self.rng.random() < 0.15:
            fds.append(os.open(path, os.O_RDONLY))
            job.update(spool=True, fd=len(fds) - 1)
        else:
            job.update(source=os.fsencode(path), size=facts.st_size, dev=facts.st_dev,
                       inode=facts.st_ino, mtime_ns=facts.st_mtime_ns, ctime_ns=facts.st_ctime_ns)
        if self.rng.random() < 0.1:
            job["if_absent"] = True
        if self.rng.random() < 0.05:
            job["source"] = b"/nowhere/to/be/found"
            job.pop("spool", None)
        if self.rng.random() < 0.05:
            job["mtime_ns"] = 1
        return job

    def get(self, fds):
        self.n += 1
        job = dict(bucket=self.bucket, object=f"d/{self.rng.randrange(14)}")
        if self.rng.random() < 0.3:
            job["fd"] = self.pipe(fds)
        else:
            name = f"g{self.n if self.rng.random() < 0.8 else 0}"
            job.update(dest=os.fsencode(self.ocid.files / name), overwrite=self.rng.random() < 0.5)
        return job

    def list(self, fds):
        job = dict(bucket=self.bucket)
        if self.rng.random() < 0.5:
            job["fd"] = self.pipe(fds)
        else:
            self.n += 1
            job["dest"] = os.fsencode(self.ocid.files / f"l{self.n}")
        return job

    def pull(self, fds):
        self.n += 1
        folder = self.ocid.files / f"pulled{self.n}"
        if self.rng.random() < 0.9:
            folder.mkdir()
        return dict(bucket=self.bucket, object="d/", dest=os.fsencode(folder))

    def job(self, fds):
        kind = self.rng.choice(KINDS)
        make = getattr(self, kind, None)
        job = make(fds) if make else {}
        if kind in ("head", "delete"):
            job = dict(bucket=self.bucket, object=f"p/{self.rng.randrange(60)}")
        if kind == "mkbucket":
            job = dict(bucket=f"made{self.rng.randrange(3)}")
        if kind == "buckets":
            job = dict(fd=self.pipe(fds))
        job["kind"] = kind
        return self.dress(job)

    def dress(self, job):
        """Options that any job may have; some of them wrong."""
        rng = self.rng
        if rng.random() < 0.2:
            job["priority"] = rng.randrange(10)
        if rng.random() < 0.1:
            job["key"] = f"key{rng.randrange(40)}"
        if rng.random() < 0.1 and self.known:
            job["after"] = rng.choices(self.known[-30:] + [max(self.known) + 1, 1],
                                       k=rng.randrange(1, 4))
        if rng.random() < 0.05:
            job["timeout_ms"] = rng.choice([1, 50, 1000, 60000, 2**63])
        if rng.random() < 0.2 and self.sets and job["kind"] not in ("set", "pull"):
            job["set"] = rng.choice(self.sets[-4:])
        if rng.random() < 0.01:
            job["profile"] = f"none{rng.randrange(3)}"
        if rng.random() < 0.02:
            job.pop(rng.choice(list(job)))
        if rng.random() < 0.01:
            job[rng.choice(["bucket", "dest", "source", "object"])] = rng.choice(
                ["", "x" * 300, "../..", "/", "a\0b"])
        return job

    # What it does.

    def submit(self):
        fds = []
        jobs = [self.job(fds) for _ in range(self.rng.choice([1, 1, 3, 10, 30]))]
        reply = self.call("job.submit", {"jobs": jobs}, fds[:64]) if len(fds) <= 64 else None
        if not reply:
            return
        assert len(reply["ids"]) == len(jobs)
        for job, found in zip(jobs, reply["ids"]):
            self.known.append(found)
            if job["kind"] in ("set", "pull"):
                self.sets.append(found)
            if job["kind"] not in EPHEMERAL and (job["kind"] not in ("get", "list")
                                                 or job.get("dest")):
                if "key" not in job:  # else it may be an older one
                    self.durable.add(found)

    def some_ids(self):
        known = self.known[-80:] or [1]
        return self.rng.choices(known + self.sets[-4:] + [10**9], k=self.rng.choice([1, 2, 5, 20]))

    def act(self):
        for _ in range(self.rng.randrange(1, 4)):
            self.call("job." + self.rng.choice(ACTS), {"ids": self.some_ids()})

    def act_at_once(self):
        """Several in one write: they are carried out in one turn of the loop."""
        wire, ids = self.wire(), self.some_ids()
        for _ in range(self.rng.randrange(2, 6)):
            wire.request("job." + self.rng.choice(ACTS), {"ids": ids})
        for _ in range(wire.last):
            if wire.reply()[1] == wire.last:
                break

    def look(self):
        rng = self.rng
        self.call("job.status", rng.choice([
            {"ids": self.some_ids()}, {"since": rng.randrange(1000)},
            {"set": rng.choice(self.sets or [1])}, {"limit": 3}, {"epoch": 1, "since": 10**12},
            {"ids": self.some_ids(), "since": 10**12, "wait_ms": 20}]))
        self.call("job.list", rng.choice([{}, {"limit": 5}, {"state": "queued"}, {"state": "done"},
                                          {"set": rng.choice(self.sets or [1])}]))
        self.call("daemon.stats", {})

    def poll_and_leave(self):
        wire = self.wire()
        for _ in range(self.rng.randrange(1, 70)):
            wire.request("job.status", {"ids": self.some_ids(), "since": 10**12,
                                        "wait_ms": 600000})
        self.drop(wire)

    def break_off(self):
        wire = self.wire()
        with contextlib.suppress(ConnectionError):  # it may be quick to hang up
            wire.send(self.rng.choice([b"\0\0\1\0abc", b"\xff\xff\xff\xff", b"\0\0\0\1\xc1",
                                       b"\0\0\0\5hello"]))
        self.drop(wire)

    def read_pipes(self):
        for fd in list(self.readers):
            try:
                while len(os.read(fd, 65536)) > 0:
                    if self.rng.random() < 0.1:
                        break
                else:
                    self.close_reader(fd)
            except BlockingIOError:
                if self.rng.random() < 0.05:
                    self.close_reader(fd)

    def close_reader(self, fd):
        os.close(fd)
        self.readers.remove(fd)

    def trouble(self):
        if self.rng.random() < 0.4:
            self.store.clear()
            return
        rule = dict(self.rng.choice(FAULTS))
        self.store.on(self.rng.choice(OPS), nth=self.rng.randrange(1, 6),
                      count=self.rng.choice([1, 3, 20]), **rule)

    def reload(self):
        self.call("daemon.reload", {})

    def over(self):
        """The daemon's end: streams and jobs of no row go with it."""
        for wire in list(self.wires):
            self.drop(wire)
        for fd in list(self.readers):
            self.close_reader(fd)

    def crash(self):
        self.over()
        self.ocid.crash()
        self.nothing_lost()

    def restart(self):
        self.over()
        assert self.ocid.stop() == 0
        self.ocid.start()
        self.nothing_lost()

    # What must hold.

    def nothing_lost(self):
        ids = sorted(self.durable)[-900:]
        if ids:
            found = {job["id"] for job in self.states(ids)}
            assert not set(ids) - found, f"lost: {sorted(set(ids) - found)}"

    def states(self, ids):
        wire = Wire(self.ocid.socket)
        with wire:
            found, at = [], 0
            for at in range(0, len(ids), 100):
                found += wire.call("job.status", {"ids": ids[at:at + 100]})["jobs"]
            return found

    def come_to_rest(self):
        """The service is well; everything goes on: each job ends, or names what it waits for."""
        self.store.clear()
        self.over()
        ids = sorted(self.durable)

        def at_rest():
            restless = [job for job in self.states(ids) if job["state"] not in FINAL
                        and job.get("why") not in MAY_WAIT
                        and not (job.get("why") == "login" and "profile" in job["job"])]
            self.unrest = restless[:5]
            if restless:
                some = [job["id"] for job in restless][:1000]
                self.call("job.resume", {"ids": some})
            return not restless
        self.call("daemon.reload", {})
        for some in range(0, len(self.sets), 500):
            self.call("job.resume", {"ids": self.sets[some:some + 500]})
            self.call("job.seal", {"ids": self.sets[some:some + 500]})
        try:
            until(at_rest, "all jobs end or name what they wait for", 60 * SLOW)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.unrest}") from None
        final = {job["id"]: job["state"] for job in self.states(ids)}
        for job in self.states(ids):  # what waits for others waits for somebody
            if job.get("why") == "after":
                assert any(final.get(before) not in FINAL for before in job["job"]["after"]), job
        resident = rss(self.ocid.pid)
        assert resident < RESIDENT * SLOW, f"{resident} bytes resident"


STEPS = {Life.submit: 40, Life.act: 25, Life.act_at_once: 15, Life.look: 12, Life.read_pipes: 15,
         Life.trouble: 6, Life.poll_and_leave: 2, Life.break_off: 2, Life.reload: 1,
         Life.crash: 0.5, Life.restart: 0.5}


@pytest.mark.slow
def test_random_lives(make_ocid, store, b):
    seed = int(os.environ.get("OCID_LIVES_SEED") or random.SystemRandom().randrange(10**9))
    print(f"OCID_LIVES_SEED={seed}")
    rng = random.Random(seed)
    ocid = make_ocid(transfer__connections=8, network__stall_seconds=2,
                     daemon__log_level="info").start()
    life = Life(rng, ocid, store, b)
    end = time.monotonic() + SECONDS
    with contextlib.ExitStack() as last:
        last.callback(life.over)
        last.callback(store.clear)
        while time.monotonic() < end:
            step = rng.choices(list(STEPS), list(STEPS.values()))[0]
            try:
                step(life)
            except ConnectionError:
                assert ocid.process.poll() is None, f"the daemon has ended in {step.__name__}"
                raise
        life.come_to_rest()
        life.restart()
