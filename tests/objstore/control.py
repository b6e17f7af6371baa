# SPDX-License-Identifier: Apache-2.0
"""control.py - the door for tests: /_ctl/… on the same port, JSON, no signature, loopback only.

  GET    ping                        {"pid", "now"}
  GET POST DELETE  rules             list, add, clear (?id=) faults; see faults.py
  POST   release                     {"id"}: let hanging requests go on
  GET DELETE  log                    ?op&bucket&object&part&status&state&after&limit
  GET    wait                        ?n&timeout and the filters of log: {"count", "met"}
  GET    counters
  POST   clock                       {"offset"} seconds
  GET POST  settings                 see app.SETTINGS
  POST DELETE  keys                  {"key_id", "pem"}; ?key_id=
  POST   users                       {"id", "name", "email", …}
  POST   tokens                      {"kind": "session" or "resource", "pem", "seconds", …claims}:
                                     {"token"}
  DELETE tokens                      none that was issued before is believed any more
  POST   instance                    {"rotate"}: {"tenancy", "id", "key"}
  POST   buckets                     {"name", …}: as CreateBucket, no error if it is there
  GET    buckets                     all of them
  GET PUT DELETE  object/BUCKET/NAME bytes of an object, past signature, log and faults
  GET    info/BUCKET/NAME            its document with "sha256_hex" and "md5_hex"
  POST   archival/BUCKET/NAME        {"state"}: Archived, Restoring, Restored
  POST   corrupt/BUCKET/NAME         {"offset"}: flip one stored byte
  GET    names/BUCKET                names of all objects
  GET    uploads/BUCKET              unfinished uploads with their parts
  GET DELETE  links/BUCKET           pre-authenticated requests, also those that are over
"""

import hashlib
import ipaddress
import os

from . import buckets, identity, objects, principals, transfer
from .auth import load_key
from .faults import Rule
from .journal import Entry
from .wire import Answer, ServiceError, decode_segment, invalid, parse_query, rfc3339

FAR = 10 * 365 * 86400


async def handle(store, call, peer):
    """One control request; never logged, never disturbed."""
    call.entry = Entry(0, call, "")
    try:
        if not peer or not ipaddress.ip_address(peer[0]).is_loopback:
            raise ServiceError(403, "Forbidden", "Only from this machine")
        answer = await _dispatch(store, call)
    except ServiceError as error:
        answer = error.answer()
    except (ValueError, TypeError) as error:
        answer = invalid(str(error)).answer()
    return await transfer.deliver(store, call, answer)


async def _dispatch(store, call):
    call.query = parse_query(call.raw_query)
    name, _, rest = call.path[len(b"/_ctl/"):].partition(b"/")
    action = ACTIONS.get((call.method, name.decode("latin-1")))
    if action is None:
        raise ServiceError(404, "NotFound", "No such control")
    bucket, _, item = rest.partition(b"/")
    call.namespace = store.namespace
    call.bucket, call.object = decode_segment(bucket), decode_segment(item)
    if action is not put_object:
        call.body = await transfer.read_small(call)
    return await action(store, call)


async def ping(store, call):
    return Answer.json({"pid": os.getpid(), "now": rfc3339(store.now())})


async def list_rules(store, call):
    return Answer.json([rule.as_json() for rule in store.rules.rules])


async def add_rule(store, call):
    return Answer.json(store.rules.add(Rule(**call.json())).as_json())


def _rule_id(text):
    return int(text) if text is not None else None


async def clear_rules(store, call):
    store.rules.clear(_rule_id(call.query.get("id")))
    return Answer(204)


async def release(store, call):
    store.rules.release(_rule_id(call.json().get("id")))
    return Answer(204)


async def show_log(store, call):
    entries = store.journal.select(call.query)
    limit = int(call.query.get("limit", 0))
    return Answer.json([entry.as_json() for entry in (entries[-limit:] if limit else entries)])


async def clear_log(store, call):
    store.journal.clear()
    return Answer(204)


async def wait(store, call):
    n = int(call.query.get("n", 1))
    count = await store.journal.wait(call.query, n, float(call.query.get("timeout", 10)))
    return Answer.json({"count": count, "met": count >= n})


async def counters(store, call):
    return Answer.json(store.journal.counters())


async def set_clock(store, call):
    store.clock.offset = float(call.json()["offset"])
    return Answer.json({"now": rfc3339(store.now())})


async def show_settings(store, call):
    return Answer.json(store.settings)


async def change_settings(store, call):
    for name, value in call.json().items():
        if name not in store.settings:
            raise ValueError(f"no such setting: {name}")
        store.settings[name] = value
        store.catalog.put_fact("setting", name, value)
    return Answer.json(store.settings)


async def add_key(store, call):
    body = call.json()
    store.add_key(body["key_id"], body["pem"])
    return Answer(204)


async def drop_key(store, call):
    store.drop_key(call.query["key_id"])
    return Answer(204)


async def put_user(store, call):
    body = call.json()
    store.catalog.put_fact(identity.KIND, body["id"], body)
    return Answer(204)


async def issue_token(store, call):
    body, now = call.json(), store.now()
    kind, public = body.pop("kind"), load_key(body.pop("pem"))
    seconds = body.pop("seconds", None) or store.settings["token_seconds"]
    if kind == "session":
        end = now + body.pop("session_seconds", 86400)
        token = store.issuer.session(public, now, seconds, end, **body)
    elif kind == "resource":
        token = store.issuer.issue(public, now, seconds, ptype="resource", **body)
    else:
        raise ValueError(f"no such kind of token: {kind}")
    return Answer.json({"token": token})


async def revoke_tokens(store, call):
    store.issuer.revoke_all()
    return Answer(204)


async def change_instance(store, call):
    found = principals.instance(store)
    if call.json().get("rotate"):
        found.rotate(store.now())
    return Answer.json({"tenancy": found.tenancy, "id": principals.INSTANCE,
                        "key": found.documents()["identity/key.pem"][1]})


async def make_bucket(store, call):
    body = call.json()
    name = body.pop("name")
    doc = buckets.look_up(store, name)
    if doc is None:
        compartment = body.pop("compartmentId", store.compartment)
        doc = buckets.make(store, name, compartment, **body)
    return Answer.json(doc)


async def list_buckets(store, call):
    return Answer.json(list(store.catalog.buckets.values()))


async def put_object(store, call):
    if buckets.look_up(store, call.bucket) is None:
        buckets.make(store, call.bucket, store.compartment)
    return await objects.put_object(store, call)


async def get_object(store, call):
    doc = _document(store, call)
    extents = store.filler(doc["size"]) if doc.get("filler") else doc["extents"]
    return Answer(200, {}, extents=extents, length=doc["size"])


async def delete_object(store, call):
    objects.delete(store, buckets.named(store, call.bucket), call.object)
    return Answer(204)


def _document(store, call):
    return objects.find(store, buckets.named(store, call.bucket), call.object)


async def info(store, call):
    doc = _document(store, call)
    extents = store.filler(doc["size"]) if doc.get("filler") else doc["extents"]
    sha, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for block in store.blobs.blocks(extents, 0, doc["size"]):
        sha.update(block)
        md5.update(block)
    return Answer.json({**doc, "archivalState": objects.archival_state(store, doc),
                        "sha256_hex": sha.hexdigest(), "md5_hex": md5.hexdigest()})


async def set_archival(store, call):
    doc, state, now = _document(store, call), call.json()["state"], store.now()
    times = {"Archived": None, "Restoring": (now + FAR, now + 2 * FAR),
             "Restored": (now, now + FAR)}
    if state not in times:
        raise ValueError(f"no such state: {state}")
    doc["tier"] = "Archive"
    doc.setdefault("archived", now)
    doc.pop("restore_ready", None)
    if times[state]:
        doc["restore_ready"], doc["restore_until"] = times[state]
    objects.save(store, buckets.named(store, call.bucket), call.object, doc)
    return Answer(204)


async def corrupt(store, call):
    doc, offset = _document(store, call), call.json().get("offset", 0)
    for blob, size in doc["extents"]:
        if offset < size:
            store.blobs.flip(blob, offset)
            return Answer(204)
        offset -= size
    raise ValueError("the object is not that long")


async def names(store, call):
    rows = store.catalog.scan(buckets.named(store, call.bucket)["name"], b"", None, -1)
    return Answer.json([name.decode() for name, _ in rows])


async def uploads(store, call):
    found = [doc for _, doc in store.catalog.uploads(call.bucket)]
    return Answer.json([{**doc, "parts": [{"partNumber": number, **part} for number, part
                                          in store.catalog.parts(doc["uploadId"])]}
                        for doc in found])


async def links(store, call):
    return Answer.json([doc for _, doc in store.catalog.pars(call.bucket, 0, -1)])


async def drop_links(store, call):
    for _, doc in store.catalog.pars(call.bucket, 0, -1):
        store.catalog.drop_par(call.bucket, doc["id"])
    return Answer(204)


ACTIONS = {
    ("GET", "ping"): ping,
    ("GET", "rules"): list_rules, ("POST", "rules"): add_rule, ("DELETE", "rules"): clear_rules,
    ("POST", "release"): release,
    ("GET", "log"): show_log, ("DELETE", "log"): clear_log, ("GET", "wait"): wait,
    ("GET", "counters"): counters, ("POST", "clock"): set_clock,
    ("GET", "settings"): show_settings, ("POST", "settings"): change_settings,
    ("POST", "keys"): add_key, ("DELETE", "keys"): drop_key, ("POST", "users"): put_user,
    ("POST", "tokens"): issue_token, ("DELETE", "tokens"): revoke_tokens,
    ("POST", "instance"): change_instance,
    ("POST", "buckets"): make_bucket, ("GET", "buckets"): list_buckets,
    ("GET", "object"): get_object, ("PUT", "object"): put_object,
    ("DELETE", "object"): delete_object, ("GET", "info"): info,
    ("POST", "archival"): set_archival, ("POST", "corrupt"): corrupt,
    ("GET", "names"): names, ("GET", "uploads"): uploads, ("GET", "links"): links,
    ("DELETE", "links"): drop_links,
}
