# SPDX-License-Identifier: Apache-2.0
"""objects.py - single objects: put, get, head, delete, and what they are made of.

An object is a document (etag, version, size, checksums, attributes) and extents of blobs.
install() is the only way in, discard() the only way out.
"""

import base64
import binascii
import hashlib
import re
import uuid

from . import buckets, synthetic
from .checksum import ALGORITHMS
from .conditions import WriteCondition, check_read, match_failed
from .transfer import receive, require_length
from .wire import Answer, ServiceError, http_date, invalid, rfc3339

TIERS = ("Standard", "InfrequentAccess", "Archive")
ATTRIBUTES = ("content-type", "content-language", "content-encoding", "content-disposition",
              "cache-control")
OVERRIDES = {"httpResponseContentDisposition": "content-disposition",
             "httpResponseCacheControl": "cache-control",
             "httpResponseContentType": "content-type",
             "httpResponseContentLanguage": "content-language",
             "httpResponseContentEncoding": "content-encoding",
             "httpResponseExpires": "expires"}
SHOWN_SUMS = {"crc32c": "opc-content-crc32c", "sha256": "opc-content-sha256",
              "sha384": "opc-content-sha384", "multipart_md5": "opc-multipart-md5",
              "multipart_sha256": "opc-multipart-sha256",
              "multipart_sha384": "opc-multipart-sha384"}
METADATA_MAX = 4000
RANGE = re.compile(r"bytes=(\d*)-(\d*)")
SSE = "opc-sse-customer-"


def not_found(name, bucket):
    return ServiceError(404, "ObjectNotFound",
                        f"The object '{name}' was not found in the bucket '{bucket}'")


def check_name(name):
    raw = name.encode()
    if not 1 <= len(raw) <= 1024 or any(c in raw for c in b"\0\r\n"):
        raise invalid(f"The object name '{name[:100]}' is not valid", "InvalidObjectName")


# What comes with a put.

def checked_meta(meta):
    """User metadata under lower-case names with their opc-meta- prefix."""
    found = {}
    for name, value in meta.items():
        name = name.lower()
        if not name.startswith("opc-meta-") or name == "opc-meta-" or not isinstance(value, str):
            raise invalid(f"The metadata '{name}' is not valid", "InvalidMetadata")
        if any(c in value for c in "\0\r\n"):
            raise invalid(f"The value of '{name}' is not valid", "InvalidMetadata")
        found[name] = value
    if sum(len(k.encode()) + len(v.encode()) for k, v in found.items()) > METADATA_MAX:
        raise invalid(f"The metadata is larger than {METADATA_MAX} bytes", "MetadataTooLarge")
    return found


def meta_of(call):
    return checked_meta({name: text_of(", ".join(values))
                         for name, values in call.headers.items()
                         if name.startswith("opc-meta-")})


def text_of(value):
    """A header value as text: UTF-8 if it is that, else latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def attributes_of(call):
    found = {name: text_of(call.header(name)) for name in ATTRIBUTES if call.header(name)}
    found.setdefault("content-type", "application/octet-stream")
    return found


def tier_of(value, bucket):
    tier = value or bucket["storageTier"]
    if tier not in TIERS or (bucket["storageTier"] == "Archive" and tier != "Archive"):
        raise invalid(f"The storage tier '{tier}' is not valid here", "InvalidStorageTier")
    return tier


def customer_key(call, prefix=SSE):
    """Hash of the customer's encryption key, after checking all three headers; or None."""
    names = ("algorithm", "key", "key-sha256")
    algorithm, key, digest = (call.header(prefix + name) for name in names)
    if not (algorithm or key or digest):
        return None
    if call.header("opc-sse-kms-key-id"):
        raise invalid("SSE-C and a KMS key exclude each other")
    return checked_key(algorithm, key, digest)


def checked_key(algorithm, key, digest):
    try:
        raw = base64.b64decode(key or "", validate=True)
    except binascii.Error:
        raw = b""
    if algorithm != "AES256" or len(raw) != 32:
        raise invalid("The customer encryption key must be AES256, 32 bytes in base64")
    if base64.b64encode(hashlib.sha256(raw).digest()).decode() != digest:
        raise invalid("The customer encryption key does not match its SHA-256")
    return digest


def check_customer_key(call, doc, prefix=SSE):
    """The key given must be the one the object was stored with."""
    if customer_key(call, prefix) != doc.get("sse"):
        raise invalid("The customer encryption key is missing, not needed, or not the one the "
                      "object was encrypted with")


# Checksums.

def algorithm_of(store, call):
    """The additional checksum: `crc32c`, `sha256`, `sha384` or None."""
    name = call.header("opc-checksum-algorithm")
    given = [c for c in ALGORITHMS.values() if call.header(f"opc-content-{c}")]
    if name is None and not given:
        return None
    if store.settings["no_crc32c"] and name == "CRC32C":
        return None
    chosen = ALGORITHMS.get(name)
    if chosen is None or any(c != chosen for c in given):
        raise invalid(f"The checksum algorithm '{name}' is not valid, or a checksum of another "
                      "algorithm was sent", "MissingOrInvalidChecksum")
    return chosen


def _claimed(call, header, n_bytes, code):
    value = call.header(header)
    if value is None:
        return None
    try:
        raw = base64.b64decode(value, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != n_bytes:
        raise invalid(f"The {header} header '{value}' is not valid", code)
    return value


class Claims:
    """The checksums a request says its body has."""

    def __init__(self, call, algorithm):
        self.md5 = _claimed(call, "content-md5", 16, "InvalidContentMD5")
        self.algorithm = algorithm
        size = {"crc32c": 4, "sha256": 32, "sha384": 48}.get(algorithm)
        self.other = size and _claimed(call, f"opc-content-{algorithm}", size,
                                       "MissingOrInvalidChecksum")

    def check(self, sums):
        for what, header, claim, name in (
                ("MD5", "Content-MD5", self.md5, "md5"),
                (str(self.algorithm).upper(), f"opc-content-{self.algorithm}", self.other,
                 self.algorithm)):
            if claim is not None and claim != sums[name]:
                raise invalid(f"The computed {what} of the request body ({sums[name]}) does not "
                              f"match the {header} header ({claim})", f"UnmatchedContent{what}")


async def receive_checked(store, call, algorithm, check):
    """A body on disk whose checksums are right; `check` runs once more when it is all
    there, because the world may have changed meanwhile."""
    claims = Claims(call, algorithm)
    body = await receive(store.blobs, call, *([algorithm] if algorithm else []))
    try:
        claims.check(body.sums)
        store.check_late_digest(call, body)
        check()
    except ServiceError:
        store.blobs.remove(body.blob)
        raise
    return body


# Documents.

def new_document(store, *, size, extents, tier, headers, meta, **more):
    now = store.now()
    doc = {"etag": str(uuid.uuid4()), "version": str(uuid.uuid4()), "size": size,
           "extents": extents, "tier": tier, "headers": headers, "meta": meta,
           "created": now, "modified": now}
    if tier == "Archive":
        doc["archived"] = now
    doc.update({name: value for name, value in more.items() if value is not None})
    return doc


def install(store, bucket, name, doc):
    """Makes `doc` the current object of that name, at once for all readers."""
    old = store.catalog.object(bucket["name"], name)
    if old:
        retire(store, bucket, name, old)
    if old and bucket["versioning"] == "Disabled":
        doc["created"] = old["created"]
    store.catalog.put_object(bucket["name"], name, doc)


def retire(store, bucket, name, old):
    """An object that is current no more: kept as a version or thrown away."""
    if bucket["versioning"] == "Enabled":
        store.catalog.add_version(bucket["name"], name, old)
    else:
        store.blobs.remove_all(old["extents"])


def current(store, bucket, name):
    """The current object's document, or None."""
    if bucket.get("synthetic"):
        return synthetic.find(bucket, name)
    return store.catalog.object(bucket["name"], name)


def find(store, bucket, name, version=None):
    """An object or one of its versions, or 404."""
    doc = current(store, bucket, name)
    if version and (doc is None or doc["version"] != version):
        doc = store.catalog.version(bucket["name"], name, version)
    if doc is None or doc.get("marker"):
        raise not_found(name, bucket["name"])
    return doc


def save(store, bucket, name, doc):
    """Writes a changed document back, current or not."""
    now = store.catalog.object(bucket["name"], name)
    if now and now["version"] == doc["version"]:
        store.catalog.put_object(bucket["name"], name, doc)
    else:
        store.catalog.put_version(bucket["name"], name, doc)


# Archive.

def archival_state(store, doc):
    """None (not in tier Archive), Archived, Restoring or Restored."""
    if doc.get("tier") != "Archive":
        return None
    now = store.now()
    if "restore_ready" not in doc or now >= doc["restore_until"]:
        return "Archived"
    return "Restored" if now >= doc["restore_ready"] else "Restoring"


def check_restored(store, name, doc):
    state = archival_state(store, doc)
    if state == "Archived":
        raise ServiceError(409, "NotRestored", f"The object '{name}' is archived; restore it "
                           "before reading it")
    if state == "Restoring":
        raise ServiceError(409, "RestoreInProgress", f"The object '{name}' is being restored")


# Operations.

async def put_object(store, call):
    bucket = buckets.require(store, call)
    buckets.check_writable(bucket)
    check_name(call.object)
    condition = WriteCondition.of(call)
    parts = {"tier": tier_of(call.header("storage-tier"), bucket), "headers": attributes_of(call),
             "meta": meta_of(call), "sse": customer_key(call),
             "kms": call.header("opc-sse-kms-key-id")}
    algorithm = algorithm_of(store, call)
    require_length(call, store.settings["max_body_bytes"])

    def check():
        condition.check(store.catalog.object(buckets.require(store, call)["name"], call.object))
    check()
    body = await receive_checked(store, call, algorithm, check)
    doc = new_document(store, size=body.size, extents=body.extents, **body.sums, **parts)
    install(store, bucket, call.object, doc)
    return Answer(200, written_headers(doc))


def written_headers(doc):
    """What tells a writer about the new object."""
    headers = {"etag": doc["etag"], "last-modified": http_date(doc["modified"]),
               "version-id": doc["version"]}
    if "md5" in doc:
        headers["opc-content-md5"] = doc["md5"]
    headers.update({h: doc[name] for name, h in SHOWN_SUMS.items() if name in doc})
    return headers


def read_headers(store, doc):
    """What tells a reader about an object."""
    headers = {**doc["headers"], **doc["meta"], "etag": doc["etag"],
               "last-modified": http_date(doc["modified"]), "accept-ranges": "bytes",
               "version-id": doc["version"], "storage-tier": doc["tier"]}
    if "md5" in doc:
        headers["content-md5"] = doc["md5"]
    headers.update({h: doc[name] for name, h in SHOWN_SUMS.items() if name in doc})
    state = archival_state(store, doc)
    if state:
        headers["archival-state"] = state
        when = doc["restore_until"] if state == "Restored" else doc["archived"]
        headers["time-of-archival"] = rfc3339(when)
    if "sse" in doc:
        headers[SSE + "algorithm"] = "AES256"
        headers[SSE + "key-sha256"] = doc["sse"]
    if "kms" in doc:
        headers["opc-sse-kms-key-id"] = doc["kms"]
    return headers


def parse_range(text, size):
    """(first, count), None without a range; 416 if nothing of it is there."""
    if text is None:
        return None
    match = RANGE.fullmatch(text.strip())
    if not match or not (match[1] or match[2]):
        raise invalid(f"The range '{text}' is not valid")
    if match[1]:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
        valid = first < size and (not match[2] or int(match[2]) >= first)
    else:
        first, last = max(size - int(match[2]), 0), size - 1
        valid = size > 0 and int(match[2]) > 0
    if not valid:
        raise ServiceError(416, "InvalidRange", f"The range '{text}' is not satisfiable for an "
                           f"object of {size} bytes", {"content-range": f"bytes */{size}"})
    return first, last - first + 1


def _looked_up(store, call):
    """(document, headers, 304?) for get and head."""
    bucket = buckets.require(store, call)
    doc = find(store, bucket, call.object, call.query.get("versionId"))
    unchanged = check_read(call, doc["etag"])
    check_customer_key(call, doc)
    return doc, read_headers(store, doc), unchanged


async def get_object(store, call):
    doc, headers, unchanged = _looked_up(store, call)
    if unchanged:
        return Answer(304, headers)
    check_restored(store, call.object, doc)
    headers.update({header: call.query[name] for name, header in OVERRIDES.items()
                    if name in call.query})
    span = parse_range(call.header("range"), doc["size"])
    start, count = span or (0, doc["size"])
    if span:
        headers["content-range"] = f"bytes {start}-{start + count - 1}/{doc['size']}"
    answer = Answer(206 if span else 200, headers, extents=doc["extents"], start=start,
                    length=count)
    if doc.get("filler"):
        answer.extents = store.filler(doc["size"])
    return answer


async def head_object(store, call):
    doc, headers, unchanged = _looked_up(store, call)
    if unchanged:
        return Answer(304, headers)
    headers["content-length"] = str(doc["size"])
    return Answer(200, headers)


async def delete_object(store, call):
    bucket = buckets.require(store, call)
    buckets.check_writable(bucket)
    version = call.query.get("versionId")
    return Answer(204, delete(store, bucket, call.object, version, call.header("if-match")))


def delete(store, bucket, name, version=None, if_match=None):
    """Removes an object or a version; the headers of the answer."""
    doc = store.catalog.object(bucket["name"], name)
    if version:
        return _delete_version(store, bucket, name, version, doc)
    if doc is None:
        raise not_found(name, bucket["name"])
    if if_match is not None and if_match != doc["etag"]:
        raise match_failed(if_match, doc["etag"])
    store.catalog.drop_object(bucket["name"], name)
    retire(store, bucket, name, doc)
    headers = {"last-modified": http_date(store.now()), "version-id": doc["version"]}
    if bucket["versioning"] == "Enabled":
        marker = {"version": str(uuid.uuid4()), "marker": True, "created": store.now(),
                  "modified": store.now(), "extents": []}
        store.catalog.add_version(bucket["name"], name, marker)
        headers.update({"version-id": marker["version"], "is-delete-marker": "true"})
    return headers


def _delete_version(store, bucket, name, version, doc):
    """One version for good; the one before it comes to light if it was the newest."""
    if doc and doc["version"] == version:
        store.catalog.drop_object(bucket["name"], name)
    else:
        doc = store.catalog.version(bucket["name"], name, version)
        if doc is None:
            raise not_found(name, bucket["name"])
        store.catalog.drop_version(bucket["name"], name, version)
    store.blobs.remove_all(doc["extents"])
    newest = store.catalog.newest_version(bucket["name"], name)
    if newest and not newest.get("marker") and not store.catalog.object(bucket["name"], name):
        store.catalog.drop_version(bucket["name"], name, newest["version"])
        store.catalog.put_object(bucket["name"], name, newest)
    headers = {"last-modified": http_date(doc["modified"]), "version-id": version}
    if doc.get("marker"):
        headers["is-delete-marker"] = "true"
    return headers


OPERATIONS = {"PutObject": put_object, "GetObject": get_object, "HeadObject": head_object,
              "DeleteObject": delete_object}
