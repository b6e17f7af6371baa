# SPDX-License-Identifier: Apache-2.0
"""test_store_faults.py - the store misbehaves exactly as told, and logs what it received."""

import base64
import hashlib
import socket

import pytest

from objstore import Store

KIB = 1024
BIG = bytes(range(256)) * 4 * KIB  # 1 MiB


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def put(raw, bucket, body=b"data", name="o", **more):
    return raw.call("PUT", f"{bucket}/o/{name}", body, **more)


@pytest.mark.parametrize("status, code", [
    (401, "NotAuthenticated"), (404, "ObjectNotFound"), (409, "ConcurrentObjectUpdate"),
    (412, "IfMatchFailed"), (429, "TooManyRequests"), (500, "InternalServerError"),
    (503, "ServiceUnavailable")])
def test_status_nth_and_count(raw, store, bucket, status, code):
    store.on("PutObject", nth=2, count=2, do=status)
    seen = [put(raw, bucket) for _ in range(4)]
    assert [r.status for r in seen] == [200, status, status, 200]
    assert seen[1].code == code
    (rule,) = store.rules()
    assert (rule["hits"], rule["fired"]) == (4, 2)


def test_retry_after(raw, store, bucket):
    store.on("PutObject", do=429, retry_after=7)
    assert put(raw, bucket).headers["retry-after"] == "7"
    store.on("PutObject", do=429)
    assert "retry-after" not in put(raw, bucket).headers


def test_status_for_ever_by_object(raw, store, bucket):
    store.on("*", object="bad*", count=0, do="status", status=500, code="Odd", message="so")
    assert [put(raw, bucket, name="bad1").code for _ in range(3)] == ["Odd"] * 3
    assert put(raw, bucket, name="good").status == 200


def test_status_without_json(raw, store, bucket):
    store.on("PutObject", do="status", status=502, body="<html>Bad Gateway</html>")
    reply = put(raw, bucket)
    assert (reply.status, reply.body) == (502, b"<html>Bad Gateway</html>")


def test_early_status_closes_late_status_does_not(raw, store, bucket):
    store.on("PutObject", do=503)
    assert put(raw, bucket).headers["connection"] == "close"
    store.on("PutObject", do=503, at="read")
    reply = put(raw, bucket)
    assert reply.status == 503 and "connection" not in reply.headers
    assert not store.exists(bucket.rpartition("/")[2] + "/o")


def test_status_after_the_work_is_done(raw, store, bucket):
    store.on("PutObject", do=500, at="answer")
    assert put(raw, bucket).status == 500
    assert store.exists(bucket.rpartition("/")[2] + "/o")


@pytest.mark.parametrize("at", ["start", "answer"])
def test_reset(raw, store, bucket, at):
    store.on("PutObject", do="reset", at=at)
    with pytest.raises(ConnectionError):
        put(raw, bucket)
    raw.close()
    assert store.exists(bucket.rpartition("/")[2] + "/o") == (at == "answer")
    assert store.log("PutObject")[-1]["status"] is None


def test_reset_in_the_upload(raw, store, bucket):
    store.on("PutObject", do="reset", at="body", after=100 * KIB)
    with pytest.raises(ConnectionError):
        put(raw, bucket, BIG)
    store.wait_hit("PutObject", 1, state="done")
    assert 100 * KIB <= store.log("PutObject")[-1]["received"] < len(BIG)
    assert store.names(bucket.rpartition("/")[2]) == []


@pytest.mark.parametrize("do", ["reset", "truncate"])
def test_download_ends_early(raw, store, bucket, do):
    put(raw, bucket, BIG)
    store.on("GetObject", do=do, **({"at": "body"} if do == "reset" else {}), after=1000)
    with pytest.raises(ConnectionError) as error:
        raw.call("GET", f"{bucket}/o/o")
    if do == "truncate":
        assert str(error.value) == f"1000 of {len(BIG)} bytes"
    raw.close()
    assert raw.call("GET", f"{bucket}/o/o").body == BIG


@pytest.mark.parametrize("at, op, after", [("start", "PutObject", 0), ("answer", "PutObject", 0),
                                           ("body", "PutObject", 5000), ("start", "GetObject", 0),
                                           ("body", "GetObject", 5000)])
def test_hang_and_release(raw, store, bucket, at, op, after):
    put(raw, bucket, BIG)
    store.clear_log()
    store.on(op, do="hang", at=at, after=after)
    method, body = ("PUT", BIG[::-1]) if op == "PutObject" else ("GET", b"")
    target = f"{bucket}/o/o"
    raw.send(method, target, raw.headers(method, target, body), body)
    store.wait_hit(op, 1)
    assert store.log(op)[0]["done"] is False
    store.release()
    reply = raw.receive(method)
    assert reply.status == 200 and (method == "PUT" or reply.body == BIG)


def test_clear_releases_too(raw, store, bucket):
    store.on("PutObject", do="hang")
    target = f"{bucket}/o/o"
    raw.send("PUT", target, raw.headers("PUT", target, b"x"), b"x")
    store.wait_hit("PutObject", 1)
    store.clear()
    assert raw.receive().status == 200


def test_slow(raw, store, bucket):
    store.on("PutObject", do="slow", rate=1_000_000)
    put(raw, bucket, BIG[:300_000])
    assert 0.25 < store.log("PutObject")[-1]["seconds"] < 3


@pytest.mark.parametrize("offset", [0, 70_000])
def test_corrupted_on_the_way_in(raw, store, bucket, offset):
    store.on("PutObject", do="corrupt", offset=offset)
    reply = put(raw, bucket, BIG, extra={"content-md5": md5(BIG)})
    assert (reply.status, reply.code) == (400, "UnmatchedContentMD5")
    store.on("PutObject", do="corrupt", offset=offset)
    assert put(raw, bucket, BIG).headers["opc-content-md5"] != md5(BIG)


@pytest.mark.parametrize("size", [100, 100_000])
def test_corrupted_at_rest_and_on_the_way_out(raw, store, bucket, size):
    data = BIG[:size]
    store.on("PutObject", do="corrupt", where="stored", offset=9)
    assert put(raw, bucket, data).headers["opc-content-md5"] == md5(data)
    got = raw.call("GET", f"{bucket}/o/o").body
    assert [i for i in range(size) if got[i] != data[i]] == [9]
    put(raw, bucket, data)
    store.on("GetObject", do="corrupt", offset=20)
    got = raw.call("GET", f"{bucket}/o/o")
    assert [i for i in range(size) if got.body[i] != data[i]] == [20]
    assert got.headers["content-md5"] == md5(data)
    assert raw.call("GET", f"{bucket}/o/o").body == data


def test_checksum_headers(raw, store, bucket):
    extra = {"opc-checksum-algorithm": "CRC32C"}
    store.on("PutObject", do="wrong_checksum", which=["crc32c"])
    reply = put(raw, bucket, b"123456789", extra=extra)
    assert reply.headers["opc-content-crc32c"] != "4waSgw=="
    assert reply.headers["opc-content-md5"] == md5(b"123456789")
    store.on("PutObject", do="missing_checksum")
    reply = put(raw, bucket, b"123456789", extra=extra)
    assert "opc-content-crc32c" not in reply.headers and "opc-content-md5" not in reply.headers
    store.settings(no_crc32c=True)
    try:
        reply = put(raw, bucket, b"123456789", extra=extra)
        assert "opc-content-crc32c" not in reply.headers and "opc-content-md5" in reply.headers
    finally:
        store.settings(no_crc32c=False)


def test_other_headers(raw, store, bucket):
    store.on("PutObject", do="headers", headers={"etag": "other", "last-modified": None})
    reply = put(raw, bucket)
    assert reply.headers["etag"] == "other" and "last-modified" not in reply.headers


def test_clock_of_one_request(raw, store, bucket):
    store.on("PutObject", do="clock", offset=1000)
    assert [put(raw, bucket).status for _ in range(2)] == [401, 200]


def test_short_pages_and_repeated_prefixes(raw, store, bucket):
    name = bucket.rpartition("/")[2]
    for one in ("a/1", "b/1", "c"):
        store.put_object(f"{name}/{one}")
    store.on("ListObjects", do="short_pages", limit=2)
    page = raw.call("GET", f"{bucket}/o").json
    assert len(page["objects"]) == 2 and page["nextStartWith"] == "c"
    store.on("ListObjects", do="repeat_prefix")
    page = raw.call("GET", f"{bucket}/o?delimiter=%2F&limit=2").json
    assert (page["prefixes"], page["nextStartWith"]) == (["a/", "b/"], "b/")


def test_close_without_saying_so(raw, store, bucket):
    store.on("PutObject", do="close")
    reply = put(raw, bucket)
    assert reply.status == 200 and "connection" not in reply.headers
    assert raw.sock.recv(1) == b""


def test_delay(raw, store, bucket):
    store.on("PutObject", do="delay", seconds=0.3)
    put(raw, bucket)
    assert store.log("PutObject")[-1]["seconds"] >= 0.3


def test_continue(raw, store, bucket):
    target = f"{bucket}/o/o"
    raw.send("PUT", target, raw.headers("PUT", target, b"abc", {"expect": "100-continue"}))
    assert raw.file.readline().startswith(b"HTTP/1.1 100")
    assert raw.file.readline() == b"\r\n"
    raw.sock.sendall(b"abc")
    assert raw.receive().status == 200


def test_no_continue(raw, store, bucket):
    store.on("PutObject", do="no_continue")
    target = f"{bucket}/o/o"
    raw.send("PUT", target, raw.headers("PUT", target, b"abc", {"expect": "100-continue"}))
    store.wait_hit("PutObject")
    raw.sock.settimeout(0.3)
    with pytest.raises(socket.timeout):
        raw.sock.recv(1)
    raw.sock.settimeout(20)
    raw.sock.sendall(b"abc")
    raw.file = raw.sock.makefile("rb")
    reply = raw.receive()
    assert (reply.status, reply.interim) == (200, 0)


def test_refusal_instead_of_continue(raw, store, bucket):
    put(raw, bucket)
    target = f"{bucket}/o/o"
    raw.send("PUT", target, raw.headers("PUT", target, BIG, {"expect": "100-continue",
                                                             "if-none-match": "*"}))
    reply = raw.receive()
    assert (reply.status, reply.code, reply.interim) == (412, "IfNoneMatchFailed", 0)
    assert reply.headers["connection"] == "close"


def test_rule_by_part_and_bad_rules(store):
    store.on("UploadPart", part=3, do="hang")
    with pytest.raises(RuntimeError, match="no such action"):
        store.on("PutObject", do="explode")
    with pytest.raises(RuntimeError, match="no such point"):
        store.on("PutObject", do="hang", at="lunch")


def test_log_and_counters(raw, store, bucket):
    put(raw, bucket, b"12345", extra={"opc-meta-k": "v"})
    raw.call("GET", f"{bucket}/o/o")
    raw.call("GET", f"{bucket}/o/missing")
    entry = store.log("PutObject")[0]
    assert (entry["status"], entry["received"], entry["signed"]) == (200, 5, True)
    assert entry["object"] == "o" and entry["headers"]["opc-meta-k"] == "v"
    assert store.log("GetObject", status=404)[0]["code"] == "ObjectNotFound"
    found = store.counters()
    assert found["requests"] == {"PutObject": 1, "GetObject": 2}
    assert found["connections"] == 1 and found["peak"]["*"] == 1
    assert store.count("GetObject") == 2 and store.count("GetObject", object="o") == 1
    with pytest.raises(TimeoutError):
        store.wait_hit("PutObject", 2, timeout=0.2)


def test_data_survive_kill_and_restart():
    with Store(buckets=["b"]) as store:
        etag = store.put_object("b/small", b"1")
        store.put_object("b/large", BIG)
        store.add_key("extra", store.profile.public_pem)
        port = store.port
        store.kill()
        store.start()
        assert store.port == port and store.names("b") == ["large", "small"]
        assert store.object_info("b/small")["etag"] == etag
        assert store.object_bytes("b/large") == BIG
        store.restart()
        assert store.object_bytes("b/small") == b"1"
