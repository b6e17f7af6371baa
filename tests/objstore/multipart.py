# SPDX-License-Identifier: Apache-2.0
"""multipart.py - uploads in parts: create, part, commit, abort, lists.

A committed object keeps its parts' blobs as extents: no byte is copied.
"""

import uuid

from . import buckets, objects
from .checksum import combine_crc32c, hash_of_hashes
from .conditions import WriteCondition
from .paging import limit_of, number_of, page_answer
from .transfer import require_length
from .wire import Answer, ServiceError, field_of, invalid, rfc3339

PARTS_MAX = 10000
BODY_ATTRIBUTES = {"contentType": "content-type", "contentLanguage": "content-language",
                   "contentEncoding": "content-encoding",
                   "contentDisposition": "content-disposition", "cacheControl": "cache-control"}


def _upload_of(store, call):
    """(bucket, upload document) of the URL, or 404."""
    bucket = buckets.require(store, call)
    if not call.item:
        raise invalid("The uploadId is required", "MissingUploadId")
    upload = store.catalog.upload(call.item)
    if (upload is None or upload["bucket"] != bucket["name"]
            or upload["object"] != call.object):
        raise no_such_upload()
    return bucket, upload


def no_such_upload():
    return ServiceError(404, "UploadNotFound", "No such upload")


def _shown(upload):
    """An upload as its creator and the list see it."""
    return {name: upload[name] for name in ("namespace", "bucket", "object", "uploadId",
                                            "timeCreated", "storageTier")}


async def create_upload(store, call):
    bucket = buckets.require(store, call)
    buckets.check_writable(bucket)
    body = call.json()
    name = field_of(body, "object", code="MissingObjectName")
    call.entry.object = name
    headers = {header: value for field, header in BODY_ATTRIBUTES.items()
               if (value := field_of(body, field, default=None))}
    upload = new_upload(store, call, bucket, name, headers,
                        objects.checked_meta(field_of(body, "metadata", default={}, kind=dict)),
                        field_of(body, "storageTier", default=None))
    where = f"/n/{store.namespace}/b/{bucket['name']}/u/{upload['uploadId']}"
    return Answer.json(_shown(upload), headers={"location": where})


def new_upload(store, call, bucket, name, headers, meta, tier):
    """Begins an upload after all checks; its document."""
    objects.check_name(name)
    WriteCondition.of(call).check(store.catalog.object(bucket["name"], name))
    headers.setdefault("content-type", "application/octet-stream")
    upload = {"namespace": store.namespace, "bucket": bucket["name"], "object": name,
              "uploadId": str(uuid.uuid4()), "timeCreated": rfc3339(store.now()),
              "storageTier": objects.tier_of(tier, bucket), "headers": headers, "meta": meta,
              "algorithm": objects.algorithm_of(store, call), "sse": objects.customer_key(call),
              "kms": call.header("opc-sse-kms-key-id")}
    store.catalog.put_upload(upload)
    return upload


def _part_number(call):
    text = call.query.get("uploadPartNum", "")
    if not text.isdigit() or not 1 <= int(text) <= PARTS_MAX:
        raise invalid(f"The part number '{text}' is not between 1 and {PARTS_MAX}",
                      "InvalidUploadPartNumber")
    return int(text)


def _part_algorithm(store, call, upload):
    """The upload's algorithm; a part may not choose another."""
    given = objects.algorithm_of(store, call)
    if given is not None and given != upload["algorithm"]:
        raise invalid("The checksum algorithm of a part must be that of its upload",
                      "MissingOrInvalidChecksum")
    return upload["algorithm"]


async def upload_part(store, call):
    _, upload = _upload_of(store, call)
    number = _part_number(call)
    condition = WriteCondition.of(call)
    objects.check_customer_key(call, upload if upload["sse"] else {})
    algorithm = _part_algorithm(store, call, upload)
    require_length(call, store.settings["max_body_bytes"])

    def check():
        _upload_of(store, call)
        condition.check(store.catalog.part(call.item, number))
    check()
    body = await objects.receive_checked(store, call, algorithm, check)
    part = {"etag": str(uuid.uuid4()), "size": body.size, "extents": body.extents,
            "modified": store.now(), **body.sums}
    old = store.catalog.part(call.item, number)
    store.catalog.put_part(call.item, number, part)
    if old:
        store.blobs.remove_all(old["extents"])
    headers = {"etag": part["etag"], "opc-content-md5": part["md5"]}
    if algorithm:
        headers[objects.SHOWN_SUMS[algorithm]] = part[algorithm]
    return Answer(200, headers)


async def commit_upload(store, call):
    _, upload = _upload_of(store, call)
    body = call.json()
    listed = field_of(body, "partsToCommit", kind=list)
    excluded = field_of(body, "partsToExclude", default=[], kind=list)
    chosen = _chosen(dict(store.catalog.parts(upload["uploadId"])), listed, excluded)
    return commit(store, call, upload, chosen)


def bad_part(message):
    return invalid(message, "InvalidUploadPart")


def _chosen(parts, listed, excluded):
    """number -> part to commit; every uploaded part must be in exactly one list."""
    chosen = {}
    for one in listed:
        if not isinstance(one, dict):
            raise invalid("partsToCommit must be a list of objects")
        number = field_of(one, "partNum", kind=int)
        etag = field_of(one, "etag")
        if number in chosen or number in excluded:
            raise bad_part(f"Part {number} is named twice")
        if number not in parts:
            raise bad_part(f"Part {number} was not uploaded")
        if parts[number]["etag"] != etag:
            raise bad_part(f"The entity tag of part {number} is not '{etag}'")
        chosen[number] = parts[number]
    for number in excluded:
        if number not in parts:
            raise bad_part(f"Part {number} was not uploaded")
    left = sorted(set(parts) - set(chosen) - set(excluded))
    if left:
        raise bad_part(f"Part {left[0]} is neither committed nor excluded")
    return chosen


def commit(store, call, upload, chosen):
    """Makes the object of the chosen parts; the answer."""
    if not chosen:
        raise bad_part("There are no parts to commit")
    bucket = buckets.named(store, upload["bucket"])
    name = upload["object"]
    WriteCondition.of(call).check(store.catalog.object(bucket["name"], name))
    ordered = [part for _, part in sorted(chosen.items())]
    _check_sizes(store, ordered)
    doc = objects.new_document(
        store, size=sum(part["size"] for part in ordered),
        extents=[extent for part in ordered for extent in part["extents"]],
        tier=upload["storageTier"], headers=upload["headers"], meta=upload["meta"],
        sse=upload["sse"], kms=upload["kms"], parts=len(ordered),
        **_sums(ordered, upload["algorithm"]))
    for number, part in store.catalog.parts(upload["uploadId"]):
        if number not in chosen:
            store.blobs.remove_all(part["extents"])
    store.catalog.drop_upload(upload["uploadId"])
    objects.install(store, bucket, name, doc)
    return Answer(200, objects.written_headers(doc))


def _check_sizes(store, ordered):
    """Only where a test asks for a smallest part size."""
    smallest = store.settings["min_part_bytes"]
    if any(part["size"] < smallest for part in ordered[:-1]):
        raise bad_part(f"A part other than the last is smaller than {smallest} bytes")


def _sums(ordered, algorithm):
    sums = {"multipart_md5": hash_of_hashes("md5", [part["md5"] for part in ordered])}
    if algorithm == "crc32c":
        sums["crc32c"] = combine_crc32c((part["crc32c"], part["size"]) for part in ordered)
    elif algorithm:
        values = [part[algorithm] for part in ordered]
        sums["multipart_" + algorithm] = hash_of_hashes(algorithm, values)
    return sums


async def abort_upload(store, call):
    _, upload = _upload_of(store, call)
    abort(store, upload)
    return Answer(204)


def abort(store, upload):
    for _, part in store.catalog.parts(upload["uploadId"]):
        store.blobs.remove_all(part["extents"])
    store.catalog.drop_upload(upload["uploadId"])


async def list_uploads(store, call):
    bucket = buckets.require(store, call)
    limit = limit_of(call)
    rows = store.catalog.uploads(bucket["name"], number_of(call), limit + 1)
    return page_answer(rows, limit, _shown)


async def list_parts(store, call):
    _, upload = _upload_of(store, call)
    limit = limit_of(call)
    rows = store.catalog.parts(upload["uploadId"], number_of(call), limit + 1)
    return page_answer([(number, (number, part)) for number, part in rows], limit,
                       lambda row: {"partNumber": row[0], "etag": row[1]["etag"],
                                    "md5": row[1]["md5"], "size": row[1]["size"]})


OPERATIONS = {"CreateMultipartUpload": create_upload, "UploadPart": upload_part,
              "CommitMultipartUpload": commit_upload, "AbortMultipartUpload": abort_upload,
              "ListMultipartUploads": list_uploads, "ListMultipartUploadParts": list_parts}
