# SPDX-License-Identifier: Apache-2.0
"""test_list.py - listings: page by page into a pipe or a file, complete or visibly not."""

import json
import os

import pytest
from harness import client_library, until

NAMES = ["a", "a/1", "a/2", "b", "b/x/1", "b/x/2", "b/y", "c", "ü", "日"]
ROWS = [  # options, what comes (prefixes in brackets)
    ({}, NAMES),
    ({"prefix": "a/"}, ["a/1", "a/2"]),
    ({"prefix": "none"}, []),
    ({"delimiter": "/"}, ["a", "[a/]", "b", "[b/]", "c", "ü", "日"]),
    ({"prefix": "b/", "delimiter": "/"}, ["b/y", "[b/x/]"]),
    ({"start": "b"}, NAMES[3:]),
    ({"end": "b"}, NAMES[:3]),
    ({"start": "a/2", "end": "c"}, NAMES[2:7]),
    ({"limit": 3}, NAMES[:3]),
    ({"limit": 1000}, NAMES),
    ({"prefix": "b/", "limit": 1, "start": "b/x/2"}, ["b/x/2"]),
]


@pytest.fixture
def filled(store, b):
    for name in NAMES:
        store.put_object(f"{b}/{name}", name.encode())
    return b


@pytest.mark.parametrize("options, want", ROWS, ids=[json.dumps(row[0]) for row in ROWS])
def test_which_names_come(ocid, filled, options, want):
    found = [row.name or f"[{row.prefix}]" for row in ocid.client.list(filled, **options)]
    assert sorted(found) == sorted(want)
    assert [n for n in found if n[0] != "["] == [n for n in want if n[0] != "["]


@pytest.mark.parametrize("short", [1, 2, 3, 7])
def test_short_pages_and_repeated_prefixes_change_nothing(ocid, store, filled, short):
    store.on("ListObjects", do="short_pages", limit=short, count=0)
    store.on("ListObjects", do="repeat_prefix", count=0)
    for options, want in ROWS:
        found = [row.name or f"[{row.prefix}]" for row in ocid.client.list(filled, **options)]
        assert sorted(found) == sorted(want), options


def test_fields_that_are_asked_for(ocid, store, filled):
    (row,) = ocid.client.list(filled, limit=1, fields="name")
    assert (row.name, row.size, row.md5) == ("a", None, "")
    (row,) = ocid.client.list(filled, limit=1)  # all of them
    found = store.object_info(f"{filled}/a")
    assert (row.size, row.etag, row.md5) == (1, found["etag"], found["md5"])
    assert row.storage_tier == "Standard" and row.time_modified.endswith("Z")


def test_more_than_a_page(ocid, store):
    found = [row.name for row in ocid.client.list("v-2500x64")]
    assert found == [f"f{i:07}" for i in range(2500)]
    assert store.count("ListObjects") == 3


def test_to_a_file(ocid):
    dest = ocid.files / "names"
    (job,) = ocid.submit({"kind": "list", "bucket": "v-2500x64", "dest": os.fsencode(dest),
                          "fields": "name,size"})
    ocid.done(job)
    rows = [json.loads(line) for line in dest.read_text().splitlines()]
    assert [row["name"] for row in rows] == [f"f{i:07}" for i in range(2500)]
    assert {row["size"] for row in rows} == {64}
    assert ocid.part_files() == []


def test_to_a_file_goes_on_after_a_crash(ocid, store):
    dest = ocid.files / "names"
    store.on("ListObjects", nth=4, do="hang")
    (job,) = ocid.submit({"kind": "list", "bucket": "v-5500x64", "dest": os.fsencode(dest)})
    store.wait_hit("ListObjects", 4)
    assert not dest.exists()
    ocid.kill()
    store.clear()
    ocid.start()
    ocid.done(job)
    rows = [json.loads(line)["name"] for line in dest.read_text().splitlines()]
    assert rows == [f"f{i:07}" for i in range(5500)]
    assert store.count("ListObjects") <= 7, "pages on disk are not asked for again"
    assert ocid.part_files() == []


def test_to_a_file_that_exists(ocid, filled):
    dest = ocid.file(b"mine", "names")
    job = {"kind": "list", "bucket": filled, "dest": os.fsencode(dest)}
    ocid.failed(ocid.submit(job)[0], "exists")
    assert dest.read_bytes() == b"mine"
    ocid.done(ocid.submit({**job, "overwrite": True})[0])
    assert len(dest.read_text().splitlines()) == len(NAMES)


def test_a_slow_reader_stalls_only_itself(ocid, store, filled):
    rows = ocid.client.list("v-20000x64")
    next(rows)
    reached = store.count("ListObjects")
    for _ in range(3):
        assert len(list(ocid.another().list(filled))) == len(NAMES)
    ocid.done(ocid.put(b"meanwhile", f"{filled}/z"))
    assert store.count("ListObjects", bucket="v-20000x64") <= reached + 2, "it is not read ahead"
    assert sum(1 for _ in rows) == 19999


def test_a_reader_that_hangs_up_ends_the_job(ocid, filled):
    rows = ocid.client.list("v-20000x64")
    next(rows)
    rows.close()
    until(lambda: {s.state for s in ocid.client.jobs()} <= {"cancelled", "failed", "done"},
          "the job has ended")
    assert len(list(ocid.client.list(filled))) == len(NAMES)


@pytest.mark.parametrize("fault", [{"do": 500}, {"do": "reset"}, {"do": "truncate", "after": 5000},
                                   {"do": "reset", "at": "answer"}])
def test_a_page_that_fails_is_asked_for_again(ocid, store, fault):
    store.on("ListObjects", nth=2, **fault)
    assert sum(1 for _ in ocid.client.list("v-2500x64")) == 2500


def test_a_listing_cut_short_is_an_error(ocid, store):
    """A service that is down for good: the rows so far, then an exception, never a short list."""
    store.on("ListObjects", nth=3, do=500, count=0)
    rows = ocid.client.list("v-5500x64")
    with pytest.raises(client_library.Unavailable):
        assert sum(1 for _ in rows) < 5500


def test_a_bucket_that_is_not_there(ocid):
    with pytest.raises(client_library.NotFound) as caught:
        list(ocid.client.list("none"))
    assert caught.value.service_code == "BucketNotFound"


def test_a_daemon_that_dies_does_not_make_a_short_list(ocid, monkeypatch):
    monkeypatch.setattr("ocid._core.BACK_S", 0.5)
    rows = ocid.client.list("v-20000x64", timeout=30)
    next(rows)
    ocid.process.kill()
    ocid.process.wait()
    with pytest.raises(client_library.NoDaemon):
        list(rows)
    ocid.process = None
