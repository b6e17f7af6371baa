# SPDX-License-Identifier: Apache-2.0
"""wire.py - what a request and an answer are, before anybody acts on them.

The raw request target and headers are kept as they came, because the signature covers
those bytes. Everything else here is spelling: dates, percent-encoding, errors.
"""

import email.utils
import json
import time
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

JSON_BODY_MAX = 4 << 20


class ServiceError(Exception):
    """An error answer: status, the service's code and a sentence."""

    def __init__(self, status, code, message, headers=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}

    def answer(self):
        body = {"code": self.code, "message": self.message}
        return Answer.json(body, self.status, dict(self.headers))


def invalid(message, code="InvalidParameter"):
    """The 400 for something the caller got wrong."""
    return ServiceError(400, code, message)


@dataclass
class Answer:
    """What to send back. `extents` (blob id, size) stand for a body kept on disk, of which
    `length` bytes from `start` are sent; otherwise the body is `body`."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    extents: list | None = None
    start: int = 0
    length: int = 0

    @classmethod
    def json(cls, value, status=200, headers=None):
        headers = headers or {}
        headers.setdefault("content-type", "application/json")
        return cls(status, headers, json.dumps(value, separators=(",", ":")).encode())


class Clock:
    """The store's own time; tests may move it."""

    def __init__(self):
        self.offset = 0.0

    def now(self):
        return time.time() + self.offset


_DATES = {}


def http_date(seconds):
    """RFC 1123 with GMT, whole seconds."""
    key = int(seconds)
    text = _DATES.get(key)
    if text is None:
        if len(_DATES) > 1000:
            _DATES.clear()
        text = _DATES[key] = email.utils.formatdate(key, usegmt=True)
    return text


def rfc3339(seconds):
    """UTC with milliseconds, as in JSON answers."""
    millis = round(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000))
    return f"{whole}.{millis % 1000:03d}Z"


def decode_segment(raw):
    """One path parameter: percent-decoded once, a plus stays a plus."""
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid("The URI is not valid UTF-8", "MalformedURI") from None


def parse_query(raw):
    """First value of each query parameter; here a plus is a space."""
    values = {}
    for pair in raw.split(b"&") if raw else ():
        name, _, value = pair.partition(b"=")
        name = decode_segment(name.replace(b"+", b" "))
        values.setdefault(name, decode_segment(value.replace(b"+", b" ")))
    return values


class Call:
    """One request on its way through the store.

    Set by routes.py: op, namespace, bucket, object, item (any other id in the path) and
    token (pre-authenticated). Set by app.py: plan (faults), entry (log line), auth (how it is
    allowed), user, claims (of the token that signed), digest (SHA-256 the body
    must have), body (unless it streams).
    """

    def __init__(self, request):
        self.request = request
        self.method = request.method
        self.target = request.raw_path.encode("utf-8", "surrogateescape")
        self.path, _, query = self.target.partition(b"?")
        self.raw_query = query
        self.headers = {}
        for name, value in request.raw_headers:
            key = name.decode("latin-1").lower()
            self.headers.setdefault(key, []).append(value.decode("latin-1").strip(" \t"))
        self.op = "Unknown"
        self.namespace = self.bucket = self.object = self.item = self.token = None
        self.query = {}
        self.plan = self.entry = None
        self.auth = "none"
        self.user = ""
        self.claims = None
        self.digest = None
        self.body = b""
        self.body_started = False
        self.body_done = False

    def header(self, name, default=None):
        """Value of a header that may come once; None when absent."""
        values = self.headers.get(name)
        if not values:
            return default
        if len(values) > 1:
            raise invalid(f"The header '{name}' was sent {len(values)} times")
        return values[0]

    @property
    def length(self):
        """Declared length of the body, None if there is none declared."""
        text = self.header("content-length")
        if text is None:
            return None
        if not text.isdigit():
            raise invalid(f"The Content-Length '{text}' is not a number", "InvalidContentLength")
        return int(text)

    def json(self):
        """The body as a JSON object."""
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ServiceError(415, "UnsupportedMediaType", f"The Content-Type '{kind}' is not "
                               "supported, use application/json")
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise invalid(f"The body is not JSON: {error}", "CannotParseRequest") from None
        if not isinstance(value, dict):
            raise invalid("The body is not a JSON object", "CannotParseRequest")
        return value


def field_of(body, name, *, code="MissingParameter", default=..., kind=str):
    """A typed field of a JSON body; the error names it."""
    value = body.get(name)
    if value is None:
        if default is ...:
            raise invalid(f"The field '{name}' is required", code)
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"The field '{name}' has the wrong type")
    return value
