# SPDX-License-Identifier: Apache-2.0
"""journal.py - what the store received: one entry per request, made when it arrives and
completed when it is over; counters; and waiting for either."""

import asyncio
import fnmatch
import time
from collections import Counter, deque

FILTERS = ("op", "bucket", "object")


class Entry:
    __slots__ = ("seq", "time", "started", "op", "method", "target", "bucket", "object",
                 "upload", "part", "auth", "headers", "peer", "status", "code", "received",
                 "sent", "seconds", "done", "faults", "token")

    def __init__(self, seq, call, peer):
        self.seq, self.time, self.started = seq, time.time(), time.monotonic()
        self.op, self.method = call.op, call.method
        self.target = call.target
        self.bucket, self.object = call.bucket, call.object
        part = call.query.get("uploadPartNum", "")
        self.part = int(part) if part.isdigit() else None
        self.upload = call.item if call.op in UPLOAD_OPS else None
        self.auth, self.headers, self.peer = "none", call.headers, peer
        self.status = self.code = self.seconds = None
        self.received = self.sent = 0
        self.done, self.faults, self.token = False, (), None

    def as_json(self):
        return {"seq": self.seq, "time": self.time, "op": self.op, "method": self.method,
                "target": self.target.decode("latin-1"), "bucket": self.bucket,
                "object": self.object, "upload": self.upload, "part": self.part,
                "auth": self.auth, "signed": self.auth == "signature", "token": self.token,
                "headers": {name: ", ".join(values) for name, values in self.headers.items()
                            if name != "authorization"},
                "connection": self.peer, "status": self.status, "code": self.code,
                "received": self.received, "sent": self.sent, "seconds": self.seconds,
                "done": self.done, "faults": list(self.faults)}


UPLOAD_OPS = frozenset({"UploadPart", "CommitMultipartUpload", "AbortMultipartUpload",
                        "ListMultipartUploadParts"})


class Journal:
    def __init__(self, limit):
        self.entries = deque(maxlen=limit)
        self.seq = 0
        self.changed = asyncio.Event()
        self.waiters = 0
        self.clear()

    def clear(self):
        self.entries.clear()
        self.by_op, self.by_status, self.peak = Counter(), Counter(), Counter()
        self.running = Counter()
        self.connections = set()
        self.received = self.sent = 0

    def arrive(self, call, peer):
        self.seq += 1
        entry = Entry(self.seq, call, peer)
        self.entries.append(entry)
        self.by_op[entry.op] += 1
        self.connections.add(peer)
        for key in (entry.op, "*"):
            self.running[key] += 1
            self.peak[key] = max(self.peak[key], self.running[key])
        self._tell()
        return entry

    def over(self, entry, status, code=None):
        """Status None: the connection ended without an answer."""
        entry.status, entry.code, entry.done = status, code, True
        entry.seconds = time.monotonic() - entry.started
        self.by_status[str(status)] += 1
        self.received += entry.received
        self.sent += entry.sent
        for key in (entry.op, "*"):
            if self.running[key] > 0:
                self.running[key] -= 1
        self._tell()

    def _tell(self):
        if self.waiters:
            self.changed.set()
            self.changed = asyncio.Event()

    def select(self, filters):
        """Entries that match; op, bucket, object are globs, `status` a number or `none`,
        `state` is `arrived` or `done`, `after` a sequence number."""
        globs = [(name, filters[name].split("|") if name == "op" else [filters[name]])
                 for name in FILTERS if filters.get(name) not in (None, "*")]
        return [e for e in self.entries if _fits(e, globs, filters)]

    async def wait(self, filters, n, timeout):
        """Number of matching entries, once it is n or the time is up."""
        end = asyncio.get_running_loop().time() + timeout
        self.waiters += 1
        try:
            while True:
                count, changed = len(self.select(filters)), self.changed
                left = end - asyncio.get_running_loop().time()
                if count >= n or left <= 0:
                    return count
                try:
                    await asyncio.wait_for(changed.wait(), left)
                except asyncio.TimeoutError:
                    pass
        finally:
            self.waiters -= 1

    def counters(self):
        return {"requests": dict(self.by_op), "statuses": dict(self.by_status),
                "running": {k: v for k, v in self.running.items() if v},
                "peak": dict(self.peak), "connections": len(self.connections),
                "received": self.received, "sent": self.sent, "seq": self.seq}


def _fits(entry, globs, filters):
    for name, patterns in globs:
        value = getattr(entry, name) or ""
        if not any(fnmatch.fnmatchcase(value, one) for one in patterns):
            return False
    if filters.get("state") == "done" and not entry.done:
        return False
    if "status" in filters and str(entry.status).lower() != str(filters["status"]).lower():
        return False
    if "part" in filters and str(entry.part) != str(filters["part"]):
        return False
    return entry.seq > int(filters.get("after", 0))
