# SPDX-License-Identifier: Apache-2.0
"""_core.py - what a client does, once for both: client.py drives it without a loop, aio.py by one.

Coroutines over a Link. That of client.py blocks and never suspends, so run() gets at the result in
one step; nothing here knows of asyncio. Start at Core.wait().
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Callable, List, Protocol, SupportsInt, TypeVar

from . import _tables, errors
from ._jobs import (
    Buffer,
    JobLike,
    ids_of,
    job_options,
    messages,
    place,
    put_buffers_jobs,
    put_many_jobs,
    watch_job,
)
from ._model import Ack, Limit, Row, Status, ack_from, limit_from, row_from, status_from
from ._wire import unpack

T = TypeVar("T")

_POLL_MS = 60_000
BACK_S = 30.0  # how long is looked for a daemon that is being restarted
_PIPE_BYTES = 256 * 1024
_HELD_BYTES = 64 << 20  # in memory, for one message of buffers
_SPOOL_S = 1 / (8 << 20)  # of a byte that the daemon copies and syncs before it answers
_ASK_TRIES = 5
_AT_ONCE = 16  # pipes
_F_SETPIPE_SZ = 1031


class Link(Protocol):
    """How to get at the daemon, and how to pass the time."""

    timeout: float  # for the answer to one request, in seconds
    max_buffer: int

    async def call(self, method: str, params: Mapping[str, Any], fds: Sequence[int] = (), *,
                   again: bool | None = None, timeout: float | None = None) -> Any:
        """again: the request may be sent twice; None: it may unless it has descriptors."""

    async def poll(self, ask: dict[str, Any]) -> tuple[int, int, List[Status]]:
        """job.status that waits: epoch, seq, and what has changed."""

    async def epoch(self) -> int:
        """Of the daemon we are connected to."""

    async def sleep(self, seconds: float) -> None: ...

    async def read(self, fd: int, most: int, end: float | None) -> bytes:
        """b"" at its end; TimedOut after `end`."""


class _Gone(Exception):
    """The daemon has ended, and with it the question."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine whose link never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking link has suspended")


def each(found: AsyncIterator[T]) -> Iterator[T]:
    """The same of an asynchronous iterator."""
    try:
        while True:
            try:
                one: T = run(found.__anext__())  # type: ignore[arg-type]
            except StopAsyncIteration:
                return
            yield one
    finally:
        run(found.aclose())  # type: ignore[attr-defined]


def deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def left_of(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


class Core:
    def __init__(self, link: Link) -> None:
        self.link = link

    # Jobs.

    async def submit(self, jobs: Iterable[Mapping[str, Any]], fds: Sequence[int] = (),
                     bytes_spooled: int = 0) -> List[int]:
        ids: List[int] = []
        timeout = self.link.timeout + bytes_spooled * _SPOOL_S
        for part, passed in messages(jobs, fds):
            again = all(job.get("key") for job in part)
            found = await self.link.call("job.submit", {"jobs": part}, passed, again=again,
                                         timeout=timeout)
            ids += found["ids"]
        return ids

    async def one(self, job: Mapping[str, Any], fds: Sequence[int] = (),
                  bytes_spooled: int = 0) -> int:
        return (await self.submit([job], fds, bytes_spooled))[0]

    async def put_bytes(self, data: Any, to: str, durable: bool,
                        options: Mapping[str, Any]) -> int:
        if not isinstance(to, str):
            raise TypeError("put_bytes(to, data): the place comes first")
        kept = {} if durable else {"in_memory": True}
        return (await self.put_buffers([({**place(to), **job_options(options), **kept}, data)]))[0]

    async def put_buffers(self, puts: Iterable[tuple[Mapping[str, Any], Any]]) -> List[int]:
        """Raw jobs without their kind, each with its bytes; as many in a message as it carries."""
        ids: List[int] = []
        jobs: List[Mapping[str, Any]] = []
        with ExitStack() as held:
            fds: List[int] = []
            size = 0
            for job, data in puts:
                passed = held.enter_context(Buffer(data, self.link.max_buffer))
                jobs.append({"kind": "put", **job, "fd": len(fds), "spool": True,
                             "size": passed.size})
                fds.append(passed.fd)
                size += passed.size
                if len(fds) == _tables.MAX_FDS or size >= _HELD_BYTES:
                    ids += await self.submit(jobs, fds, size)
                    held.close()
                    jobs, fds, size = [], [], 0
            ids += await self.submit(jobs, fds, size)
        return ids

    async def put_many(self, sources: Any, to: str, base: Any,
                       options: Mapping[str, Any]) -> tuple[int, List[int]]:
        """A sealed set and its members."""
        members = {name: value for name, value in options.items() if name != "label"}
        if isinstance(sources, Mapping):
            puts = list(put_buffers_jobs(sources, to, base, members))
        else:
            jobs = put_many_jobs(sources, to, base, members)
        ident = await self.one({"kind": "set", **job_options({
            name: options.get(name) for name in ("label", "priority", "profile")})})
        try:
            if isinstance(sources, Mapping):
                ids = await self.put_buffers(({**job, "set": ident}, data) for job, data in puts)
            else:
                ids = await self.submit({**job, "set": ident} for job in jobs)
        except BaseException:
            with suppress(errors.OcidError):
                await self.act("job.cancel", [ident])
            raise
        await self.act("job.seal", [ident])
        return ident, ids

    async def act(self, method: str, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        ids = ids_of(jobs)
        acks: List[Ack] = []
        for at in range(0, len(ids), _tables.MAX_JOBS):
            found = await self.link.call(method, {"ids": ids[at:at + _tables.MAX_JOBS]})
            acks += [ack_from(ack) for ack in found["jobs"]]
        return acks

    async def limit(self, rate: float | None, jobs: int | None, jobset: SupportsInt | None,
                    client: str, uid: int | None) -> List[Limit]:
        ask: dict[str, Any] = {"scope": "all"}
        if jobset is not None:
            ask.update(scope="set", set=int(jobset))
        elif client:
            ask.update(scope="client", label=client)
        elif uid is not None:
            ask.update(scope="user")
        if uid is not None:
            ask["uid"] = uid
        if rate is not None:
            ask["bytes_per_s"] = int(rate)
        if jobs is not None:
            ask["jobs"] = jobs
        method = "daemon.stats" if rate is None and jobs is None else "daemon.limit"
        found = await self.link.call(method, {} if method == "daemon.stats" else ask)
        return [limit_from(limit) for limit in found.get("limits", ())]

    async def table(self, ask: dict[str, Any], limit: int) -> AsyncIterator[Status]:
        left = limit or None
        while left is None or left > 0:
            if left is not None:
                ask["limit"] = min(left, _tables.MAX_JOBS)
            page = await self.link.call("job.list", ask)
            for found in page["jobs"]:
                yield status_from(found)
            if left is not None:
                left -= len(page["jobs"])
            if not page.get("more"):
                return
            ask["cursor"] = page["cursor"]

    # Following.

    async def status(self, jobs: Iterable[JobLike] | JobLike) -> List[Status]:
        ids = ids_of(jobs)
        found: dict[int, Status] = {}
        for at in range(0, len(ids), _tables.MAX_JOBS):
            for status in (await self.changes(ids[at:at + _tables.MAX_JOBS]))[2]:
                found[status.id] = status
        for ident in ids:
            if ident not in found:
                raise errors.NotFound(f"no job {ident}")
        return [found[ident] for ident in ids]

    async def changes(self, ids: Sequence[int], epoch: int = 0, since: int = 0, wait_ms: int = 0,
                      calm_ms: int = 0) -> tuple[int, int, List[Status]]:
        ask: dict[str, Any] = {"ids": ids} if ids else {}
        if since:
            ask["epoch"], ask["since"] = epoch, since
        if not wait_ms:
            return await pages(self.link, ask)
        ask["wait_ms"] = wait_ms
        if calm_ms:
            ask["calm_ms"] = calm_ms
        return await self.link.poll(ask)

    async def wait(self, jobs: Iterable[JobLike] | JobLike, timeout: float | None,
                   check: bool) -> List[Status]:
        ids = ids_of(jobs)
        ended: dict[int, Status] = {}
        end = deadline(timeout)
        open_ids = list(dict.fromkeys(ids))
        while open_ids:
            async for status in self._follow(open_ids[:_tables.MAX_JOBS], end, calm=True):
                if status.final:
                    ended[status.id] = status
            open_ids = [ident for ident in open_ids if ident not in ended]
        return checked([ended[ident] for ident in ids], check)

    async def follow(self, ident: int, timeout: float | None,
                     every: float | None) -> AsyncIterator[Status]:
        async for status in self._follow([ident], deadline(timeout), calm=False, every=every):
            yield status

    async def _follow(self, ids: Sequence[int], end: float | None, *, calm: bool,
                      every: float | None = None) -> AsyncIterator[Status]:
        """Changes, until all have ended. A daemon that is being restarted is waited for. Bytes that
        move are no change: `every` so many seconds it is asked how far they are."""
        most_ms = _POLL_MS if every is None else min(_POLL_MS, int(every * 1000))
        waiting, epoch, since, first = set(ids), 0, 0, True
        gone_at: float | None = None
        while waiting:
            left = left_of(end)
            wait_ms = 0 if first else most_ms if left is None else min(most_ms, int(left * 1000))
            try:
                epoch, since, found = await self.changes(sorted(waiting), epoch, since, wait_ms,
                                                         wait_ms if calm else 0)
                if not found and every is not None:
                    epoch, since, found = await self.changes(sorted(waiting))
            except (errors.NoDaemon, errors.Stopping):
                now = time.monotonic()
                gone_at = gone_at or now
                if now - gone_at >= BACK_S or (left is not None and left <= 0):
                    raise
                await self.link.sleep(0.05)
                epoch, since, first = 0, 0, True
                continue
            gone_at = None
            if first and len({s.id for s in found}) < len(waiting):
                missing = min(waiting - {s.id for s in found})
                raise errors.NotFound(f"no job {missing}")
            first = False
            for status in found:
                if status.final:
                    waiting.discard(status.id)
                yield status
            if waiting and left is not None and left <= 0:
                raise errors.TimedOut(f"job {min(waiting)} has not ended; it goes on")

    async def share(self, job: Mapping[str, Any]) -> str:
        ident = await self.one(job)
        status = (await self.wait(ident, None, True))[0]
        return status.outcome.result["url"]

    async def watch(self, where: str, every: float | None, options: Mapping[str, Any]) -> int:
        job, changed = watch_job(where, every, options)
        if changed:
            with suppress(errors.NotFound):  # then it changes when it appears
                head: dict[str, Any] = {"kind": "head"}
                for name in ("bucket", "namespace", "object", "profile"):
                    if name in job:
                        head[name] = job[name]
                job["if_none_match"] = (await self.answer(head))["etag"]
        return await self.one(job)

    # Questions: jobs that die with their daemon. They are put again to the next one.

    async def _put_again(self, ask: Callable[[List[bool]], Coroutine[Any, Any, T]]) -> T:
        """ask([]) puts an item into its list once a daemon was there to be asked."""
        gone_at: float | None = None
        tries = 0
        while True:
            asked: List[bool] = []
            try:
                return await ask(asked)
            except (_Gone, errors.NoDaemon, errors.Stopping) as error:
                now = time.monotonic()
                if asked:
                    tries, gone_at = tries + 1, now
                elif gone_at is None:
                    raise
                if tries >= _ASK_TRIES or now - (gone_at or now) >= BACK_S:
                    raise errors.NoDaemon("the daemon has ended, and the question with it"
                                          ) from error
            await self.link.sleep(0.05)

    async def _end_of(self, ident: int, epoch: int) -> Status:
        since, wait_ms = 0, 0
        while True:
            try:
                now, since, found = await self.changes([ident], epoch, since, wait_ms, wait_ms)
            except (errors.NoDaemon, errors.Stopping) as error:
                raise _Gone from error
            if now != epoch or (not found and not wait_ms):
                raise _Gone  # an id of a question may be another job's after a restart
            for status in found:
                if status.final:
                    return checked([status], True)[0]
            wait_ms = _POLL_MS

    async def answer(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        async def ask(asked: List[bool]) -> Mapping[str, str]:
            epoch = await self.link.epoch()
            asked.append(True)
            return (await self._end_of(await self.one(job), epoch)).outcome.result
        return await self._put_again(ask)

    async def get_bytes(self, job: Mapping[str, Any]) -> bytes:
        async def ask(asked: List[bool]) -> bytes:
            if job.get("length") == 0:  # on the wire that would mean all
                return b""
            ident, fd, epoch = await self._piped(job, asked)
            try:
                found = await self._all_of(fd, self._read_end(job))
            finally:
                os.close(fd)
            await self._end_of(ident, epoch)
            return found
        return await self._put_again(ask)

    async def get_many(self, jobs: Sequence[Mapping[str, Any]]) -> List[bytes | errors.OcidError]:
        """Several at once, small ones rather than large ones: while one is read, the daemon has
        others in its pipes."""
        found: List[bytes | errors.OcidError] = []
        for at in range(0, len(jobs), _AT_ONCE):
            found += await self._put_again(
                lambda there, some=jobs[at:at + _AT_ONCE]:  # type: ignore[misc]
                self._several(some, there))
        return found

    async def _several(self, jobs: Sequence[Mapping[str, Any]],
                       asked: List[bool]) -> List[bytes | errors.OcidError]:
        epoch = await self.link.epoch()
        asked.append(True)
        ours: List[int] = []
        theirs: List[int] = []
        found: List[bytes | errors.OcidError] = []
        try:
            for _ in jobs:
                for fds, fd in zip((ours, theirs), os.pipe()):
                    fds.append(fd)
            ids = await self.submit([{**job, "fd": i} for i, job in enumerate(jobs)], theirs)
            while theirs:
                os.close(theirs.pop())
            for job, ident, fd in zip(jobs, ids, ours):
                data = await self._all_of(fd, self._read_end(job))
                try:
                    await self._end_of(ident, epoch)
                    found.append(data)
                except errors.OcidError as error:
                    found.append(error)
            return found
        finally:
            for fd in ours + theirs:
                os.close(fd)

    async def _all_of(self, fd: int, end: float | None) -> bytes:
        parts = []
        while part := await self.link.read(fd, _PIPE_BYTES, end):
            parts.append(part)
        return b"".join(parts)

    async def rows(self, job: Mapping[str, Any]) -> AsyncIterator[Row]:
        """A listing of objects goes on behind its last row when the daemon is restarted."""
        asked = dict(job)
        end = self._read_end(job)
        last, left = "", job.get("limit") or 0
        while True:
            ident, fd, epoch = await self.opened(asked)
            try:
                async for found in self._frames(fd, end):
                    if found.get("end"):
                        return
                    row = row_from(found)
                    if job["kind"] == "list" and last == (row.name or row.prefix):
                        continue  # a listing begins with the name that it is told
                    last = row.name or row.prefix
                    left -= 1
                    yield row
            finally:
                os.close(fd)
            try:
                await self._end_of(ident, epoch)
            except _Gone:
                if job["kind"] != "list":
                    raise errors.NoDaemon("the daemon has ended, and the listing with it"
                                          ) from None
                if job.get("limit") and left <= 0:
                    return
                await self._back()
                if last:
                    asked["start"] = last
                if last and job.get("limit"):
                    asked["limit"] = left + 1
                continue
            raise errors.Protocol("the listing was cut short, but its job is done")

    async def _back(self) -> None:
        """Until there is a daemon again."""
        end = time.monotonic() + BACK_S
        while True:
            try:
                await self.link.epoch()
                return
            except (errors.NoDaemon, errors.Stopping):
                if time.monotonic() > end:
                    raise
            await self.link.sleep(0.05)

    def _read_end(self, job: Mapping[str, Any]) -> float | None:
        """The daemon ends the job in time; it is not trusted with that alone."""
        within = job.get("timeout_ms")
        return None if within is None else deadline(within / 1000 + self.link.timeout)

    async def opened(self, job: Mapping[str, Any]) -> tuple[int, int, int]:
        return await self._put_again(lambda there: self._piped(job, there))

    async def _piped(self, job: Mapping[str, Any], asked: List[bool]) -> tuple[int, int, int]:
        """Submits with the writing end of a fresh pipe: id, the reading end (the caller's), and
        the epoch of the daemon that writes."""
        epoch = await self.link.epoch()
        asked.append(True)
        ours, theirs = os.pipe()
        try:
            with suppress(OSError):  # fewer wake-ups; where it is refused it goes without
                fcntl.fcntl(ours, _F_SETPIPE_SZ, _PIPE_BYTES)
            return await self.one({**job, "fd": 0}, [theirs]), ours, epoch
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    async def _frames(self, fd: int, end: float | None) -> AsyncIterator[Mapping[str, Any]]:
        """Messages out of a pipe, until it ends."""
        held = bytearray()
        while True:
            at = 0
            while len(held) - at >= 4:
                (size,) = struct.unpack_from(">I", held, at)
                if size > _tables.MAX_FRAME:
                    raise errors.Protocol(f"a row of {size} bytes")
                if len(held) - at - 4 < size:
                    break
                yield unpack(bytes(held[at + 4:at + 4 + size]))
                at += 4 + size
            del held[:at]
            part = await self.link.read(fd, _PIPE_BYTES, end)
            if not part:
                return
            held += part

    # The daemon.

    async def unlock(self, phrase: str | bytes, profile: str, ttl: float) -> Mapping[str, str]:
        theirs, ours = os.pipe()
        try:
            os.write(ours, phrase.encode() if isinstance(phrase, str) else phrase)
            os.close(ours)
            ours = -1
            ask: dict[str, Any] = {"fd": 0}
            if profile:
                ask["profile"] = profile
            if ttl:
                ask["ttl_ms"] = int(ttl * 1000)
            found: Mapping[str, str] = (await self.link.call("vault.unlock", ask,
                                                             [theirs]))["profiles"]
            return found
        finally:
            os.close(theirs)
            if ours >= 0:
                os.close(ours)


class Stream:
    """The bytes of an object from an offset on, as they come out of a pipe. Another daemon is asked
    for what is missing, of the same version."""

    def __init__(self, core: Core, path: str, offset: int, options: Mapping[str, Any]) -> None:
        self._core, self._at = core, offset
        self._job = {"kind": "get", **place(path), **job_options(options)}
        self._open: tuple[int, int, int] | None = None
        self._lost = 0

    async def read(self, most: int) -> bytes:
        """So many bytes, fewer at the end; what the job ended with is raised there."""
        parts, left = [], most
        while left:
            part = await self._some(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
            self._at += len(part)
        return b"".join(parts)

    async def _some(self, most: int) -> bytes:
        while True:
            if self._open is None:
                job = {**self._job, "offset": self._at}
                self._open = await self._core.opened(job)
            ident, fd, epoch = self._open
            part = await self._core.link.read(fd, min(most, _PIPE_BYTES),
                                              self._core._read_end(self._job))
            if part:
                return part
            try:
                await self._core._end_of(ident, epoch)
                return b""
            except _Gone:
                self._lost += 1
                if self._lost >= _ASK_TRIES:
                    raise errors.NoDaemon("the daemon has ended too often") from None
            self.close()
            await self._core._back()

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


async def pages(link: Link, ask: dict[str, Any]) -> tuple[int, int, List[Status]]:
    """job.status and what it could not say in one reply."""
    timeout = link.timeout + ask.get("wait_ms", 0) / 1000
    page = first = await link.call("job.status", ask, timeout=timeout)
    found = [status_from(status) for status in page["jobs"]]
    ids = ask.get("ids")
    while page.get("more"):
        if ids:
            # Not by `seq`: jobs that have left the daemon's memory have none any more.
            told = {status.id for status in found}
            ids = [ident for ident in ids if ident not in told]
            ask = {**ask, "ids": ids, "wait_ms": 0}
        else:
            ask = {**ask, "epoch": page["epoch"], "since": page["seq"]}
        if ids == []:
            break
        page = await link.call("job.status", ask, timeout=timeout)
        found += [status_from(status) for status in page["jobs"]]
        if not page["jobs"]:
            break
    # What was told first may have changed since: the next question begins where the first ended.
    last = first if ids is not None else page
    return last["epoch"], last["seq"], found


def checked(found: List[Status], check: bool) -> List[Status]:
    for status in found:
        error = status.error() if check else None
        if error:
            raise error
    return found


async def start_daemon(link: Link) -> None:
    """`ocictl start` starts it once, however many ask at the same moment."""
    import shutil
    import subprocess
    import tempfile
    program = shutil.which("ocictl")
    if not program:
        raise errors.NoDaemon("the daemon is not running, and ocictl is not installed to start it")
    end = time.monotonic() + link.timeout
    with tempfile.TemporaryFile() as words:
        with subprocess.Popen([program, "start"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=words) as process:
            while process.poll() is None:
                if time.monotonic() > end:
                    process.kill()
                    raise errors.TimedOut(f"the daemon has not started within {link.timeout:g} s")
                await link.sleep(0.005)
        if process.returncode:
            words.seek(0)
            said = words.read().decode(errors="replace").strip()
            raise errors.NoDaemon(f"the daemon cannot be started: {said}")
