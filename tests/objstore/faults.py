# SPDX-License-Identifier: Apache-2.0
"""faults.py - misbehaviour on request.

A rule says which requests (op, bucket, object as globs; part), from which match on (`nth`,
1 is the first), how many times (`count`, 0 is for ever) and what to `do`:

  hang            stop until released. at=start|body|answer, after=BYTES
  reset           TCP reset. at=start|body|answer, after=BYTES
  delay           go on after `seconds`. at=start|body|answer, after=BYTES
  status          answer `status` with `code`, `message`, `retry_after`, `body` (raw text
                  instead of JSON), `headers`. at=start (body unread, connection closes),
                  read (body read and dropped), answer (all done, then this answer).
                  `do` may also be the number itself: 401, 404, 409, 412, 429, 5xx
  slow            body at `rate` bytes per second
  truncate        close after `after` bytes of the answer's body
  corrupt         flip the byte at `offset`. where=received (before the checksums are
                  computed), stored (after), sent
  close           send the whole answer, then close without having said so
  clock           this request meets a clock that is `offset` seconds ahead
  wrong_checksum  the answer's checksum headers (or only those in `which`) are wrong
  missing_checksum  the answer has no checksum headers (or not those in `which`)
  headers         set (or with null remove) the answer's `headers`
  short_pages     lists give at most `limit` entries a page
  repeat_prefix   ListObjects may give the last prefix of a page again on the next
  no_continue     never say 100 Continue
  work            a copy's work request stays IN_PROGRESS until released (hold=true) or
                  fails (fail=MESSAGE)

`at=body` means the request's body for PutObject and UploadPart, else the answer's.
"""

import asyncio
import fnmatch
import itertools
import json
import re
import socket
import struct

from .routes import STREAMED
from .wire import Answer, ServiceError

CODES = {400: "InvalidParameter", 401: "NotAuthenticated", 403: "NotAuthorized",
         404: "ObjectNotFound", 408: "RequestTimeout", 409: "ConcurrentObjectUpdate",
         412: "IfMatchFailed", 413: "RequestEntityTooLarge", 429: "TooManyRequests",
         500: "InternalServerError", 501: "NotImplemented", 502: "BadGateway",
         503: "ServiceUnavailable", 504: "GatewayTimeout"}
ACTIONS = {"hang", "reset", "delay", "status", "slow", "truncate", "corrupt", "close", "clock",
           "wrong_checksum", "missing_checksum", "headers", "short_pages", "repeat_prefix",
           "no_continue", "work"}
POINTS = {"start", "read", "body", "answer"}
CHECKSUMS = re.compile(r"(opc-)?(content|multipart)-(md5|crc32c|sha256|sha384)$")


class Dropped(Exception):
    """The connection is gone on purpose; there is nobody to answer."""


class Rule:
    _ids = itertools.count(1)

    def __init__(self, op="*", do="hang", bucket="*", object="*", part=None, nth=1, count=1,
                 **args):
        if isinstance(do, int) or str(do).isdigit():
            do, args = "status", {"status": int(do), **args}
        if do not in ACTIONS:
            raise ValueError(f"no such action: {do}")
        if args.get("at", "start") not in POINTS:
            raise ValueError(f"no such point: {args['at']}")
        self.id = next(self._ids)
        self.op, self.bucket, self.object, self.part = op, bucket, object, part
        self.nth, self.count, self.do, self.args = nth, count, do, args
        self.at = args.get("at", "start")
        self.hits = self.fired = 0
        self.released = asyncio.Event()

    def matches(self, call):
        return (any(fnmatch.fnmatchcase(call.op, one) for one in self.op.split("|"))
                and fnmatch.fnmatchcase(call.bucket or "", self.bucket)
                and fnmatch.fnmatchcase(call.object or "", self.object)
                and (self.part is None or str(self.part) == call.query.get("uploadPartNum")))

    def due(self, call):
        """Counts a match; whether it fires now."""
        if not self.matches(call):
            return False
        self.hits += 1
        if self.hits < self.nth or (self.count and self.hits >= self.nth + self.count):
            return False
        self.fired += 1
        return True

    def release(self):
        """Lets go of what hangs now; later ones hang again."""
        self.released.set()
        self.released = asyncio.Event()

    def as_json(self):
        return {"id": self.id, "op": self.op, "bucket": self.bucket, "object": self.object,
                "part": self.part, "nth": self.nth, "count": self.count, "do": self.do,
                **self.args, "hits": self.hits, "fired": self.fired}


class Rules:
    """All rules in the order they were given."""

    def __init__(self):
        self.rules = []

    def add(self, rule):
        self.rules.append(rule)
        return rule

    def clear(self, rule_id=None):
        for rule in self.rules:
            if rule_id in (None, rule.id):
                rule.release()
        self.rules = [r for r in self.rules if rule_id not in (None, r.id)]

    def release(self, rule_id=None):
        for rule in self.rules:
            if rule_id in (None, rule.id):
                rule.release()

    def plan(self, call):
        """The Plan for a request, or None: the usual case."""
        due = [rule for rule in self.rules if rule.due(call)]
        return Plan(due) if due else None


class Plan:
    """What goes wrong with one request."""

    def __init__(self, rules):
        self.rules = rules
        self.passed = 0
        self.fired = set()

    def find(self, do):
        return next((rule for rule in self.rules if rule.do == do), None)

    def arg(self, do, name, default=None):
        rule = self.find(do)
        return rule.args.get(name, default) if rule else default

    async def at(self, call, point):
        """Everything due at `start`, `read` or `answer`."""
        for rule in self.rules:
            if rule.at == point:
                await self._act(call, rule)

    async def _act(self, call, rule):
        if rule.do == "hang":
            await rule.released.wait()
        elif rule.do == "delay":
            await asyncio.sleep(rule.args.get("seconds", 1))
        elif rule.do == "reset":
            reset(call)
        elif rule.do == "status":
            raise Scripted(rule.args)

    async def body(self, call, data, offset):
        """A block of a body passes by: gives it back, maybe cut, bent or late."""
        rate = self.arg("slow", "rate")
        if rate:
            await asyncio.sleep(len(data) / rate)
        where = self.arg("corrupt", "where", "received" if call.op in STREAMED else "sent")
        if self.find("corrupt") and where in ("received", "sent"):
            data = _flipped(data, self.arg("corrupt", "offset", 0) - offset)
        return data

    def cut(self, call):
        """Offset in the body before which something is to happen, or None."""
        offsets = [rule.args.get("after", 0) for rule in self.rules
                   if rule.id not in self.fired and rule.at == "body"]
        if call.op not in STREAMED and self.find("truncate"):
            offsets.append(self.arg("truncate", "after", 0))
        return min(offsets, default=None)

    async def passing(self, call, offset):
        """`offset` bytes of the body are through."""
        for rule in self.rules:
            if (rule.at == "body" and rule.id not in self.fired
                    and offset >= rule.args.get("after", 0)):
                self.fired.add(rule.id)
                await self._act(call, rule)
        if (call.op not in STREAMED and self.find("truncate")
                and offset >= self.arg("truncate", "after", 0)):
            call.request.transport.close()
            raise Dropped

    def shapes_body(self, call, length):
        """Whether the answer must go out block by block."""
        if self.find("close"):
            return True
        return length and call.op not in STREAMED and any(
            rule.at == "body" or rule.do in ("slow", "truncate", "corrupt")
            for rule in self.rules)

    def bend_headers(self, headers):
        for rule in self.rules:
            which = rule.args.get("which")
            for name in [n for n in headers if CHECKSUMS.match(n.lower())]:
                if which and not any(w in name for w in which):
                    continue
                if rule.do == "wrong_checksum":
                    headers[name] = _other(headers[name])
                elif rule.do == "missing_checksum":
                    del headers[name]
            if rule.do == "headers":
                for name, value in rule.args.get("headers", {}).items():
                    headers.pop(name, None)
                    if value is not None:
                        headers[name] = value


class Scripted(ServiceError):
    """The answer a `status` rule asked for."""

    def __init__(self, args):
        status = args.get("status", 500)
        code = args.get("code", CODES.get(status, "Unknown"))
        headers = dict(args.get("headers") or {})
        if args.get("retry_after") is not None:
            headers["retry-after"] = str(args["retry_after"])
        super().__init__(status, code, args.get("message", f"{code} on request of the test"),
                         headers)
        self.raw = args.get("body")

    def answer(self):
        if self.raw is None:
            return super().answer()
        body = self.raw if isinstance(self.raw, str) else json.dumps(self.raw)
        headers = {"content-type": "text/html", **self.headers}
        return Answer(self.status, headers, body.encode())


def reset(call):
    """RST instead of FIN."""
    transport = call.request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise Dropped


def _flipped(data, at):
    if not 0 <= at < len(data):
        return data
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]


def _other(value):
    """Same shape, other value."""
    first = "A" if value[:1] != "A" else "B"
    return first + value[1:]
