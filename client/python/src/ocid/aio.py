# SPDX-License-Identifier: Apache-2.0
"""aio.py - the names of `ocid` for programs with an event loop: what blocks there is awaited here.

One connection for each loop, on which requests and replies interleave; no thread. Those who wait
for jobs share their long polls. Start at Client.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Deque, Dict, List, SupportsInt, Tuple

from . import _paths, _tables, errors
from ._core import Core, left_of, pages, start_daemon
from ._jobs import JobLike, Path, job_options, place, put_job, share_job
from ._model import (
    Ack,
    BytesOptions,
    GetOptions,
    Handle,
    JobOptions,
    Limit,
    ListOptions,
    PutOptions,
    Row,
    ShareOptions,
    Status,
    WatchOptions,
)
from ._wire import frame, hello, pack, reply_of, unpack
from .client import MAX_BUFFER, VERSION, bytes_job, get_job, given, list_job, table_ask

if TYPE_CHECKING:
    from typing_extensions import Unpack

_CHUNK = 256 * 1024
_POLLS = 8  # long polls of one connection at a time
_CROWDED_MS = 500  # how long each waits while all of them are taken, and others have come


class Job(Handle["Client"]):
    """A job of the daemon's: `await job`, `async for status in job`."""

    async def status(self) -> Status:
        self.last = (await self.client.status(self))[0]
        return self.last

    async def wait(self, timeout: float | None = None) -> Status:
        """Until it is done; what it ended with instead is raised. TimedOut, or the end of the
        task: the job goes on."""
        self.last = (await self.client.wait(self, timeout))[0]
        return self.last

    async def follow(self, timeout: float | None = None, *,
                     every: float | None = None) -> AsyncIterator[Status]:
        """Each change of state, until it has ended, well or not; and `every` so many seconds (it takes
        a question) how far its bytes are."""
        async for status in self.client._core.follow(self.id, timeout, every):
            self.last = status
            yield status

    async def cancel(self) -> Ack:
        return (await self.client.cancel(self))[0]

    async def pause(self) -> Ack:
        return (await self.client.pause(self))[0]

    async def resume(self) -> Ack:
        return (await self.client.resume(self))[0]

    async def retry(self) -> Ack:
        return (await self.client.retry(self))[0]

    async def seal(self) -> Ack:
        """Of a set: no more members will come."""
        return (await self.client.seal(self))[0]

    def __await__(self) -> Generator[Any, None, Status]:
        return self.wait().__await__()

    def __aiter__(self) -> AsyncIterator[Status]:
        return self.follow()


class JobSet(Job):
    """Several jobs with one handle; see ocid.JobSet."""

    def __init__(self, client: Client, ident: int, last: Status | None = None,
                 members: Sequence[int] = ()) -> None:
        super().__init__(client, ident, last)
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    def __bool__(self) -> bool:
        return True

    def jobs(self, state: str = "") -> AsyncIterator[Job]:
        return self.client.jobs(state=state, set=self)


class Client:
    """As ocid.Client; it connects when it is first used."""

    def __init__(self, *, label: str | None = None, socket: str | None = None,
                 start: bool = False, software: str = f"ocid-python/{VERSION}",
                 timeout: float = 30.0, max_buffer: int = MAX_BUFFER) -> None:
        self._setup({"label": label, "socket": socket, "start": start, "software": software,
                     "timeout": timeout, "max_buffer": max_buffer})

    def _setup(self, options: dict[str, Any]) -> None:
        self._options = options
        self._link = _Interleaved(**options)
        self._core = Core(self._link)

    async def __aenter__(self) -> Client:
        await self._link.connection()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self._options

    def __setstate__(self, options: dict[str, Any]) -> None:
        self._setup(options)

    def __eq__(self, other: object) -> bool:
        """Of the same daemon: jobs are equal whoever asks for them."""
        return isinstance(other, Client) and self._options["socket"] == other._options["socket"]

    def __hash__(self) -> int:
        return hash(self._options["socket"])

    async def close(self) -> None:
        """Hangs up on this loop; jobs go on. A later call connects again."""
        self._link.close()

    async def info(self) -> Mapping[str, Any]:
        return (await self._link.connection()).welcome

    # Uploads.

    async def put(self, source: Path, to: str, **options: Unpack[PutOptions]) -> Job:
        return Job(self, await self._core.one(put_job(source, to, options)))

    async def put_many(self, sources: Iterable[Path] | Mapping[str, Any], to: str, *,
                       base: Path | None = None, **options: Unpack[PutOptions]) -> JobSet:
        ident, members = await self._core.put_many(sources, to, base, options)
        return JobSet(self, ident, members=members)

    async def put_bytes(self, to: str, data: Any, *, durable: bool = True,
                        **options: Unpack[PutOptions]) -> Job:
        """The copy into a memfd is made on the loop: 0.2 s a GiB."""
        return Job(self, await self._core.put_bytes(data, to, durable, options))

    async def put_json(self, to: str, value: Any, *, durable: bool = True,
                       **options: Unpack[PutOptions]) -> Job:
        import json
        options.setdefault("content_type", "application/json")
        return await self.put_bytes(to, json.dumps(value).encode(), durable=durable, **options)

    # Downloads.

    async def get(self, source: str, dest: Path, *, overwrite: bool = False,
                  **options: Unpack[GetOptions]) -> Job:
        return Job(self, await self._core.one(get_job("get", source, dest, overwrite, options)))

    async def get_bytes(self, source: str, **options: Unpack[BytesOptions]) -> bytes:
        return await self._core.get_bytes(bytes_job(source, options))

    async def get_json(self, source: str, **options: Unpack[GetOptions]) -> Any:
        import json
        return json.loads(await self.get_bytes(source, **options))

    async def pull(self, source: str, dest: Path, *, overwrite: bool = False,
                   **options: Unpack[JobOptions]) -> JobSet:
        return JobSet(self, await self._core.one(get_job("pull", source, dest, overwrite,
                                                         options)))

    # Questions.

    def list(self, place: str, prefix: str = "",
             **options: Unpack[ListOptions]) -> AsyncIterator[Row]:
        return self._core.rows(list_job(place, prefix, options))

    def buckets(self, *, compartment: str = "",
                **options: Unpack[JobOptions]) -> AsyncIterator[Row]:
        return self._core.rows({"kind": "buckets", **job_options(options),
                                **given(compartment=compartment)})

    def uploads(self, bucket: str, **options: Unpack[JobOptions]) -> AsyncIterator[Row]:
        return self._core.rows({"kind": "uploads", **place(bucket, prefix=True),
                                **job_options(options)})

    def shares(self, where: str, **options: Unpack[JobOptions]) -> AsyncIterator[Row]:
        return self._core.rows({"kind": "shares", **place(where, prefix=True),
                                **job_options(options)})

    async def head(self, name: str, **options: Unpack[GetOptions]) -> Mapping[str, str]:
        return await self._core.answer({"kind": "head", **place(name), **job_options(options)})

    async def whoami(self, **options: Unpack[JobOptions]) -> Mapping[str, str]:
        return await self._core.answer({"kind": "whoami", **job_options(options)})

    async def namespace(self, **options: Unpack[JobOptions]) -> str:
        return (await self._core.answer({"kind": "namespace", **job_options(options)}))["namespace"]

    # Changes.

    async def delete(self, name: str, **options: Unpack[GetOptions]) -> Job:
        return Job(self, await self._core.one({"kind": "delete", **place(name),
                                               **job_options(options)}))

    async def abort(self, name: str, upload_id: str, **options: Unpack[JobOptions]) -> Job:
        return Job(self, await self._core.one({"kind": "abort", **place(name),
                                               "upload_id": upload_id, **job_options(options)}))

    async def share(self, uri: str, hours: float = 1, **options: Unpack[ShareOptions]) -> str:
        return await self._core.share(share_job(uri, hours, options))

    async def revoke(self, bucket: str, share_id: str, **options: Unpack[JobOptions]) -> Job:
        return Job(self, await self._core.one({"kind": "revoke", **place(bucket, prefix=True),
                                               "share_id": share_id, **job_options(options)}))

    async def watch(self, name: str, *, every: float | None = None,
                    **options: Unpack[WatchOptions]) -> Job:
        return Job(self, await self._core.watch(name, every, options))

    async def mkbucket(self, name: str, *, compartment: str = "", storage_tier: str = "",
                       **options: Unpack[JobOptions]) -> Job:
        return Job(self, await self._core.one({
            "kind": "mkbucket", **place(name, prefix=True), **job_options(options),
            **given(compartment=compartment, storage_tier=storage_tier)}))

    async def set(self, **options: Unpack[JobOptions]) -> JobSet:
        return JobSet(self, await self._core.one({"kind": "set", **job_options(options)}))

    # Jobs.

    def job(self, ident: JobLike) -> Job:
        return Job(self, int(ident))

    async def jobs(self, *, state: str = "", set: JobLike | None = None,
                   limit: int = 0) -> AsyncIterator[Job]:
        async for status in self._core.table(table_ask(state, set), limit):
            kind = JobSet if status.job.get("kind") in ("set", "pull") else Job
            yield kind(self, status.id, status)

    async def submit(self, jobs: Iterable[Mapping[str, Any]], fds: Sequence[int] = ()) -> List[int]:
        return await self._core.submit(jobs, fds)

    async def status(self, jobs: Iterable[JobLike] | JobLike) -> List[Status]:
        return await self._core.status(jobs)

    async def changes(self, jobs: Iterable[JobLike], *, epoch: int = 0, since: int = 0,
                      wait: float = 0) -> tuple[int, int, List[Status]]:
        return await self._core.changes([int(job) for job in jobs], epoch, since, int(wait * 1000))

    async def wait(self, jobs: Iterable[JobLike] | JobLike, timeout: float | None = None, *,
                   check: bool = True) -> List[Status]:
        return await self._core.wait(jobs, timeout, check)

    async def cancel(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return await self._core.act("job.cancel", jobs)

    async def pause(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return await self._core.act("job.pause", jobs)

    async def resume(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return await self._core.act("job.resume", jobs)

    async def retry(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return await self._core.act("job.retry", jobs)

    async def seal(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return await self._core.act("job.seal", jobs)

    # The daemon.

    async def stats(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = await self._link.call("daemon.stats", {})
        return found

    async def limit(self, rate: float | None = None, jobs: int | None = None, *,
                    set: SupportsInt | None = None, client: str = "",
                    uid: int | None = None) -> List[Limit]:
        """See ocid.Client.limit()."""
        return await self._core.limit(rate, jobs, set, client, uid)

    async def reload(self) -> None:
        await self._link.call("daemon.reload", {})

    async def unlock(self, phrase: str | bytes, profile: str = "", *,
                     ttl: float = 0) -> Mapping[str, str]:
        return await self._core.unlock(phrase, profile, ttl)

    async def lock(self, profile: str = "") -> Mapping[str, str]:
        found: Mapping[str, str] = (await self._link.call("vault.lock",
                                                          given(profile=profile)))["profiles"]
        return found


# Below: how.


class _Interleaved:
    """The link of core for the loop that is running; every loop has its own connection."""

    def __init__(self, *, label: str | None, socket: str | None, start: bool, software: str,
                 timeout: float, max_buffer: int) -> None:
        self.timeout, self.max_buffer = timeout, max_buffer
        self._label, self._socket, self._start, self._software = label, socket, start, software
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = \
            weakref.WeakKeyDictionary()

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            found = self._loops[loop] = _Loop()
        return found

    async def connection(self) -> _Connection:
        here = self._here()
        async with here.connecting:
            if here.connection and here.connection.usable():
                return here.connection
            if here.connection:
                here.connection.close()
            try:
                here.connection = await self._open()
            except errors.NoDaemon:
                if not self._start or self._socket:
                    raise
                await start_daemon(self)
                here.connection = await self._open()
            return here.connection

    async def _open(self) -> _Connection:
        last: OSError | None = None
        paths = _paths.candidates(self._socket)
        for path in paths:
            try:
                found = _Connection(await _connected(path, self.timeout))
            except OSError as error:
                last = error
                if isinstance(error, PermissionError) and not isinstance(error, errors.OcidError):
                    raise errors.DeniedPeer(f"no access to '{path}'") from error
                if isinstance(error, errors.OcidError):
                    raise
                continue
            try:
                found.welcome = await found.call("hello", hello(self._software, self._label),
                                                 (), self.timeout)
                return found
            except BaseException:
                found.close()
                raise
        raise errors.NoDaemon(f"the daemon is not running at '{paths[0]}': ocictl start"
                              ) from last

    def close(self) -> None:
        here = self._here()
        if here.connection:
            here.connection.close()

    async def call(self, method: str, params: Mapping[str, Any], fds: Sequence[int] = (), *,
                   again: bool | None = None, timeout: float | None = None) -> Any:
        within = self.timeout if timeout is None else timeout
        repeat = not fds if again is None else again and not fds
        try:
            return await self._call(method, params, fds, within)
        except errors.NoDaemon:
            if not repeat:
                raise
        return await self._call(method, params, fds, within)

    async def _call(self, method: str, params: Mapping[str, Any], fds: Sequence[int],
                    within: float) -> Any:
        connection = await self.connection()
        if not fds:
            return await connection.call(method, params, fds, within)
        async with connection.passing:  # descriptors of one frame at a time
            return await connection.call(method, params, fds, within)

    async def poll(self, ask: dict[str, Any]) -> Tuple[int, int, List[Status]]:
        if "ids" not in ask:
            return await pages(self, ask)
        return await self._here().crowd.changes(self, ask)

    async def epoch(self) -> int:
        return int((await self.connection()).welcome["epoch"])

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def read(self, fd: int, most: int, end: float | None) -> bytes:
        os.set_blocking(fd, False)  # our end of a pipe that we have made
        while True:
            try:
                return os.read(fd, most)
            except BlockingIOError:
                pass
            loop = asyncio.get_running_loop()
            ready = loop.create_future()
            loop.add_reader(fd, _settle, ready)
            try:
                await asyncio.wait_for(ready, left_of(end))
            except asyncio.TimeoutError:
                raise errors.TimedOut("no bytes came in time") from None
            finally:
                loop.remove_reader(fd)


class _Loop:
    """What an event loop has of its own."""

    def __init__(self) -> None:
        self.connecting = asyncio.Lock()
        self.connection: _Connection | None = None
        self.crowd = _Crowd()


async def _connected(path: str, timeout: float) -> socket.socket:
    """A Unix socket connects at once, or not yet (too many at the door), or never."""
    end = time.monotonic() + timeout
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(path)
                return sock
            except BlockingIOError:
                if time.monotonic() > end:
                    raise errors.TimedOut(f"no room at '{path}' within {timeout:g} s") from None
            await asyncio.sleep(0.01)
    except BaseException:
        sock.close()
        raise


def _settle(future: asyncio.Future[Any], value: Any = None,
            error: BaseException | None = None) -> None:
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        future.set_result(value)


class _Connection:
    """One connection: frames out in order, replies in any. The loop's own thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.welcome: Mapping[str, Any] = {}
        self.passing = asyncio.Lock()
        self._sock, self._pid = sock, os.getpid()
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._held = bytearray()
        self._out: Deque[Tuple[memoryview, List[int]]] = deque()
        self._asked: Dict[int, asyncio.Future[Any]] = {}
        self._loop.add_reader(sock, self._readable)

    def usable(self) -> bool:
        return self._pid == os.getpid() and self._sock.fileno() >= 0

    def close(self, why: BaseException | None = None) -> None:
        if self._sock.fileno() < 0:
            return
        if self._pid == os.getpid() and not self._loop.is_closed():
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, fds in self._out:
            for fd in fds:
                os.close(fd)
        self._out.clear()
        asked, self._asked = self._asked, {}
        for future in asked.values():
            if not self._loop.is_closed():
                _settle(future, error=why or errors.NoDaemon("the connection was closed"))

    async def call(self, method: str, params: Mapping[str, Any], fds: Sequence[int],
                   timeout: float) -> Any:
        if not self.usable():  # it has ended since it was found
            raise errors.NoDaemon("the connection to the daemon was lost")
        data = frame(pack([0, self._last + 1, method, params]))
        self._last += 1
        ident = self._last
        future = self._asked[ident] = self._loop.create_future()
        self._out.append((memoryview(data), [os.dup(fd) for fd in fds]))
        self._flush()
        try:
            reply = await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            raise errors.TimedOut(f"no answer to {method} within {timeout:g} s") from None
        if reply[2] is not None:
            raise errors.from_map(reply[2])
        return reply[3]

    def _flush(self) -> None:
        try:
            while self._out:
                self._send_one()
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError:
            if not self._readable():  # perhaps it has said why
                self._lost()
            return
        if self._sock.fileno() >= 0:
            self._loop.remove_writer(self._sock)

    def _send_one(self) -> None:
        data, fds = self._out[0]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self._sock.sendmsg([data], rights)
        for fd in fds:
            os.close(fd)
        if sent == len(data):
            self._out.popleft()
        else:
            self._out[0] = (data[sent:], [])

    def _readable(self) -> bool:
        """True once the connection has ended."""
        try:
            while True:
                part = self._sock.recv(_CHUNK)
                if not part:
                    self._lost()
                    return True
                self._held += part
                self._replies()
        except BlockingIOError:
            return False
        except errors.OcidError as error:
            self.close(error)
        except OSError:
            self._lost()
        return True

    def _lost(self) -> None:
        self.close(errors.NoDaemon("the connection to the daemon was lost"))

    def _replies(self) -> None:
        at = 0
        while len(self._held) - at >= 4:
            (size,) = struct.unpack_from(">I", self._held, at)
            if size > _tables.MAX_FRAME:
                raise errors.Protocol(f"the daemon announces a frame of {size} bytes")
            if len(self._held) - at - 4 < size:
                break
            reply = reply_of(unpack(bytes(self._held[at + 4:at + 4 + size])))
            at += 4 + size
            future = self._asked.pop(reply[1], None)
            if future is None:
                raise errors.Protocol("the daemon sent what was not asked for")
            _settle(future, reply)
        del self._held[:at]


class _Waiter:
    def __init__(self, ask: Mapping[str, Any]) -> None:
        self.future: asyncio.Future[Tuple[int, int, List[Status]]] = \
            asyncio.get_running_loop().create_future()
        self.ids = frozenset(ask["ids"])
        self.epoch, self.since = ask.get("epoch", 0), ask.get("since", 0)
        self.calm = bool(ask.get("calm_ms"))
        self.end = time.monotonic() + ask["wait_ms"] / 1000


class _Crowd:
    """Those who wait for changes share a few long polls: the daemon reads no more from a connection
    that has asked too much."""

    def __init__(self) -> None:
        self._fresh: List[_Waiter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def changes(self, link: _Interleaved,
                      ask: Mapping[str, Any]) -> Tuple[int, int, List[Status]]:
        waiter = _Waiter(ask)
        self._add([waiter], link)
        return await waiter.future

    def _add(self, waiters: List[_Waiter], link: _Interleaved) -> None:
        self._fresh += waiters
        if self._fresh and len(self._tasks) < _POLLS:
            task = asyncio.get_running_loop().create_task(self._poll(link))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> List[_Waiter]:
        """As many of those that came meanwhile as fit into one question."""
        taken: List[_Waiter] = []
        ids: set[int] = set()
        while self._fresh and (not taken or len(ids | self._fresh[0].ids) <= _tables.MAX_JOBS):
            waiter = self._fresh.pop(0)
            if not waiter.future.done():
                taken.append(waiter)
                ids |= waiter.ids
        return taken

    async def _poll(self, link: _Interleaved) -> None:
        while waiters := self._take():
            try:
                epoch, seq, found = await pages(link, self._question(waiters))
            except BaseException as error:
                kept = isinstance(error, (errors.OcidError, OSError))
                for waiter in waiters:
                    _settle(waiter.future, error=error if kept else asyncio.CancelledError())
                if not kept:
                    raise
                continue
            self._fresh += [w for w in waiters if not self._tell(w, epoch, seq, found)]

    def _question(self, waiters: List[_Waiter]) -> dict[str, Any]:
        now = time.monotonic()
        wait_ms = max(0, min(60_000, int(1000 * min(w.end - now for w in waiters)) + 1))
        if len(self._tasks) >= _POLLS:
            wait_ms = min(wait_ms, _CROWDED_MS)
        ask: dict[str, Any] = {"ids": sorted(frozenset().union(*(w.ids for w in waiters))),
                               "wait_ms": wait_ms}
        if len({w.epoch for w in waiters}) == 1 and all(w.since for w in waiters):
            ask["epoch"], ask["since"] = waiters[0].epoch, min(w.since for w in waiters)
        if all(w.calm for w in waiters):
            ask["calm_ms"] = wait_ms
        return ask

    @staticmethod
    def _tell(waiter: _Waiter, epoch: int, seq: int, found: List[Status]) -> bool:
        """False: nothing of what it waits for, and its time is not over."""
        since = waiter.since if waiter.epoch == epoch else 0
        mine = [s for s in found if s.id in waiter.ids and s.seq > since]
        if waiter.epoch == epoch and not mine and time.monotonic() < waiter.end:
            waiter.since = seq
            return False
        _settle(waiter.future, (epoch, seq, mine))
        return True

