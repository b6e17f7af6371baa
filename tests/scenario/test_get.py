# SPDX-License-Identifier: Apache-2.0
"""test_get.py - downloads: all of one object or nothing, under its name only when it is proven."""

import os

import pytest
from harness import KIB, MIB, blob, client_library, sha, until

SIZES = [0, 1, 4 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB, MIB + 1, 5 * MIB + 3]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_arrives(ocid, store, b, size):
    store.put_object(f"{b}/o", blob(size))
    status = ocid.done(ocid.get(f"{b}/o"))
    assert sha(ocid.files / "got") == sha(blob(size))
    assert status.outcome.bytes == size
    assert status.outcome.etag == store.object_info(f"{b}/o")["etag"]
    assert status.outcome.verified == "md5"
    assert ocid.part_files() == [] and os.listdir(ocid.files) == ["got"]
    assert store.count("HeadObject") == 0


@pytest.mark.parametrize("size", [0, 1000, MIB, 3 * MIB + 1])
def test_crc32c_proves_what_has_one(ocid, store, b, size):
    ocid.done(ocid.put(ocid.file(blob(size)), f"{b}/o"))
    status = ocid.done(ocid.get(f"{b}/o"))
    assert sha(ocid.files / "got") == sha(blob(size))
    assert status.outcome.verified == "crc32c"


def test_an_object_without_any_sum_is_proven_by_length(ocid, store, b):
    store.put_object(f"{b}/o", blob(3 * MIB))
    store.on("GetObject", do="missing_checksum", count=0)
    assert ocid.done(ocid.get(f"{b}/o")).outcome.verified == "length"
    assert sha(ocid.files / "got") == sha(blob(3 * MIB))


@pytest.mark.parametrize("size", [0, 1, 64 * KIB + 1, 3 * MIB])
def test_into_a_pipe(ocid, store, b, size):
    store.put_object(f"{b}/o", blob(size))
    assert ocid.client.get_bytes(f"{b}/o") == blob(size)


@pytest.mark.parametrize("name", ["a b+c%2F?#&=", "ünï/日本語/😀", "a//b", "../x", "/abs", "dir/",
                                  "...", "x" * 1024, "tab\there", "\x01"])
def test_odd_names_are_asked_for_as_they_are(ocid, store, b, name):
    try:
        store.put_object(f"{b}/{name}", b"odd")
    except (RuntimeError, ValueError):
        pytest.skip("the store does not take the name")
    assert ocid.client.get_bytes(f"{b}/{name}") == b"odd"


def test_an_object_replaced_in_the_middle_is_got_whole(ocid, store, b):
    """Ranges are pinned to the first answer's etag: never a mixture of two objects."""
    store.put_object(f"{b}/o", blob(6 * MIB, 1))
    store.on("GetObject", nth=4, do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 4)
    new = store.put_object(f"{b}/o", blob(5 * MIB, 2))
    store.clear()
    status = ocid.done(job)
    assert sha(ocid.files / "got") == sha(blob(5 * MIB, 2))
    assert status.outcome.etag == new and ocid.part_files() == []
    later = [e for e in store.log("GetObject") if e["status"] == 206][1:]
    assert all(e["headers"].get("if-match") for e in later if "if-match" in e["headers"])
    assert [e for e in store.log("GetObject") if e["status"] == 412]


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_an_empty_object_that_grows_between_two_requests(ocid, store, b, size):
    store.put_object(f"{b}/o", b"")
    store.on("GetObject", nth=2, do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 2)
    store.put_object(f"{b}/o", blob(size))
    store.clear()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(blob(size))


def test_an_existing_file_stays(ocid, store, b):
    store.put_object(f"{b}/o", b"new")
    (ocid.files / "got").write_bytes(b"mine")
    ocid.failed(ocid.get(f"{b}/o"), "exists")
    assert (ocid.files / "got").read_bytes() == b"mine" and ocid.part_files() == []


def test_a_file_that_appears_meanwhile_stays(ocid, store, b):
    store.put_object(f"{b}/o", blob(3 * MIB))
    store.on("GetObject", nth=2, do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 2)
    (ocid.files / "got").write_bytes(b"mine")
    store.clear()
    ocid.failed(job, "exists")
    assert (ocid.files / "got").read_bytes() == b"mine"
    until(lambda: ocid.part_files() == [], "the part file is removed")


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
def test_overwrite_replaces_a_file(ocid, store, b, size):
    store.put_object(f"{b}/o", blob(size))
    (ocid.files / "got").write_bytes(b"mine")
    ocid.done(ocid.get(f"{b}/o", overwrite=True))
    assert sha(ocid.files / "got") == sha(blob(size)) and ocid.part_files() == []


def test_overwrite_replaces_a_link_and_not_what_it_leads_to(ocid, store, b):
    store.put_object(f"{b}/o", b"new")
    target = ocid.file(b"target", "target")
    (ocid.files / "got").symlink_to(target)
    ocid.done(ocid.get(f"{b}/o", overwrite=True))
    assert target.read_bytes() == b"target"
    assert not (ocid.files / "got").is_symlink() and (ocid.files / "got").read_bytes() == b"new"


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
def test_the_time_is_that_of_the_object(ocid, store, b, size):
    store.put_object(f"{b}/o", blob(size))
    ocid.done(ocid.get(f"{b}/o"))
    assert int((ocid.files / "got").stat().st_mtime) == \
        int(store.object_info(f"{b}/o")["modified"])
    ocid.done(ocid.put(blob(size), f"{b}/kept", metadata={"mtime-ns": "1234567890123456789"}))
    ocid.done(ocid.get(f"{b}/kept", "kept"))
    assert (ocid.files / "kept").stat().st_mtime_ns == 1234567890123456789


def test_what_is_not_there_is_said_with_the_services_words(ocid, store, b):
    for name, code in ((f"{b}/none", "ObjectNotFound"), ("no-bucket/o", "BucketNotFound")):
        status = ocid.failed(ocid.get(name), "not_found")
        assert (status.outcome.http_status, status.outcome.service_code) == (404, code)
        assert status.outcome.request_id.startswith("tst-1:")
        assert name in status.outcome.text or "bucket" in status.outcome.text
        with pytest.raises(client_library.NotFound):
            ocid.client.get_bytes(name)
    assert os.listdir(ocid.files) == []


def test_if_match_gets_that_object_only(ocid, store, b):
    etag = store.put_object(f"{b}/o", b"this")
    ocid.failed(ocid.get(f"{b}/o", if_match="another"), "condition")
    ocid.done(ocid.get(f"{b}/o", if_match=etag))


def test_an_archived_object_says_so(ocid, store, b):
    store.put_object(f"{b}/o", b"cold")
    store.set_archival(f"{b}/o", "Archived")
    status = ocid.failed(ocid.get(f"{b}/o"), "state")
    assert status.outcome.service_code == "NotRestored" and "restore" in status.outcome.text


@pytest.mark.parametrize("fill", [0, 100, 10 * MIB])
def test_nothing_is_seen_at_the_name_before_the_end(ocid, store, b, fill):
    """The part file lies beside it, and a stale one of the same name does no harm."""
    store.put_object(f"{b}/o", blob(3 * MIB))
    store.on("GetObject", nth=3, do="hang")
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 3)
    assert not (ocid.files / "got").exists()
    (part,) = ocid.part_files()
    assert part.parent == ocid.files and str(job) in part.name
    stale = ocid.files / f".ocid-{job + 1}.part"
    stale.write_bytes(b"x" * fill)
    store.clear()
    ocid.done(job)
    ocid.done(ocid.get(f"{b}/o", "two"))
    assert sha(ocid.files / "two") == sha(blob(3 * MIB)) and ocid.part_files() == []


def test_a_reader_that_hangs_up_ends_its_job_alone(ocid, store, b):
    store.put_object(f"{b}/o", blob(4 * MIB))
    ours, theirs = os.pipe()
    (job,) = ocid.client.submit([{"kind": "get", "bucket": b, "object": "o", "fd": 0}], [theirs])
    os.close(theirs)
    os.read(ours, 10)
    os.close(ours)
    assert ocid.wait(job).state in ("cancelled", "failed")
    assert ocid.client.get_bytes(f"{b}/o") == blob(4 * MIB)


PARTS = [(0, 1), (0, 10), (3, 4), (9, 1), (9, 5), (5, None), (0, 11), (10, 1), (10, None), (99, 5)]


@pytest.mark.parametrize("offset, length", PARTS)
@pytest.mark.parametrize("scale", [1, 300 * KIB])
def test_a_part_into_a_pipe(ocid, store, b, offset, length, scale):
    data = blob(10 * scale)
    store.put_object(f"{b}/o", data)
    first, n = offset * scale, None if length is None else length * scale
    more = {} if n is None else {"length": n}
    expected = data[first:] if n is None else data[first:first + n]
    assert ocid.client.get_bytes(f"{b}/o", offset=first, **more) == expected
    assert sum(entry["sent"] for entry in store.log("GetObject")
               if entry["status"] == 206) == len(expected), "no more is asked for"


def test_parts_that_are_none(ocid, store, b):
    store.put_object(f"{b}/empty", b"")
    store.put_object(f"{b}/o", b"0123456789")
    assert ocid.client.get_bytes(f"{b}/empty", offset=0, length=5) == b""
    assert ocid.client.get_bytes(f"{b}/o", offset=3, length=0) == b""
    for wrong in ({"offset": -1}, {"length": -5}):
        with pytest.raises(client_library.Invalid):
            ocid.client.get_bytes(f"{b}/o", **wrong)
    with pytest.raises(client_library.Invalid, match="pipe"):
        ocid.client.get(f"{b}/o", ocid.files / "x", offset=1)
    with pytest.raises(client_library.NotFound):
        ocid.client.get_bytes(f"{b}/none", offset=1)


@pytest.mark.parametrize("at", [0, 1000, MIB])
def test_a_part_goes_on_after_a_reset(ocid, store, b, at):
    """Where it was, and not where the object begins."""
    data = blob(3 * MIB)
    store.put_object(f"{b}/o", data)
    store.on("GetObject", "reset", at="body", after=at)
    assert ocid.client.get_bytes(f"{b}/o", offset=KIB, length=2 * MIB) == data[KIB:KIB + 2 * MIB]
    assert store.count("GetObject") == 2
