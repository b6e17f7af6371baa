# SPDX-License-Identifier: Apache-2.0
"""test_store_rules.py - rules of objects, multipart, lists, conditions and PARs that Oracle's
tools never break, so that only a test by hand meets them."""

import base64
import hashlib
import json
import os
import urllib.parse

import pytest

from objstore import checksum
from objstore.profile import VECTORS

with open(os.path.join(VECTORS, "checksums.json"), encoding="utf-8") as file:
    SUMS = json.load(file)


def put(raw, bucket, body=b"data", name="o", **extra):
    sent = {k.replace("_", "-"): v for k, v in extra.items()}
    return raw.call("PUT", f"{bucket}/o/{name}", body, sent)


def is_error(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply.message
    return True


# Bodies and headers of a put.

def test_chunked_and_missing_length(raw, another, bucket):
    target = f"{bucket}/o/o"
    for client, header in ((raw, {"transfer-encoding": "chunked"}), (another(), {})):
        headers = client.headers("PUT", target)
        del headers["content-length"]
        client.send("PUT", target, {**headers, **header}, b"0\r\n\r\n" if header else b"")
        is_error(client.receive(), 411, "ContentLengthRequired")


def test_too_large(raw, store, bucket):
    store.settings(max_body_bytes=10)
    try:
        assert put(raw, bucket, b"x" * 10).status == 200
        reply = put(raw, bucket, b"x" * 11)
        is_error(reply, 413, "RequestEntityTooLarge")
        assert reply.headers["connection"] == "close"
    finally:
        store.settings(max_body_bytes=50 << 30)


def test_json_calls_want_json(raw):
    body = b'{"name":"x"}'
    names = ["date", "(request-target)", "host", "content-length", "content-type",
             "x-content-sha256"]
    reply = raw.call("POST", "/n/testns/b", body, {"content-type": "text/plain"}, names=names)
    is_error(reply, 415, "UnsupportedMediaType")
    is_error(raw.call("POST", "/n/testns/b", b"{"), 400, "CannotParseRequest")
    is_error(raw.call("POST", "/n/testns/b", {"name": "x"}), 400, "MissingCompartmentId")
    is_error(raw.call("POST", "/n/testns/b", {"name": "a/b", "compartmentId": "c"}), 400,
             "InvalidBucketName")


@pytest.mark.parametrize("extra, code", [
    ({"content_md5": "short"}, "InvalidContentMD5"),
    ({"content_md5": checksum.b64(b"0" * 16)}, "UnmatchedContentMD5"),
    ({"opc_content_crc32c": "AAAAAA=="}, "MissingOrInvalidChecksum"),
    ({"opc_checksum_algorithm": "MD4"}, "MissingOrInvalidChecksum"),
    ({"opc_checksum_algorithm": "CRC32C", "opc_content_sha256": "x"}, "MissingOrInvalidChecksum"),
    ({"opc_checksum_algorithm": "CRC32C", "opc_content_crc32c": "AAAAAA=="},
     "UnmatchedContentCRC32C"),
    ({"if_none_match": "etag"}, "IfNoneMatchDisallowed"),
    ({"if_match": "a, b"}, "NoCondMultEntities"),
    ({"if_match": "a", "if_none_match": "*"}, "InvalidConditionalHeaders"),
    ({"storage_tier": "Attic"}, "InvalidStorageTier"),
    ({"opc_meta_big": "x" * 4000}, "MetadataTooLarge"),
    ({"opc_sse_customer_algorithm": "AES256"}, "InvalidParameter")])
def test_bad_put(raw, store, bucket, extra, code):
    is_error(put(raw, bucket, **extra), 400, code)
    assert store.names(bucket.rpartition("/")[2]) == []


@pytest.mark.parametrize("name", ["a%00b", "a%0Ab", "x" * 1025])
def test_bad_name(raw, bucket, name):
    is_error(put(raw, bucket, name=name), 400, "InvalidObjectName")


def test_if_match_on_nothing(raw, bucket):
    is_error(put(raw, bucket, if_match="etag"), 412, "IfMatchFailed")


def test_condition_is_checked_again_after_the_body(raw, another, store, bucket):
    """Two creators at once: one wins, whatever the order of arrival."""
    target, first = f"{bucket}/o/o", another()
    headers = first.headers("PUT", target, b"first", {"if-none-match": "*"})
    first.send("PUT", target, headers, b"fir")
    store.wait_hit("PutObject", 1)
    assert put(raw, bucket, b"second", if_none_match="*").status == 200
    first.sock.sendall(b"st")
    is_error(first.receive(), 412, "IfNoneMatchFailed")
    assert store.object_bytes(bucket.rpartition("/")[2] + "/o") == b"second"


def test_broken_upload_leaves_nothing(raw, store, bucket):
    target = f"{bucket}/o/o"
    raw.send("PUT", target, raw.headers("PUT", target, b"x" * 100_000), b"x" * 50_000)
    store.wait_hit("PutObject", 1)
    raw.close()
    store.wait_hit("PutObject", 1, state="done")
    assert store.names(bucket.rpartition("/")[2]) == []
    assert store.log("PutObject")[0]["status"] is None


def test_overwrite_while_reading(raw, another, store, bucket):
    """A reader that has begun gets the whole old object."""
    old, new = os.urandom(1 << 20), os.urandom(1 << 20)
    put(raw, bucket, old)
    store.on("GetObject", do="hang", at="body", after=1000)
    reader, target = another(), f"{bucket}/o/o"
    reader.send("GET", target, reader.headers("GET", target))
    store.wait_hit("GetObject", 1)
    put(raw, bucket, new)
    store.release()
    assert reader.receive().body == old
    assert raw.call("GET", target).body == new


def test_unknown_places(raw, bucket):
    assert raw.call("GET", "/nowhere").status == 404
    is_error(raw.call("DELETE", f"{bucket}/o"), 405, "MethodNotAllowed")
    is_error(raw.call("GET", "/n/testns/b/absent/o"), 404, "BucketNotFound")
    is_error(raw.call("GET", "/n/other/b/absent/o"), 404, "NamespaceNotFound")


def test_head_has_no_body(raw, bucket):
    reply = raw.call("HEAD", f"{bucket}/o/absent")
    assert (reply.status, reply.body) == (404, b"")


def test_client_request_id_comes_back(raw, bucket):
    reply = raw.call("GET", f"{bucket}/o", extra={"opc-client-request-id": "A1"})
    assert reply.headers["opc-client-request-id"] == "A1" and reply.headers["opc-request-id"]


@pytest.mark.parametrize("span", ["bytes=5-4", "bytes=10-", "bytes=-0"])
def test_range_past_the_end(raw, bucket, span):
    put(raw, bucket, b"0123456789")
    reply = raw.call("GET", f"{bucket}/o/o", extra={"range": span})
    is_error(reply, 416, "InvalidRange")
    assert reply.headers["content-range"] == "bytes */10"


# Checksums.

@pytest.mark.parametrize("sample", SUMS["whole"], ids=[s["name"] for s in SUMS["whole"]])
def test_checksum_samples(sample):
    digests = checksum.Digests("crc32c", "sha256", "sha384")
    digests.update(base64.b64decode(sample["bytes_base64"]))
    assert digests.results() == {k: sample[k] for k in ("md5", "crc32c", "sha256", "sha384")}


def test_multipart_sums(raw, store, bucket):
    sample = SUMS["multipart"]
    bodies = [bytes([65 + i]) * n for i, n in enumerate(sample["part_lengths"])]
    upload = begin(raw, bucket, extra={"opc-checksum-algorithm": "CRC32C"})
    etags = {}
    for number, body in enumerate(bodies, 1):
        reply = part(raw, bucket, upload, number, body)
        assert reply.headers["opc-content-md5"] == sample["part_md5"][number - 1]
        etags[number] = reply.headers["etag"]
    done = commit(raw, bucket, upload, etags)
    assert done.headers["opc-multipart-md5"] == sample["opc_multipart_md5"]
    assert done.headers["opc-content-crc32c"] == sample["object_crc32c"]


# Multipart.

def begin(raw, bucket, name="o", extra=None, **body):
    reply = raw.call("POST", f"{bucket}/u", {"object": name, **body}, extra)
    assert reply.status == 200, reply.body
    return reply.json["uploadId"]


def part(raw, bucket, upload, number, body=b"part", **extra):
    sent = {k.replace("_", "-"): v for k, v in extra.items()}
    return raw.call("PUT", f"{bucket}/u/o?uploadId={upload}&uploadPartNum={number}", body, sent)


def commit(raw, bucket, upload, etags, exclude=None, **extra):
    body = {"partsToCommit": [{"partNum": n, "etag": e} for n, e in etags.items()]}
    if exclude is not None:
        body["partsToExclude"] = exclude
    sent = {k.replace("_", "-"): v for k, v in extra.items()}
    return raw.call("POST", f"{bucket}/u/o?uploadId={upload}", body, sent)


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
def test_bad_part_number(raw, bucket, number):
    is_error(part(raw, bucket, begin(raw, bucket), number), 400, "InvalidUploadPartNumber")


def test_part_replaced_and_conditions_on_parts(raw, store, bucket):
    upload = begin(raw, bucket)
    first = part(raw, bucket, upload, 10000, b"one", if_none_match="*").headers["etag"]
    is_error(part(raw, bucket, upload, 10000, b"x", if_none_match="*"), 412, "IfNoneMatchFailed")
    second = part(raw, bucket, upload, 10000, b"two", if_match=first).headers["etag"]
    is_error(part(raw, bucket, upload, 10000, b"x", if_match=first), 412, "IfMatchFailed")
    is_error(commit(raw, bucket, upload, {10000: first}), 400, "InvalidUploadPart")
    assert commit(raw, bucket, upload, {10000: second}).status == 200
    assert store.object_bytes(bucket.rpartition("/")[2] + "/o") == b"two"


def test_commit_rules(raw, store, bucket):
    upload = begin(raw, bucket)
    etags = {n: part(raw, bucket, upload, n).headers["etag"] for n in (1, 2)}
    for bad in ((etags, [2]), ({1: etags[1]}, None), ({}, [1, 2]), ({**etags, 3: "e"}, None),
                (etags, [3])):
        is_error(commit(raw, bucket, upload, *bad), 400, "InvalidUploadPart")
    is_error(raw.call("POST", f"{bucket}/u/o?uploadId={upload}", {}), 400, "MissingParameter")
    assert len(store.uploads(bucket.rpartition("/")[2])) == 1
    assert commit(raw, bucket, upload, etags).status == 200
    is_error(commit(raw, bucket, upload, etags), 404, "UploadNotFound")
    is_error(part(raw, bucket, upload, 3), 404, "UploadNotFound")


def test_upload_belongs_to_its_object(raw, bucket):
    upload = begin(raw, bucket, "other")
    is_error(part(raw, bucket, upload, 1), 404, "UploadNotFound")
    is_error(raw.call("GET", f"{bucket}/u/other"), 400, "MissingUploadId")


def test_metadata_of_an_upload_needs_its_prefix(raw, bucket):
    is_error(raw.call("POST", f"{bucket}/u", {"object": "o", "metadata": {"k": "v"}}), 400,
             "InvalidMetadata")


def test_algorithm_of_a_part(raw, bucket):
    plain = begin(raw, bucket)
    is_error(part(raw, bucket, plain, 1, opc_checksum_algorithm="CRC32C"), 400,
             "MissingOrInvalidChecksum")
    chosen = begin(raw, bucket, extra={"opc-checksum-algorithm": "SHA256"})
    want = checksum.b64(hashlib.sha256(b"part").digest())
    assert part(raw, bucket, chosen, 1).headers["opc-content-sha256"] == want
    is_error(part(raw, bucket, chosen, 2, opc_checksum_algorithm="SHA256",
                  opc_content_sha256=checksum.b64(b"0" * 32)), 400, "UnmatchedContentSHA256")


@pytest.mark.parametrize("size", [10_000, 40_000])
def test_object_of_many_parts(raw, bucket, size):
    """Small parts are kept elsewhere than large ones; readers must not notice."""
    bodies = [os.urandom(size) for _ in range(20)]
    upload = begin(raw, bucket)
    etags = {n: part(raw, bucket, upload, n, body).headers["etag"]
             for n, body in enumerate(bodies, 1)}
    assert commit(raw, bucket, upload, etags).status == 200
    whole = b"".join(bodies)
    assert raw.call("GET", f"{bucket}/o/o").body == whole
    span = {"range": f"bytes={size - 1}-{19 * size}"}
    assert raw.call("GET", f"{bucket}/o/o", extra=span).body == whole[size - 1:19 * size + 1]


@pytest.mark.timeout(180)
def test_ten_thousand_parts(raw, bucket):
    upload = begin(raw, bucket, extra={"opc-checksum-algorithm": "CRC32C"})
    etags = {n: part(raw, bucket, upload, n, b"%d" % n).headers["etag"]
             for n in range(1, 10001)}
    whole = b"".join(b"%d" % n for n in range(1, 10001))
    done = commit(raw, bucket, upload, etags)
    digests = checksum.Digests("crc32c")
    digests.update(whole)
    assert done.headers["opc-content-crc32c"] == digests.results()["crc32c"]
    assert done.headers["opc-multipart-md5"].endswith("-10000")
    assert raw.call("GET", f"{bucket}/o/o").body == whole


def test_pages_of_uploads_and_parts(raw, bucket):
    uploads = [begin(raw, bucket, f"o{i}") for i in range(5)] + [begin(raw, bucket)]
    for number in (1, 5, 9):
        part(raw, bucket, uploads[-1], number)
    assert pages(raw, f"{bucket}/u?limit=2", "uploadId") == uploads
    assert pages(raw, f"{bucket}/u/o?uploadId={uploads[-1]}&limit=1", "partNumber") == [1, 5, 9]
    is_error(raw.call("GET", f"{bucket}/u?limit=0"), 400, "InvalidLimit")
    is_error(raw.call("GET", f"{bucket}/u?page=%21"), 400, "InvalidPage")


def pages(raw, target, field):
    found, page = [], ""
    while True:
        reply = raw.call("GET", target + page)
        found += [one[field] for one in reply.json]
        if "opc-next-page" not in reply.headers:
            return found
        page = "&page=" + urllib.parse.quote(reply.headers["opc-next-page"])


# Lists.

def listed(raw, bucket, query=""):
    """All names and prefixes, page by page."""
    names, prefixes, start = [], [], ""
    while True:
        page = raw.call("GET", f"{bucket}/o?{query}{start}").json
        names += [one["name"] for one in page["objects"]]
        prefixes += page.get("prefixes") or []
        if not page.get("nextStartWith"):
            return names, prefixes
        start = "&start=" + urllib.parse.quote(page["nextStartWith"], safe="")


NAMES = sorted(["a", "a/", "a/b", "a/b/c", "a0", "b/1", "b/2", "é/x", "\U0010ffff", "\uffff"],
               key=str.encode)


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_list_pages(raw, store, bucket, limit):
    for name in NAMES:
        store.put_object(f"{bucket.rpartition('/')[2]}/{name}")
    assert listed(raw, bucket, f"limit={limit}") == (NAMES, [])
    assert listed(raw, bucket, f"limit={limit}&delimiter=/") == (
        [n for n in NAMES if "/" not in n], ["a/", "b/", "é/"])
    assert listed(raw, bucket, f"limit={limit}&delimiter=/&prefix=a/") == (["a/", "a/b"],
                                                                          ["a/b/"])
    assert listed(raw, bucket, f"limit={limit}&prefix=%F4%8F%BF%BF") == (["\U0010ffff"], [])
    assert listed(raw, bucket, f"limit={limit}&end=a0") == (["a", "a/", "a/b", "a/b/c"], [])


@pytest.mark.parametrize("query, code", [("limit=1001", "InvalidLimit"),
                                         ("delimiter=x", "InvalidParameter"),
                                         ("fields=colour", "InvalidParameter")])
def test_bad_list(raw, bucket, query, code):
    is_error(raw.call("GET", f"{bucket}/o?{query}"), 400, code)


def test_made_up_bucket(raw):
    bucket = "/n/testns/b/v-2500x7"
    names, _ = listed(raw, bucket, "fields=name,size,etag,md5")
    assert names == [f"f{i:07d}" for i in range(2500)]
    last = raw.call("GET", f"{bucket}/o?start=f0002499&fields=name,size,etag,md5").json
    got = raw.call("GET", f"{bucket}/o/f0002499")
    (entry,) = last["objects"]
    assert got.body == b"f" * 7 and entry["size"] == 7
    assert (got.headers["etag"], got.headers["content-md5"]) == (entry["etag"], entry["md5"])
    assert raw.call("GET", f"{bucket}/o?prefix=f000001&limit=3").json["nextStartWith"] == \
        "f0000013"
    is_error(raw.call("GET", f"{bucket}/o/f0002500"), 404, "ObjectNotFound")
    is_error(put(raw, bucket), 403, "BucketIsReadonly")
    huge = raw.call("GET", "/n/testns/b/v-1000000x3000000/o/f0999999",
                    extra={"range": "bytes=2999990-"})
    assert huge.status == 206 and huge.body == b"f" * 10


# Pre-authenticated requests.

def par(raw, bucket, access, name=None, listing=None):
    body = {"name": "p", "accessType": access, "timeExpires": "2036-01-01T00:00:00.5+02:00"}
    body.update({k: v for k, v in (("objectName", name), ("bucketListingAction", listing)) if v})
    reply = raw.call("POST", f"{bucket}/p", body)
    assert reply.status == 200, reply.body
    return reply.json


def unsigned(raw, method, target, body=b"", **extra):
    headers = {"host": raw.host, **{k.replace("_", "-"): v for k, v in extra.items()}}
    if method in ("PUT", "POST"):
        headers["content-length"] = str(len(body))
    raw.send(method, target, headers, body)
    return raw.receive(method)


ACCESS = [("ObjectRead", "o", (200, 404, 404)), ("ObjectWrite", "o", (404, 200, 404)),
          ("ObjectReadWrite", "o", (200, 200, 404)), ("AnyObjectRead", None, (200, 404, 404)),
          ("AnyObjectWrite", None, (404, 200, 404)), ("AnyObjectReadWrite", None, (200, 200, 404))]


@pytest.mark.parametrize("access, name, want", ACCESS)
def test_par_access(raw, store, bucket, access, name, want):
    put(raw, bucket, b"1")
    made = par(raw, bucket, access, name)
    base = made["accessUri"]
    target = base if name else base + "o"
    assert unsigned(raw, "GET", target).status == want[0]
    assert unsigned(raw, "PUT", target, b"2").status == want[1]
    assert unsigned(raw, "GET", base[:base.rindex("/o/") + 3]).status == want[2]
    other = base[:base.rindex("/o/") + 3] + "other"
    assert unsigned(raw, "PUT", other, b"2").status == (want[1] if name is None else 404)
    assert {e["auth"] for e in store.log("PutObject", object="o")} <= {"signature", "par",
                                                                       "refused"}


def test_par_for_a_prefix_lists_only_that(raw, store, bucket):
    for name in ("a/1", "a/2", "b/1"):
        store.put_object(f"{bucket.rpartition('/')[2]}/{name}", b"x")
    base = par(raw, bucket, "AnyObjectRead", "a/", "ListObjects")["accessUri"]
    page = unsigned(raw, "GET", base).json
    assert [o["name"] for o in page["objects"]] == ["a/1", "a/2"]
    assert unsigned(raw, "GET", base + "a%2F1").body == b"x"
    assert unsigned(raw, "GET", base + "b%2F1").status == 404


def test_par_expires(raw, store, bucket):
    put(raw, bucket, b"1")
    target = par(raw, bucket, "ObjectRead", "o")["accessUri"]
    assert unsigned(raw, "GET", target).status == 200
    assert unsigned(raw, "GET", target.replace("/p/", "/p/x")).status == 404
    store.set_clock(20 * 365 * 86400)
    assert unsigned(raw, "GET", target).status == 404


def test_par_multipart(raw, store, bucket):
    base = par(raw, bucket, "AnyObjectWrite")["accessUri"]
    begun = unsigned(raw, "PUT", base + "dir%2Fo", opc_multipart="true", opc_meta_k="v").json
    uri = begun["accessUri"]
    for number, body in ((2, b"world"), (1, b"hello ")):
        assert unsigned(raw, "PUT", uri + str(number), body).status == 200
    assert [p["partNumber"] for p in unsigned(raw, "GET", uri).json] == [1, 2]
    assert unsigned(raw, "POST", uri).status == 200
    info = store.object_info(bucket.rpartition("/")[2] + "/dir/o")
    assert info["meta"] == {"opc-meta-k": "v"} and info["size"] == 11
    begun = unsigned(raw, "PUT", base + "o2", opc_multipart="true").json
    assert unsigned(raw, "DELETE", begun["accessUri"]).status == 204
    assert store.uploads(bucket.rpartition("/")[2]) == []


@pytest.mark.parametrize("body", [
    {"accessType": "ObjectRead"}, {"accessType": "Sesame", "objectName": "o"},
    {"accessType": "AnyObjectWrite", "bucketListingAction": "ListObjects"},
    {"accessType": "AnyObjectRead", "timeExpires": "2020-01-01T00:00:00Z"},
    {"accessType": "AnyObjectRead", "timeExpires": "soon"}])
def test_bad_par(raw, bucket, body):
    body = {"name": "p", "timeExpires": "2036-01-01T00:00:00Z", **body}
    is_error(raw.call("POST", f"{bucket}/p", body), 400, "InvalidParCreateRequest")


# Work requests.

def copy(raw, bucket):
    name = bucket.rpartition("/")[2]
    reply = raw.call("POST", f"{bucket}/actions/copyObject", {
        "sourceObjectName": "o", "destinationRegion": "r", "destinationNamespace": "testns",
        "destinationBucket": name, "destinationObjectName": "copy"})
    assert reply.status == 202
    return "/workRequests/" + reply.headers["opc-work-request-id"]


def test_copy_held_back(raw, store, bucket):
    put(raw, bucket, b"1")
    name = bucket.rpartition("/")[2] + "/copy"
    store.on("CopyObject", do="work", hold=True)
    work = copy(raw, bucket)
    assert raw.call("GET", work).json["status"] == "IN_PROGRESS" and not store.exists(name)
    store.release()
    assert raw.call("GET", work).json["status"] == "COMPLETED" and store.exists(name)
    store.clear()
    store.on("CopyObject", do="work", fail="no room")
    work = copy(raw, bucket)
    assert raw.call("GET", work).json["status"] == "FAILED"
    assert raw.call("GET", work + "/errors").json[0]["message"] == "no room"


def test_public_bucket(raw, store):
    store.make_bucket("open", publicAccessType="ObjectReadWithoutList")
    store.put_object("open/o", b"1")
    assert unsigned(raw, "GET", "/n/testns/b/open/o/o").body == b"1"
    assert unsigned(raw, "GET", "/n/testns/b/open/o").status == 401
    assert unsigned(raw, "PUT", "/n/testns/b/open/o/o", b"2").status == 401
