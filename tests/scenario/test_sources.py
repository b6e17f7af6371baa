# SPDX-License-Identifier: Apache-2.0
"""test_sources.py - files here: sources that change or vanish, destinations that are not ready."""

import json
import os
import subprocess

import pytest
from harness import KIB, MIB, WAIT_S, blob, client_library, sha, until

put_job = client_library.client.put_job
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


def rewrite(path, data):
    """Other bytes in the same file."""
    with open(path, "r+b") as file:
        file.write(data)


CHANGES = {
    "other bytes": lambda path: rewrite(path, b"changed"),
    "longer": lambda path: path.open("ab").write(b"more"),
    "shorter": lambda path: os.truncate(path, 5),
    "touched": lambda path: os.utime(path, ns=(0, 0)),
    "replaced": lambda path: (path.with_name("new").write_bytes(path.read_bytes()),
                              os.replace(path.with_name("new"), path)),
}


@pytest.mark.parametrize("size", [10, 500 * KIB, 3 * MIB])
@pytest.mark.parametrize("change", CHANGES)
def test_a_source_changed_before_it_is_read(ocid, store, b, change, size):
    path = ocid.file(blob(size))
    job = put_job(path, f"{b}/o", {})
    CHANGES[change](path)
    status = ocid.failed(ocid.submit(job)[0], "source_changed")
    assert path.name in status.outcome.text
    assert store.names(b) == [] and store.uploads(b) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_changed_while_it_is_read(make_ocid, store, b, change):
    ocid = make_ocid(transfer__connections=2).start()
    path = ocid.file(blob(8 * MIB))
    store.on("UploadPart", nth=3, do="hang")
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("UploadPart", 3)
    CHANGES[change](path)
    store.clear()
    if change == "replaced":  # the open file is still what it was, and so is the object
        ocid.done(job)
        assert store.object_sha(f"{b}/o") == sha(blob(8 * MIB))
    else:
        ocid.failed(job, "source_changed")
        assert store.names(b) == []
    until(lambda: store.uploads(b) == [], "no parts are left behind")


@pytest.mark.parametrize("fault", ["", "files.slow:1+"])
@pytest.mark.parametrize("change", ["other bytes", "longer", "touched"])
def test_a_source_changed_between_two_parts_is_sent_no_further(make_ocid, store, b, change, fault):
    """All parts were sent before anybody looked."""
    ocid = make_ocid(transfer__connections=2).start(**({"OCID_FAULT": fault} if fault else {}))
    path = ocid.file(blob(40 * MIB))
    store.on("UploadPart", bucket=b, nth=3, count=0, do="hang")
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("UploadPart", 4, bucket=b)
    CHANGES[change](path)
    store.clear()
    text = ocid.failed(job, "source_changed").outcome.text
    assert ("its size" if change == "longer" else "its time of modification") in text
    assert store.count("UploadPart", bucket=b) < 20, "of 40"
    until(lambda: store.uploads(b) == [], "no parts are left behind")


def behind_its_back(path):
    """Other bytes, and the time of modification as it was: containers of encrypted disks are so."""
    was = os.stat(path)
    rewrite(path, b"changed")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("change", ["the bytes", "the rights", "nothing"])
def test_of_a_source_whose_ctime_alone_has_moved_the_content_decides(make_ocid, store, b, change,
                                                                    crash):
    """The first bytes had been sent, and the object became a mixture."""
    ocid = make_ocid(transfer__connections=2).start()
    path = ocid.file(blob(8 * MIB))
    hung = store.on("UploadPart", bucket=b, nth=6, count=0, do="hang")
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("UploadPart", 6, bucket=b)
    ocid.wait_that(job, lambda s: s.parts_done >= 3, "some parts have arrived")
    if crash:
        ocid.kill()
    {"the bytes": behind_its_back, "the rights": lambda path: path.chmod(0o644),
     "nothing": lambda path: None}[change](path)
    store.clear(hung)
    if crash:
        ocid.start()
    if change == "the bytes":
        text = ocid.failed(job, "source_changed").outcome.text
        assert path.name in text and "what is in it" in text
        until(lambda: store.uploads(b) == [], "no parts are left behind")
        assert store.names(b) == []
    else:
        ocid.done(job)
        assert store.object_sha(f"{b}/o") == sha(path)


@pytest.mark.parametrize("checksum", ["auto", "md5", "off"])
@pytest.mark.parametrize("change", ["other bytes", "touched", "longer", "replaced"])
def test_one_request_never_publishes_a_mixture(make_ocid, store, b, change, checksum):
    """The last bytes are held back until the source was looked at, for a service that is given no
    sum, or does not know it, takes whatever is complete."""
    ocid = make_ocid(transfer__multipart_threshold_mib=64, transfer__checksum=checksum).start()
    path = ocid.file(blob(20 * MIB))
    store.on("PutObject", bucket=b, do="slow", rate=20 * MIB)  # longer than buffers hide
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("PutObject", 1, bucket=b)
    CHANGES[change](path)
    if change == "replaced":
        ocid.done(job)
        assert store.object_sha(f"{b}/o") == sha(blob(20 * MIB))
        return
    status = ocid.failed(job, "source_changed")
    assert "is not what it was" in status.outcome.text and not store.exists(f"{b}/o")


def test_a_slow_disk_is_looked_at_by_the_pool(make_ocid, store, b):
    ocid = make_ocid(transfer__multipart_threshold_mib=64, transfer__checksum="off")
    ocid.start(OCID_FAULT="files.slow:1+")
    path = ocid.file(blob(20 * MIB))
    store.on("PutObject", bucket=b, do="slow", rate=20 * MIB)
    job = ocid.put(path, f"{b}/o")
    store.wait_hit("PutObject", 1, bucket=b)
    rewrite(path, b"changed")
    ocid.failed(job, "source_changed")
    assert not store.exists(f"{b}/o")
    ocid.done(ocid.put(path, f"{b}/p"))
    assert store.object_sha(f"{b}/p") == sha(path)


def test_a_source_changed_during_the_last_request_is_not_reported_done(ocid, store, b):
    path = ocid.file(blob(500 * KIB))
    store.on("PutObject", do="hang", at="answer")
    job = ocid.put(path, f"{b}/o")
    until(lambda: store.exists(f"{b}/o"), "the bytes have arrived")
    rewrite(path, b"changed")
    store.clear()
    ocid.failed(job, "source_changed")


@pytest.mark.parametrize("size", [10, 3 * MIB])
@pytest.mark.parametrize("change", [
    lambda path: path.chmod(0o644), lambda path: os.link(path, path.with_name("second"))],
    ids=["chmod", "link"])
def test_only_the_inode_was_touched(ocid, store, b, change, size):
    """If only ctime has moved, the content decides and not the clock."""
    path = ocid.file(blob(size))
    job = put_job(path, f"{b}/o", {})
    change(path)
    ocid.done(ocid.submit(job)[0])
    assert store.object_sha(f"{b}/o") == sha(blob(size))


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_a_missing_source_is_waited_for(ocid, store, b, size):
    path = ocid.file(blob(size))
    job = put_job(path, f"{b}/o", {})
    away = path.rename(path.with_name("away"))
    (ident,) = ocid.submit(job)
    status = ocid.wait_for(ident, "waiting", "file")
    assert path.name in status.outcome.text
    away.rename(path)
    ocid.client.resume([ident])
    ocid.done(ident)
    assert store.object_sha(f"{b}/o") == sha(blob(size))


@pytest.mark.slow
def test_a_missing_source_is_found_without_being_told(ocid, store, b):
    path = ocid.file(b"x")
    job = put_job(path, f"{b}/o", {})
    away = path.rename(path.with_name("away"))
    (ident,) = ocid.submit(job)
    ocid.wait_for(ident, "waiting", "file")
    away.rename(path)
    ocid.done(ident, 30)


def test_another_file_at_the_place_of_a_missing_one(ocid, store, b):
    path = ocid.file(b"this")
    job = put_job(path, f"{b}/o", {})
    path.rename(path.with_name("away"))
    (ident,) = ocid.submit(job)
    ocid.wait_for(ident, "waiting", "file")
    path.write_bytes(b"that")
    ocid.client.resume([ident])
    ocid.failed(ident, "source_changed")
    assert store.names(b) == []


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p)],
                         ids=["fifo", "directory", "device"])
def test_what_is_no_file_never_blocks(ocid, store, b, make):
    path = ocid.files / "odd"
    make(path)
    with pytest.raises(client_library.File):
        ocid.put(path, f"{b}/o")
    (ident,) = ocid.submit({"kind": "put", "bucket": b, "object": "o",
                            "source": os.fsencode(path)})
    status = ocid.wait_that(ident, lambda s: s.final or s.state == "waiting", "refused", 5)
    assert status.state != "done" and status.outcome.text
    ocid.done(ocid.put(b"meanwhile", f"{b}/p"))


def test_a_relative_path_is_refused(ocid, b):
    for job in ({"kind": "put", "source": b"x"}, {"kind": "get", "dest": b"./x"}):
        with pytest.raises(client_library.Invalid):
            ocid.submit({"bucket": b, "object": "o", **job})


# Destinations.


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_a_missing_directory_is_waited_for(ocid, store, b, size):
    store.put_object(f"{b}/o", blob(size))
    job = ocid.get(f"{b}/o", "not/yet/there")
    status = ocid.wait_for(job, "waiting", "destination")
    assert "not/yet" in status.outcome.text
    (ocid.files / "not/yet").mkdir(parents=True)
    ocid.client.resume([job])
    ocid.done(job)
    assert sha(ocid.files / "not/yet/there") == sha(blob(size))


def test_a_file_in_the_place_of_the_directory_is_waited_for(ocid, store, b):
    store.put_object(f"{b}/o", b"x")
    path = ocid.file(b"mine", "in-the-way")
    job = ocid.get(f"{b}/o", "in-the-way/got")
    ocid.wait_for(job, "waiting", "destination")
    path.unlink()
    path.mkdir()
    ocid.client.resume([job])
    ocid.done(job)


@pytest.mark.parametrize("size, at", [(10, {"at": "body", "after": 5}), (3 * MIB, {"nth": 2})])
@pytest.mark.parametrize("what", ["the directory", "the part file", "the part file, another is there"])
def test_what_is_removed_during_a_download_is_fetched_again(ocid, store, b, size, at, what):
    """It waited for ever for a part file that nobody could bring back."""
    store.put_object(f"{b}/o", blob(size))
    folder = ocid.files / "d"
    folder.mkdir()
    hung = store.on("GetObject", bucket=b, do="hang", count=0, **at)
    job = ocid.get(f"{b}/o", "d/got")
    store.wait_hit("GetObject", at.get("nth", 1), bucket=b)
    (part,) = until(ocid.part_files, "the part file is there")
    part.unlink()
    if what == "the directory":
        folder.rmdir()
    elif what != "the part file":
        part.write_bytes(b"another's")
    store.clear(hung)
    status = ocid.wait_for(job, "waiting", "destination")
    assert "d/got" in status.outcome.text or part.name in status.outcome.text
    folder.mkdir(exist_ok=True)
    while ocid.status(job).state == "waiting":  # the first look may have to find that it is gone
        ocid.client.resume([job])
        ocid.wait_that(job, lambda s: s.final or s.state == "waiting", "looked again")
    ocid.done(job)
    assert sha(folder / "got") == sha(blob(size)) and ocid.part_files() == []


def test_a_listing_whose_directory_is_removed_is_made_again(ocid, store, b):
    for name in ("a/1", "b", "c/1"):
        store.put_object(f"{b}/{name}")
    folder = ocid.files / "d"
    folder.mkdir()
    hung = store.on("ListObjects", bucket=b, do="hang")
    (job,) = ocid.submit({"kind": "list", "bucket": b, "delimiter": "/",
                          "dest": os.fsencode(folder / "names")})
    store.wait_hit("ListObjects", 1, bucket=b)
    for path in ocid.part_files():
        path.unlink()
    folder.rmdir()
    store.clear(hung)
    ocid.wait_for(job, "waiting", "destination")
    folder.mkdir()
    while ocid.status(job).state == "waiting":
        ocid.client.resume([job])
        ocid.wait_that(job, lambda s: s.final or s.state == "waiting", "looked again")
    ocid.done(job)
    rows = [json.loads(line) for line in open(folder / "names")]
    names = [row.get("name") or row["prefix"] for row in rows]
    assert sorted(names) == ["a/", "b", "c/"] and os.listdir(folder) == ["names"]


def test_a_directory_at_the_name_itself(ocid, store, b):
    store.put_object(f"{b}/o", b"x")
    (ocid.files / "got").mkdir()
    ocid.failed(ocid.get(f"{b}/o"), "exists")
    job = ocid.get(f"{b}/o", overwrite=True)
    status = ocid.wait_that(job, lambda s: s.final or s.state == "waiting", "refused")
    assert status.state != "done" and (ocid.files / "got").is_dir()
    if not status.final:
        ocid.client.cancel([job])
        ocid.wait(job)
    until(lambda: ocid.part_files() == [], "no part file is left")


@pytest.fixture
def small(ocid):
    """A file system of three megabytes; grow(mib) makes it larger."""
    path = ocid.files / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "small", path], check=True)

    def grow(mib):
        subprocess.run(["mount", "-o", f"remount,size={mib}m", path], check=True)
    yield path, grow
    ocid.stop()
    subprocess.run(["umount", path], check=True)


@root
def test_no_space_is_waited_for(ocid, store, b, small):
    path, grow = small
    store.put_object(f"{b}/o", blob(8 * MIB))
    job = ocid.client.get(f"{b}/o", path / "got").id
    status = ocid.wait_for(job, "waiting", "space")
    assert "space" in status.outcome.text and not (path / "got").exists()
    ocid.done(ocid.put(b"meanwhile", f"{b}/p"))
    grow(20)
    ocid.client.resume([job])
    ocid.done(job)
    assert sha(path / "got") == sha(blob(8 * MIB)) and os.listdir(path) == ["got"]


@root
def test_no_room_for_one_more_file_is_waited_for_as_space(ocid, store, b, small):
    path, _ = small
    store.put_object(f"{b}/o", b"x")
    subprocess.run(["mount", "-o", "remount,nr_inodes=1", path], check=True)
    job = ocid.client.get(f"{b}/o", path / "got").id
    ocid.wait_for(job, "waiting", "space")
    assert "is full" in ocid.ctl("status", f"{job}").out
    subprocess.run(["mount", "-o", "remount,nr_inodes=100", path], check=True)
    ocid.client.resume([job])
    ocid.done(job)


@root
@pytest.mark.slow
def test_every_wait_for_a_disk_is_left_by_itself(ocid, store, b, small):
    """Nobody resumes anything."""
    path, grow = small
    store.put_object(f"{b}/o", blob(8 * MIB))
    source = ocid.file(b"x")
    put = put_job(source, f"{b}/p", {})
    away = source.rename(source.with_name("away"))
    jobs = {"file": ocid.submit(put)[0], "space": ocid.client.get(f"{b}/o", path / "got").id,
            "destination": ocid.get(f"{b}/o", "not/there")}
    for why, job in jobs.items():
        ocid.wait_for(job, "waiting", why)
        assert "next try" in ocid.ctl("status", f"{job}").out
    away.rename(source)
    grow(20)
    (ocid.files / "not").mkdir()
    for job in jobs.values():
        ocid.done(job, 2 * WAIT_S)
    assert sha(path / "got") == sha(ocid.files / "not/there") == sha(blob(8 * MIB))


@root
def test_a_listing_without_space_is_waited_for(ocid, store, small):
    path, grow = small
    (job,) = ocid.submit({"kind": "list", "bucket": "v-40000x1",
                          "dest": os.fsencode(path / "names")})
    ocid.wait_for(job, "waiting", "space")
    grow(64)
    ocid.client.resume([job])
    ocid.done(job)
    assert sum(1 for _ in open(path / "names")) == 40000


@root
def test_no_space_for_spooled_bytes_refuses_them(make_ocid, store, b, tmp_path):
    ocid = make_ocid()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "state", ocid.state], check=True)
    try:
        ocid.start()
        with pytest.raises(client_library.OcidError):
            ocid.client.put_bytes(f"{b}/o", blob(20 * MIB))
        ocid.done(ocid.client.put_bytes(f"{b}/p", blob(KIB)).id)
        until(lambda: not list(ocid.state.rglob("spool/*")), "what was spooled is removed")
    finally:
        ocid.stop()
        subprocess.run(["umount", ocid.state], check=True)


@root
def test_a_full_disk_of_the_queue_loses_nothing(make_ocid, store, b):
    """Submits are refused with a reason; what was taken goes on when there is space again."""
    ocid = make_ocid(daemon__ballast_mib=0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "state", ocid.state], check=True)
    try:
        ocid.start()
        store.on("PutObject", do="hang", count=0)
        path, taken = ocid.file(b"x"), []
        with pytest.raises(client_library.OcidError):
            for i in range(400):
                taken += ocid.submit(*(put_job(path, f"{b}/{i}-{j}", {"label": "x" * 100})
                                       for j in range(100)))
        assert taken
        subprocess.run(["mount", "-o", "remount,size=64m", ocid.state], check=True)
        store.clear()
        assert {s.state for s in ocid.client.wait(taken, 60)} == {"done"}
        ocid.done(ocid.put(path, f"{b}/more"))
    finally:
        ocid.stop()
        subprocess.run(["umount", ocid.state], check=True)
