# SPDX-License-Identifier: Apache-2.0
"""errors.py - one exception for each error of the protocol; `tests/python` holds it to the table.

`except ocid.OcidError` catches all of them. Those that Python has a word for are that, too:
`NotFound` is a `FileNotFoundError`, `TimedOut` a `TimeoutError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._tables import ERRORS


class OcidError(Exception):
    """What went wrong, in one sentence, with what the service said about it."""

    code = ""

    def __init__(self, text: str = "", *, code: str = "", http_status: int = 0,
                 service_code: str = "", request_id: str = "",
                 index: int | None = None) -> None:
        self.code = code or type(self).code
        known = ERRORS.get(self.code)
        self.text = text or (known.text if known else self.code or "unknown error")
        self.http_status = http_status
        self.service_code = service_code
        self.request_id = request_id
        self.index = index
        super().__init__(self.text)

    def __str__(self) -> str:
        service = " ".join(x for x in (str(self.http_status or ""), self.service_code) if x)
        if self.request_id:
            service = f"{service}, request {self.request_id}" if service else \
                f"request {self.request_id}"
        return f"{self.text} ({service})" if service and service not in self.text else self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.code, self.text, self.http_status, self.service_code,
                        self.request_id, self.index)


class Internal(OcidError):
    code = "internal"


class NoMemory(OcidError, MemoryError):
    code = "nomem"


class Invalid(OcidError, ValueError):
    code = "invalid"


class Protocol(OcidError):
    code = "protocol"


class Version(OcidError):
    code = "version"


class TooLarge(OcidError, ValueError):
    code = "too_large"


class NoDaemon(OcidError, ConnectionError):
    code = "no_daemon"


class DeniedPeer(OcidError, PermissionError):
    code = "denied_peer"


class QueueFull(OcidError):
    code = "queue_full"


class Config(OcidError):
    code = "config"


class TimedOut(OcidError, TimeoutError):
    code = "timed_out"


class Detached(OcidError):
    code = "detached"


class Stopping(OcidError, ConnectionError):
    code = "stopping"


class Cancelled(OcidError):
    code = "cancelled"


class State(OcidError):
    code = "state"


class IOFailed(OcidError, OSError):
    code = "io"


class Unsupported(OcidError):
    code = "unsupported"


class NotFound(OcidError, FileNotFoundError):
    code = "not_found"


class Exists(OcidError, FileExistsError):
    code = "exists"


class Condition(OcidError):
    code = "condition"


class Denied(OcidError, PermissionError):
    code = "denied"


class Auth(OcidError, PermissionError):
    code = "auth"


class Checksum(OcidError):
    code = "checksum"


class SourceChanged(OcidError):
    code = "source_changed"


class Server(OcidError):
    code = "server"


class JobTimeout(OcidError, TimeoutError):
    code = "job_timeout"


class Predecessor(OcidError):
    code = "predecessor"


class Name(OcidError, ValueError):
    code = "name"


class Throttled(OcidError):
    code = "throttled"


class Unavailable(OcidError):
    code = "unavailable"


class Network(OcidError, OSError):
    code = "network"


class Locked(OcidError):
    code = "locked"


class Login(OcidError):
    code = "login"


class Key(OcidError):
    code = "key"


class File(OcidError, OSError):
    code = "file"


class Space(OcidError, OSError):
    code = "space"


class Destination(OcidError, OSError):
    code = "destination"


class SomeFailed(OcidError):
    code = "some_failed"


class Lost(OcidError):
    code = "lost"


CLASSES: dict[str, type[OcidError]] = {
    cls.code: cls for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, OcidError) and cls.code
}


def from_map(found: Mapping[str, Any]) -> OcidError:
    """The exception for an `error` map of the protocol; an unknown code is a plain OcidError."""
    code = str(found.get("code") or "")
    return CLASSES.get(code, OcidError)(
        str(found.get("text") or ""), code=code, http_status=int(found.get("http_status") or 0),
        service_code=str(found.get("service_code") or ""),
        request_id=str(found.get("request_id") or ""), index=found.get("index"))


def _again(code: str, text: str, http_status: int, service_code: str, request_id: str,
           index: int | None) -> OcidError:
    return CLASSES.get(code, OcidError)(text, code=code, http_status=http_status,
                                        service_code=service_code, request_id=request_id,
                                        index=index)
