# SPDX-License-Identifier: Apache-2.0
"""test_uploads.py - unfinished multipart uploads: all are listed, those of jobs are marked and never
aborted, others only when asked for."""

import json
import time

import pytest
from harness import MIB, blob, client_library, until
from store.rawclient import Raw

DAY = 86400


def begin(store, profile, bucket, names, parts=(), ago=0):
    """Uploads as another machine makes them, so many seconds ago; their ids. parts: sizes."""
    host, _, port = store.url.removeprefix("http://").partition(":")
    raw, ids = Raw(host, int(port), profile), []
    base, at = f"/n/testns/b/{bucket}/u", time.time() - ago
    store.set_clock(-ago)
    for name in names:
        reply = raw.call("POST", base, {"object": name}, at=at)
        assert reply.status == 200, reply.body
        ids.append(reply.json["uploadId"])
        for number, size in enumerate(parts, 1):
            target = f"{base}/{name}?uploadId={ids[-1]}&uploadPartNum={number}"
            assert raw.call("PUT", target, blob(size), at=at).status == 200
    raw.close()
    store.set_clock(0)
    return ids


@pytest.fixture
def running(ocid, store, b):
    """A put whose upload is open: its third part hangs. (job, upload id)"""
    store.on("UploadPart", object="mine", nth=3, do="hang", count=0)
    job = ocid.put(blob(6 * MIB), f"{b}/mine")
    (upload,) = until(lambda: [u for u in store.uploads(b) if len(u["parts"]) == 2],
                      "two parts are there")
    return job, upload["uploadId"]


def test_all_are_listed_with_what_they_hold(ocid, store, b, profile, running):
    job, mine = running
    (other,) = begin(store, profile, b, ["other"], [MIB, 500])
    (empty,) = begin(store, profile, b, ["empty"])
    rows = {row.upload_id: row for row in ocid.client.uploads(b)}
    assert set(rows) == {mine, other, empty}
    assert (rows[other].name, rows[other].size, rows[other].parts) == ("other", MIB + 500, 2)
    assert (rows[empty].size, rows[empty].parts, rows[empty].job) == (0, 0, 0)
    assert (rows[mine].name, rows[mine].size, rows[mine].job) == ("mine", 2 * MIB, job)
    assert rows[other].job == 0 and rows[other].time_created.endswith("Z")


def test_no_uploads_and_no_bucket(ocid, b):
    assert list(ocid.client.uploads(b)) == []
    with pytest.raises(client_library.NotFound):
        list(ocid.client.uploads("no-such-bucket"))


def test_more_than_a_page_and_more_parts_than_a_page(ocid, store, b, profile):
    ids = begin(store, profile, b, [f"o{i}" for i in range(230)])
    (long,) = begin(store, profile, b, ["long"], [10] * 1003)
    rows = list(ocid.client.uploads(b))
    assert sorted(row.upload_id for row in rows) == sorted([*ids, long])
    assert {(row.size, row.parts) for row in rows if row.upload_id == long} == {(10030, 1003)}


def test_a_list_survives_throttling_and_what_vanishes_under_it(ocid, store, b, profile):
    ids = begin(store, profile, b, [f"o{i}" for i in range(20)], [100])
    store.on("ListMultipartUploadParts", object="o3", do=503)
    store.on("ListMultipartUploadParts", object="o7", do=404,
             code="UploadNotFound")
    rows = list(ocid.client.uploads(b))
    assert sorted(row.upload_id for row in rows) == sorted(set(ids) - {ids[7]})


def test_an_upload_of_nobodys_is_aborted(ocid, store, b, profile):
    (other,) = begin(store, profile, b, ["other"], [100])
    ocid.done(ocid.client.abort(f"{b}/other", other).id)
    assert store.uploads(b) == []
    ocid.failed(ocid.client.abort(f"{b}/other", other).id, "not_found")


def test_an_abort_whose_answer_was_lost_is_done(ocid, store, b, profile):
    (other,) = begin(store, profile, b, ["other"])
    store.on("AbortMultipartUpload", do="reset", at="answer")
    ocid.done(ocid.client.abort(f"{b}/other", other).id)
    assert store.uploads(b) == []


def test_what_a_job_is_at_work_on_is_not_aborted(ocid, store, b, running):
    job, mine = running
    status = ocid.failed(ocid.client.abort(f"{b}/mine", mine).id, "state")
    assert f"job {job}" in status.outcome.text and "cancel" in status.outcome.text
    ocid.client.pause([job])
    ocid.wait_for(job, "paused")
    ocid.failed(ocid.client.abort(f"{b}/mine", mine).id, "state")
    ocid.crash()  # the row of the transfer knows it, too
    ocid.failed(ocid.client.abort(f"{b}/mine", mine).id, "state")
    assert [(row.upload_id, row.job) for row in ocid.client.uploads(b)] == [(mine, job)]
    store.clear()
    ocid.client.resume([job])
    ocid.done(job)
    assert store.uploads(b) == []


def test_an_upload_whose_id_has_not_come_yet_is_not_aborted(ocid, store, b):
    store.on("CreateMultipartUpload", do="hang", at="answer", count=0)
    job = ocid.put(blob(3 * MIB), f"{b}/mine")
    (upload,) = until(lambda: store.uploads(b), "the upload is there")
    status = ocid.failed(ocid.client.abort(f"{b}/mine", upload["uploadId"]).id, "state")
    assert f"may be that of job {job}" in status.outcome.text
    store.clear()
    ocid.done(job)


def test_an_upload_whose_id_was_lost_is_told(ocid, store, b):
    """It stayed at the service, and nothing spoke of it."""
    store.on("CreateMultipartUpload", do="reset", at="answer")
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/o"))
    (left,) = store.uploads(b)
    assert f"object '{b}/o': an answer to the making of its upload was lost" in ocid.log()
    (row,) = ocid.client.uploads(b)
    assert (row.upload_id, row.job) == (left["uploadId"], 0)


def test_old_ones_are_aborted_on_request_and_no_others(ocid, store, b, profile, running):
    job, mine = running
    (old,) = begin(store, profile, b, ["old"], [100], ago=8 * DAY)
    (young,) = begin(store, profile, b, ["young"], [100])
    done = ocid.ctl("uploads", f"oci://{b}")
    assert done.status == 0 and len(done.out.splitlines()) == 3, done
    assert " 8 d 00 h " in done.out and f" {job} " in done.out, done
    done = ocid.ctl("uploads", f"oci://{b}", "--abort-older", "7d")
    assert done.status == 0 and "1 upload aborted" in done.err, done
    assert {u["uploadId"] for u in store.uploads(b)} == {mine, young}
    done = ocid.ctl("uploads", "--abort-older", "0s", f"oci://{b}", "--json")
    assert done.status == 0, done
    assert {json.loads(line)["upload_id"] for line in done.out.splitlines()
            if "upload_id" in line and '"name"' in line} == {mine, young}
    assert {u["uploadId"] for u in store.uploads(b)} == {mine}
    store.clear()
    ocid.done(job)


def test_words_that_are_no_bucket_or_age(ocid, b):
    done = ocid.ctl("uploads", f"oci://{b}/o")
    assert done.status == 2 and "more than a bucket" in done.err
    done = ocid.ctl("uploads", f"oci://{b}", "--abort-older", "soon")
    assert done.status == 2 and "7d" in done.err
