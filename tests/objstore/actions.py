# SPDX-License-Identifier: Apache-2.0
"""actions.py - what is POSTed to /actions/: rename, copy, restore, tier, batch delete."""

import uuid

from . import buckets, objects, work
from .conditions import WriteCondition, match_failed
from .wire import Answer, ServiceError, field_of, http_date, invalid, rfc3339

BATCH_MAX = 1000
HOURS_MAX = 240


def _writable(store, call):
    bucket = buckets.require(store, call)
    buckets.check_writable(bucket)
    return bucket


def _named(call, body, field="objectName"):
    name = field_of(body, field, code="MissingObjectName")
    call.entry.object = call.object = name
    return name


async def rename_object(store, call):
    bucket, body = _writable(store, call), call.json()
    source, target = _named(call, body, "sourceName"), field_of(body, "newName")
    objects.check_name(target)
    if source == target:
        raise invalid("The new name is the same as the source name", "SourceNameSameAsNewName")
    doc = objects.find(store, bucket, source)
    wanted = field_of(body, "srcObjIfMatchETag", default=None)
    if wanted is not None and wanted != doc["etag"]:
        raise match_failed(wanted, doc["etag"])
    WriteCondition(field_of(body, "newObjIfMatchETag", default=None),
                   field_of(body, "newObjIfNoneMatchETag", default=None)).check(
                       store.catalog.object(bucket["name"], target))
    store.catalog.drop_object(bucket["name"], source)
    doc = {**doc, "etag": str(uuid.uuid4()), "version": str(uuid.uuid4()),
           "modified": store.now()}
    objects.install(store, bucket, target, doc)
    return Answer(200, {"etag": doc["etag"], "last-modified": http_date(doc["modified"]),
                        "version-id": doc["version"]})


async def copy_object(store, call):
    bucket, body = buckets.require(store, call), call.json()
    source = _named(call, body, "sourceObjectName")
    field_of(body, "destinationRegion")
    if field_of(body, "destinationNamespace") != store.namespace:
        raise invalid("The destination namespace does not exist", "InvalidNamespaceName")
    target_bucket = buckets.named(store, field_of(body, "destinationBucket"))
    buckets.check_writable(target_bucket)
    target = field_of(body, "destinationObjectName")
    objects.check_name(target)
    doc = objects.find(store, bucket, source, field_of(body, "sourceVersionId", default=None))
    _check_copy(store, call, body, doc, target_bucket, target)
    request = work.begin(store, call, "COPY_OBJECT", bucket, source, target_bucket, target)
    if request["status"] == "COMPLETED":
        _copy(store, call, body, doc, target_bucket, target)
    elif request["status"] == "IN_PROGRESS":
        work.later(store, call, request,
                   lambda: _copy(store, call, body, doc, target_bucket, target))
    return Answer(202, {"opc-work-request-id": request["id"]})


def _check_copy(store, call, body, doc, target_bucket, target):
    wanted = field_of(body, "sourceObjectIfMatchETag", default=None)
    if wanted is not None and wanted != doc["etag"]:
        raise match_failed(wanted, doc["etag"])
    objects.check_restored(store, call.object, doc)
    objects.check_customer_key(call, doc, "opc-source-sse-customer-")
    WriteCondition(field_of(body, "destinationObjectIfMatchETag", default=None),
                   field_of(body, "destinationObjectIfNoneMatchETag", default=None)).check(
                       store.catalog.object(target_bucket["name"], target))
    objects.checked_meta(field_of(body, "destinationObjectMetadata", default={}, kind=dict))


def _copy(store, call, body, doc, bucket, target):
    """A new object of the same bytes: links, no copying."""
    meta = field_of(body, "destinationObjectMetadata", default=None, kind=dict)
    kept = {name: doc[name] for name in ("md5", "parts", *objects.SHOWN_SUMS) if name in doc}
    extents = store.filler(doc["size"]) if doc.get("filler") else doc["extents"]
    copy = objects.new_document(
        store, size=doc["size"],
        extents=[[store.blobs.link(blob), size] for blob, size in extents],
        tier=objects.tier_of(field_of(body, "destinationObjectStorageTier", default=None), bucket),
        headers=doc["headers"], meta=doc["meta"] if meta is None else objects.checked_meta(meta),
        sse=objects.customer_key(call), kms=call.header("opc-sse-kms-key-id"), **kept)
    objects.install(store, bucket, target, copy)


async def restore_objects(store, call):
    bucket, body = _writable(store, call), call.json()
    name = _named(call, body)
    hours = field_of(body, "hours", default=24, kind=int)
    if not 1 <= hours <= HOURS_MAX:
        raise invalid(f"hours must be between 1 and {HOURS_MAX}", "InvalidRestoreHours")
    doc = objects.find(store, bucket, name, field_of(body, "versionId", default=None))
    state = objects.archival_state(store, doc)
    if state is None:
        raise invalid(f"The object '{name}' is not archived", "NotArchivedObject")
    if state == "Restoring":
        raise ServiceError(409, "RestoreInProgress", f"The object '{name}' is being restored")
    ready = store.now() + (store.settings["restore_seconds"] if state == "Archived" else 0)
    doc.update(restore_ready=ready, restore_until=ready + hours * 3600)
    objects.save(store, bucket, name, doc)
    return Answer(200)


async def update_tier(store, call):
    bucket, body = _writable(store, call), call.json()
    name = _named(call, body)
    tier = objects.tier_of(field_of(body, "storageTier"), bucket)
    doc = objects.find(store, bucket, name, field_of(body, "versionId", default=None))
    if tier != "Archive":
        objects.check_restored(store, name, doc)
    doc["tier"] = tier
    for gone in ("archived", "restore_ready", "restore_until"):
        doc.pop(gone, None)
    if tier == "Archive":
        doc["archived"] = store.now()
    objects.save(store, bucket, name, doc)
    return Answer(200)


async def batch_delete(store, call):
    bucket, body = _writable(store, call), call.json()
    listed = field_of(body, "objects", kind=list)
    if not 1 <= len(listed) <= BATCH_MAX:
        raise invalid(f"1 to {BATCH_MAX} objects can be deleted in one call")
    deleted, failed = [], []
    for one in listed:
        name = field_of(one, "objectName", code="MissingObjectName")
        try:
            objects.delete(store, bucket, name, None, field_of(one, "ifMatch", default=None))
            deleted.append({"objectName": name, "timeLastModified": rfc3339(store.now())})
        except ServiceError as error:
            failed.append({"objectName": name, "statusCode": error.status,
                           "errorMessage": error.message})
    quiet = field_of(body, "isSkipDeletedResult", default=False, kind=bool)
    return Answer.json({"deleted": [] if quiet else deleted, "failed": failed})


async def reencrypt_object(store, call):
    bucket, body = _writable(store, call), call.json()
    doc = objects.find(store, bucket, call.object, call.query.get("versionId"))
    source, target = (field_of(body, name, default=None, kind=dict)
                      for name in ("sourceSseCustomerKey", "sseCustomerKey"))
    given = source and objects.checked_key(source.get("algorithm"), source.get("key"),
                                           source.get("keySha256"))
    if given != doc.get("sse"):
        raise invalid("The source encryption key is not the one of the object")
    doc.pop("sse", None)
    doc.pop("kms", None)
    if target:
        doc["sse"] = objects.checked_key(target.get("algorithm"), target.get("key"),
                                         target.get("keySha256"))
    elif body.get("kmsKeyId"):
        doc["kms"] = body["kmsKeyId"]
    objects.save(store, bucket, call.object, doc)
    return Answer(200)


async def reencrypt_bucket(store, call):
    bucket = _writable(store, call)
    request = work.begin(store, call, "REENCRYPT", bucket, None, bucket, None)
    return Answer(202, {"opc-work-request-id": request["id"]})


OPERATIONS = {"RenameObject": rename_object, "CopyObject": copy_object,
              "RestoreObjects": restore_objects, "UpdateObjectStorageTier": update_tier,
              "BatchDeleteObjects": batch_delete, "ReencryptObject": reencrypt_object,
              "ReencryptBucket": reencrypt_bucket}
