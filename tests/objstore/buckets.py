# SPDX-License-Identifier: Apache-2.0
"""buckets.py - the namespace and buckets."""

import functools
import re
import uuid

from . import synthetic
from .conditions import check_read, match_failed
from .paging import limit_of, page_answer, page_of
from .wire import Answer, ServiceError, field_of, invalid, rfc3339

NAME = re.compile(r"[A-Za-z0-9._-]{1,256}")
CREATABLE = {"metadata": dict, "publicAccessType": str, "storageTier": str,
             "objectEventsEnabled": bool, "freeformTags": dict, "definedTags": dict,
             "kmsKeyId": str, "isBucketKeyEnabled": bool, "versioning": str,
             "autoTiering": str, "bucketScope": str}
FIXED = {"storageTier", "bucketScope"}
CHOICES = {"publicAccessType": {"NoPublicAccess", "ObjectRead", "ObjectReadWithoutList"},
           "storageTier": {"Standard", "Archive"},
           "versioning": {"Enabled", "Disabled", "Suspended"},
           "autoTiering": {"Disabled", "InfrequentAccess"},
           "bucketScope": {"NAMESPACE", "REGION"}}
SUMMARY = ("namespace", "name", "compartmentId", "createdBy", "timeCreated", "etag")


def check_namespace(store, call):
    if call.namespace != store.namespace:
        raise ServiceError(404, "NamespaceNotFound", "You do not have authorization to perform "
                           "this request, or the requested resource could not be found.")


def require(store, call):
    """The bucket of the URL, or 404."""
    check_namespace(store, call)
    return named(store, call.bucket)


def named(store, name):
    doc = look_up(store, name)
    if doc is None:
        raise ServiceError(404, "BucketNotFound", f"Either the bucket named '{name}' does not "
                           f"exist in the namespace '{store.namespace}' or you are not "
                           "authorized to access it")
    return doc


def document(namespace, name, compartment, created, **settings):
    """All fields of a bucket, with defaults."""
    return {"namespace": namespace, "name": name, "compartmentId": compartment,
            "createdBy": "", "timeCreated": rfc3339(created), "etag": str(uuid.uuid4()),
            "id": f"ocid1.bucket.oc1.test.{uuid.uuid4().hex}", "metadata": {},
            "publicAccessType": "NoPublicAccess", "storageTier": "Standard",
            "objectEventsEnabled": False, "freeformTags": {}, "definedTags": {},
            "kmsKeyId": None, "isBucketKeyEnabled": False, "versioning": "Disabled",
            "autoTiering": "Disabled", "bucketScope": "NAMESPACE",
            "objectLifecyclePolicyEtag": None, "replicationEnabled": False,
            "isReadOnly": False, **settings}


@functools.lru_cache(maxsize=64)
def made_up(namespace, compartment, name):
    """The document of a synthetic bucket, None if the name is not of that kind."""
    numbers = synthetic.numbers(name)
    return document(namespace, name, compartment, synthetic.EPOCH, isReadOnly=True,
                    synthetic=numbers) if numbers else None


def look_up(store, name):
    return (store.catalog.buckets.get(name)
            or made_up(store.namespace, store.compartment, name or ""))


def make(store, name, compartment, **settings):
    """Creates a bucket; the document."""
    doc = document(store.namespace, name, compartment, store.now(), **settings)
    store.catalog.put_bucket(doc)
    return doc


async def get_namespace(store, call):
    return Answer.json(store.namespace)


def _namespace_metadata(store):
    default = {"namespace": store.namespace,
               "defaultS3CompartmentId": store.compartment,
               "defaultSwiftCompartmentId": store.compartment}
    return {**default, **(store.catalog.fact("namespace", "metadata") or {})}


async def get_namespace_metadata(store, call):
    check_namespace(store, call)
    return Answer.json(_namespace_metadata(store))


async def update_namespace_metadata(store, call):
    check_namespace(store, call)
    names = ("defaultS3CompartmentId", "defaultSwiftCompartmentId")
    change = {name: value for name, value in call.json().items() if name in names}
    store.catalog.put_fact("namespace", "metadata",
                           {**(store.catalog.fact("namespace", "metadata") or {}), **change})
    return Answer.json(_namespace_metadata(store))


async def list_buckets(store, call):
    check_namespace(store, call)
    compartment = call.query.get("compartmentId")
    if not compartment:
        raise invalid("The compartmentId is required", "MissingCompartmentId")
    limit, after = limit_of(call), page_of(call)
    rows = [(name, doc) for name, doc in sorted(store.catalog.buckets.items())
            if name > after and doc["compartmentId"] == compartment]
    tags = "tags" in call.query.get("fields", "")
    return page_answer(rows, limit, lambda doc: _summary(doc, tags))


def _summary(doc, tags):
    shown = {name: doc[name] for name in SUMMARY}
    shown["bucketScope"] = doc["bucketScope"]
    shown["freeformTags"] = doc["freeformTags"] if tags else None
    shown["definedTags"] = doc["definedTags"] if tags else None
    return shown


def _settings(body):
    found = {}
    for name, kind in CREATABLE.items():
        value = field_of(body, name, default=None, kind=kind)
        if value is None:
            continue
        if name in CHOICES and value not in CHOICES[name]:
            code = "InvalidStorageTier" if name == "storageTier" else "InvalidParameter"
            raise invalid(f"'{value}' is not a valid {name}", code)
        found[name] = value
    if sum(len(k) + len(str(v)) for k, v in found.get("metadata", {}).items()) > 4096:
        raise invalid("The bucket's metadata is larger than 4 KB", "MetadataTooLarge")
    return found


async def create_bucket(store, call):
    check_namespace(store, call)
    body = call.json()
    name = field_of(body, "name", code="MissingBucketName")
    compartment = field_of(body, "compartmentId", code="MissingCompartmentId")
    if not NAME.fullmatch(name):
        raise invalid(f"The bucket name '{name}' is not valid", "InvalidBucketName")
    settings = _settings(body)
    if settings.get("versioning") == "Suspended":
        raise invalid("A new bucket cannot have suspended versioning")
    if look_up(store, name):
        raise ServiceError(409, "BucketAlreadyExists", f"Either the bucket '{name}' in namespace "
                           f"'{store.namespace}' already exists or you are not authorized to "
                           "create it")
    doc = make(store, name, compartment, createdBy=call.user, **settings)
    where = f"/n/{store.namespace}/b/{name}"
    return Answer.json(_shown(store, doc, ""), headers={"etag": doc["etag"], "location": where})


def _shown(store, doc, fields):
    """Approximate counts only for who asks."""
    count = size = None
    if "approximateCount" in fields or "approximateSize" in fields:
        count, size = (synthetic.usage(doc) if doc.get("synthetic")
                       else store.catalog.usage(doc["name"]))
    return {**doc, "approximateCount": count if "approximateCount" in fields else None,
            "approximateSize": size if "approximateSize" in fields else None,
            "autoTiering": doc["autoTiering"] if "autoTiering" in fields else None}


async def get_bucket(store, call):
    doc = require(store, call)
    headers = {"etag": doc["etag"], "cache-control": "no-store"}
    if check_read(call, doc["etag"]):
        return Answer(304, headers)
    return Answer.json(_shown(store, doc, call.query.get("fields", "")), headers=headers)


async def head_bucket(store, call):
    doc = require(store, call)
    headers = {"etag": doc["etag"]}
    return Answer(304 if check_read(call, doc["etag"]) else 200, headers)


def _check_match(call, doc):
    wanted = call.header("if-match")
    if wanted is not None and wanted != doc["etag"]:
        raise match_failed(wanted, doc["etag"])


async def update_bucket(store, call):
    doc = require(store, call)
    _check_match(call, doc)
    if doc.get("synthetic"):
        raise synthetic.read_only(doc["name"])
    body = call.json()
    change = {k: v for k, v in _settings(body).items() if k not in FIXED}
    if field_of(body, "namespace", default=store.namespace) != store.namespace:
        raise invalid("The namespace does not match", "MismatchedNamespaceNames")
    if change.get("versioning") == "Disabled" and doc["versioning"] != "Disabled":
        raise invalid("Versioning cannot be disabled again, only suspended")
    if "metadata" in change:
        merged = {**doc["metadata"], **change["metadata"]}
        change["metadata"] = {k: v for k, v in merged.items() if v is not None}
    compartment = field_of(body, "compartmentId", default=doc["compartmentId"])
    doc = {**doc, **change, "compartmentId": compartment, "etag": str(uuid.uuid4())}
    store.catalog.put_bucket(doc)
    return Answer.json(_shown(store, doc, ""), headers={"etag": doc["etag"]})


async def delete_bucket(store, call):
    doc = require(store, call)
    wanted = call.header("if-match")
    if wanted is not None and wanted != doc["etag"]:
        raise ServiceError(412, "NoEtagMatch",
                           "FAILED_PRECONDITION: The current entity tag did not match")
    name = doc["name"]
    if doc.get("synthetic"):
        raise synthetic.read_only(name)
    for table, what in (("objects", "it has objects"), ("versions", "it has object versions"),
                        ("uploads", "it has multipart uploads")):
        if store.catalog.holds(table, name):
            raise ServiceError(409, "BucketNotEmpty", f"Bucket named '{name}' is not empty: "
                               f"{what}. Delete them first.")
    if store.catalog.holds("pars", name):
        raise ServiceError(409, "PreauthenticatedRequestStillExists", f"The bucket '{name}' has "
                           "pre-authenticated requests. Delete them first.")
    store.catalog.drop_bucket(name)
    return Answer(204)


async def make_bucket_writable(store, call):
    doc = require(store, call)
    store.catalog.put_bucket({**doc, "isReadOnly": False, "etag": str(uuid.uuid4())})
    return Answer(204)


def check_writable(doc):
    if doc.get("synthetic"):
        raise synthetic.read_only(doc["name"])
    if doc["isReadOnly"]:
        raise ServiceError(403, "BucketIsReadonly", f"The bucket '{doc['name']}' is read-only")


OPERATIONS = {
    "GetNamespace": get_namespace, "GetNamespaceMetadata": get_namespace_metadata,
    "UpdateNamespaceMetadata": update_namespace_metadata, "ListBuckets": list_buckets,
    "CreateBucket": create_bucket, "GetBucket": get_bucket, "HeadBucket": head_bucket,
    "UpdateBucket": update_bucket, "DeleteBucket": delete_bucket,
    "MakeBucketWritable": make_bucket_writable,
}
