# SPDX-License-Identifier: Apache-2.0
"""client.py - Client and Job: hand work to the daemon and follow it.

Blocking calls over a Unix socket; nothing runs in the background. Each thread gets a connection of
its own, and so does a forked child: a connection is never shared. Start at Client.put().
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import struct
import subprocess
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, List, Union

from . import _paths, _tables, errors
from ._model import (
    Ack,
    GetOptions,
    JobOptions,
    ListOptions,
    PutOptions,
    Row,
    Status,
    ack_from,
    row_from,
    status_from,
)
from ._wire import Connection, pack, unpack

if TYPE_CHECKING:
    from typing_extensions import Unpack

VERSION = "0.1.0"

_FRAME_ROOM = 4096  # of a frame, for what is around the jobs
_POLL_MS = 60_000
_BACK_S = 30.0  # how long wait() looks for a daemon that is being restarted
_PIPE_BYTES = 256 * 1024

JobLike = Union[int, "Job"]


class Job:
    """A job of the daemon's. Cheap: an id and whom to ask."""

    def __init__(self, client: Client, ident: int) -> None:
        self.client, self.id = client, ident

    def __repr__(self) -> str:
        return f"<ocid.Job {self.id}>"

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and (self.id, self.client) == (other.id, other.client)

    def __hash__(self) -> int:
        return hash(self.id)

    def status(self) -> Status:
        return self.client.status([self])[0]

    def wait(self, timeout: float | None = None) -> Status:
        """Until it is done; what it ended with instead is raised. TimedOut: it goes on."""
        return self.client.wait([self], timeout)[0]

    def cancel(self) -> Ack:
        return self.client.cancel([self])[0]

    def pause(self) -> Ack:
        return self.client.pause([self])[0]

    def resume(self) -> Ack:
        return self.client.resume([self])[0]

    def retry(self) -> Ack:
        return self.client.retry([self])[0]

    def seal(self) -> Ack:
        """Of a set: no more members will come."""
        return self.client.seal([self])[0]


class Client:
    """The daemon of this user, else that of the system.

    Every job takes `timeout`: it fails when it is not done after so many seconds. Questions
    (list, head, get_bytes, …) are jobs, too, so that bounds them.

    label    fair sharing is among labels; without one among users
    socket   path of its socket, if it is somewhere else
    start    start the user's daemon if none is running
    timeout  seconds for the answer to one request
    """

    def __init__(self, *, label: str | None = None, socket: str | None = None,
                 start: bool = False, software: str = f"ocid-python/{VERSION}",
                 timeout: float = 30.0) -> None:
        self._label, self._socket, self._start = label, socket, start
        self._software, self._timeout = software, timeout
        self._local = threading.local()
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._connection()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hangs up; jobs go on. A later call connects again."""
        for connection in list(self._all):
            connection.close()

    @property
    def info(self) -> Mapping[str, Any]:
        """What the daemon said at hello: version, software, uuid, epoch, pid, …"""
        return self._connection().welcome

    # Uploads.

    def put(self, source: str | os.PathLike[str], to: str,
            **options: Unpack[PutOptions]) -> Job:
        """Queues the upload of a file. It is read later: leave it as it is until the job is done
        (the daemon notices when it was changed, and fails the job)."""
        return self._one(put_job(source, to, options))

    def put_bytes(self, data: bytes | bytearray | memoryview, to: str,
                  **options: Unpack[PutOptions]) -> Job:
        """Queues bytes; they are on the daemon's disk when this returns."""
        fd = _sealed(data)
        try:
            return self._one({"kind": "put", **_place(to), **_options(options), "fd": 0,
                              "spool": True, "size": memoryview(data).nbytes}, [fd])
        finally:
            os.close(fd)

    # Downloads.

    def get(self, source: str, dest: str | os.PathLike[str], *, overwrite: bool = False,
            **options: Unpack[GetOptions]) -> Job:
        """Queues a download. The name appears when all of it is there and proven."""
        job = {"kind": "get", **_place(source), **_options(options),
               "dest": os.fsencode(os.path.abspath(dest))}
        if overwrite:
            job["overwrite"] = True
        return self._one(job)

    def get_bytes(self, source: str, **options: Unpack[GetOptions]) -> bytes:
        """Downloads into memory."""
        job, fd = self._piped({"kind": "get", **_place(source), **_options(options)})
        found = bytearray()
        try:
            for part in iter(lambda: os.read(fd, _PIPE_BYTES), b""):
                found += part
        finally:
            os.close(fd)
        self._end_of(job)
        return bytes(found)

    def pull(self, source: str, dest: str | os.PathLike[str], *, overwrite: bool = False,
             **options: Unpack[JobOptions]) -> Job:
        """Queues the download of everything below a prefix (BUCKET or BUCKET/PREFIX)."""
        job = {"kind": "pull", **_place(source, prefix=True), **_options(options),
               "dest": os.fsencode(os.path.abspath(dest))}
        if overwrite:
            job["overwrite"] = True
        return self._one(job)

    # Questions.

    def list(self, bucket: str, prefix: str = "",
             **options: Unpack[ListOptions]) -> Iterator[Row]:
        """The objects of a bucket, as they come."""
        job = {"kind": "list", **_place(bucket, prefix=True), **_options(options)}
        if prefix:
            job["object"] = prefix
        return self._rows(job)

    def buckets(self, *, compartment: str = "",
                **options: Unpack[JobOptions]) -> Iterator[Row]:
        """The buckets of a compartment; else of the configured one, or the tenancy."""
        job = {"kind": "buckets", **_options(options)}
        if compartment:
            job["compartment"] = compartment
        return self._rows(job)

    def uploads(self, bucket: str, **options: Unpack[JobOptions]) -> Iterator[Row]:
        """The unfinished multipart uploads of a bucket; `job` is set where one of yours is at it."""
        return self._rows({"kind": "uploads", **_place(bucket, prefix=True), **_options(options)})

    def head(self, name: str, **options: Unpack[GetOptions]) -> Mapping[str, str]:
        """The headers of an object; NotFound if there is none."""
        return self._answer({"kind": "head", **_place(name), **_options(options)})

    def whoami(self, **options: Unpack[JobOptions]) -> Mapping[str, str]:
        return self._answer({"kind": "whoami", **_options(options)})

    def namespace(self, **options: Unpack[JobOptions]) -> str:
        return self._answer({"kind": "namespace", **_options(options)})["namespace"]

    # Changes.

    def delete(self, name: str, **options: Unpack[GetOptions]) -> Job:
        return self._one({"kind": "delete", **_place(name), **_options(options)})

    def abort(self, name: str, upload_id: str, **options: Unpack[JobOptions]) -> Job:
        """Aborts an unfinished upload; the job fails as `state` while another owns it."""
        return self._one({"kind": "abort", **_place(name), "upload_id": upload_id,
                          **_options(options)})

    def mkbucket(self, name: str, *, compartment: str = "", storage_tier: str = "",
                 **options: Unpack[JobOptions]) -> Job:
        job = {"kind": "mkbucket", **_place(name, prefix=True), **_options(options)}
        if compartment:
            job["compartment"] = compartment
        if storage_tier:
            job["storage_tier"] = storage_tier
        return self._one(job)

    def set(self, **options: Unpack[JobOptions]) -> Job:
        """A group of jobs: give it to others as `set=`, then seal() it."""
        return self._one({"kind": "set", **_options(options)})

    # Jobs.

    def submit(self, jobs: Iterable[Mapping[str, Any]], fds: Sequence[int] = ()) -> List[int]:
        """Raw jobs as in the protocol; their ids. More than fit into one message are sent in
        several, each of them all or none. `fd` of a job is a place in fds."""
        ids: List[int] = []
        for part, passed in _messages(jobs, fds):
            again = all(job.get("key") for job in part)
            ids += self._call("job.submit", {"jobs": part}, passed, again=again)["ids"]
        return ids

    def status(self, jobs: Iterable[JobLike]) -> List[Status]:
        """As they stand now, in the order given. NotFound names one that does not exist."""
        ids = _ids(jobs)
        found: dict[int, Status] = {}
        for at in range(0, len(ids), _tables.MAX_JOBS):
            for status in self._statuses(ids[at:at + _tables.MAX_JOBS])[2]:
                found[status.id] = status
        for ident in ids:
            if ident not in found:
                raise errors.NotFound(f"no job {ident}")
        return [found[ident] for ident in ids]

    def changes(self, jobs: Iterable[JobLike], *, epoch: int = 0, since: int = 0,
                wait: float = 0) -> tuple[int, int, List[Status]]:
        """What changed after `since` of `epoch`, waiting so many seconds for it: (epoch, seq,
        changed). At most 1,000 jobs; none means all of this user's."""
        return self._statuses(_ids(jobs), epoch, since, int(wait * 1000))

    def wait(self, jobs: Iterable[JobLike], timeout: float | None = None, *,
             check: bool = True) -> List[Status]:
        """Until all have ended; their states in order. The first (in order) that is not done is
        raised, unless check is false. A daemon that is restarted meanwhile is waited for."""
        ids = _ids(jobs)
        end = _deadline(timeout)
        ended: dict[int, Status] = {}
        open_ids = list(dict.fromkeys(ids))
        while open_ids:
            self._follow(open_ids[:_tables.MAX_JOBS], ended, end, _BACK_S)
            open_ids = [ident for ident in open_ids if ident not in ended]
        return _checked([ended[ident] for ident in ids], check)

    def jobs(self, *, state: str = "", set: JobLike | None = None,
             limit: int = 0) -> Iterator[Status]:
        """A table of jobs, newest first; members of a set only if it is named."""
        ask: dict[str, Any] = {"state": state} if state else {}
        if set is not None:
            ask["set"] = int(set)
        left = limit or None
        while left is None or left > 0:
            if left is not None:
                ask["limit"] = min(left, _tables.MAX_JOBS)
            page = self._call("job.list", ask)
            for found in page["jobs"]:
                yield status_from(found)
            if left is not None:
                left -= len(page["jobs"])
            if not page.get("more"):
                return
            ask["cursor"] = page["cursor"]

    def cancel(self, jobs: Iterable[JobLike]) -> List[Ack]:
        return self._act("job.cancel", jobs)

    def pause(self, jobs: Iterable[JobLike]) -> List[Ack]:
        return self._act("job.pause", jobs)

    def resume(self, jobs: Iterable[JobLike]) -> List[Ack]:
        """Undoes pause; a waiting job tries at once."""
        return self._act("job.resume", jobs)

    def retry(self, jobs: Iterable[JobLike]) -> List[Ack]:
        """Queues failed or cancelled jobs again."""
        return self._act("job.retry", jobs)

    def seal(self, jobs: Iterable[JobLike]) -> List[Ack]:
        return self._act("job.seal", jobs)

    # The daemon.

    def stats(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._call("daemon.stats", {})
        return found

    def reload(self) -> None:
        """Has the configuration read again; Config names the line at fault, the old one stays."""
        self._call("daemon.reload", {})

    def unlock(self, phrase: str | bytes, profile: str = "", *,
               ttl: float = 0) -> Mapping[str, str]:
        """Opens an encrypted key; the daemon hands the pass phrase to its signer unread."""
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
            found: Mapping[str, str] = self._call("vault.unlock", ask, [theirs])["profiles"]
            return found
        finally:
            os.close(theirs)
            if ours >= 0:
                os.close(ours)

    def lock(self, profile: str = "") -> Mapping[str, str]:
        """Wipes one key or all."""
        found: Mapping[str, str] = self._call(
            "vault.lock", {"profile": profile} if profile else {})["profiles"]
        return found

    # Below: how.

    def _connection(self) -> Connection:
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
            _start_daemon(self._timeout)
            opened = self._open()
        self._local.connection = opened
        self._all.add(opened)
        return opened

    def _open(self) -> Connection:
        return Connection.open(_paths.candidates(self._socket), software=self._software,
                               label=self._label, timeout=self._timeout)

    def _call(self, method: str, params: Mapping[str, Any], fds: Sequence[int] = (), *,
              again: bool | None = None, timeout: float | None = None) -> Any:
        """again: the request may be sent twice (all but submits without a key may)."""
        within = self._timeout if timeout is None else timeout
        repeat = not fds if again is None else again and not fds
        try:
            return self._connection().call(method, params, fds, timeout=within)
        except errors.NoDaemon:
            if not repeat:
                raise
        return self._connection().call(method, params, fds, timeout=within)

    def _one(self, job: Mapping[str, Any], fds: Sequence[int] = ()) -> Job:
        return Job(self, self.submit([job], fds)[0])

    def _answer(self, job: Mapping[str, Any]) -> Mapping[str, str]:
        return self._end_of(self._one(job)).outcome.result

    def _end_of(self, job: Job) -> Status:
        """Of a job that dies with its daemon: a restart is not waited for."""
        ended: dict[int, Status] = {}
        self._follow([job.id], ended, None, 0)
        return _checked([ended[job.id]], True)[0]

    def _act(self, method: str, jobs: Iterable[JobLike]) -> List[Ack]:
        ids = _ids(jobs)
        acks: List[Ack] = []
        for at in range(0, len(ids), _tables.MAX_JOBS):
            found = self._call(method, {"ids": ids[at:at + _tables.MAX_JOBS]})
            acks += [ack_from(ack) for ack in found["jobs"]]
        return acks

    def _statuses(self, ids: Sequence[int], epoch: int = 0, since: int = 0,
                  wait_ms: int = 0, calm_ms: int = 0) -> tuple[int, int, List[Status]]:
        ask: dict[str, Any] = {"ids": ids} if ids else {}
        if since:
            ask["epoch"], ask["since"] = epoch, since
        if wait_ms:
            ask["wait_ms"] = wait_ms
            if calm_ms:
                ask["calm_ms"] = calm_ms
        found: List[Status] = []
        while True:
            page = self._call("job.status", ask, timeout=self._timeout + wait_ms / 1000)
            found += [status_from(status) for status in page["jobs"]]
            if not page.get("more"):
                return page["epoch"], page["seq"], found
            ask["epoch"], ask["since"] = page["epoch"], page["seq"]

    def _follow(self, ids: Sequence[int], ended: dict[int, Status],
                end: float | None, back_s: float) -> None:
        """Adds those of ids that have ended to `ended`, until all have. back_s: how long a
        daemon that has gone may stay away."""
        waiting, epoch, since, first = set(ids), 0, 0, True
        gone_at: float | None = None
        while waiting:
            left = _left(end)
            wait_ms = 0 if first else _POLL_MS if left is None else min(_POLL_MS, int(left * 1000))
            try:
                epoch, since, found = self._statuses(sorted(waiting), epoch, since, wait_ms,
                                                     wait_ms)
            except (errors.NoDaemon, errors.Stopping):
                now = time.monotonic()
                gone_at = gone_at or now
                if now - gone_at >= back_s or (left is not None and left <= 0):
                    raise
                time.sleep(0.05)
                epoch, since, first = 0, 0, True
                continue
            gone_at = None
            if first and len({s.id for s in found}) < len(waiting):
                missing = min(waiting - {s.id for s in found})
                raise errors.NotFound(f"no job {missing}")
            first = False
            for status in found:
                if status.final:
                    ended[status.id] = status
                    waiting.discard(status.id)
            if waiting and left is not None and left <= 0:
                raise errors.TimedOut(f"job {min(waiting)} has not ended; it goes on")

    def _piped(self, job: Mapping[str, Any]) -> tuple[Job, int]:
        """Submits with the writing end of a fresh pipe; the reading end is the caller's."""
        ours, theirs = os.pipe()
        try:
            with suppress(OSError):  # fewer wake-ups; where it is refused it goes without
                fcntl.fcntl(ours, 1031, _PIPE_BYTES)  # F_SETPIPE_SZ
            return self._one({**job, "fd": 0}, [theirs]), ours
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def _rows(self, job: Mapping[str, Any]) -> Iterator[Row]:
        asked, fd = self._piped(job)
        try:
            for found in _frames(fd):
                if found.get("end"):
                    return
                yield row_from(found)
        finally:
            os.close(fd)
        self._end_of(asked)
        raise errors.Protocol("the listing was cut short, but its job is done")


def _checked(found: list[Status], check: bool) -> list[Status]:
    for status in found:
        error = status.error() if check else None
        if error:
            raise error
    return found


# What jobs are made of.


def put_job(source: str | os.PathLike[str], to: str,
            options: Mapping[str, Any]) -> dict[str, Any]:
    """A raw put job with the identity of its source as it is now."""
    path = os.path.abspath(source)
    try:
        st = os.stat(path)
    except OSError as error:
        raise errors.File(f"cannot look at '{path}': {error.strerror}") from error
    if not stat.S_ISREG(st.st_mode):
        raise errors.File(f"not a regular file: '{path}'")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise errors.File(f"cannot read '{path}'")
    return {"kind": "put", **_place(to), **_options(options), "source": os.fsencode(path),
            "size": st.st_size, "dev": st.st_dev, "inode": st.st_ino,
            "mtime_ns": st.st_mtime_ns, "ctime_ns": st.st_ctime_ns}


def _place(uri: str, *, prefix: bool = False) -> dict[str, str]:
    """oci://BUCKET[@NAMESPACE]/OBJECT or BUCKET/OBJECT."""
    rest = uri.removeprefix("oci://")
    bucket, _, name = rest.partition("/")
    bucket, _, namespace = bucket.partition("@")
    if not bucket or (not name and not prefix):
        raise errors.Invalid(f"oci://BUCKET[@NAMESPACE]/OBJECT expected, not '{uri}'")
    found = {"bucket": bucket}
    if namespace:
        found["namespace"] = namespace
    if name:
        found["object"] = name
    return found


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    job = {name: value for name, value in options.items() if value is not None}
    if "timeout" in job:
        job["timeout_ms"] = int(job.pop("timeout") * 1000)
    if "set" in job:
        job["set"] = int(job["set"])
    if "after" in job:
        job["after"] = _ids(job["after"])
    unknown = [name for name in job if name not in _JOB_FIELDS]
    if unknown:
        raise TypeError(f"no such option: {', '.join(unknown)}")
    return job


_JOB_FIELDS = frozenset(field.name for field in _tables.MESSAGES["job"])


def _ids(jobs: Iterable[JobLike]) -> list[int]:
    return [int(job) for job in jobs]


def _sealed(data: bytes | bytearray | memoryview) -> int:
    """A memfd whose bytes cannot change any more."""
    fd = os.memfd_create("ocid", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(data).cast("B")
        while left:
            left = left[os.write(fd, left):]
        fcntl.fcntl(fd, 1033, 0xF)  # F_ADD_SEALS: seal, shrink, grow, write
    except BaseException:
        os.close(fd)
        raise
    return fd


def _messages(jobs: Iterable[Mapping[str, Any]],
              fds: Sequence[int]) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
    """Portions that fit into a message each, with the descriptors that each names."""
    part: list[dict[str, Any]] = []
    passed: list[int] = []
    size = 0
    for job in jobs:
        one = dict(job)
        length = len(pack(one)) + 8
        if part and (len(part) == _tables.MAX_JOBS or len(passed) == _tables.MAX_FDS
                     or size + length > _tables.MAX_FRAME - _FRAME_ROOM):
            yield part, passed
            part, passed, size = [], [], 0
        if "fd" in one:
            fd = fds[one["fd"]]
            one["fd"] = len(passed)
            passed.append(fd)
        part.append(one)
        size += length
    if part:
        yield part, passed


# Time and pipes.


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _frames(fd: int) -> Iterator[Mapping[str, Any]]:
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
        part = os.read(fd, _PIPE_BYTES)
        if not part:
            return
        held += part


def _start_daemon(timeout: float) -> None:
    """`ocictl start` starts it once, however many ask at the same moment."""
    program = shutil.which("ocictl")
    if not program:
        raise errors.NoDaemon("the daemon is not running, and ocictl is not installed to start it")
    done = subprocess.run([program, "start"], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise errors.NoDaemon(f"the daemon cannot be started: {words}")
