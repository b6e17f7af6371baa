# SPDX-License-Identifier: Apache-2.0
"""_model.py - what jobs are made of: options, states, rows. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, NamedTuple, SupportsInt, TypedDict, TypeVar

from . import errors
from ._tables import MESSAGES

C = TypeVar("C")

# Nobody writes into the defaults: they are shared.
FINAL = frozenset({"done", "failed", "cancelled"})


class JobOptions(TypedDict, total=False):
    """What every job can have."""

    profile: str  # of ~/.oci/config; else the daemon's default
    priority: int  # 0 to 9, higher first
    label: str  # free text for people
    set: SupportsInt  # the set that it joins
    after: Iterable[SupportsInt] | SupportsInt  # jobs (or sets) that must be done first
    key: str  # idempotency: the same key twice is one job
    timeout: float  # seconds until the job fails by itself


class PutOptions(JobOptions, total=False):
    content_type: str
    content_encoding: str
    content_language: str
    content_disposition: str
    cache_control: str
    storage_tier: str
    metadata: Mapping[str, str]
    if_match: str
    if_absent: bool
    part_bytes: int


class GetOptions(JobOptions, total=False):
    version_id: str
    if_match: str


class BytesOptions(GetOptions, total=False):
    offset: int  # first byte; behind the end there are none
    length: int  # at most so many


class ListOptions(JobOptions, total=False):
    delimiter: str
    start: str
    end: str
    fields: str
    limit: int


class ShareOptions(JobOptions, total=False):
    access: str  # "read" (else), "write" or "read_write"
    prefix: bool  # all names that begin like this; else one object
    listing: bool  # with prefix, for reading: names may be listed, too


class WatchOptions(JobOptions, total=False):
    etag: str  # until it has another than this
    changed: bool  # until it is another than it is now
    gone: bool  # until there is none


class Outcome(NamedTuple):
    """How a job ended, or what it has learnt so far."""

    error: str = ""
    text: str = ""
    http_status: int = 0
    service_code: str = ""
    request_id: str = ""
    etag: str = ""
    version_id: str = ""
    verified: str = "none"
    bytes: int = 0
    result: Mapping[str, str] = {}


class Status(NamedTuple):
    """One job as it stands. Times are milliseconds since 1970, sizes bytes; None: not told."""

    id: int
    state: str
    why: str = "none"
    seq: int = 0
    created_at: int | None = None
    ended_at: int | None = None
    retry_at: int | None = None
    tries: int = 0
    bytes_done: int = 0
    bytes_total: int | None = None
    parts_done: int = 0
    parts_total: int | None = None
    n_total: int = 0
    n_done: int = 0
    n_failed: int = 0
    n_cancelled: int = 0
    sealed: bool = False
    held: str = ""  # the limit that holds it back, a sentence
    reading: bool = False
    job: Mapping[str, Any] = {}
    outcome: Outcome = Outcome()

    def __int__(self) -> int:
        return self.id

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def error(self) -> errors.OcidError | None:
        """Why it did not end well; None for jobs that are done, or have not ended."""
        out = self.outcome
        if self.state == "cancelled":
            return errors.Cancelled(f"job {self.id} was cancelled")
        if self.state != "failed":
            return None
        return errors.from_map({"code": out.error, "text": out.text,
                                "http_status": out.http_status,
                                "service_code": out.service_code, "request_id": out.request_id})


class Row(NamedTuple):
    """One line of a listing: an object, a bucket, an upload, a link, or (`prefix`) what many names
    have in common."""

    name: str = ""
    prefix: str = ""
    size: int | None = None
    etag: str = ""
    md5: str = ""
    time_created: str = ""
    time_modified: str = ""
    storage_tier: str = ""
    archival_state: str = ""
    upload_id: str = ""
    parts: int | None = None  # of an upload; size is their sum
    job: int = 0  # whose upload or link it is
    share_id: str = ""  # of a link; name or prefix is what it opens
    share_name: str = ""
    access: str = ""  # read, write or read_write
    listing: bool = False
    time_expires: str = ""


class Limit(NamedTuple):
    """What holds for whom: bandwidth (both ways together) and durable jobs at work at a time, those
    up to 1 MiB counted apart; None: no limit."""

    scope: str  # all, user, client, set
    uid: int | None = None
    label: str = ""
    set: int = 0
    bytes_per_s: int | None = None
    jobs: int | None = None
    at_work: int = 0
    at_work_small: int = 0
    configured: bool = False  # it stands in ocid.conf


class Ack(NamedTuple):
    """What became of one job that was acted on; `error` is None if it was."""

    id: int
    state: str = ""
    error: errors.OcidError | None = None


class Handle(Generic[C]):
    """A job by its id: whom to ask about it, and what was last heard."""

    def __init__(self, client: C, ident: int, last: Status | None = None) -> None:
        self.client, self.id, self.last = client, ident, last

    def __repr__(self) -> str:
        kind = type(self)
        return f"<{kind.__module__.removesuffix('.client')}.{kind.__name__} {self.id}>"

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and (self.id, self.client) == (other.id, other.client)

    def __hash__(self) -> int:
        return hash(self.id)


_KNOWN = {name: frozenset(f.name for f in fields) for name, fields in MESSAGES.items()}


def _known(message: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields of a newer daemon."""
    return {name: value for name, value in found.items() if name in _KNOWN[message]}


def status_from(found: Mapping[str, Any]) -> Status:
    values = _known("status", found)
    values["outcome"] = Outcome(**_known("outcome", values.get("outcome") or {}))
    return Status(**values)


def row_from(found: Mapping[str, Any]) -> Row:
    values = _known("row", found)
    values.pop("end", None)
    return Row(**values)


def limit_from(found: Mapping[str, Any]) -> Limit:
    return Limit(**_known("limit", found))


def ack_from(found: Mapping[str, Any]) -> Ack:
    error = found.get("error")
    return Ack(int(found["id"]), str(found.get("state", "")),
               errors.from_map(error) if error else None)
