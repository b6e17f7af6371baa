# SPDX-License-Identifier: Apache-2.0
"""listing.py - ListObjects and ListObjectVersions. Order is that of the UTF-8 bytes."""

import json

from . import buckets, objects, synthetic
from .paging import limit_of, page_of, token
from .wire import Answer, invalid, rfc3339

FIELDS = ("name", "size", "etag", "md5", "timeCreated", "timeModified", "storageTier",
          "archivalState")


def after_prefix(prefix):
    """The first bytes greater than all that begin with `prefix`; None if there are none."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes([cut[-1] + 1]) if cut else None


class Window:
    """What a list may show: low <= name < high, all beginning with prefix."""

    def __init__(self, call):
        query = call.query
        if query.get("delimiter", "/") != "/":
            raise invalid(f"The delimiter '{query['delimiter']}' is not supported, only '/' is")
        if query.get("start") and query.get("startAfter"):
            raise invalid("start and startAfter exclude each other")
        self.delimiter = b"/" if query.get("delimiter") else None
        self.prefix = query.get("prefix", "").encode()
        self.low = max(self.prefix, query.get("start", "").encode())
        if query.get("startAfter"):
            self.low = max(self.low, query["startAfter"].encode() + b"\0")
        self.high = after_prefix(self.prefix) if self.prefix else None
        if query.get("end"):
            end = query["end"].encode()
            self.high = end if self.high is None else min(self.high, end)

    def group(self, name):
        """The prefix under which a name is hidden, or None."""
        if self.delimiter is None:
            return None
        at = name.find(self.delimiter, len(self.prefix))
        return None if at < 0 else name[:at + 1]


def _collect(store, bucket, window, limit):
    """(rows, prefixes, next name) of one page."""
    rows, prefixes, low = [], [], window.low
    while True:
        jumped = False
        want = limit + 1 - len(rows) - len(prefixes)
        for name, doc in (found := list(store.catalog.scan(
                bucket["name"], low, window.high, want))):
            if len(rows) + len(prefixes) == limit:
                return rows, prefixes, name
            group = window.group(name)
            if group is None:
                rows.append((name, doc))
                continue
            prefixes.append(group)
            low, jumped = after_prefix(group), True
            break
        if not jumped or low is None or not found:
            return rows, prefixes, None


def wanted_fields(call):
    fields = [f.strip() for f in call.query.get("fields", "name").split(",") if f.strip()]
    for name in fields:
        if name not in FIELDS:
            raise invalid(f"'{name}' is not a field of objects")
    return set(fields) | {"name"}


def shown(store, name, doc, fields):
    """An object summary with the chosen fields."""
    out = {"name": name.decode()}
    if "size" in fields:
        out["size"] = doc.get("size")
    if "etag" in fields:
        out["etag"] = doc.get("etag")
    if "md5" in fields:
        out["md5"] = doc.get("md5") or doc.get("multipart_md5")
    if "timeCreated" in fields:
        out["timeCreated"] = rfc3339(doc["created"])
    if "timeModified" in fields:
        out["timeModified"] = rfc3339(doc["modified"])
    if "storageTier" in fields:
        out["storageTier"] = doc.get("tier")
    if "archivalState" in fields:
        out["archivalState"] = objects.archival_state(store, doc)
    return out


async def list_objects(store, call):
    bucket = buckets.require(store, call)
    window, limit, fields = Window(call), limit_of(call), wanted_fields(call)
    if bucket.get("synthetic"):
        body = synthetic.page(bucket, window.low, window.high, limit,
                              lambda name, doc: shown(store, name, doc, fields))
        return Answer(200, {"content-type": "application/json"}, body)
    rows, prefixes, following = _collect(store, bucket, window, limit)
    if fields == {"name"}:
        listed = [{"name": name.decode()} for name, _ in rows]
    else:
        listed = [shown(store, name, json.loads(doc), fields) for name, doc in rows]
    if following and call.plan and call.plan.find("repeat_prefix") and prefixes:
        last = prefixes[-1]
        if len(rows) + len(prefixes) > 1 and (not rows or rows[-1][0] < last):
            following = last
    result = {"objects": listed}
    if window.delimiter:
        result["prefixes"] = [one.decode() for one in prefixes]
    if following:
        result["nextStartWith"] = following.decode()
    return Answer.json(result)


def _all_versions(store, bucket, window):
    """(name, document) by name, newest first; the current one of a name leads it unless a
    delete marker does."""
    if bucket.get("synthetic"):
        former, current = [], synthetic.scan(bucket, window.low, window.high, 1 << 30)
    else:
        former = store.catalog.scan_versions(bucket["name"], window.low, window.high)
        current = [(name, json.loads(doc)) for name, doc in
                   store.catalog.scan(bucket["name"], window.low, window.high, -1)]
    return sorted([(n, 0, i, d) for i, (n, d) in enumerate(current)]
                  + [(n, 1, i, d) for i, (n, d) in enumerate(former)], key=lambda r: r[:3])


async def list_object_versions(store, call):
    bucket = buckets.require(store, call)
    window, limit, fields = Window(call), limit_of(call), wanted_fields(call)
    after = page_of(call)
    items, prefixes, last = [], [], None
    for name, _, _, doc in _all_versions(store, bucket, window):
        group = window.group(name)
        key = group.hex() if group else f"{name.hex()} {doc['version']}"
        if after:
            after = None if key == after else after
            continue
        if group and group in prefixes:
            continue
        if len(items) + len(prefixes) == limit:
            return _versions_answer(items, prefixes, {"opc-next-page": token(last)})
        last = key
        if group:
            prefixes.append(group)
            continue
        items.append({**shown(store, name, doc, fields), "versionId": doc["version"],
                      "timeModified": rfc3339(doc["modified"]),
                      "isDeleteMarker": bool(doc.get("marker"))})
    return _versions_answer(items, prefixes, {})


def _versions_answer(items, prefixes, headers):
    return Answer.json({"items": items, "prefixes": [p.decode() for p in prefixes]},
                       headers=headers)


OPERATIONS = {"ListObjects": list_objects, "ListObjectVersions": list_object_versions}
