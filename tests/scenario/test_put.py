# SPDX-License-Identifier: Apache-2.0
"""test_put.py - uploads: what arrives is what was there, with all that was said about it."""

import base64
import os

import msgpack
import pytest
from harness import KIB, MIB, blob, client_library, framed, sha, until

from ocid.client import put_job

SIZES = [0, 1, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB]
MULTIPART = [  # size, part in MiB, numbers of the parts
    (MIB + 1, None, [1, 2]),
    (3 * MIB, None, [1, 2, 3]),
    (MIB, 0.25, [1, 2, 3, 4]),
    (256 * KIB + 1, 0.25, [1, 2]),
    (5 * MIB + 77, 2, [1, 2, 3]),
]
HEADERS = {"content_type": "text/x-odd; charset=utf-8", "content_encoding": "gzip",
           "content_language": "de, en", "cache_control": "no-cache, max-age=7",
           "content_disposition": 'attachment; filename="a b.txt"',
           "storage_tier": "InfrequentAccess",
           "metadata": {"colour": "blue", "two-words": "a  b;c=d"}}


@pytest.mark.parametrize("size", SIZES)
def test_one_request_below_the_threshold(ocid, store, b, size):
    data = blob(size)
    status = ocid.done(ocid.put(data, f"{b}/o"))
    found = store.object_info(f"{b}/o")
    assert found["sha256_hex"] == sha(data)
    assert (status.outcome.verified, status.outcome.bytes) == ("crc32c", size)
    assert status.outcome.etag == found["etag"]
    assert store.count("PutObject") == 1 and store.count("UploadPart") == 0


@pytest.mark.parametrize("size, part_mib, parts", MULTIPART)
def test_parts_above_the_threshold(ocid, store, b, size, part_mib, parts):
    data = blob(size)
    more = {"part_mib": part_mib} if part_mib else {}
    status = ocid.done(ocid.put(data, f"{b}/o", **more))
    found = store.object_info(f"{b}/o")
    assert found["sha256_hex"] == sha(data)
    assert store.parts_received(f"{b}/o") == parts
    assert status.outcome.verified == "crc32c" and status.outcome.bytes == size
    assert status.outcome.etag == found["etag"]
    assert (status.parts_done, status.parts_total) in ((0, None), (len(parts), len(parts)))
    assert store.uploads(b) == []


@pytest.mark.parametrize("size", [100, 2 * MIB])
def test_what_is_said_of_an_object_is_stored(ocid, store, b, size):
    ocid.done(ocid.put(blob(size), f"{b}/o", **HEADERS))
    found = store.object_info(f"{b}/o")
    assert found["tier"] == "InfrequentAccess"
    assert {n: found["headers"].get(n.replace("_", "-")) for n in HEADERS
            if n.startswith("c")} == {n: v for n, v in HEADERS.items() if n.startswith("c")}
    assert found["meta"] == {f"opc-meta-{n}": v for n, v in HEADERS["metadata"].items()}


@pytest.mark.parametrize("name", ["a b+c%2F?#&=", "ünï/日本語/😀", "a//b", "../x", "/abs", "dir/",
                                  "...", "x" * 1024, "quote'\"<>\\|"])
def test_odd_names_arrive_as_they_are(ocid, store, b, name):
    ocid.done(ocid.put(b"odd", f"{b}/{name}"))
    assert store.names(b) == [name]


@pytest.mark.parametrize("name", [".", "..", "x" * 1025, "line\nfeed", "car\rriage"])
def test_names_that_no_request_can_carry_are_refused(ocid, store, b, name):
    path = ocid.file(b"odd")
    with pytest.raises((client_library.Name, client_library.Invalid)):
        ocid.put(path, f"{b}/{name}")
    assert store.log(bucket=b) == []


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_if_absent_creates_only(ocid, store, b, size):
    ocid.done(ocid.put(blob(size), f"{b}/o", if_absent=True))
    failed = ocid.failed(ocid.put(blob(size, 2), f"{b}/o", if_absent=True), "exists")
    assert failed.outcome.http_status == 412
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    until(lambda: store.uploads(b) == [], "no parts are left behind")


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_if_match_replaces_that_object_only(ocid, store, b, size):
    old = store.put_object(f"{b}/o", b"old")
    failed = ocid.failed(ocid.put(blob(size), f"{b}/o", if_match="another"), "condition")
    assert failed.outcome.http_status == 412
    assert store.object_bytes(f"{b}/o") == b"old"
    ocid.done(ocid.put(blob(size), f"{b}/o", if_match=old))
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    until(lambda: store.uploads(b) == [], "no parts are left behind")


@pytest.mark.parametrize("size", [0, 1000, 64 * KIB + 1, 3 * MIB])
def test_without_crc32c_md5_proves(ocid, store, b, size):
    store.settings(no_crc32c=True)
    for seed in (1, 2):  # the first answer tells; the second put knows
        status = ocid.done(ocid.put(blob(size, seed), f"{b}/o{seed}"))
        assert status.outcome.verified == "md5"
        assert store.object_sha(f"{b}/o{seed}") == sha(blob(size, seed))


@pytest.mark.parametrize("checksum, verified", [("md5", "md5"), ("crc32c", "crc32c"),
                                                ("off", "none")])
@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_the_checksum_can_be_chosen(make_ocid, store, b, checksum, verified, size):
    ocid = make_ocid(transfer__checksum=checksum).start()
    status = ocid.done(ocid.put(blob(size), f"{b}/o"))
    assert status.outcome.verified == verified
    assert store.object_sha(f"{b}/o") == sha(blob(size))


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_without_checksums_those_of_the_service_are_not_missed(make_ocid, store, b, size):
    """A service that sums all the same made every multipart upload fail as `checksum`."""
    ocid = make_ocid(transfer__checksum="off").start()
    store.on("CommitMultipartUpload|PutObject|HeadObject", do="headers", count=0,
             headers={"opc-content-crc32c": "AAAAAQ=="})
    store.on("CommitMultipartUpload|PutObject", do="reset", at="answer")
    status = ocid.done(ocid.put(blob(size), f"{b}/o"))
    assert status.outcome.verified in ("none", "md5", "length")
    assert store.object_sha(f"{b}/o") == sha(blob(size))


def test_a_single_put_announces_its_checksum(ocid, store, b):
    ocid.done(ocid.put(b"123456789", f"{b}/o"))
    (entry,) = store.log("PutObject")
    assert entry["headers"]["opc-checksum-algorithm"] == "CRC32C"
    assert base64.b64decode(entry["headers"]["opc-content-crc32c"]).hex() == "e3069283"


@pytest.mark.parametrize("size", [0, 1, 64 * KIB + 1, 3 * MIB])
def test_bytes_are_the_daemons_once_they_are_taken(ocid, store, b, size):
    job = ocid.client.put_bytes(f"{b}/o", blob(size))
    assert job.wait(30).outcome.verified == "crc32c"
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    spool = ocid.state.rglob("spool/*")
    until(lambda: not list(spool), "the spooled bytes are removed")


def test_each_job_gets_the_descriptor_that_came_with_it(ocid, store, b):
    """Three submits in one go, each with its own bytes: descriptors must not shift."""
    with ocid.wire() as wire:
        fds = []
        for i in range(3):
            fd = os.memfd_create("x")
            os.write(fd, b"%d" % i * (i + 1))
            fds.append(fd)
            wire.last += 1
            wire.send(framed(msgpack.packb([0, wire.last, "job.submit", {"jobs": [
                {"kind": "put", "bucket": b, "object": f"o{i}", "fd": 0, "spool": True,
                 "size": i + 1}]}])), [fd])
            wire.request("daemon.stats", {})
        replies = {reply[1]: reply for reply in (wire.reply() for _ in range(6))}
        for fd in fds:
            os.close(fd)
    for reply in replies.values():
        assert reply[2] is None, reply
        for job in reply[3].get("ids", []):
            ocid.done(job)
    assert [store.object_bytes(f"{b}/o{i}") for i in range(3)] == [b"0", b"11", b"222"]


def test_a_thousand_small_jobs_in_one_message(ocid, store, b):
    path = ocid.file(b"same")
    jobs = [ocid.client.put(path, f"{b}/x")]
    ids = ocid.submit(*(put_job(path, f"{b}/{i:04}", {}) for i in range(1000)))
    assert len(set(ids)) == 1000
    ended = ocid.client.wait([*ids, *jobs], 60)
    assert {status.state for status in ended} == {"done"}
    assert len(store.names(b)) == 1001


def test_an_upload_grows_no_part_beyond_the_limit_of_parts(ocid):
    """10,000 parts at most: the part size asked for is raised where it must be."""
    path = ocid.files / "sparse"
    with open(path, "wb") as file:
        file.truncate(200 * 1024 * MIB)
    job = ocid.put(path, "nowhere/o", part_bytes=MIB)
    status = ocid.failed(job, "not_found")
    assert status.outcome.service_code == "BucketNotFound"
    assert status.parts_total is None or status.parts_total <= 10000
