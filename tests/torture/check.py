# SPDX-License-Identifier: Apache-2.0
"""check.py - the invariants, over the database, the store and the disk. One checker for all that
torments: what holds after a crash, at any moment (dead), and what holds when all has come to rest.

Numbers of states and phases are those of messages.def and daemon/xfer/plan.h, which may only grow.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import urllib.request

from harness import TROUBLE, msgpack, sha, until
from ocid import _tables

from .items import Group, Revoke, Share, Violation
from .ledger import OLD, limits_of

STATES = ("queued", "running", "waiting", "paused", "done", "failed", "cancelled")
WAITS = _tables.ENUMS["why"].keys() - {"none"}
FINAL_FROM = STATES.index("done")
PAUSED = STATES.index("paused")
INTENT = 1
SHARE = 13  # its number among kinds
LOST = "/{}': an answer to the making of its upload was lost"


class Queue:
    """The database as a crash left it, in a copy: looking must not mend it."""

    def __init__(self, path):
        with tempfile.TemporaryDirectory(prefix="torture-db") as folder:
            copy = os.path.join(folder, "q.db")
            for end in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{end}", f"{copy}{end}")
            db = sqlite3.connect(copy)
            db.execute("PRAGMA synchronous = OFF")  # nobody needs the copy
            try:
                self.whole = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
                made = "jobs" in tables
                self.jobs = dict(db.execute("SELECT id, state FROM jobs")) if made else {}
                self.ended = dict(db.execute("SELECT id, ended_at FROM jobs")) if made else {}
                self.links = self._links(db) if made else {}
                self.limits = self._limits(db) if made else {}
                self.keys = list(db.execute("SELECT key, id FROM jobs")) if made else []
                self.transfers = {row[0]: row[1:] for row in db.execute(
                    "SELECT job, phase, remote_id FROM transfers")} if made else {}
            finally:
                db.close()

    @staticmethod
    def _links(db):
        """What jobs that are done have to tell."""
        done = db.execute("SELECT id, outcome FROM jobs WHERE kind = ? AND state = ?",
                          (SHARE, FINAL_FROM))
        return {job: msgpack.unpackb(outcome)["result"]["share_id"] for job, outcome in done}

    @staticmethod
    def _limits(db):
        found = db.execute("SELECT value FROM meta WHERE name = 'limits'").fetchone()
        messages = msgpack.Unpacker()
        messages.feed(found[0] if found and found[0] else b"")
        return limits_of(messages)


class Check:
    def __init__(self, world):
        self.world = world

    # At any moment after the daemon has gone.

    def dead(self):
        """What must hold whatever has just happened to the daemon."""
        queue = self.queue()
        self._accepted(queue)
        self._destinations()
        self._uploads(queue)
        self._links(queue)
        if queue:
            self._acts(queue)
            self.limits(queue.limits)
        self._log()

    def queue(self):
        found = list(self.world.ocid.state.rglob("queue.db"))
        if not found:
            if self.world.ledger.by_id:
                raise Violation("there is no queue any more")
            return None
        queue = Queue(found[0])
        if queue.whole != "ok":
            raise Violation(f"the queue is damaged: {queue.whole}")
        return queue

    def _accepted(self, queue):
        """What was answered is on disk, once."""
        if queue is None:
            return
        ledger = self.world.ledger
        for job, item in ledger.by_id.items():
            if job not in queue.jobs:
                raise Violation(f"{item} was accepted and is not in the queue")
            if item.final and queue.jobs[job] != STATES.index(item.final[0]):
                raise Violation(f"{item} was shown as {item.final[0]}, the queue has it as "
                                f"{STATES[queue.jobs[job]]}")
        seen = {}
        for key, job in queue.keys:
            if key and seen.setdefault(key, job) != job:
                raise Violation(f"key {key} is two jobs, {seen[key]} and {job}")
            item = ledger.items.get(key)
            if item and item.id not in (None, job):
                raise Violation(f"{item} is job {job} in the queue")

    def _destinations(self):
        """A name shows the old file, nothing, or all of the new one."""
        for item in self.world.ledger.items.values():
            if item.dest is None or item.kind == "list":
                continue
            try:
                found = item.dest.read_bytes()
            except FileNotFoundError:
                if item.kind == "over":
                    raise Violation(f"{item}: the old file has gone") from None
                if item.final and item.final[0] == "done":
                    raise Violation(f"{item} was done, and its file is not there") from None
                continue
            if found == item.data:
                continue
            if item.kind != "over" or found != OLD or (item.final and item.final[0] == "done"):
                raise Violation(f"{item}: {item.dest.name} holds {len(found)} bytes that are not "
                                "the object's")

    def _uploads(self, queue):
        """Each unfinished upload is known by its id, or by an intent when it was first seen, or the
        log has said that an answer was lost."""
        ledger = self.world.ledger
        if queue is None:
            return
        by_name = {item.name: item for item in ledger.items.values() if item.name}
        for upload in self.world.uploads():
            if upload["uploadId"] in ledger.orphans:
                continue
            item = by_name.get(upload["object"])
            found = self._job_of(queue, item)
            phase, remote = queue.transfers.get(found, (None, None))
            if remote == upload["uploadId"]:
                continue
            if phase == INTENT or self.world.arrived_late(upload) or \
                    LOST.format(upload["object"]) in self.world.ocid.log():
                ledger.orphans.add(upload["uploadId"])
                continue
            seen = [(entry["time"], entry["op"], entry["status"], entry["upload"])
                    for entry in self.world.store.log(object=upload["object"])]
            raise Violation(f"upload {upload['uploadId']} of {item}, that nothing in the queue "
                            f"speaks of (row: phase {phase}, upload {remote}); the store's log: "
                            f"{seen}")

    def _acts(self, queue):
        """What was answered of a pause, a resume and another try is on disk."""
        for item in self.world.ledger.by_id.values():
            state = queue.jobs[item.id]
            if item.paused and state != PAUSED and state < FINAL_FROM:
                raise Violation(f"{item}: its pause was answered, the queue has it as {STATES[state]}")
            if item.paused is False and state == PAUSED:
                raise Violation(f"{item}: its resume was answered, the queue has it as paused")
            if item.retried and state >= FINAL_FROM and queue.ended[item.id] == item.before[2]:
                raise Violation(f"{item} was to be tried again, which was answered, and is "
                                f"{STATES[state]} in the queue as before")

    def limits(self, found):
        """Each is as it was answered, or as it was asked for since. That of a set may have ended."""
        ledger = self.world.ledger
        for scope in {*found, *ledger.limits, *ledger.maybe}:
            may = ledger.maybe.get(scope) or {ledger.limits.get(scope, (0, 0))}
            if found.get(scope, (0, 0)) not in (may | {(0, 0)} if scope[0] == "set" else may):
                raise Violation(f"the limit of {scope} is {found.get(scope)}, and was {may}")

    def _links(self, queue):
        """Each link was told, or the queue speaks of it; none that was told has gone."""
        ledger = self.world.ledger
        if queue is None or not any(isinstance(item, Share) for item in ledger.items.values()):
            return
        there = {link["id"]: int(link["name"].rpartition("-")[2]) for link in self.world.links()}
        for link, job in there.items():
            if link not in ledger.links and job not in queue.transfers and \
                    queue.links.get(job) != link:
                raise Violation(f"a link of {ledger.by_id.get(job, job)} that nothing in the queue "
                                f"speaks of: {link}")
        for link, item in ledger.links.items():
            if link not in there and not item.revoking:
                raise Violation(f"{item} is done, and its link is not there")

    @staticmethod
    def _job_of(queue, item):
        if item is None:
            return None
        return next((job for key, job in queue.keys if key == item.key), None)

    def _log(self):
        log = self.world.new_log()
        found = [word for word in TROUBLE if word in log]
        if found:
            raise Violation(f"the daemon's log has {found}: {log[-1500:]}")

    # An end that was shown.

    def end(self, item):
        """Done means there, now; failed only where that is an answer."""
        state, outcome, _ = item.final
        if state == "cancelled" and item.may_be_cancelled():
            return
        if state != "done":
            if state == "cancelled" or not item.excused(outcome.get("error"), self.world.life):
                raise Violation(f"{item} has {state}: {outcome}")
            return
        item.done(outcome or {})
        if state == "done" and item.kind == "list":
            rows = map(json.loads, item.dest.read_text().splitlines())
            said = [row.get("name") or row["prefix"] for row in rows]
            if said != item.names:
                raise Violation(f"{item} is done, and lists {said}")
        elif state == "done" and item.dest:
            if not item.dest.exists() or item.dest.read_bytes() != item.data:
                raise Violation(f"{item} is done, but its file is not what it should be")

    # When the daemon was stopped and nothing was left to do.

    def rest(self):
        world, queue = self.world, self.queue()
        self._accepted(queue)
        self.settled()
        if queue.transfers:
            raise Violation(f"rows of transfers are left: {queue.transfers}")
        left = [(path.name, self._owner(path)) for path in world.ocid.part_files()]
        if left:
            raise Violation(f"part files are left: {left}")
        left = [path for path in world.ocid.state.rglob("spool/*")]
        if left:
            raise Violation(f"spooled bytes are left: {left}")
        self._links(queue)
        self.limits(queue.limits)
        self._log()

    def settled(self):
        """All has ended, and disk and service are as these ends say."""
        ledger = self.world.ledger
        self._destinations()
        names = {bucket: self.world.store.names(bucket) for bucket in self.world.buckets}
        for item in ledger.items.values():
            if not item.final:
                raise Violation(f"{item} has not ended")
            if isinstance(item, Group):
                item.agrees()
            if item.name is not None:
                self._object(item, item.name in names[item.job["bucket"]])
        left = [u["object"] for u in self.world.uploads() if not ledger.is_orphan(u)]
        if left:
            raise Violation(f"uploads are left at the service: {left}")
        self._once()
        self._opened()

    def _owner(self, path):
        """The job that a part file belongs to, and how it ended."""
        number = path.name.split("-")[-1].split(".")[0]
        item = self.world.ledger.by_id.get(int(number) if number.isdigit() else None)
        return f"{item}: {item.final}" if item else "nobody"

    def _object(self, item, there):
        store, bucket = self.world.store, item.job["bucket"]
        if item.kind == "delete":
            if there and item.final[0] == "done":
                raise Violation(f"{item} is done, but the object is there")
            return
        if item.final[0] == "done" and not there:
            raise Violation(f"{item} is done, but there is no such object")
        if there and store.object_sha(f"{bucket}/{item.name}") != sha(item.data):
            raise Violation(f"{item}: the object holds other bytes")

    def _opened(self):
        """Links that were told open what they should, those that were revoked nothing."""
        there = {link["id"] for link in self.world.links()}
        for item in self.world.ledger.items.values():
            if isinstance(item, Revoke):
                if item.final[0] != "cancelled" and item.share.link in there:
                    raise Violation(f"{item} has {item.final[0]}, and the link is there")
            elif isinstance(item, Share) and item.link in there and item.job["access"] != "write":
                with urllib.request.urlopen(urllib.request.Request(item.url, method="HEAD"),
                                            timeout=20):
                    pass

    def _once(self):
        """No upload was put together twice: a lost answer is looked after before it is asked for
        once more."""
        seen, log = {}, self.world.store.log
        for entry in (entry for bucket in self.world.buckets
                      for entry in log("CommitMultipartUpload", bucket=bucket, status=200)):
            if self.world.ledger.items[entry["object"]].again:
                continue
            if seen.setdefault(entry["object"], entry["upload"]) != entry["upload"]:
                raise Violation(f"{entry['object']} was put together from two uploads")

    def waiting(self, statuses):
        """Whoever waits names what for."""
        for status in statuses:
            if status["state"] == "waiting" and status.get("why") not in WAITS:
                raise Violation(f"job {status['id']} waits for nothing: {status}")


def quiet(store):
    """Nothing that the daemon sent is still on its way into the store."""
    until(lambda: not store.counters()["running"], "the store is quiet", 10)
