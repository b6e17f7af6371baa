# SPDX-License-Identifier: Apache-2.0
"""test_upgrade.py - a queue that the first release has left goes on under this one: no flag, no
upload id. Its rows are written here, with the fields that there were then, so that no code of today has a
hand in them. Numbers are those of messages.def and daemon/xfer/plan.h, which may only grow."""

import os
import re
import sqlite3
import time

import google_crc32c
import pytest
from harness import MIB, ROOT, blob, msgpack, sha

PUT, GET, DELETE = 0, 1, 4
QUEUED, PAUSED, DONE = 0, 3, 4
OPEN, COMMITTING = 2, 3
SCHEMA = ROOT / "tests/vectors/db/schema-1.sql"


def first_queue(path):
    """A queue of schema 1 with nothing in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    text = re.sub(r"INSERT INTO (jobs|transfers|parts) .*?;\n|DELETE .*?;\n", "",
                  SCHEMA.read_text("utf-8"), flags=re.S)
    db.executescript(text)
    return db


def job(db, ident, kind, state, spec):
    db.execute("INSERT INTO jobs VALUES "
               "(?, 0, ?, ?, ?, 0, 1700000000000, ?, 'label', NULL, NULL, ?)",
               (ident, os.getuid(), kind, state, int(time.time() * 1000) if state == DONE else 0,
                msgpack.packb(spec)))


def put_spec(path, bucket, name):
    st = os.stat(path)
    return {"kind": "put", "bucket": bucket, "object": name, "source": os.fsencode(path),
            "size": st.st_size, "dev": st.st_dev, "inode": st.st_ino, "mtime_ns": st.st_mtime_ns,
            "ctime_ns": st.st_ctime_ns}


def transfer(db, ident, phase, total, remote=None, etag=None, cursor=None):
    db.execute("INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, ?)",
               (ident, phase, total, MIB, remote, etag, cursor))


def parts(db, ident, data, etags):
    for no, etag in etags.items():
        part = data[(no - 1) * MIB:no * MIB]
        db.execute("INSERT INTO parts VALUES (?, ?, ?, ?, ?)",
                   (ident, no, len(part), google_crc32c.value(part), etag))


def interrupted_put(ocid, store, where, hang):
    """An upload that nobody is at work on any more: its id, and the etags of the parts there."""
    store.on(hang, do="hang", count=0, **({"nth": 3} if hang == "UploadPart" else {}))
    ocid.put(blob(5 * MIB), where)
    store.wait_hit(hang, 3 if hang == "UploadPart" else 1)
    ocid.kill()
    (upload,) = store.uploads(where.split("/")[0])
    etags = {part["partNumber"]: part["etag"] for part in upload["parts"]}
    store.clear()
    store.clear_log()
    return upload["uploadId"], etags


@pytest.mark.parametrize("hang", ["UploadPart", "CommitMultipartUpload"])
def test_a_queue_of_the_first_release_goes_on(make_ocid, store, b, hang):
    old, ocid = make_ocid(transfer__connections=2), make_ocid()
    upload, etags = interrupted_put(old.start(), store, f"{b}/big", hang)
    big = blob(5 * MIB)
    store.put_object(f"{b}/src", blob(4 * MIB, 2))
    src = store.object_info(f"{b}/src")
    half = ocid.files / ".ocid-9.part"
    half.write_bytes(blob(4 * MIB, 2)[:2 * MIB])
    store.put_object(f"{b}/gone")
    path, small = ocid.file(big, "big"), ocid.file(b"small", "small")
    db = first_queue(ocid.state / "ocid" / os.uname().nodename / "queue.db")
    job(db, 7, PUT, QUEUED, put_spec(path, b, "big"))
    transfer(db, 7, OPEN if hang == "UploadPart" else COMMITTING, len(big), upload)
    parts(db, 7, big, etags)
    job(db, 9, GET, QUEUED, {"kind": "get", "bucket": b, "object": "src",
                             "dest": os.fsencode(ocid.files / "got")})
    transfer(db, 9, 1, 4 * MIB, etag=src["etag"], cursor=b"0 0 0 -")
    parts(db, 9, blob(4 * MIB, 2), {1: "", 2: ""})
    job(db, 11, PUT, QUEUED, {**put_spec(small, b, "small"), "after": [7, 9]})
    job(db, 12, PUT, PAUSED, put_spec(small, b, "paused"))
    job(db, 13, DELETE, QUEUED, {"kind": "delete", "bucket": b, "object": "gone"})
    job(db, 14, PUT, DONE, put_spec(small, b, "done"))
    db.close()
    ocid.start()
    for ident in (7, 9, 11, 13):
        ocid.done(ident)
    assert (ocid.status(12).state, ocid.status(14).state) == ("paused", "done")
    assert store.object_sha(f"{b}/big") == sha(big) and store.uploads(b) == []
    assert store.count("CreateMultipartUpload") == 0
    assert store.count("UploadPart") == 5 - len(etags)
    assert sha(ocid.files / "got") == sha(blob(4 * MIB, 2)) and ocid.part_files() == []
    assert store.count("GetObject", object="src") == 2
    assert store.names(b) == ["big", "small", "src"]
    assert ocid.put(b"x", f"{b}/new") > 14


def test_a_queue_of_a_later_release_is_refused_and_left_as_it_is(ocid, store, b):
    """Who went back by mistake goes forward again and has lost nothing."""
    store.on("PutObject", do="hang", count=0)
    job = ocid.put(b"x", f"{b}/o")
    ocid.stop()
    store.clear()
    path = ocid.database()

    def release(schema):
        db = sqlite3.connect(path)
        (was,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {schema}")
        db.close()
        return was
    ours = release(99)
    before = path.read_bytes()
    said = ocid.run_once()
    assert said.status != 0 and "newer ocid (schema 99" in said.err and "start that one" in said.err
    assert ocid.run_once("--recover").status != 0
    assert path.read_bytes() == before and not list(path.parent.glob("*damaged*"))
    release(ours)
    ocid.start()
    ocid.done(job)
