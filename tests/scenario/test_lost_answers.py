# SPDX-License-Identifier: Apache-2.0
"""test_lost_answers.py - a request may have done its work though nobody saw its answer: before a job
says that something was there, or that it is not there, it finds out whose work that is. What proves it
is the sum of the whole object, CRC32C or MD5, never its name and length alone.

Where it matters how often something is asked for, the answer that is lost is a 503: what is reset on
a connection that was used before, libcurl repeats by itself."""

import pytest
from harness import KIB, MIB, blob, client_library, sha, until

SIZES = [0, 10, 500 * KIB, 3 * MIB]
WRITES = "PutObject|CommitMultipartUpload"


@pytest.fixture(params=["crc32c", "md5"])
def sums(request, store):
    """Endpoints that sum as CRC32C, and such that do not."""
    store.settings(no_crc32c=request.param == "md5")
    return request.param


def lost(store, crash, what=WRITES):
    """The answer to the first such request does not come: by itself, or because of a crash."""
    store.on(what, do="hang" if crash else "reset", at="answer")


def after_it(ocid, store, job, crash):
    if crash:
        ocid.kill()
        store.clear()
        ocid.start()
    return ocid.done(job)


def try_again(ocid, job):
    """What it has left may still be tidied up."""
    until(lambda: ocid.client.retry([job])[0].error is None, "it is at rest")


# Our own.

@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
def test_our_own_object_is_known_by_its_sum(ocid, store, b, sums, size, crash, conditional):
    lost(store, crash)
    job = ocid.put(blob(size), f"{b}/o", if_absent=conditional)
    until(lambda: store.exists(f"{b}/o"), "it is there")
    status = after_it(ocid, store, job, crash)
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert status.outcome.etag == store.object_info(f"{b}/o")["etag"]
    assert status.outcome.verified == sums
    assert store.count("CreateMultipartUpload", bucket=b) == (size > MIB)
    assert store.count("UploadPart", bucket=b) == (3 if size > MIB else 0)
    assert store.uploads(b) == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crash", [False, True])
def test_our_own_replacement_is_known_by_its_sum(ocid, store, b, sums, size, crash):
    """It has another etag than the one asked for: ours."""
    old = store.put_object(f"{b}/o", b"old")
    lost(store, crash)
    job = ocid.put(blob(size), f"{b}/o", if_match=old)
    until(lambda: store.object_info(f"{b}/o")["etag"] != old, "it is there")
    after_it(ocid, store, job, crash)
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert store.uploads(b) == []


@pytest.mark.parametrize("nth", range(1, 9))
@pytest.mark.parametrize("if_absent", [True, False])
def test_a_commit_is_known_though_a_part_was_not_written_down(ocid, store, b, nth, if_absent):
    """Whatever the disk did not take: what the object has to be is on it before the commit goes out."""
    data = blob(3 * MIB)
    path = ocid.file(data)
    ocid.restart(OCID_FAULT=f"store.commit:{nth}")
    store.on("CommitMultipartUpload", do="hang", at="answer")
    try:
        job = ocid.put(path, f"{b}/o", if_absent=if_absent)
    except client_library.OcidError:  # it was the job's own row
        job = ocid.put(path, f"{b}/o", if_absent=if_absent)
    until(lambda: store.exists(f"{b}/o"), "it was committed")
    ocid.crash()
    store.clear()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(data)
    assert store.count("CreateMultipartUpload") == 1 and store.count("UploadPart") == 3


def test_a_commit_that_had_not_come_through_when_it_was_looked_for(ocid, store, b):
    store.on("CommitMultipartUpload", do=503, at="answer")
    store.on("HeadObject", do=404)
    store.on("CommitMultipartUpload", do="status", status=412, code="IfNoneMatchFailed", nth=2)
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/o", if_absent=True))
    assert store.count("HeadObject") == 2 and store.count("UploadPart") == 3


def test_a_pause_does_not_make_it_forget_the_commit(ocid, store, b):
    """The upload is gone, and what it has become is being looked for."""
    store.on("CommitMultipartUpload", do="reset", at="answer")
    store.on("HeadObject", do="hang")
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    store.wait_hit("HeadObject", 1)
    ocid.client.pause(job)
    ocid.wait_for(job, "paused")
    store.clear()
    ocid.client.resume(job)
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    assert store.count("CreateMultipartUpload") == 1 and store.count("UploadPart") == 3


def committed(ocid, store, b, arrived):
    """A put whose commit has arrived or not, and of which the daemon was killed before it knew."""
    store.on("CommitMultipartUpload", do="hang", at="answer" if arrived else "start")
    path = ocid.file(blob(3 * MIB))
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("CommitMultipartUpload", 1)
    until(lambda: store.exists(f"{b}/o") or not arrived, "it was committed")
    ocid.kill()
    store.clear()
    return path, job


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("how", ["gone", "rewritten", "shorter"])
def test_what_was_to_be_committed_needs_no_source(ocid, store, b, arrived, how):
    """All of it is at the service: the job waited for a file that had served its purpose."""
    path, job = committed(ocid, store, b, arrived)
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(blob(3 * MIB if how == "rewritten" else 10, 2))
    ocid.start()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    assert store.count("UploadPart") == 3 and store.uploads(b) == []


@pytest.mark.parametrize("how", ["there", "gone", "rewritten"])
def test_the_source_is_opened_once_it_is_needed_after_all(make_ocid, store, b, how):
    """Somebody else has aborted the upload meanwhile."""
    ocid = make_ocid().start()
    path, job = committed(ocid, store, b, arrived=False)
    another = make_ocid().start().client
    (upload,) = another.uploads(b)
    another.wait([another.abort(f"{b}/o", upload.upload_id)])
    if how == "gone":
        path.rename(path.with_suffix(".away"))
    elif how == "rewritten":
        path.write_bytes(blob(3 * MIB, 2))
    ocid.start()
    if how == "rewritten":
        ocid.failed(job, "source_changed")
        until(lambda: store.uploads(b) == [], "no parts are left behind")
        return
    if how == "gone":
        ocid.wait_for(job, "waiting", "file")
        path.with_suffix(".away").rename(path)
        ocid.client.resume([job])
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    assert store.count("UploadPart") == 6 and store.uploads(b) == []


@pytest.mark.parametrize("fault", [503, 429])
def test_an_outage_at_the_commit_is_waited_for(make_ocid, store, b, fault):
    """It was looked for and asked for at once, six times, and then it had failed."""
    ocid = make_ocid(network__retry_cap_seconds=1).start()
    store.on("CommitMultipartUpload", do=fault, count=0)
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    store.wait_hit("CommitMultipartUpload", 8)
    store.clear()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    assert store.count("HeadObject") == 0, "the upload is there: nothing else is looked for"


@pytest.mark.parametrize("size", SIZES)
def test_a_job_that_is_tried_again_knows_its_own_object(make_ocid, store, b, size):
    """The first try has failed for good, and had made the object."""
    ocid = make_ocid(network__max_tries=1).start()
    store.on(WRITES, do="reset", at="answer", count=0)
    store.on("HeadObject", do=403, count=0)
    job = ocid.put(blob(size), f"{b}/o", if_absent=True)
    assert ocid.wait(job).state == "failed"
    until(lambda: store.uploads(b) == [], "what it has left is gone")
    store.clear()
    try_again(ocid, job)
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(size))


# Another's.

@pytest.mark.parametrize("part_mib", [1, 0.5])
@pytest.mark.parametrize("crash", [True, False])
def test_anothers_object_of_the_same_length_does_not_stand_for_ours(make_ocid, store, b, sums,
                                                                    part_mib, crash):
    """Our commit never arrived, somebody has aborted the upload, and what is there was put together
    of parts, too."""
    ocid, another = make_ocid().start(), make_ocid().start()
    store.on("CommitMultipartUpload", do="hang", at="start")
    job = ocid.put(blob(3 * MIB), f"{b}/o")
    store.wait_hit("CommitMultipartUpload", 1)
    if crash:
        ocid.kill()
    (upload,) = another.client.uploads(b)
    another.done(another.client.abort(f"{b}/o", upload.upload_id).id)
    another.done(another.put(blob(3 * MIB, 2), f"{b}/o", part_mib=part_mib))
    store.clear()
    if crash:
        ocid.start()
    ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB))
    assert store.count("HeadObject") == 1 and store.uploads(b) == []


@pytest.mark.parametrize("if_absent", [True, False])
def test_anothers_object_does_not_stand_for_ours_after_a_crash(ocid, store, b, sums, if_absent):
    store.on("CommitMultipartUpload", do="hang", at="start")
    job = ocid.put(blob(3 * MIB), f"{b}/o", if_absent=if_absent)
    store.wait_hit("CommitMultipartUpload", 1)
    ocid.done(ocid.put(blob(3 * MIB, 2), f"{b}/o"))
    ocid.crash()
    store.clear()
    if if_absent:
        ocid.failed(job, "exists")
    else:
        ocid.done(job)
    assert store.object_sha(f"{b}/o") == sha(blob(3 * MIB, 2 if if_absent else 1))
    until(lambda: store.uploads(b) == [], "no parts are left behind")


@pytest.mark.parametrize("size", [10, 500 * KIB, 3 * MIB])
@pytest.mark.parametrize("how", [{"if_absent": True}, {"if_match": True}], ids=str)
def test_anothers_object_is_told_from_ours_at_once(ocid, store, b, sums, size, how):
    if "if_match" in how:
        how = {"if_match": store.put_object(f"{b}/o", b"old")}
    store.on(WRITES, do=503)
    store.on(WRITES, do="hang", nth=2)
    job = ocid.put(blob(size), f"{b}/o", **how)
    store.wait_hit(WRITES, 2)
    store.put_object(f"{b}/o", blob(size, 2))
    store.clear()
    ocid.failed(job, "exists" if "if_absent" in how else "condition")
    assert store.object_sha(f"{b}/o") == sha(blob(size, 2))
    assert store.count("HeadObject") <= 2


# Other requests.

@pytest.mark.parametrize("crash", [False, True])
def test_a_bucket_that_we_have_made_ourselves_is_ours(ocid, store, b, crash):
    lost(store, crash, "CreateBucket")
    job = ocid.client.mkbucket(f"{b}-new").id
    until(lambda: f"{b}-new" in store.buckets(), "it is there")
    status = after_it(ocid, store, job, crash)
    assert status.outcome.result["name"] == f"{b}-new"


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("clock", [-200, 0, 200])
def test_a_bucket_that_was_there_is_anothers(ocid, store, b, crash, clock):
    store.set_clock(clock - 10)
    store.make_bucket(f"{b}-old")
    store.set_clock(clock)
    store.on("CreateBucket", do="hang" if crash else "reset")
    job = ocid.client.mkbucket(f"{b}-old").id
    store.wait_hit("CreateBucket", 1)
    if crash:
        ocid.kill()
        store.clear()
        ocid.start()
    assert ocid.failed(job, "exists").outcome.service_code == "BucketAlreadyExists"


@pytest.mark.parametrize("fault", [{"do": "reset"}, {"do": 503}], ids=str)
def test_what_we_have_deleted_ourselves_is_deleted(ocid, store, b, fault):
    store.put_object(f"{b}/o", b"x")
    store.on("DeleteObject", at="answer", **fault)
    ocid.done(ocid.client.delete(f"{b}/o").id)
    assert not store.exists(f"{b}/o")


def test_what_we_have_deleted_ourselves_is_deleted_when_it_is_tried_again(make_ocid, store, b):
    ocid = make_ocid(network__max_tries=1).start()
    store.put_object(f"{b}/o", b"x")
    store.on("DeleteObject", do=503, at="answer")
    job = ocid.client.delete(f"{b}/o").id
    ocid.failed(job, "unavailable")
    try_again(ocid, job)
    ocid.done(job)
    ocid.failed(ocid.client.delete(f"{b}/o").id, "not_found")


def test_a_delete_that_was_carried_out_as_it_was_cancelled_is_done_when_it_is_tried_again(ocid, store, b):
    """Its answer came behind the verdict, at some of many moments."""
    names = [f"{b}/o{i}" for i in range(300)]
    for name in names:
        store.put_object(name, b"x")
    ids = ocid.submit(*({"kind": "delete", "bucket": b, "object": name.partition("/")[2]}
                        for name in names))
    store.wait_hit("DeleteObject", 1)
    for job in ids:
        ocid.client.cancel([job])
    ended = [ocid.wait(job) for job in ids]
    for status in ended:
        if status.state == "cancelled":
            try_again(ocid, status.id)
    for job in ids:
        ocid.done(job)
    assert store.names(b) == []
