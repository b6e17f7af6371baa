# SPDX-License-Identifier: Apache-2.0
"""_wire.py - one connection: hello, frames, descriptors, replies.

Blocking, one request at a time. It belongs to the process and the thread that opened it.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgpack

from . import _tables, errors

_CHUNK = 256 * 1024


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


def frame(payload: bytes) -> bytes:
    if len(payload) > _tables.MAX_FRAME:
        raise errors.TooLarge(f"a message of {len(payload)} bytes; {_tables.MAX_FRAME} at most")
    return struct.pack(">I", len(payload)) + payload


def hello(software: str, label: str | None) -> dict[str, Any]:
    """What a client says first."""
    said: dict[str, Any] = {"min": _tables.PROTOCOL_MIN, "max": _tables.PROTOCOL_MAX,
                            "software": software[:64]}
    if label:
        said["label"] = label
    return said


def reply_of(value: Any) -> list[Any]:
    """[1, id, error, result]; raised if it answers nobody: we are being turned away."""
    if not isinstance(value, list) or len(value) != 4 or value[0] != 1:
        raise errors.Protocol("the daemon sent what is no reply")
    if value[1] == 0 and value[2]:
        raise errors.from_map(value[2])
    return value


class Connection:
    """A connection that has said hello."""

    def __init__(self, sock: socket.socket, *, software: str, label: str | None,
                 timeout: float) -> None:
        self._sock = sock
        self._last = 0
        self._pid = os.getpid()
        self.welcome: Mapping[str, Any] = self.call("hello", hello(software, label),
                                                     timeout=timeout)

    @classmethod
    def open(cls, paths: Sequence[str], *, software: str, label: str | None,
             timeout: float) -> Connection:
        """Connects to the first socket that answers."""
        last: OSError | None = None
        for path in paths:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(path)
                return cls(sock, software=software, label=label, timeout=timeout)
            except errors.OcidError:
                sock.close()
                raise
            except OSError as error:
                sock.close()
                last = error
                if isinstance(error, PermissionError):
                    raise errors.DeniedPeer(f"no access to '{path}'") from error
        raise errors.NoDaemon(f"the daemon is not running at '{paths[0]}': ocictl start"
                              ) from last

    def close(self) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def usable(self) -> bool:
        """False in a forked child, and once the daemon has hung up."""
        if self._pid != os.getpid() or self._sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)  # nothing is sent to us unasked: readable means the end

    def call(self, method: str, params: Mapping[str, Any], fds: Sequence[int] = (), *,
             timeout: float) -> Any:
        """The result of one request, or its error as an exception. NoDaemon: the connection has
        ended, what became of the request is not known."""
        end = time.monotonic() + timeout
        self._last += 1
        try:
            try:
                self._send(frame(pack([0, self._last, method, params])), fds, end)
            except (BrokenPipeError, ConnectionResetError):
                self._refusal(end)
                raise
            reply = self._receive(end)
        except (TimeoutError, socket.timeout) as error:  # two names before Python 3.10
            self.close()
            raise errors.TimedOut(f"no answer to {method} within {timeout:g} s") from error
        except ConnectionError as error:
            self.close()
            if isinstance(error, errors.OcidError):
                raise
            raise errors.NoDaemon("the connection to the daemon was lost") from error
        except BaseException:
            self.close()  # a half-sent or half-read frame: nothing after it can be trusted
            raise
        if reply[2] is not None:
            raise errors.from_map(reply[2])
        return reply[3]

    def _left(self, end: float) -> None:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def _send(self, data: bytes, fds: Sequence[int], end: float) -> None:
        self._left(end)
        sent = 0
        if fds:
            rights = array.array("i", fds)
            sent = self._sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        if sent < len(data):
            self._sock.sendall(memoryview(data)[sent:])

    def _receive(self, end: float) -> Any:
        (size,) = struct.unpack(">I", self._exactly(4, end))
        if size > _tables.MAX_FRAME:
            raise errors.Protocol(f"the daemon announces a frame of {size} bytes")
        reply = reply_of(unpack(self._exactly(size, end)))
        if reply[1] != self._last:
            raise errors.Protocol("the daemon sent what was not asked for")
        return reply

    def _refusal(self, end: float) -> None:
        """Why the daemon has hung up, if it said so."""
        with suppress(ConnectionResetError):
            self._receive(end)

    def _exactly(self, size: int, end: float) -> bytes:
        found = bytearray()
        while len(found) < size:
            self._left(end)
            part = self._sock.recv(min(size - len(found), _CHUNK))
            if not part:
                raise ConnectionResetError
            found += part
        return bytes(found)
