# SPDX-License-Identifier: Apache-2.0
"""work.py - work requests: what came of a copy or a re-encryption.

The work is done at once unless a `work` fault holds it back or makes it fail.
"""

import asyncio
import uuid

from .paging import limit_of, page_answer, page_of
from .wire import Answer, ServiceError, invalid, rfc3339

KIND = "work"


def begin(store, call, operation, bucket, source, target_bucket, target):
    """Notes a work request; its status says whether to do it now (COMPLETED), later
    (IN_PROGRESS) or never (FAILED)."""
    now = rfc3339(store.now())
    request = {"operationType": operation, "status": _status(call), "id": str(uuid.uuid4()),
               "compartmentId": bucket["compartmentId"], "percentComplete": 0.0,
               "timeAccepted": now, "timeStarted": now, "timeFinished": None,
               "resources": [_resource(store, "READ", bucket, source),
                             _resource(store, "WRITTEN", target_bucket, target)],
               "errors": []}
    if request["status"] == "FAILED":
        request["errors"] = [{"code": "CopyFailed", "message": call.plan.arg("work", "fail"),
                              "timestamp": now}]
    if request["status"] != "IN_PROGRESS":
        _finish(store, request)
    store.catalog.put_fact(KIND, request["id"], request)
    return request


def _status(call):
    if call.plan and call.plan.arg("work", "fail"):
        return "FAILED"
    return "IN_PROGRESS" if call.plan and call.plan.find("work") else "COMPLETED"


def _finish(store, request):
    done = request["status"] == "COMPLETED"
    request.update(timeFinished=rfc3339(store.now()), percentComplete=100.0 if done else 0.0)


def _resource(store, action, bucket, name):
    where = f"/n/{store.namespace}/b/{bucket['name']}" + (f"/o/{name}" if name else "")
    return {"actionType": action, "entityType": "OBJECT" if name else "BUCKET",
            "identifier": where, "entityUri": where,
            "metadata": {"NAMESPACE": store.namespace, "BUCKET": bucket["name"],
                         "OBJECT": name or ""}}


def later(store, call, request, do):
    """Does held-back work once the rule is released, unless it was cancelled."""
    async def wait():
        await call.plan.find("work").released.wait()
        now = store.catalog.fact(KIND, request["id"])
        if now["status"] != "IN_PROGRESS":
            return
        now["status"] = "COMPLETED"
        try:
            do()
        except (ServiceError, OSError) as error:
            now["status"] = "FAILED"
            now["errors"] = [{"code": "CopyFailed", "message": str(error),
                              "timestamp": rfc3339(store.now())}]
        _finish(store, now)
        store.catalog.put_fact(KIND, now["id"], now)
    store.background(asyncio.ensure_future(wait()))


def _require(store, call):
    request = store.catalog.fact(KIND, call.item or "")
    if request is None:
        raise ServiceError(404, "NotAuthorizedOrNotFound", "The work request does not exist")
    return request


def _shown(request):
    return {name: value for name, value in request.items() if name != "errors"}


async def get(store, call):
    return Answer.json(_shown(_require(store, call)), headers={"retry-after": "1"})


async def list_all(store, call):
    compartment = call.query.get("compartmentId")
    if not compartment:
        raise invalid("The compartmentId is required", "MissingCompartmentId")
    after = page_of(call)
    rows = [(key, doc) for key, doc in sorted(store.catalog.facts(KIND).items())
            if key > after and doc["compartmentId"] == compartment]
    return page_answer(rows, limit_of(call), _shown)


async def cancel(store, call):
    request = _require(store, call)
    if request["status"] != "IN_PROGRESS":
        raise ServiceError(409, "NotCancelable", "The work request is over already")
    request["status"] = "CANCELED"
    _finish(store, request)
    store.catalog.put_fact(KIND, request["id"], request)
    return Answer(202)


async def list_errors(store, call):
    return Answer.json(_require(store, call)["errors"])


async def list_logs(store, call):
    request = _require(store, call)
    message = f"{request['operationType']}: {request['status']}"
    return Answer.json([{"message": message, "timestamp": request["timeAccepted"]}])


OPERATIONS = {"GetWorkRequest": get, "ListWorkRequests": list_all, "CancelWorkRequest": cancel,
              "ListWorkRequestErrors": list_errors, "ListWorkRequestLogs": list_logs}
