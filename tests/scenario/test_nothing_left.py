# SPDX-License-Identifier: Apache-2.0
"""test_nothing_left.py - what a job leaves behind is cleaned up, and what it has published counts,
whatever came between that and its verdict. Found by tests/torture."""

import json
import os
import sqlite3

import pytest
from harness import MIB, blob, client_library, sha, until


def list_to(ocid, bucket, dest, **options):
    return ocid.submit({"kind": "list", "bucket": bucket, "dest": os.fsencode(dest), **options})[0]


def transfers(ocid):
    with sqlite3.connect(ocid.database()) as db:
        return list(db.execute("SELECT * FROM transfers"))


@pytest.mark.parametrize("kind", ["get", "list"])
def test_a_part_file_of_a_cancelled_job_goes_at_the_next_start_at_the_latest(make_ocid, store, b,
                                                                             kind):
    """A crash between the verdict and the removal left it there for ever."""
    ocid = make_ocid().start(OCID_FAULT="files.remove:1+")
    store.put_object(f"{b}/o", blob(3 * MIB))
    store.on("GetObject" if kind == "get" else "ListObjects", do="hang", count=0)
    dest = ocid.files / "out"
    job = ocid.get(f"{b}/o", "out") if kind == "get" else list_to(ocid, b, dest)
    until(ocid.part_files, "the part file is there")
    ocid.client.cancel([job])
    ocid.wait_for(job, "cancelled")
    until(lambda: "cannot remove" in ocid.log(), "the removal has failed")
    assert ocid.part_files()
    ocid.crash()
    until(lambda: not ocid.part_files(), "it is removed")
    ocid.stop()
    assert transfers(ocid) == []


@pytest.mark.parametrize("size", [1000, 3 * MIB])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_publication_whose_directory_could_not_be_synced_is_not_made_twice(make_ocid, store, b,
                                                                             size, overwrite):
    """The second try took our own file for another's, or missed the part file."""
    ocid = make_ocid().start(OCID_FAULT="publish.syncdir:1")
    store.put_object(f"{b}/o", blob(size))
    if overwrite:
        ocid.file(b"old", "got")
    job = ocid.get(f"{b}/o", overwrite=overwrite)
    ocid.wait_for(job, "waiting", "destination")
    ocid.client.retry([job])
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(blob(size)) and ocid.part_files() == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_listing_that_was_published_before_a_crash_stays(make_ocid, store, b, overwrite):
    """It was refused as another's file; or replaced by zeros, for its rows were taken to be there."""
    # what is old, its row, its page; not its verdict
    ocid = make_ocid().start(OCID_FAULT="store.write:4+")
    store.put_object(f"{b}/one")
    dest = ocid.files / "names"
    if overwrite:
        dest.write_bytes(b"old")
    job = list_to(ocid, b, dest, overwrite=overwrite)
    until(lambda: dest.exists() and dest.read_bytes() not in (b"", b"old"), "it is published")
    listed = dest.read_bytes()
    assert json.loads(listed)["name"] == "one"
    ocid.kill()
    store.put_object(f"{b}/two")
    ocid.start()
    assert ocid.done(job).outcome.result == {"rows": "1"}
    assert dest.read_bytes() == listed and ocid.part_files() == []


def test_a_listing_whose_part_file_was_lost_is_made_anew(make_ocid, store, b):
    ocid = make_ocid().start()
    for name in ("a", "b", "c"):
        store.put_object(f"{b}/{name}")
    store.on("ListObjects", do="short_pages", limit=1, count=0)
    hung = store.on("ListObjects", nth=3, do="hang", count=0)
    dest = ocid.files / "names"
    job = list_to(ocid, b, dest)
    store.wait_hit("ListObjects", 3)
    ocid.kill()
    (part,) = ocid.part_files()
    part.unlink()
    store.clear(hung)
    ocid.start()
    assert ocid.done(job).outcome.result == {"rows": "3"}
    assert [json.loads(line)["name"] for line in dest.read_text().splitlines()] == ["a", "b", "c"]


def test_a_crash_between_two_names_of_a_file_does_not_stop_a_download(make_ocid, store, b):
    """The part file has two names, its own and the destination's: it was refused as another's."""
    ocid = make_ocid().start()
    store.put_object(f"{b}/o", blob(3 * MIB))
    hung = store.on("GetObject", nth=3, do="hang", count=0)
    job = ocid.get(f"{b}/o")
    store.wait_hit("GetObject", 3)
    ocid.wait_that(job, lambda s: s.parts_done >= 1, "a part is there")
    ocid.kill()
    (part,) = ocid.part_files()
    part.write_bytes(blob(3 * MIB))
    (ocid.files / "got").hardlink_to(part)
    store.clear(hung)
    ocid.start()
    ocid.done(job)
    assert sha(ocid.files / "got") == sha(blob(3 * MIB)) and ocid.part_files() == []


@pytest.mark.parametrize("how", ["cancel", "pause"])
def test_an_upload_that_is_being_made_is_not_forgotten(ocid, store, b, how):
    """Its id was thrown away with the answer, and nobody could abort it any more."""
    hung = store.on("CreateMultipartUpload", do="hang", at="answer")
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    until(lambda: store.uploads(b), "the upload is made")
    getattr(ocid.client, how)([job])
    ocid.wait_for(job, "cancelled" if how == "cancel" else "paused")
    store.clear(hung)
    if how == "pause":
        ocid.client.resume([job])
        ocid.done(job)
        assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
        assert store.count("CreateMultipartUpload") == 1
    until(lambda: store.uploads(b) == [], "no upload is left")


def test_connections_that_cannot_be_watched_end_nothing_else(make_ocid, store, b):
    """A kernel that watches no more descriptors for this user brought the daemon down."""
    ocid = make_ocid(network__connect_seconds=1).start(OCID_FAULT="rpc.watch:2,xfer.watch:2")
    first = ocid.put(b"x", f"{b}/o")
    with pytest.raises((ConnectionError, OSError)):
        ocid.wire().call("daemon.stats", {})
    ocid.done(first)
    ocid.done(ocid.put(b"y", f"{b}/p"))
    assert ocid.pid and store.names(b) == ["o", "p"]


def test_clients_wait_while_the_machine_has_no_descriptors(make_ocid):
    """The daemon turned in circles and filled its log."""
    ocid = make_ocid()
    ocid.process = ocid.spawn(OCID_FAULT=",".join(f"rpc.accept:{n}" for n in range(1, 5)))
    until(ocid._ready, "the daemon is up")
    assert ocid.client.stats()
    assert ocid.log().count("a client waits") == 2


def test_bytes_of_a_commit_in_doubt_are_kept_until_the_next_start(make_ocid, store, b):
    """A commit that failed as it was synced was found after a crash, a client that asked again was
    given that job, and its bytes had gone."""
    ocid = make_ocid().start(OCID_FAULT="store.commit:1+")
    with pytest.raises(client_library.OcidError):
        ocid.client.put_bytes(f"{b}/o", b"spooled")
    (spooled,) = ocid.state.rglob("spool/*")
    assert spooled.read_bytes() == b"spooled"
    ocid.crash()
    assert list(ocid.state.rglob("spool/*")) == []
    ocid.done(ocid.client.put_bytes(f"{b}/o", b"spooled").id)
