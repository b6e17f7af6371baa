# SPDX-License-Identifier: Apache-2.0
"""auth.py - checks request signatures (signature version 1) from the raw request.

Pure: no clock, no I/O; the caller gives "now" and the known keys. The signing string is
rebuilt from the bytes of the request line and the header lines and from nothing else.
"""

import base64
import binascii
import calendar
import hashlib
import re
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .wire import ServiceError

SKEW_S = 300
UNKNOWN = "The required information to complete authentication was not provided or was incorrect."
BAD_SIGNATURE = "Failed to verify the HTTP(S) Signature"

_PARAMETER = re.compile(r'\s*([A-Za-z]+)="([^"]*)"\s*(?:,|$)')
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def refused(message):
    """The 401 of Object Storage."""
    return ServiceError(401, "NotAuthenticated", message,
                        {"www-authenticate": 'Casper realm="AUTH_casper"'})


def load_key(pem):
    """An RSA public key from PEM (bytes or text)."""
    key = serialization.load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key


def parse_authorization(value):
    """Parameters of `Signature name="value",…`; version is optional, nothing else is."""
    scheme, _, rest = (value or "").partition(" ")
    if scheme.lower() != "signature":
        raise refused(UNKNOWN)
    found, at = {}, 0
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if not match or match[1] in found:
            raise refused(UNKNOWN)
        found[match[1]] = match[2]
        at = match.end()
    if found.get("version", "1") != "1" or found.get("algorithm") != "rsa-sha256":
        raise refused(UNKNOWN)
    if not all(found.get(name) for name in ("keyId", "headers", "signature")):
        raise refused(UNKNOWN)
    return found


def required_headers(method, path, headers, body_exempt):
    """Names that must be in the list, for this request."""
    need = {"(request-target)", "x-date" if "x-date" in headers else "date"}
    if not path.endswith(b"/v1/x509"):
        need.add("host")
    if method in ("POST", "PUT", "PATCH") and not body_exempt:
        need |= {"content-length", "content-type", "x-content-sha256"}
    for name in ("opc-obo-token", "x-content-sha256"):
        if name in headers:
            need.add(name)
    return need


def signing_string(names, method, target, headers):
    """The bytes that were signed; every listed header must be there exactly once."""
    lines = []
    for name in names:
        if name == "(request-target)":
            lines.append(b"(request-target): " + method.lower().encode() + b" " + target)
            continue
        values = headers.get(name, ())
        if len(values) != 1:
            raise refused(BAD_SIGNATURE)
        lines.append(f"{name}: {values[0]}".encode("latin-1"))
    return b"\n".join(lines)


def parse_date(text):
    """Seconds of an IMF-fixdate; the weekday must be the right one."""
    try:
        parsed = time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
    except (TypeError, ValueError):
        raise refused(UNKNOWN) from None
    seconds = calendar.timegm(parsed)
    if _DAYS[time.gmtime(seconds).tm_wday] != text[:3]:
        raise refused(UNKNOWN)
    return seconds


def check_date(headers, now):
    """More than five minutes off is refused."""
    values = headers.get("x-date") or headers.get("date") or [None]
    then = parse_date(values[0])
    if abs(now - then) > SKEW_S:
        def text(seconds):
            return time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(seconds))
        raise refused(f"Date '{text(then)}' is not within allowed clock skew. Current "
                      f"'{text(now)}', valid datetime range: ['{text(now - SKEW_S)}',"
                      f"'{text(now + SKEW_S + 1)}']")


def check_signature(key, signature, text):
    """RSASSA-PKCS1-v1_5 with SHA-256 over text; signature in standard base64."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        raise refused(BAD_SIGNATURE) from None


def verify(keys, method, target, headers, now, body_exempt=False):
    """Checks all but the body. `headers`: lower-case name -> list of values; `keys`: keyId ->
    public key. Returns the SHA-256 (base64) that the body must have, or None."""
    given = headers.get("authorization", ())
    if len(given) != 1:
        raise refused(UNKNOWN)
    params = parse_authorization(given[0])
    key = keys.get(params["keyId"])
    if key is None:
        raise refused(UNKNOWN)
    names = params["headers"].lower().split(" ")
    path = target.partition(b"?")[0]
    if len(set(names)) != len(names):
        raise refused(BAD_SIGNATURE)
    if not required_headers(method, path, headers, body_exempt) <= set(names):
        raise refused(BAD_SIGNATURE)
    text = signing_string(names, method, target, headers)
    check_date(headers, now)
    check_signature(key, params["signature"], text)
    return headers["x-content-sha256"][0] if "x-content-sha256" in headers else None


def check_body(expected, body):
    """The body against x-content-sha256, if that was signed."""
    if expected is None:
        return
    if base64.b64encode(hashlib.sha256(body).digest()).decode() != expected:
        raise refused(BAD_SIGNATURE)
