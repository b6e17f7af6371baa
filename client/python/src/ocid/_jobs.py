# SPDX-License-Identifier: Apache-2.0
"""_jobs.py - raw jobs as the protocol has them, and the bytes that go with them.

Nothing here talks to the daemon. Start at put_job() and at Buffer.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, SupportsInt, Union

from . import _tables, errors
from ._wire import pack

_FRAME_ROOM = 4096  # of a frame, for what is around the jobs
_COPY_BYTES = 1 << 20
_F_ADD_SEALS, _SEALS = 1033, 0xF  # seal, shrink, grow, write

JobLike = SupportsInt  # an id, or a Job, or a Status
Path = Union[str, "os.PathLike[str]"]

_FIELDS = frozenset(field.name for field in _tables.MESSAGES["job"])


def put_job(source: Path, to: str, options: Mapping[str, Any]) -> dict[str, Any]:
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
    return {"kind": "put", **place(to), **job_options(options), "source": os.fsencode(path),
            "size": st.st_size, "dev": st.st_dev, "inode": st.st_ino,
            "mtime_ns": st.st_mtime_ns, "ctime_ns": st.st_ctime_ns}


def put_many_jobs(sources: Iterable[Path], to: str, base: Path | None,
                  options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The jobs. All sources are looked at before the first job is made, so that a
    wrong one is known while nothing has been queued."""
    where = place(to, prefix=True)
    prefix = where.get("object", "")
    names: dict[str, str] = {}
    for source in sources:
        path = os.path.abspath(source)
        name = prefix + _name_below(path, base)
        if names.setdefault(name, path) != path:
            raise errors.Invalid(f"'{names[name]}' and '{path}' would both become '{name}': give "
                                 f"base=, which names are relative to")
        put_job(path, "b/o", options)

    return ({**put_job(path, "b/o", options), **where, "object": name}
            for name, path in names.items())


def put_buffers_jobs(sources: Mapping[str, Any], to: str, base: Path | None,
                     options: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """For each name below the prefix the job, without its kind, and the bytes."""
    if base is not None:
        raise errors.Invalid("'base' is for files: buffers are named by their keys")
    where, more = place(to, prefix=True), job_options(options)
    prefix = where.get("object", "")
    for name, data in sources.items():
        if not isinstance(name, str) or not prefix + name:
            raise errors.Invalid(f"{name!r} is no name of an object")
        yield {**more, **where, "object": prefix + name}, data


def _name_below(path: str, base: Path | None) -> str:
    if base is None:
        return os.path.basename(path)
    root = os.path.abspath(base)
    if os.path.commonpath([root, path]) != root or root == path:
        raise errors.Invalid(f"'{path}' is not below '{root}'")
    return os.path.relpath(path, root)


def place(uri: str, *, prefix: bool = False) -> dict[str, str]:
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


def share_job(uri: str, hours: float, options: Mapping[str, Any]) -> dict[str, Any]:
    if hours <= 0:
        raise errors.Invalid(f"a link for {hours} hours is none: give hours= of more than 0")
    prefix = bool(options.get("prefix"))
    return {"kind": "share", **place(uri, prefix=prefix), **job_options(options),
            "expires_at": int((time.time() + hours * 3600) * 1000)}


def watch_job(uri: str, every: float | None,
              options: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The job, and whether its etag has to be asked for."""
    asked = dict(options)
    changed, gone, etag = (asked.pop(name, None) for name in ("changed", "gone", "etag"))
    if bool(changed) + bool(gone) + bool(etag) > 1:
        raise errors.Invalid("changed=, gone= and etag= exclude each other")
    job = {"kind": "watch", **place(uri), **job_options(asked)}
    if gone:
        job["gone"] = True
    if etag:
        job["if_none_match"] = etag
    if every is not None:
        job["every_ms"] = max(1, int(every * 1000))
    return job, bool(changed)


def job_options(options: Mapping[str, Any]) -> dict[str, Any]:
    job = {name: value for name, value in options.items() if value is not None}
    if "timeout" in job:
        job["timeout_ms"] = int(job.pop("timeout") * 1000)
    if "set" in job:
        job["set"] = int(job["set"])
    if "after" in job:
        job["after"] = ids_of(job["after"])
    unknown = [name for name in job if name not in _FIELDS]
    if unknown:
        raise TypeError(f"no such option: {', '.join(unknown)}")
    return job


def ids_of(jobs: Iterable[JobLike] | JobLike) -> list[int]:
    """One job, or several. A set is one: what is done to it is done to all its members."""
    if isinstance(jobs, SupportsInt):
        return [int(jobs)]
    return [int(job) for job in jobs]


def messages(jobs: Iterable[Mapping[str, Any]],
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


class Buffer:
    """A descriptor with the bytes of a buffer or a file object: `with` closes it.

    A file that is open for reading at its start is passed as it is; everything else is copied
    once, into a memfd that is sealed. No bytes go through the socket.
    """

    def __init__(self, data: Any, most: int) -> None:
        self._most = most
        self.fd = -1
        if hasattr(data, "read"):
            self.fd = _file_at_start(data)
            if self.fd < 0:
                self._fill(data)
        else:
            self._copy(_flat(data))
        self.size = os.fstat(self.fd).st_size

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def _copy(self, view: memoryview) -> None:
        self._check(view.nbytes)
        self._seal(lambda fd: _write(fd, view))

    def _fill(self, file: Any) -> None:
        def copy(fd: int) -> None:
            size = 0
            for part in iter(lambda: file.read(_COPY_BYTES), b""):
                if isinstance(part, str):
                    raise TypeError("a file that is open for text has no bytes: open it with 'rb'")
                size += len(part)
                self._check(size)
                _write(fd, memoryview(part))
        self._seal(copy)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise errors.TooLarge(f"{size:,} bytes; at most {self._most:,} are taken from memory "
                                  f"(Client.max_buffer): write a file and put() that")

    def _seal(self, fill: Any) -> None:
        self.fd = os.memfd_create("ocid", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            fill(self.fd)
            fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(self.fd)
            raise


def _flat(data: Any) -> memoryview:
    """The bytes of anything that has the buffer protocol, without a copy where they lie in a row
    (that of Fortran is one, too)."""
    view = memoryview(data)
    if view.c_contiguous and view.shape and 0 not in view.shape:
        return view.cast("B")
    return memoryview(view.tobytes("A"))


def _write(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view):]


def _file_at_start(file: Any) -> int:
    """A descriptor of a regular file from whose start somebody reads; -1: it is something else."""
    try:
        fd, at = file.fileno(), file.tell()
    except (AttributeError, OSError, ValueError):
        return -1
    mode = getattr(file, "mode", "")
    if at or not isinstance(mode, str) or "b" not in mode or not stat.S_ISREG(os.fstat(fd).st_mode):
        return -1
    if "+" in mode or "w" in mode or "a" in mode:
        file.flush()
    return os.dup(fd)
