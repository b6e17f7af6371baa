# SPDX-License-Identifier: Apache-2.0
"""test_faults.py - a service and a network that misbehave: jobs end right or wait."""

import re

import pytest
from harness import KIB, MIB, blob, client_library, sha, until

BIG = 5 * MIB
PUTS = [  # operation, size, fault
    (op, size, fault)
    for op, size in (("PutObject", 10), ("PutObject", 500 * KIB), ("UploadPart", BIG))
    for fault in ({"do": 500}, {"do": 503}, {"do": 503, "at": "read"}, {"do": 503, "count": 3},
                  {"do": 502, "body": "<html>Bad Gateway</html>"}, {"do": 429}, {"do": 408},
                  {"do": "status", "status": 409, "code": "ConcurrentObjectUpdate"},
                  {"do": "reset"}, {"do": "reset", "at": "answer"},
                  {"do": "corrupt", "where": "received"}, {"do": "wrong_checksum"},
                  {"do": "close"}, {"do": "no_continue"})
] + [
    (op, size, fault)
    for op, size in (("PutObject", 500 * KIB), ("UploadPart", BIG))
    for fault in ({"do": "reset", "at": "body", "after": 100 * KIB},
                  {"do": "delay", "seconds": 0.3, "at": "body", "after": 100 * KIB})
] + [
    (op, BIG, fault)
    for op in ("CreateMultipartUpload", "CommitMultipartUpload")
    for fault in ({"do": 503}, {"do": "reset"}, {"do": "reset", "at": "answer"},
                  {"do": 500, "at": "answer"}, {"do": "close"})
]
GETS = [
    (size, nth, fault)
    for size, nth in ((10, 1), (500 * KIB, 1), (BIG, 1), (BIG, 3))
    for fault in ({"do": 500}, {"do": 503}, {"do": 503, "count": 3}, {"do": 429}, {"do": "reset"},
                  {"do": 502, "body": "<html>Bad Gateway</html>"},
                  {"do": "truncate", "after": 5}, {"do": "corrupt", "offset": 5},
                  {"do": "reset", "at": "body", "after": 5}, {"do": "close"})
]


def named(row):
    return " ".join(f"{k}={v}" for k, v in row.items()) if isinstance(row, dict) else str(row)


@pytest.mark.parametrize("op, size, fault", PUTS, ids=named)
def test_puts_get_over_it(ocid, store, b, op, size, fault):
    nth = 3 if op == "UploadPart" else 1
    store.on(op, nth=nth, **fault)
    status = ocid.done(ocid.put(blob(size), f"{b}/o"))
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert status.outcome.verified == "crc32c" and status.outcome.bytes == size
    assert store.rules()[0]["fired"] >= 1
    if op != "CreateMultipartUpload":
        assert store.uploads(b) == []


@pytest.mark.parametrize("size, nth, fault", GETS, ids=named)
def test_gets_get_over_it(ocid, store, b, size, nth, fault):
    store.put_object(f"{b}/o", blob(size))
    store.on("GetObject", nth=nth, **fault)
    status = ocid.done(ocid.get(f"{b}/o"))
    assert sha(ocid.files / "got") == sha(blob(size)) and ocid.part_files() == []
    assert status.outcome.bytes == size and store.rules()[0]["fired"] >= 1


@pytest.mark.parametrize("fault", [{"do": 503}, {"do": "reset"}, {"do": "truncate", "after": 1000},
                                   {"do": "reset", "at": "body", "after": 100 * KIB}], ids=named)
def test_a_get_into_a_pipe_goes_on_where_it_was(ocid, store, b, fault):
    store.put_object(f"{b}/o", blob(BIG))
    store.on("GetObject", **fault)
    assert ocid.client.get_bytes(f"{b}/o") == blob(BIG)


@pytest.mark.parametrize("op, size", [("PutObject", 10), ("UploadPart", BIG)])
def test_retry_after_is_honoured(ocid, store, b, op, size):
    store.on(op, do=429, retry_after=2)
    ocid.done(ocid.put(blob(size), f"{b}/o"))
    refused = next(e for e in store.log(op) if e["status"] == 429)
    again = next(e for e in store.log(op, part=refused["part"]) if e["seq"] > refused["seq"])
    assert again["time"] - refused["time"] >= 1.9


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_halves_what_is_in_flight(make_ocid, store, b, status):
    ocid = make_ocid(transfer__connections=32).start()
    hung = store.on("PutObject", object="held", do="hang")
    held = ocid.put(b"x", f"{b}/held")
    store.wait_hit("PutObject", 1, object="held")
    before = ocid.client.stats()["in_flight_limit"]
    assert before >= 8, "of a host that has a request in flight"
    store.on("PutObject", object="busy", do=status, count=1)
    ocid.done(ocid.put(b"x", f"{b}/busy"))
    assert ocid.client.stats()["in_flight_limit"] == before // 2
    assert ocid.client.stats()["retries"] >= 1 and "asks to slow down" in ocid.log()
    store.clear(hung)
    ocid.done(held)


# A connection that stalls.


@pytest.mark.parametrize("op, size, at", [("PutObject", 10, "start"), ("PutObject", MIB, "body"),
                                          ("UploadPart", BIG, "answer"),
                                          ("CommitMultipartUpload", BIG, "start")])
def test_a_put_that_stalls_is_tried_again(make_ocid, store, b, op, size, at):
    ocid = make_ocid(network__stall_seconds=1).start()
    store.on(op, do="hang", at=at, **({"after": 100 * KIB} if at == "body" else {}))
    ocid.done(ocid.put(blob(size), f"{b}/o"), 15)
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert store.uploads(b) == []


@pytest.mark.parametrize("size, at", [(10, "start"), (BIG, "start"), (BIG, "body"),
                                      (BIG, "answer")])
def test_a_get_that_stalls_is_tried_again(make_ocid, store, b, size, at):
    ocid = make_ocid(network__stall_seconds=1).start()
    store.put_object(f"{b}/o", blob(size))
    store.on("GetObject", do="hang", at=at, **({"after": 100 * KIB} if at == "body" else {}))
    ocid.done(ocid.get(f"{b}/o"), 15)
    assert sha(ocid.files / "got") == sha(blob(size))


@pytest.mark.slow
def test_what_is_slow_but_moves_is_not_given_up(make_ocid, store, b):
    """Stall limits, not total timeouts."""
    ocid = make_ocid(network__stall_seconds=1, transfer__part_mib=4).start()
    store.put_object(f"{b}/o", blob(3 * MIB))
    store.on("GetObject", do="slow", rate=MIB)
    ocid.done(ocid.get(f"{b}/o"))
    assert store.count("GetObject") == 1


# Answers that were lost.


@pytest.mark.parametrize("size", [0, 10, 500 * KIB, BIG])
def test_our_own_success_is_known_again_with_if_absent(ocid, store, b, size):
    """The answer to the write is lost; the repeat meets what we ourselves have made."""
    store.on("PutObject|CommitMultipartUpload", do="reset", at="answer")
    status = ocid.done(ocid.put(blob(size), f"{b}/o", if_absent=True))
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert status.outcome.etag == store.object_info(f"{b}/o")["etag"]
    assert store.uploads(b) == []


@pytest.mark.parametrize("look", [1, 2, 3])
@pytest.mark.parametrize("size", [200 * KIB, BIG])
def test_a_look_at_the_source_that_fails_is_repeated(ocid, store, b, size, look):
    """It ended the job; with the error of the last request that had failed, as if another had made
    the object."""
    ocid.restart(OCID_FAULT=f"files.look:{look}")
    store.on("PutObject|CommitMultipartUpload", do="reset", at="answer")
    ocid.done(ocid.put(blob(size), f"{b}/o", if_absent=True))
    assert store.object_sha(f"{b}/o") == sha(blob(size))
    assert store.uploads(b) == []


def test_anothers_object_is_not_taken_for_ours(ocid, store, b):
    """The write was lost on the way, and meanwhile another has made the object: exists."""
    store.on("PutObject", do="hang")
    job = ocid.put(b"ours", f"{b}/o", if_absent=True)
    store.wait_hit("PutObject", 1)
    store.put_object(f"{b}/o", b"them")
    store.clear()
    ocid.failed(job, "exists")
    assert store.object_bytes(f"{b}/o") == b"them"


def test_anothers_object_of_the_same_size_is_not_taken_for_ours(ocid, store, b):
    store.on("PutObject", do="reset", at="start")
    store.on("PutObject", do="hang", nth=2)
    job = ocid.put(b"ours", f"{b}/o", if_absent=True)
    store.wait_hit("PutObject", 2)
    store.put_object(f"{b}/o", b"them")
    store.clear()
    ocid.failed(job, "exists")
    assert store.object_bytes(f"{b}/o") == b"them"


def test_a_commit_whose_answer_was_lost_for_good(ocid, store, b):
    """The repeat says UploadNotFound: HEAD decides."""
    store.on("CommitMultipartUpload", do=500, at="answer", count=1)
    status = ocid.done(ocid.put(blob(BIG), f"{b}/o"))
    assert store.object_sha(f"{b}/o") == sha(blob(BIG))
    assert status.outcome.verified == "crc32c"
    assert store.count("UploadPart") == 5


# Bytes that arrive changed, for good.


@pytest.mark.parametrize("size", [10, 500 * KIB, BIG])
@pytest.mark.parametrize("fault", [{"do": "corrupt", "where": "received"},
                                   {"do": "wrong_checksum"}], ids=named)
def test_a_put_that_arrives_changed_every_time_fails(ocid, store, b, size, fault):
    store.on("PutObject|UploadPart", count=0, **fault)
    text = ocid.failed(ocid.put(blob(size), f"{b}/o"), "checksum").outcome.text
    ours, theirs = re.search(r"(?:CRC32C|MD5) (\S+) was sent, (\S+) arrived|"
                             r"computed \S+ of .* \((\S+)\) does not match .* \((\S+)\)",
                             text).group(*((1, 2) if "was sent" in text else (3, 4)))
    assert ours != theirs, "both values are told"
    until(lambda: store.uploads(b) == [], "no parts are left behind")
    if fault["do"] == "corrupt":
        assert store.names(b) == [], "damaged bytes are never seen"


def test_a_commit_with_a_damaged_answer_is_settled_by_a_head(ocid, store, b):
    """It was reported as an upload that somebody else had aborted."""
    store.on("CommitMultipartUpload", do="wrong_checksum")
    status = ocid.done(ocid.put(blob(BIG), f"{b}/o"))
    assert status.outcome.verified == "crc32c" and store.object_sha(f"{b}/o") == sha(blob(BIG))
    assert store.count("UploadPart") == 5


def test_an_object_that_is_put_together_wrong_every_time_fails_and_says_both_sums(ocid, store, b):
    store.on("CommitMultipartUpload|HeadObject", do="wrong_checksum", count=0)
    status = ocid.failed(ocid.put(blob(BIG), f"{b}/o"), "checksum")
    assert re.search(r"CRC32C [0-9a-f]{8} of its parts, [0-9a-f]{8} at the service",
                     status.outcome.text)
    until(lambda: store.uploads(b) == [], "no parts are left behind")


@pytest.mark.parametrize("sum", ["CRC32C", "MD5"])
@pytest.mark.parametrize("size", [10, BIG])
def test_a_get_that_arrives_changed_every_time_fails(ocid, store, b, size, sum):
    if sum == "CRC32C":
        ocid.done(ocid.put(blob(size), f"{b}/o"))
    else:
        store.put_object(f"{b}/o", blob(size))
    store.corrupt(f"{b}/o", 3)
    told = rf"{sum} (\S+), but the service says (\S+)"
    text = ocid.failed(ocid.get(f"{b}/o"), "checksum").outcome.text
    ours, theirs = re.search(told, text).groups()
    assert ours != theirs, "both values are told"
    with pytest.raises(client_library.Checksum, match=told):
        ocid.client.get_bytes(f"{b}/o")
    assert not (ocid.files / "got").exists()
    until(lambda: ocid.part_files() == [], "the part file is removed")


def test_a_range_damaged_once_costs_one_more_download(ocid, store, b):
    """The service has a sum of the whole alone: nobody knows which range it was."""
    ocid.done(ocid.put(blob(BIG), f"{b}/o"))
    store.on("GetObject", nth=3, do="corrupt", offset=1)
    ocid.done(ocid.get(f"{b}/o"))
    assert store.count("GetObject") == 2 * 5
    assert sha(ocid.files / "got") == sha(blob(BIG))


# What retrying cannot mend.


@pytest.mark.parametrize("status, code, error", [
    (501, "NotImplemented", "server"), (400, "InvalidParameter", "invalid"),
    (403, "NotAuthorized", "denied"), (404, "BucketNotFound", "not_found"),
    (413, "RequestEntityTooLarge", "too_large"), (400, "QuotaExceeded", "denied")])
@pytest.mark.parametrize("size", [10, BIG])
def test_refusals_fail_with_the_services_words(ocid, store, b, status, code, error, size):
    store.on("PutObject|UploadPart", do="status", status=status, code=code, count=0,
             message="words of the service")
    found = ocid.failed(ocid.put(blob(size), f"{b}/o"), error).outcome
    assert (found.http_status, found.service_code) == (status, code)
    assert found.request_id.startswith("tst-1:") and found.text
    assert store.count("PutObject|UploadPart") <= (1 if size == 10 else 5)
    until(lambda: store.uploads(b) == [], "no parts are left behind")


def test_a_redirect_is_not_followed(ocid, store, b):
    store.on("PutObject", do="status", status=307, count=0,
             headers={"location": "http://127.0.0.1:1/elsewhere"})
    job = ocid.put(b"x", f"{b}/o", timeout=3)
    assert ocid.wait(job).state == "failed"
    assert store.names(b) == []


# A service that is down.


def test_a_service_that_is_down_is_waited_for(make_ocid, make_store):
    store = make_store()
    ocid = make_ocid(store).start()
    store.stop()
    job = ocid.put(b"x", "b/o")
    ocid.wait_for(job, "waiting", "network")
    assert ocid.status(job).outcome.text
    store.start()
    ocid.done(job, 15)
    assert store.object_bytes("b/o") == b"x"


def test_a_service_that_goes_down_in_the_middle_is_waited_for(make_ocid, make_store):
    store = make_store()
    ocid = make_ocid(store, transfer__connections=4).start()
    store.on("UploadPart", nth=6, do="hang", count=0)
    job = ocid.put(blob(10 * MIB), "b/o")
    store.wait_hit("UploadPart", 7)
    store.kill()
    ocid.wait_for(job, "waiting", "network")
    store.start()
    ocid.done(job, 15)
    assert store.object_sha("b/o") == sha(blob(10 * MIB))


def test_over_tls(make_ocid, make_store):
    store = make_store(tls=True)
    ocid = make_ocid(store).start()
    ocid.done(ocid.put(blob(BIG), "b/o"))
    ocid.done(ocid.get("b/o"))
    assert sha(ocid.files / "got") == sha(blob(BIG))


def test_an_untrusted_certificate_is_refused(make_ocid, make_store):
    store = make_store(tls=True)
    ocid = make_ocid(store)
    del ocid.settings["network"]["ca_file"]
    ocid.configure()
    ocid.start()
    job = ocid.put(b"x", "b/o")
    status = ocid.wait_for(job, "waiting", "network")
    assert "certificate" in status.outcome.text and store.log() == []
    ocid.configure(network__ca_file=store.ca_file)
    ocid.reload()
    ocid.done(job)


def test_a_certificate_that_is_mended_at_the_other_end_is_found(make_ocid, make_store):
    """It waited as `login`, for a reload that nobody had a reason for."""
    store, other = make_store(tls=True), make_store(tls=True)
    good, bad = (store._cert, store._key), (other._cert, other._key)
    ocid = make_ocid(store).start()
    ocid.done(ocid.put(b"x", "b/o"))
    store._cert, store._key = bad
    store.restart()
    jobs = [ocid.put(b"x", f"b/{i}") for i in range(3)]
    for job in jobs:
        assert "certificate" in ocid.wait_for(job, "waiting", "network").outcome.text
    store._cert, store._key = good
    store.restart()
    for job in jobs:
        ocid.done(job)
