# SPDX-License-Identifier: Apache-2.0
"""test_store_auth.py - what is not signed as it was sent is refused, with the right words."""

import base64
import calendar
import hashlib
import json
import os
import time

import pytest
from cryptography.hazmat.primitives import serialization

from objstore import auth
from objstore.profile import VECTORS
from objstore.wire import ServiceError

LIST = "/n/testns/b/b/o?prefix=a%2F&limit=10"
BUCKETS = "/n/testns/b"
BODY = {"name": "x", "compartmentId": "c"}

with open(os.path.join(VECTORS, "vectors.json"), encoding="utf-8") as file:
    ALL = json.load(file)


def refuses(reply, message):
    assert (reply.status, reply.code, reply.message) == (401, "NotAuthenticated", message)
    assert reply.headers["www-authenticate"] == 'Casper realm="AUTH_casper"'


def test_good(raw):
    assert raw.call("GET", LIST).status == 200
    assert raw.call("POST", BUCKETS, BODY).status == 200
    assert raw.call("PUT", "/n/testns/b/b/o/x", b"data").status == 200


def change(name, value):
    return lambda headers: headers.__setitem__(name, value)


def drop(name):
    return lambda headers: headers.pop(name)


def edit(old, new):
    return lambda headers: headers.__setitem__("authorization",
                                               headers["authorization"].replace(old, new))


@pytest.mark.parametrize("tamper", [
    change("host", "127.0.0.1"), change("date", time.strftime(
        "%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 30))),
    edit('signature="', 'signature="AAAA'), edit("(request-target) ", ""), edit("date ", ""),
    edit(" host", ""), edit(" host", " host x-missing"), edit(" host", " host date"),
    lambda h: h.__setitem__("x-date", h["date"]), change("opc-obo-token", "t"),
], ids=["host", "date", "signature", "no target in list", "no date in list", "no host in list",
        "listed but missing", "listed twice", "x-date unsigned", "obo token unsigned"])
def test_tampered_get(raw, tamper):
    refuses(raw.call("GET", LIST, tamper=tamper), auth.BAD_SIGNATURE)


@pytest.mark.parametrize("method, target", [
    ("HEAD", LIST), ("GET", LIST.replace("%2F", "%2f")), ("GET", LIST.replace("10", "11")),
    ("GET", LIST + "&fields=name"), ("GET", "/n/testns/b/B/o?prefix=a%2F&limit=10")])
def test_other_target_than_signed(raw, method, target):
    headers = raw.headers("GET", LIST)
    raw.send(method, target, headers)
    reply = raw.receive(method)
    assert reply.status in (401, 405)
    if method == "GET":
        refuses(reply, auth.BAD_SIGNATURE)


@pytest.mark.parametrize("tamper", [
    edit(" x-content-sha256", ""), edit(" content-length", ""), edit(" content-type", ""),
    change("x-content-sha256", base64.b64encode(hashlib.sha256(b"other").digest()).decode()),
    change("content-type", "text/plain"), drop("x-content-sha256")])
def test_tampered_post(raw, tamper):
    refuses(raw.call("POST", BUCKETS, BODY, tamper=tamper), auth.BAD_SIGNATURE)


def test_other_body_than_signed(raw):
    signed, sent = json.dumps({**BODY, "name": "y1"}), json.dumps({**BODY, "name": "y2"})
    headers = raw.headers("POST", BUCKETS, signed.encode())
    raw.send("POST", BUCKETS, headers, sent.encode())
    refuses(raw.receive(), auth.BAD_SIGNATURE)


def test_shorter_body_than_signed(raw):
    signed = json.dumps({**BODY, "name": "y1"}).encode()
    headers = raw.headers("POST", BUCKETS, signed)
    headers["content-length"] = str(len(signed) - 1)
    raw.send("POST", BUCKETS, headers, signed[:-1])
    refuses(raw.receive(), auth.BAD_SIGNATURE)


def test_header_sent_twice(raw):
    headers = raw.headers("GET", LIST)
    headers["Date"] = headers["date"]
    raw.send("GET", LIST, headers)
    refuses(raw.receive(), auth.BAD_SIGNATURE)


@pytest.mark.parametrize("tamper", [
    drop("authorization"), change("authorization", "Basic eDp5"), edit("rsa-sha256", "hmac"),
    edit('version="1"', 'version="2"'), edit("keyId=", "key="), edit("ocid1.user", "ocid1.nobody"),
    edit(",algorithm", ";algorithm"), change("date", "yesterday")])
def test_incomplete(raw, tamper):
    refuses(raw.call("GET", LIST, tamper=tamper), auth.UNKNOWN)


def test_unknown_key(raw, store):
    store.drop_key()
    try:
        refuses(raw.call("GET", LIST), auth.UNKNOWN)
    finally:
        store.add_key(store.profile.key_id, store.profile.public_pem)
    assert raw.call("GET", LIST).status == 200


def test_key_of_somebody_else(raw, store):
    with open(os.path.join(VECTORS, "leaf-key.pem"), "rb") as file:
        raw.key = serialization.load_pem_private_key(file.read(), None)
    refuses(raw.call("GET", LIST), auth.BAD_SIGNATURE)


@pytest.mark.parametrize("off, status", [(-310, 401), (310, 401), (-280, 200), (280, 200)])
def test_date_window(raw, off, status):
    reply = raw.call("GET", LIST, at=time.time() + off)
    assert reply.status == status
    if status == 401:
        assert reply.message.startswith("Date '")
        assert "is not within allowed clock skew. Current '" in reply.message
        assert "valid datetime range: ['" in reply.message


def test_clock_of_the_store(raw, store):
    store.set_clock(3600)
    reply = raw.call("GET", LIST)
    assert reply.status == 401
    there = calendar.timegm(time.strptime(reply.headers["date"], "%a, %d %b %Y %H:%M:%S GMT"))
    assert abs(there - time.time() - 3600) < 5
    assert raw.call("GET", LIST, at=there).status == 200


def test_put_with_unsigned_digest(raw):
    tamper = change("x-content-sha256", base64.b64encode(hashlib.sha256(b"d").digest()).decode())
    refuses(raw.call("PUT", "/n/testns/b/b/o/x", b"d", tamper=tamper), auth.BAD_SIGNATURE)


@pytest.mark.parametrize("body, status", [(b"d", 200), (b"e", 401)])
def test_put_with_signed_digest(raw, body, status):
    extra = {"x-content-sha256": base64.b64encode(hashlib.sha256(b"d").digest()).decode()}
    names = ["date", "(request-target)", "host", "x-content-sha256"]
    assert raw.call("PUT", "/n/testns/b/b/o/x", body, extra, names=names).status == status


def test_spelling_of_authorization(raw):
    def loose(headers):
        parts = headers["authorization"][len("Signature "):].split(",")
        headers["authorization"] = "Signature " + ", ".join(reversed(parts))
    assert raw.call("GET", LIST, tamper=loose).status == 200
    assert raw.call("GET", LIST, tamper=edit('version="1",', "")).status == 200


@pytest.mark.parametrize("target", [
    "/n/testns/b/b/o/dir%2Fsub%2ff", "/n/testns/b/b/o/dir/sub/f", "/n/testns/b/b/o//a//b",
    "/n/testns/b/b/o/a%2F..%2Fb", "/n/testns/b/b/o/a/../b", "/n/testns/b/b/o/%2E%2E",
    "/n/testns/b/b/o/a+b", "/n/testns/b/b/o/!*'()"])
def test_target_is_taken_as_sent(raw, store, target):
    assert raw.call("PUT", target, b"x").status == 200
    assert store.log(limit=1)[0]["target"] == target
    assert raw.call("DELETE", target).status == 204


# The published and recorded signatures.

def keys_for(vector):
    with open(os.path.join(VECTORS, vector["key"]), "rb") as file:
        private = serialization.load_pem_private_key(file.read(), None)
    return {vector["key_id"]: private.public_key()}


def request_of(vector):
    authorization = (f'Signature version="1",headers="{" ".join(vector["headers_to_sign"])}",'
                     f'keyId="{vector["key_id"]}",algorithm="rsa-sha256",'
                     f'signature="{vector["signature"]}"')
    headers = {name: [value] for name, value in vector["signed_headers"].items()}
    headers["authorization"] = [vector.get("authorization", authorization)]
    return vector["method"], vector["request_target"].encode(), headers


def is_exempt(vector):
    path = vector["request_target"].partition("?")[0]
    return vector["method"] == "PUT" and ("/o/" in path or "/u/" in path)


def now_of(vector):
    date = vector["signed_headers"].get("x-date") or vector["signed_headers"]["date"]
    return auth.parse_date(date)


@pytest.mark.parametrize("vector", ALL, ids=[v["name"] for v in ALL])
def test_vector(vector):
    method, target, headers = request_of(vector)
    names = vector["headers_to_sign"]
    text = auth.signing_string([n.lower() for n in names], method, target, headers)
    assert text.decode("latin-1") == vector["signing_string"]
    (key,) = keys_for(vector).values()
    auth.check_signature(key, vector["signature"], text)
    with pytest.raises(ServiceError):
        auth.check_signature(key, vector["signature"], text + b"x")
    if vector["source"] == "published":
        with pytest.raises(ServiceError):
            now_of(vector)
        return
    digest = auth.verify(keys_for(vector), method, target, headers, now_of(vector),
                         is_exempt(vector))
    auth.check_body(digest, base64.b64decode(vector["body_base64"]))
    if vector["body_signed"]:
        with pytest.raises(ServiceError):
            auth.check_body(digest, b"other")
    with pytest.raises(ServiceError):
        auth.verify(keys_for(vector), method, target + b"x", headers, now_of(vector),
                    is_exempt(vector))
    with pytest.raises(ServiceError):
        auth.verify(keys_for(vector), method, target, headers, now_of(vector) + 301,
                    is_exempt(vector))
