# SPDX-License-Identifier: Apache-2.0
"""client.py - Client and Job: hand work to the daemon and follow it.

Blocking calls over a Unix socket; nothing runs in the background, and there is no event loop. Each
thread gets a connection of its own, and so does a forked child: a connection is never shared.
`ocid.aio` has the same names for programs that have a loop. Start at Client.put().
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, SupportsInt

from . import _paths, errors
from ._core import Core, each, left_of, pages, run, start_daemon
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
from ._wire import Connection

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from . import aio

VERSION = "0.1.0"
MAX_BUFFER = 4 << 30


class Job(Handle["Client"]):
    """A job of the daemon's: an id, whom to ask, and what was last heard of it.

    `await job` and `async for status in job` work, too, under a running event loop.
    """

    def status(self) -> Status:
        self.last = self.client.status(self)[0]
        return self.last

    @property
    def state(self) -> str:
        """As last heard; status() asks."""
        return (self.last or self.status()).state

    @property
    def final(self) -> bool:
        return (self.last or self.status()).final

    def wait(self, timeout: float | None = None) -> Status:
        """Until it is done; what it ended with instead is raised. TimedOut, or an interrupt: it
        goes on."""
        self.last = self.client.wait(self, timeout)[0]
        return self.last

    def follow(self, timeout: float | None = None, *,
               every: float | None = None) -> Iterator[Status]:
        """Each change of state, until it has ended, well or not; and `every` so many seconds (it takes
        a question) how far its bytes are."""
        for status in each(self.client._core.follow(self.id, timeout, every)):
            self.last = status
            yield status

    def cancel(self) -> Ack:
        return self.client.cancel(self)[0]

    def pause(self) -> Ack:
        return self.client.pause(self)[0]

    def resume(self) -> Ack:
        return self.client.resume(self)[0]

    def retry(self) -> Ack:
        return self.client.retry(self)[0]

    def seal(self) -> Ack:
        """Of a set: no more members will come."""
        return self.client.seal(self)[0]

    def _repr_html_(self) -> str:
        from . import _display
        return _display.table([self._now()])

    def _now(self) -> Status:
        """A display must not fail: without a daemon it shows what was last heard."""
        try:
            return self.status()
        except errors.OcidError:
            return self.last or Status(self.id, "unknown")

    def __await__(self) -> Generator[Any, None, Status]:
        self.last = yield from self.client._aio().job(self).wait().__await__()
        return self.last

    async def __aiter__(self) -> AsyncIterator[Status]:
        async for status in self.client._aio().job(self):
            self.last = status
            yield status


class JobSet(Job):
    """Several jobs with one handle: what is done to it is done to all, `after=` may name it."""

    def __init__(self, client: Client, ident: int, last: Status | None = None,
                 members: Sequence[int] = ()) -> None:
        super().__init__(client, ident, last)
        self.members = members

    def __len__(self) -> int:
        return len(self.members)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Job]:
        return (Job(self.client, ident) for ident in self.members)

    def jobs(self, state: str = "") -> Iterator[Job]:
        """Its members, newest first, or those in a state: jobs("failed")."""
        return self.client.jobs(state=state, set=self)


class Client:
    """The daemon of this user, else that of the system.

    Every job takes `timeout`: it fails when it is not done after so many seconds. Questions
    (list, head, get_bytes, …) are jobs, too, so that bounds them. A client can be pickled, used
    by several threads and in a forked child.

    label       fair sharing is among labels; without one among users
    socket      path of its socket, if it is somewhere else
    start       start the user's daemon if none is running
    timeout     seconds for the answer to one request
    max_buffer  most bytes that put_bytes() takes
    """

    def __init__(self, *, label: str | None = None, socket: str | None = None,
                 start: bool = False, software: str = f"ocid-python/{VERSION}",
                 timeout: float = 30.0, max_buffer: int = MAX_BUFFER) -> None:
        self._setup({"label": label, "socket": socket, "start": start, "software": software,
                     "timeout": timeout, "max_buffer": max_buffer})
        self._link.connection()

    def _setup(self, options: dict[str, Any]) -> None:
        self._options = options
        self._link = _Blocking(**options)
        self._core = Core(self._link)
        self._async: aio.Client | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self._options

    def __setstate__(self, options: dict[str, Any]) -> None:
        self._setup(options)  # it connects when it is used

    def __eq__(self, other: object) -> bool:
        """Of the same daemon: jobs are equal whoever asks for them."""
        return isinstance(other, Client) and self._options["socket"] == other._options["socket"]

    def __hash__(self) -> int:
        return hash(self._options["socket"])

    def __repr__(self) -> str:
        return f"<ocid.Client of {self._options['socket'] or 'this user'}>"

    def _repr_html_(self) -> str:
        from . import _display
        try:
            running = [job.last for job in self.jobs(state="running", limit=20) if job.last]
            return _display.client(self.info, self.stats(), running)
        except errors.OcidError as error:
            from html import escape
            return f"<p>{escape(repr(self))}: {escape(str(error))}</p>"

    def close(self) -> None:
        """Hangs up; jobs go on. A later call connects again."""
        self._link.close()

    def _aio(self) -> aio.Client:
        """The same for the event loop that is running."""
        if self._async is None:
            from . import aio
            self._async = aio.Client(**self._options)
        return self._async

    @property
    def info(self) -> Mapping[str, Any]:
        """What the daemon said at hello: version, software, uuid, epoch, pid, …"""
        return self._link.connection().welcome

    # Uploads.

    def put(self, source: Path, to: str, **options: Unpack[PutOptions]) -> Job:
        """Queues the upload of a file. It is read later: leave it as it is until the job is done
        (the daemon notices when it was changed, and fails the job)."""
        return Job(self, run(self._core.one(put_job(source, to, options))))

    def put_many(self, sources: Iterable[Path] | Mapping[str, Any], to: str, *,
                 base: Path | None = None, **options: Unpack[PutOptions]) -> JobSet:
        """Queues many uploads below a prefix, as one set: of files, each object named after its own
        or, with base, by its path below that directory; or of what put_bytes() takes, by name:
        put_many({"a.npy": array, …}, …), which is faster than one by one."""
        ident, members = run(self._core.put_many(sources, to, base, options))
        return JobSet(self, ident, members=members)

    def put_bytes(self, to: str, data: Any, *, durable: bool = True,
                  **options: Unpack[PutOptions]) -> Job:
        """Queues anything with the buffer protocol (bytes, an array, …) or a binary file object.
        The bytes are on the daemon's disk when this returns. durable=False: they may be in its
        memory only, which is quicker; if the daemon ends before the job, this fails as Lost."""
        return Job(self, run(self._core.put_bytes(data, to, durable, options)))

    def put_json(self, to: str, value: Any, *, durable: bool = True,
                 **options: Unpack[PutOptions]) -> Job:
        import json
        options.setdefault("content_type", "application/json")
        return self.put_bytes(to, json.dumps(value).encode(), durable=durable, **options)

    # Downloads.

    def get(self, source: str, dest: Path, *, overwrite: bool = False,
            **options: Unpack[GetOptions]) -> Job:
        """Queues a download. The name appears when all of it is there and proven."""
        return Job(self, run(self._core.one(get_job("get", source, dest, overwrite, options))))

    def get_bytes(self, source: str, **options: Unpack[BytesOptions]) -> bytes:
        """Downloads into memory, all of it or (offset, length) a part."""
        return run(self._core.get_bytes(bytes_job(source, options)))

    def get_json(self, source: str, **options: Unpack[GetOptions]) -> Any:
        import json
        return json.loads(self.get_bytes(source, **options))

    def pull(self, source: str, dest: Path, *, overwrite: bool = False,
             **options: Unpack[JobOptions]) -> JobSet:
        """Queues the download of everything below a prefix (BUCKET or BUCKET/PREFIX)."""
        return JobSet(self, run(self._core.one(get_job("pull", source, dest, overwrite, options))))

    # Questions.

    def list(self, place: str, prefix: str = "", **options: Unpack[ListOptions]) -> Iterator[Row]:
        """The objects of oci://BUCKET/PREFIX, as they come."""
        return each(self._core.rows(list_job(place, prefix, options)))

    def buckets(self, *, compartment: str = "", **options: Unpack[JobOptions]) -> Iterator[Row]:
        """The buckets of a compartment; else of the configured one, or the tenancy."""
        return each(self._core.rows({"kind": "buckets", **job_options(options),
                                     **given(compartment=compartment)}))

    def uploads(self, bucket: str, **options: Unpack[JobOptions]) -> Iterator[Row]:
        """The unfinished multipart uploads of a bucket; `job` is set where yours is at one."""
        return each(self._core.rows({"kind": "uploads", **place(bucket, prefix=True),
                                     **job_options(options)}))

    def shares(self, where: str, **options: Unpack[JobOptions]) -> Iterator[Row]:
        """The links of a bucket, or to what is below a prefix. Their URLs are not told again."""
        return each(self._core.rows({"kind": "shares", **place(where, prefix=True),
                                     **job_options(options)}))

    def head(self, name: str, **options: Unpack[GetOptions]) -> Mapping[str, str]:
        """The headers of an object; NotFound if there is none."""
        return run(self._core.answer({"kind": "head", **place(name), **job_options(options)}))

    def whoami(self, **options: Unpack[JobOptions]) -> Mapping[str, str]:
        return run(self._core.answer({"kind": "whoami", **job_options(options)}))

    def namespace(self, **options: Unpack[JobOptions]) -> str:
        return run(self._core.answer({"kind": "namespace", **job_options(options)}))["namespace"]

    # Changes.

    def delete(self, name: str, **options: Unpack[GetOptions]) -> Job:
        return Job(self, run(self._core.one({"kind": "delete", **place(name),
                                             **job_options(options)})))

    def abort(self, name: str, upload_id: str, **options: Unpack[JobOptions]) -> Job:
        """Aborts an unfinished upload; the job fails as `state` while another owns it."""
        return Job(self, run(self._core.one({"kind": "abort", **place(name),
                                             "upload_id": upload_id, **job_options(options)})))

    def share(self, uri: str, hours: float = 1, **options: Unpack[ShareOptions]) -> str:
        """A link to an object (or a prefix) for those who have no credentials: whoever has it has
        what it allows, for so many hours. Returns when there is one. An interrupt
        meanwhile leaves a job behind that has the link in its outcome."""
        return run(self._core.share(share_job(uri, hours, options)))

    def revoke(self, bucket: str, share_id: str, **options: Unpack[JobOptions]) -> Job:
        """Ends a link before its time; share_id is that of shares()."""
        return Job(self, run(self._core.one({"kind": "revoke", **place(bucket, prefix=True),
                                             "share_id": share_id, **job_options(options)})))

    def watch(self, name: str, *, every: float | None = None,
              **options: Unpack[WatchOptions]) -> Job:
        """A job that is done when there is such an object (or it changes, or is gone: see the
        options); its outcome has the etag. It is looked for more often at first, then at least
        every so many seconds (30); `timeout` ends that."""
        return Job(self, run(self._core.watch(name, every, options)))

    def mkbucket(self, name: str, *, compartment: str = "", storage_tier: str = "",
                 **options: Unpack[JobOptions]) -> Job:
        return Job(self, run(self._core.one({
            "kind": "mkbucket", **place(name, prefix=True), **job_options(options),
            **given(compartment=compartment, storage_tier=storage_tier)})))

    def set(self, **options: Unpack[JobOptions]) -> JobSet:
        """A group of jobs: give it to others as `set=`, then seal() it."""
        return JobSet(self, run(self._core.one({"kind": "set", **job_options(options)})))

    # Jobs.

    def job(self, ident: JobLike) -> Job:
        """By its id, as printed by `ocictl status` or kept from an earlier life."""
        return Job(self, int(ident))

    def jobs(self, *, state: str = "", set: JobLike | None = None,
             limit: int = 0) -> Iterator[Job]:
        """A table of jobs, newest first; members of a set only if it is named."""
        ask = table_ask(state, set)
        for status in each(self._core.table(ask, limit)):
            kind = JobSet if status.job.get("kind") in ("set", "pull") else Job
            yield kind(self, status.id, status)

    def submit(self, jobs: Iterable[Mapping[str, Any]], fds: Sequence[int] = ()) -> List[int]:
        """Raw jobs as in the protocol; their ids. More than fit into one message are sent in
        several, each of them all or none. `fd` of a job is a place in fds."""
        return run(self._core.submit(jobs, fds))

    def status(self, jobs: Iterable[JobLike] | JobLike) -> List[Status]:
        """As they stand now, in the order given. NotFound names one that does not exist."""
        return run(self._core.status(jobs))

    def changes(self, jobs: Iterable[JobLike], *, epoch: int = 0, since: int = 0,
                wait: float = 0) -> tuple[int, int, List[Status]]:
        """What changed after `since` of `epoch`, waiting so many seconds for it: (epoch, seq,
        changed). At most 1,000 jobs; none means all of this user's."""
        return run(self._core.changes([int(job) for job in jobs], epoch, since,
                                      int(wait * 1000)))

    def wait(self, jobs: Iterable[JobLike] | JobLike, timeout: float | None = None, *,
             check: bool = True) -> List[Status]:
        """Until all have ended; their states in order. The first (in order) that is not done is
        raised, unless check is false. A daemon that is restarted meanwhile is waited for."""
        return run(self._core.wait(jobs, timeout, check))

    def cancel(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return run(self._core.act("job.cancel", jobs))

    def pause(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return run(self._core.act("job.pause", jobs))

    def resume(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        """Undoes pause; a waiting job tries at once."""
        return run(self._core.act("job.resume", jobs))

    def retry(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        """Queues failed or cancelled jobs again."""
        return run(self._core.act("job.retry", jobs))

    def seal(self, jobs: Iterable[JobLike] | JobLike) -> List[Ack]:
        return run(self._core.act("job.seal", jobs))

    # The daemon.

    def stats(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = run(self._link.call("daemon.stats", {}))
        return found

    def limit(self, rate: float | None = None, jobs: int | None = None, *,
              set: SupportsInt | None = None, client: str = "",
              uid: int | None = None) -> List[Limit]:
        """Sets limits and tells which hold: bytes a second (both ways together), and durable jobs at
        work at a time (those up to 1 MiB are counted apart). They hold at once, and over restarts
        of the daemon, for all transfers or those of a set, a client (its label) or a user; 0 lifts
        one, None leaves it as it is."""
        return run(self._core.limit(rate, jobs, set, client, uid))

    def reload(self) -> None:
        """Has the configuration read again; Config names the line at fault, the old one stays."""
        run(self._link.call("daemon.reload", {}))

    def unlock(self, phrase: str | bytes, profile: str = "", *,
               ttl: float = 0) -> Mapping[str, str]:
        """Opens an encrypted key; the daemon hands the pass phrase to its signer unread."""
        return run(self._core.unlock(phrase, profile, ttl))

    def lock(self, profile: str = "") -> Mapping[str, str]:
        """Wipes one key or all."""
        found: Mapping[str, str] = run(self._link.call("vault.lock",
                                                       given(profile=profile)))["profiles"]
        return found


def given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def get_job(kind: str, source: str, dest: Path, overwrite: bool,
            options: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, **place(source, prefix=kind == "pull"), **job_options(options),
            "dest": os.fsencode(os.path.abspath(dest)), **given(overwrite=overwrite)}


def bytes_job(source: str, options: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("offset", "length"):
        if (options.get(name) or 0) < 0:
            raise errors.Invalid(f"'{name}' is {options[name]}: it counts from the start")
    return {"kind": "get", **place(source), **job_options(options)}


def list_job(where: str, prefix: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "list", **place(where, prefix=True), **job_options(options),
            **given(object=prefix)}


def table_ask(state: str, set: JobLike | None) -> dict[str, Any]:
    return {**given(state=state), **({} if set is None else {"set": int(set)})}


class _Blocking:
    """The link of core: it blocks, and so never suspends."""

    def __init__(self, *, label: str | None, socket: str | None, start: bool, software: str,
                 timeout: float, max_buffer: int) -> None:
        self.timeout, self.max_buffer = timeout, max_buffer
        self._label, self._socket, self._start, self._software = label, socket, start, software
        self._local = threading.local()
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()

    def connection(self) -> Connection:
        """This thread's and this process's; a new one where the old cannot be used."""
        found: Connection | None = getattr(self._local, "connection", None)
        if found is not None and found.usable():
            return found
        if found is not None:
            found.close()
        try:
            opened = self._open()
        except errors.NoDaemon:
            if not self._start or self._socket:
                raise
            run(start_daemon(self))
            opened = self._open()
        self._local.connection = opened
        self._all.add(opened)
        return opened

    def _open(self) -> Connection:
        return Connection.open(_paths.candidates(self._socket), software=self._software,
                               label=self._label, timeout=self.timeout)

    def close(self) -> None:
        for connection in list(self._all):
            connection.close()

    async def call(self, method: str, params: Mapping[str, Any], fds: Sequence[int] = (), *,
                   again: bool | None = None, timeout: float | None = None) -> Any:
        within = self.timeout if timeout is None else timeout
        repeat = not fds if again is None else again and not fds
        try:
            return self.connection().call(method, params, fds, timeout=within)
        except errors.NoDaemon:
            if not repeat:
                raise
        return self.connection().call(method, params, fds, timeout=within)

    async def poll(self, ask: dict[str, Any]) -> tuple[int, int, List[Status]]:
        return await pages(self, ask)

    async def epoch(self) -> int:
        return int(self.connection().welcome["epoch"])

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def read(self, fd: int, most: int, end: float | None) -> bytes:
        if end is not None:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll((left_of(end) or 0) * 1000):
                raise errors.TimedOut("no bytes came in time")
        return os.read(fd, most)
