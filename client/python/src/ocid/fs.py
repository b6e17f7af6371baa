# SPDX-License-Identifier: Apache-2.0
"""fs.py - OcidFileSystem: ocid://BUCKET[@NAMESPACE]/OBJECT for pandas, dask and their kin.

Bytes are moved by the daemon: reads come through pipes, writes leave as jobs and are waited for.
Nothing is cached but what a file has read ahead: what fsspec is told is what the store says now.
Directories are common prefixes of names, as everywhere in object stores; there are no empty ones.
Option names are those of ocifs. Start at OcidFileSystem._open().
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import IO, Any, List, Optional, Tuple

import fsspec
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from . import errors
from ._core import Stream, run
from ._jobs import job_options, place
from .client import Client, Job, bytes_job, given
from .errors import NotFound

_BLOCK_BYTES = 5 * 2**20
_DEFAULT_CONFIG = "~/.oci/config"


class OcidFileSystem(AbstractFileSystem):
    """Object Storage as a file system, by way of the ocid daemon of this machine.

    profile                       of ~/.oci/config; else the daemon's default
    default_block_size            what a file reads at a time, and keeps in memory when written
    default_cache_type, default_cache_options
                                  how files read ahead, see fsspec.caching
    label, socket, start, timeout see ocid.Client
    timeout_job                   seconds until a transfer fails that is not done
    config, signer, iam_type, region, security_token_file, config_kwargs, oci_additional_kwargs
                                  of ocifs: credentials and retries are the daemon's, so that only
                                  values that change nothing are taken
    """

    protocol = ("ocid", "oci")
    root_marker = ""
    default_block_size = _BLOCK_BYTES

    def __init__(self, config: Any = None, signer: Any = None, profile: Optional[str] = None,
                 iam_type: Optional[str] = None, region: Optional[str] = None,
                 security_token_file: Optional[str] = None,
                 default_block_size: Optional[int] = None, default_cache_type: str = "readahead",
                 default_cache_options: Optional[dict[str, Any]] = None,
                 config_kwargs: Optional[dict[str, Any]] = None,
                 oci_additional_kwargs: Optional[dict[str, Any]] = None, *,
                 label: Optional[str] = None, socket: Optional[str] = None, start: bool = False,
                 timeout: float = 30.0, timeout_job: Optional[float] = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _no_credentials(config, signer, iam_type, region, security_token_file)
        self.profile = profile
        self.default_block_size = default_block_size or _BLOCK_BYTES
        self.default_cache_type = default_cache_type
        self.default_cache_options = default_cache_options
        self._client_options: dict[str, Any] = {"label": label, "socket": socket, "start": start,
                                                "timeout": timeout}
        self._job_options: dict[str, Any] = given(profile=profile, timeout=timeout_job)
        self._client: Optional[Client] = None
        self._bulk = threading.local()

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(**self._client_options)
        return self._client

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        path = fsspec.utils.stringify_path(path)
        for protocol in cls.protocol:
            path = path.removeprefix(f"{protocol}://").removeprefix(f"{protocol}::")
        return path.strip("/")

    @staticmethod
    def split_path(path: str) -> Tuple[str, str]:
        """BUCKET[@NAMESPACE] and the object's name."""
        bucket, _, name = path.partition("/")
        return bucket, name

    # What is there.

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> List[Any]:
        path = self._strip_protocol(path)
        found = self._buckets() if not path else self._below(path)
        return found if detail else [one["name"] for one in found]

    def _buckets(self) -> List[dict[str, Any]]:
        return sorted((_directory(row.name) for row in self.client.buckets(**self._job_options)),
                      key=_name)

    def _below(self, path: str) -> List[dict[str, Any]]:
        bucket, name = self.split_path(path)
        prefix = f"{name}/" if name else ""
        found = {}
        for row in self.client.list(bucket, prefix, delimiter="/", **self._job_options):
            if row.prefix:
                found[row.prefix] = _directory(f"{bucket}/{row.prefix.rstrip('/')}")
            elif not row.name.endswith("/"):
                found[row.name] = _file(bucket, row)
        if not found and name:
            one = self.info(path)
            return [one] if one["type"] == "file" else []
        return sorted(found.values(), key=_name)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        bucket, name = self.split_path(path)
        if name:
            with suppress(NotFound):
                return _headers(path, self.client.head(path, **self._job_options))
        if not path or self._is_prefix(bucket, name):
            return _directory(path)
        raise FileNotFoundError(path)

    def _is_prefix(self, bucket: str, name: str) -> bool:
        prefix = f"{name}/" if name else ""
        for _ in self.client.list(bucket, prefix, limit=1, fields="name", **self._job_options):
            return True
        return not name

    def find(self, path: str, maxdepth: Optional[int] = None, withdirs: bool = False,
             detail: bool = False, prefix: str = "", **kwargs: Any) -> Any:
        """One listing, whatever the depth."""
        path = self._strip_protocol(path)
        if maxdepth is not None or not path:
            found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            below = f"{path}/{prefix}" if path else prefix
            found = {name: one for name, one in found.items() if name.startswith(below)} \
                if prefix else found
        else:
            found = self._found(path, prefix, withdirs)
        names = dict(sorted(found.items()))
        return names if detail else list(names)

    def _found(self, path: str, prefix: str, withdirs: bool) -> dict[str, Any]:
        bucket, name = self.split_path(path)
        found: dict[str, Any] = {}
        with suppress(NotFound):
            for row in self.client.list(bucket, (f"{name}/" if name else "") + prefix,
                                        **self._job_options):
                one = _file(bucket, row)
                if withdirs:
                    for parent in _parents(one["name"].rstrip("/"), path):
                        found.setdefault(parent, _directory(parent))
                if not row.name.endswith("/"):
                    found[one["name"]] = one
        if not found and name and not prefix:
            with suppress(FileNotFoundError):
                found[path] = self.info(path)
                if found[path]["type"] == "directory" and not withdirs:
                    del found[path]
        return found

    def modified(self, path: str) -> datetime:
        when = self.info(path).get("timeModified")
        if not when:
            raise FileNotFoundError(f"'{path}' is no object")
        return datetime.fromisoformat(when.replace("Z", "+00:00")).astimezone(timezone.utc)

    def checksum(self, path: str) -> int:
        return int(fsspec.utils.tokenize(self.info(path).get("etag")), 16)

    def invalidate_cache(self, path: Optional[str] = None) -> None:
        """There is none."""

    # Whole objects.

    def cat_file(self, path: str, start: Optional[int] = None, end: Optional[int] = None,
                 **kwargs: Any) -> bytes:
        (found,) = self.cat_ranges([path], [start], [end], on_error="raise")
        return bytes(found)

    def cat_ranges(self, paths: List[str], starts: Any, ends: Any, max_gap: Optional[int] = None,
                   on_error: str = "return", **kwargs: Any) -> List[Any]:
        firsts = starts if isinstance(starts, (list, tuple)) else [starts] * len(paths)
        lasts = ends if isinstance(ends, (list, tuple)) else [ends] * len(paths)
        jobs = [self._range(self._strip_protocol(path), first, last)
                for path, first, last in zip(paths, firsts, lasts)]
        came = iter(run(self.client._core.get_many([job for job in jobs if job])))
        found = [next(came) if job else b"" for job in jobs]
        for one in found:
            if on_error == "raise" and isinstance(one, errors.OcidError):
                raise one
        return found

    def _range(self, path: str, start: Optional[int], end: Optional[int]) -> dict[str, Any]:
        """A raw job for the bytes of a slice; {} if there are none for sure."""
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start = max(0, size + start) if start is not None and start < 0 else start
            end = max(0, size + end) if end is not None and end < 0 else end
        first, length = start or 0, None if end is None else end - (start or 0)
        if length is not None and length <= 0:
            return {}
        return bytes_job(path, {**self._job_options, **given(offset=first, length=length)})

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise",
            **kwargs: Any) -> Any:
        paths = self.find(path) if recursive else self.expand_path(path)
        if not recursive and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0])
        found = dict(zip(paths, self.cat_ranges(paths, None, None, on_error=on_error)))
        return {name: one for name, one in found.items()
                if on_error != "omit" or not isinstance(one, errors.OcidError)}

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        self.pipe({path: value}, mode=mode)

    def pipe(self, path: Any, value: Any = None, mode: str = "overwrite", **kwargs: Any) -> None:
        """Several are all queued before the first is waited for."""
        values = path if isinstance(path, dict) else {path: value}
        more = job_options({**self._job_options, **given(if_absent=mode == "create")})
        jobs = run(self.client._core.put_buffers(
            ({**place(self._strip_protocol(one)), **more}, data) for one, data in values.items()))
        self.client.wait(jobs)

    def _put(self, path: str, value: Any, exclusive: bool, **options: Any) -> Job:
        if exclusive:
            options["if_absent"] = True
        return self.client.put_bytes(path, value, **self._job_options, **options)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        if truncate or not self.exists(path):
            self.pipe_file(path, b"")

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """By way of this machine's disk; what is stored with the object is kept."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        headers = self.client.head(path1, **self._job_options)
        with tempfile.TemporaryFile() as file:
            self._read_into(path1, file, headers["etag"])
            self._put(path2, file, False, content_type=headers.get("content-type"),
                      metadata={name[len("opc-meta-"):]: value for name, value in headers.items()
                                if name.startswith("opc-meta-")} or None).wait()

    def _read_into(self, path: str, file: IO[bytes], etag: str) -> None:
        with self._stream(path, 0, etag) as stream:
            for part in stream:
                file.write(part)
        file.seek(0)

    def _stream(self, path: str, offset: int, etag: str) -> _Reading:
        return _Reading(self.client, path, offset, {**self._job_options, "if_match": etag})

    def get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK,
                 outfile: Any = None, **kwargs: Any) -> None:
        rpath = self._strip_protocol(rpath)
        if outfile is not None or hasattr(lpath, "write"):
            (outfile or lpath).write(self.cat_file(rpath))
            return
        lpath = os.path.abspath(lpath)
        os.makedirs(os.path.dirname(lpath), exist_ok=True)
        if "/" not in rpath:
            os.makedirs(lpath, exist_ok=True)
            return
        if os.path.isdir(lpath):
            if self.isdir(rpath):
                return
            raise IsADirectoryError(lpath)
        job = self.client.get(rpath, lpath, overwrite=True, **self._job_options)
        self._later(job, callback, lambda error: self._is_directory(error, rpath, lpath))

    def _is_directory(self, error: errors.OcidError, rpath: str, lpath: str) -> bool:
        if not isinstance(error, NotFound) or not self.isdir(rpath):
            return False
        os.makedirs(lpath, exist_ok=True)
        return True

    def put_file(self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK,
                 mode: str = "overwrite", **kwargs: Any) -> None:
        if os.path.isdir(lpath):
            return
        options: dict[str, Any] = {"if_absent": True} if mode == "create" else {}
        job = self.client.put(lpath, self._strip_protocol(rpath), **self._job_options, **options)
        self._later(job, callback, lambda error: False)

    def get(self, rpath: Any, lpath: Any, *args: Any, **kwargs: Any) -> Any:
        with self._at_once():
            return super().get(rpath, lpath, *args, **kwargs)

    def put(self, lpath: Any, rpath: Any, *args: Any, **kwargs: Any) -> Any:
        with self._at_once():
            return super().put(lpath, rpath, *args, **kwargs)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """The jobs of a bulk operation are all queued before the first is waited for."""
        held = self._bulk.held = []
        try:
            yield
        finally:
            self._bulk.held = None
        self._finish(held)

    def _later(self, job: Job, callback: Any, forgive: Any) -> None:
        held = getattr(self._bulk, "held", None)
        if held is None:
            self._finish([(job, callback, forgive)])
        else:
            held.append((job, callback, forgive))

    def _finish(self, held: List[Tuple[Job, Any, Any]]) -> None:
        statuses = self.client.wait([job for job, _, _ in held], check=False)
        for status, (_, callback, forgive) in zip(statuses, held):
            error = status.error()
            if error and not forgive(error):
                raise error
            callback.set_size(status.outcome.bytes)
            callback.absolute_update(status.outcome.bytes)

    # Names.

    def mkdir(self, path: str, create_parents: bool = True, compartment_id: str = "",
              **kwargs: Any) -> None:
        """A bucket; below one directories come with their first object."""
        path = self._strip_protocol(path)
        if path and "/" not in path:
            self.client.mkbucket(path, compartment=compartment_id, **self._job_options).wait()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        if "/" in path:
            return
        try:
            self.mkdir(path)
        except FileExistsError:
            if not exist_ok:
                raise

    def rmdir(self, path: str) -> None:
        """An empty directory is one that is not there."""
        path = self._strip_protocol(path)
        if "/" not in path:
            raise errors.Unsupported(f"buckets are not deleted: '{path}' stays")
        if self.ls(path):
            raise OSError(f"directory not empty: '{path}'")

    def rm_file(self, path: str) -> None:
        self.client.delete(self._strip_protocol(path), **self._job_options).wait()

    def rm(self, path: Any, recursive: bool = False, maxdepth: Optional[int] = None) -> None:
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        self.bulk_delete(paths, missing_ok=recursive or not isinstance(path, str))

    def bulk_delete(self, pathlist: Iterable[str], missing_ok: bool = False) -> None:
        """Directories among them are taken for what they are: nothing."""
        jobs = self.client.submit({"kind": "delete", **place(path),
                                   **job_options(self._job_options)}
                                  for path in map(self._strip_protocol, pathlist) if "/" in path)
        for status in self.client.wait(jobs, check=False):
            error = status.error()
            if error and not (missing_ok and isinstance(error, NotFound)):
                raise error

    # Files.

    def _open(self, path: str, mode: str = "rb", block_size: Optional[int] = None,
              autocommit: bool = True, cache_type: Optional[str] = None,
              cache_options: Optional[dict[str, Any]] = None, **kwargs: Any) -> OcidFile:
        return OcidFile(self, path, mode, block_size or self.default_block_size, autocommit,
                        cache_type=cache_type or self.default_cache_type,
                        cache_options=cache_options or self.default_cache_options, **kwargs)


class OcidFile(AbstractBufferedFile):
    """An object that is read or written.

    Blocks that are read one behind the other come out of one request, which the daemon goes on
    reading ahead into its pipe; others are requests of their own. All of them are for the version
    that was opened. What is written is gathered in memory, beyond a block in a file without a name,
    and becomes an object when the file is closed.
    """

    def __init__(self, fs: OcidFileSystem, path: str, mode: str = "rb",
                 block_size: int = _BLOCK_BYTES, autocommit: bool = True, **kwargs: Any) -> None:
        self._stream: Optional[_Reading] = None
        self._read_to = -1
        self._spool: Optional[IO[bytes]] = None
        if "x" in mode and fs.exists(path):
            raise FileExistsError(path)  # known early; the put is conditional all the same
        super().__init__(fs, path, mode, block_size, autocommit, **kwargs)
        if mode == "rb" and self.details["type"] == "directory":
            raise IsADirectoryError(path)

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        if start >= end:
            return b""
        etag = self.details["etag"]
        if self._stream is None and start == self._read_to:
            self._stream = self.fs._stream(self.path, start, etag)
        elif self._stream is not None and start != self._read_to:
            self._stream.close()
            self._stream = None
        self._read_to = end
        if self._stream is not None:
            return self._stream.read(end - start)
        found: bytes = self.fs.client.get_bytes(self.path, offset=start, length=end - start,
                                                if_match=etag, **self.fs._job_options)
        return found

    def _initiate_upload(self) -> None:
        self._old_etag = ""
        if self.mode == "ab" and self.fs.exists(self.path):
            self._old_etag = self.fs.info(self.path)["etag"]
            self._spool = tempfile.TemporaryFile()
            self.fs._read_into(self.path, self._spool, self._old_etag)
            self._spool.seek(0, os.SEEK_END)

    def _upload_chunk(self, final: bool = False) -> bool:
        if not final and self._spool is None:
            self._spool = tempfile.TemporaryFile()
        if self._spool is not None:
            self._spool.write(self.buffer.getbuffer())
        if final and self.autocommit:
            self.commit()
        return self._spool is not None

    def commit(self) -> None:
        data: Any = self.buffer.getbuffer()
        if self._spool is not None:
            self._spool.seek(0)
            data = self._spool
        options = {"if_match": self._old_etag} if self._old_etag else {}
        try:
            self.fs._put(self.path, data, "x" in self.mode, **options, **self.kwargs).wait()
        finally:
            self.discard()

    def discard(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        super().close()


class _Reading:
    """An object from some byte on, as it comes; it goes on when the daemon is restarted."""

    def __init__(self, client: Client, path: str, offset: int, options: dict[str, Any]) -> None:
        self._stream = Stream(client._core, path, offset, options)

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(1 << 20), b"")

    def read(self, most: int) -> bytes:
        """So many bytes, fewer at the end."""
        return run(self._stream.read(most))

    def close(self) -> None:
        self._stream.close()

    def __del__(self) -> None:
        self.close()


def _no_credentials(config: Any, signer: Any, iam_type: Optional[str], region: Optional[str],
                    security_token_file: Optional[str]) -> None:
    """Silence would send somebody's bytes with another one's rights."""
    where = os.path.expanduser(config) if isinstance(config, str) else config
    if where and where != os.path.expanduser(_DEFAULT_CONFIG):
        raise errors.Unsupported("the daemon reads ~/.oci/config itself: leave 'config' out, and "
                                 "name a section of it as 'profile'")
    for name, value in (("signer", signer), ("region", region),
                        ("security_token_file", security_token_file),
                        ("iam_type", None if iam_type == "api_key" else iam_type)):
        if value:
            raise errors.Unsupported(f"credentials are the daemon's: leave '{name}' out, and name "
                                     "a section of ~/.oci/config as 'profile'")


def _name(one: dict[str, Any]) -> str:
    return str(one["name"])


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _file(bucket: str, row: Any) -> dict[str, Any]:
    return {"name": f"{bucket}/{row.name}", "size": row.size or 0, "type": "file",
            "etag": row.etag, "md5": row.md5, "timeModified": row.time_modified,
            "storageTier": row.storage_tier, "archivalState": row.archival_state}


def _headers(path: str, headers: Any) -> dict[str, Any]:
    return {"name": path, "size": int(headers["content-length"]), "type": "file",
            "etag": headers.get("etag", ""), "md5": headers.get("content-md5", ""),
            "timeModified": headers.get("last-modified", ""),
            "storageTier": headers.get("storage-tier", ""),
            "archivalState": headers.get("archival-state", ""),
            "contentType": headers.get("content-type", "")}


def _parents(name: str, top: str) -> Iterator[str]:
    """Directories above a name, down to top."""
    parent = name.rpartition("/")[0]
    while len(parent) >= len(top) and parent:
        yield parent
        parent = parent.rpartition("/")[0]


def take_oci() -> None:
    """From now on oci:// is ours, too, in this process; it belongs to ocifs otherwise."""
    fsspec.register_implementation("oci", OcidFileSystem, clobber=True)


fsspec.register_implementation("ocid", OcidFileSystem, clobber=True)
