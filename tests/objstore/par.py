# SPDX-License-Identifier: Apache-2.0
"""par.py - pre-authenticated requests: made and listed with a signature, used without."""

import base64
import calendar
import os
import re
import secrets
import time
from urllib.parse import quote

from . import buckets, multipart, objects
from .paging import limit_of, number_of, page_answer
from .wire import Answer, ServiceError, field_of, invalid, rfc3339

ONE = {"ObjectRead": "r", "ObjectWrite": "w", "ObjectReadWrite": "rw"}
ANY = {"AnyObjectRead": "r", "AnyObjectWrite": "w", "AnyObjectReadWrite": "rw"}
NEEDS = {"GetObject": "r", "HeadObject": "r", "ListObjects": "l"}
SHOWN = ("id", "name", "objectName", "accessType", "bucketListingAction", "timeCreated",
         "timeExpires")
UPLOAD_KIND = "par-upload"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def parse_time(text):
    """Seconds of an RFC 3339 time."""
    match = _TIME.fullmatch(text)
    if not match:
        raise invalid(f"The time '{text}' is not RFC 3339", "InvalidParCreateRequest")
    try:
        seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise invalid(f"There is no time '{text}'", "InvalidParCreateRequest") from None
    if match[3] != "Z":
        sign = -1 if match[3][0] == "+" else 1
        seconds += sign * (int(match[3][1:3]) * 3600 + int(match[3][4:]) * 60)
    return seconds + float(match[2] or 0)


def _new_id():
    """Ids hold slashes and pluses; so do all of these."""
    while True:
        text = base64.b64encode(os.urandom(32)).decode()
        if "/" in text and "+" in text:
            return text


async def create(store, call):
    bucket = buckets.require(store, call)
    body = call.json()
    access = field_of(body, "accessType")
    expires = parse_time(field_of(body, "timeExpires"))
    name = field_of(body, "objectName", default=None)
    listing = field_of(body, "bucketListingAction", default=None)
    _check_create(store, access, expires, name, listing)
    token = secrets.token_urlsafe(48)
    where = f"/p/{token}/n/{quote(store.namespace, safe='')}/b/{quote(bucket['name'], safe='')}/o/"
    if access in ONE:
        where += quote(name, safe="")
    doc = {"id": _new_id(), "name": field_of(body, "name"), "accessType": access,
           "objectName": name, "bucketListingAction": listing or "Deny",
           "timeCreated": rfc3339(store.now()), "timeExpires": rfc3339(expires),
           "expires": expires, "bucket": bucket["name"]}
    store.catalog.put_par(bucket["name"], token, doc)
    full = f"{store.scheme}://{call.header('host')}{where}"
    return Answer.json({**_shown(doc), "accessUri": where, "fullPath": full})


def _check_create(store, access, expires, name, listing):
    if access not in ONE and access not in ANY:
        raise invalid(f"'{access}' is not an accessType", "InvalidParCreateRequest")
    if access in ONE and not name:
        raise invalid(f"accessType {access} needs an objectName", "InvalidParCreateRequest")
    if expires <= store.now():
        raise invalid("timeExpires is not in the future", "InvalidParCreateRequest")
    if listing not in (None, "Deny", "ListObjects"):
        raise invalid(f"'{listing}' is not a bucketListingAction", "InvalidParCreateRequest")
    if listing == "ListObjects" and access not in ("AnyObjectRead", "AnyObjectReadWrite"):
        raise invalid(f"Listing is not allowed with {access}", "InvalidParCreateRequest")


def _shown(doc):
    return {name: doc[name] for name in SHOWN}


def _not_found():
    return ServiceError(404, "PreauthenticatedRequestNotFound",
                        "The pre-authenticated request does not exist")


async def list_pars(store, call):
    bucket = buckets.require(store, call)
    limit = limit_of(call)
    prefix = call.query.get("objectNamePrefix", "")
    rows = [row for row in store.catalog.pars(bucket["name"], number_of(call), -1)
            if (row[1]["objectName"] or "").startswith(prefix)]
    return page_answer(rows, limit, _shown)


async def get(store, call):
    doc = store.catalog.par(buckets.require(store, call)["name"], call.item)
    if doc is None:
        raise _not_found()
    return Answer.json(_shown(doc))


async def delete(store, call):
    if not store.catalog.drop_par(buckets.require(store, call)["name"], call.item):
        raise _not_found()
    return Answer(204)


# Use, without a signature.

def authorize(store, call):
    """Whether the token in the path allows what is asked; 404 for everything else."""
    if call.op in multipart.OPERATIONS:
        grant = store.catalog.fact(UPLOAD_KIND, call.token)
        if grant is None or grant != [call.bucket, call.object, call.item]:
            raise _not_found()
        return
    doc = store.catalog.par_by_token(call.token)
    if doc is None or doc["bucket"] != call.bucket or doc["expires"] <= store.now(call):
        raise _not_found()
    need = NEEDS.get(call.op, "w")
    if need == "l":
        allowed = doc["bucketListingAction"] == "ListObjects"
        prefix = doc["objectName"] or ""
        if not call.query.get("prefix", "").startswith(prefix):
            call.query["prefix"] = prefix
    elif doc["accessType"] in ONE:
        allowed = need in ONE[doc["accessType"]] and call.object == doc["objectName"]
    else:
        allowed = (need in ANY[doc["accessType"]]
                   and call.object.startswith(doc["objectName"] or ""))
    if not allowed:
        raise _not_found()


async def put(store, call):
    """An object, or with opc-multipart: true the beginning of an upload."""
    if (call.header("opc-multipart") or "").lower() == "true":
        return await create_upload(store, call)
    return await objects.put_object(store, call)


async def create_upload(store, call):
    """Begins an upload under a token of its own."""
    bucket = buckets.require(store, call)
    buckets.check_writable(bucket)
    upload = multipart.new_upload(store, call, bucket, call.object, objects.attributes_of(call),
                                  objects.meta_of(call), call.header("storage-tier"))
    token = secrets.token_urlsafe(48)
    store.catalog.put_fact(UPLOAD_KIND, token, [bucket["name"], call.object, upload["uploadId"]])
    where = (f"/p/{token}/n/{quote(store.namespace, safe='')}/b/"
             f"{quote(bucket['name'], safe='')}/u/{quote(call.object, safe='')}/id/"
             f"{upload['uploadId']}/")
    return Answer.json({"namespace": store.namespace, "bucket": bucket["name"],
                        "object": call.object, "uploadId": upload["uploadId"],
                        "accessUri": where})


async def commit_upload(store, call):
    """POST without a body commits all parts."""
    upload = store.catalog.upload(call.item)
    if upload is None:
        raise multipart.no_such_upload()
    answer = multipart.commit(store, call, upload, dict(store.catalog.parts(call.item)))
    store.catalog.drop_fact(UPLOAD_KIND, call.token)
    return answer


OPERATIONS = {"CreatePreauthenticatedRequest": create, "ListPreauthenticatedRequests": list_pars,
              "GetPreauthenticatedRequest": get, "DeletePreauthenticatedRequest": delete}
BY_TOKEN = {"PutObject": put, "CommitMultipartUpload": commit_upload}
