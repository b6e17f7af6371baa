# SPDX-License-Identifier: Apache-2.0
"""test_sets.py - sets: many jobs under one id; and pulls, whose members the service names."""

import os

import pytest
from harness import MIB, blob, client_library, sha, until

put_job = client_library.client.put_job


def members(ocid, b, count, **options):
    path = ocid.file(b"member")
    group = ocid.client.set(label="group")
    ids = ocid.submit(*(put_job(path, f"{b}/m{i:03}", {"set": group, **options})
                        for i in range(count)))
    return group.id, ids


def test_a_set_is_done_when_all_its_members_are(ocid, store, b):
    group, ids = members(ocid, b, 20)
    ocid.client.wait(ids)
    status = ocid.status(group)
    assert (status.state, status.why, status.sealed) == ("waiting", "members", False)
    ocid.client.seal([group])
    status = ocid.done(group)
    assert (status.n_total, status.n_done, status.n_failed) == (20, 20, 0)
    assert len(store.names(b)) == 20
    assert [s.id for s in ocid.client.jobs()] == [group], "members are shown with their set only"
    assert sorted(s.id for s in ocid.client.jobs(set=group)) == ids


def test_some_failed(ocid, b):
    group, ids = members(ocid, b, 5)
    bad = ocid.client.get(f"{b}/none", ocid.files / "none", set=group)
    ocid.client.seal([group])
    status = ocid.failed(group, "some_failed")
    assert (status.n_total, status.n_done, status.n_failed) == (6, 5, 1)
    ocid.failed(bad.id, "not_found")


def test_an_empty_set(ocid):
    group = ocid.client.set()
    ocid.client.seal([group])
    assert ocid.done(group.id).n_total == 0


def test_nothing_joins_a_sealed_set(ocid, b):
    group, _ = members(ocid, b, 1)
    ocid.client.seal([group])
    with pytest.raises(client_library.OcidError):
        ocid.put(b"x", f"{b}/late", set=group)
    ocid.done(group)


def test_nothing_joins_a_set_that_is_none(ocid, b):
    job = ocid.put(b"x", f"{b}/o")
    for wrong in (job, 12345):
        with pytest.raises(client_library.OcidError):
            ocid.put(b"x", f"{b}/late", set=wrong)


def test_a_set_is_cancelled_with_its_members(ocid, store, b):
    store.on("PutObject", do="hang", count=0)
    group, ids = members(ocid, b, 50)
    ocid.client.seal([group])
    store.wait_hit("PutObject", 1)
    ocid.client.cancel([group])
    assert ocid.wait(group).state == "cancelled"
    assert {s.state for s in ocid.client.wait(ids, check=False)} == {"cancelled"}
    store.clear()


def test_a_set_is_paused_and_resumed_with_its_members(ocid, store, b):
    store.on("PutObject", nth=3, do="hang", count=0)
    group, ids = members(ocid, b, 60)
    ocid.client.seal([group])
    store.wait_hit("PutObject", 5)
    ocid.client.pause([group])
    until(lambda: {s.state for s in ocid.client.status(ids)} <= {"paused", "done"}, "all pause")
    store.clear()
    before = store.count("PutObject")
    ocid.done(ocid.put(b"meanwhile", f"{b}/other"))
    assert store.count("PutObject", object="m*") == before
    ocid.client.resume([group])
    assert ocid.done(group).n_done == 60


def test_a_set_survives_a_crash(ocid, store, b):
    store.on("PutObject", nth=10, do="hang", count=0)
    group, ids = members(ocid, b, 40)
    ocid.client.seal([group])
    store.wait_hit("PutObject", 10)
    ocid.kill()
    store.clear()
    ocid.start()
    status = ocid.done(group)
    assert (status.n_total, status.n_done) == (40, 40)


def test_an_unsealed_set_survives_a_crash_unsealed(ocid, b):
    group, ids = members(ocid, b, 3)
    ocid.client.wait(ids)
    ocid.crash()
    status = ocid.status(group)
    assert (status.state, status.sealed, status.n_total, status.n_done) == ("waiting", False, 3, 3)
    ocid.client.seal([group])
    assert ocid.done(group).n_done == 3


# Pulls.


def tree(path):
    return {os.path.relpath(os.path.join(folder, name), path)
            for folder, _, names in os.walk(path) for name in names}


def test_pull_gets_everything_below_a_prefix(ocid, store, b):
    names = ["p/a", "p/b/c", "p/b/d/e", "p/ü", "q/no", "p2/no"]
    for name in names:
        store.put_object(f"{b}/{name}", name.encode())
    store.put_object(f"{b}/p/marker/", b"")
    dest = ocid.files / "dest"
    dest.mkdir()
    status = ocid.done(ocid.client.pull(f"{b}/p/", dest).id)
    assert tree(dest) == {"a", "b/c", "b/d/e", "ü"}
    assert (dest / "b/d/e").read_bytes() == b"p/b/d/e"
    assert (status.n_total, status.n_done, status.sealed) == (4, 4, True)


def test_pull_of_a_prefix_that_nothing_has_fails(ocid, store, b):
    """It was done in silence: a script that had mistyped it went on without its files."""
    store.put_object(f"{b}/photos/a", b"bytes")
    dest = ocid.files / "dest"
    for name, said in (("photo/", f"'{b}/photo/'"), ("photos/b", f"'{b}/photos/b'")):
        done = ocid.ctl("pull", "-r", "--wait", f"oci://{b}/{name}", dest)
        assert done.status == 4, done
        assert f"there is no object {said}, nor any whose name begins so" in done.err, done
    job = ocid.client.pull(f"oci://{b}/photo/", dest)
    with pytest.raises(client_library.NotFound, match="nor any"):
        job.wait(20)
    ocid.restart()
    assert ocid.ctl("wait", str(job.id)).status == 4


def test_pull_of_what_is_there_and_empty_is_done(ocid, store, b):
    """A bucket, and a directory as some tools make them."""
    store.put_object(f"{b}/marked/", b"")
    store.make_bucket(f"{b}-empty")
    dest = ocid.files / "dest"
    for name in (f"{b}/marked/", f"{b}-empty"):
        done = ocid.ctl("pull", "-r", "--wait", f"oci://{name}", dest)
        assert (done.status, done.out) == (0, ""), done
        assert "there was nothing to download" in done.err, done
    assert os.listdir(dest) == []
    assert ocid.ctl("pull", "-r", "--wait", "-q", f"oci://{b}-empty", dest).err == ""
    missing = ocid.ctl("pull", "-r", "--wait", f"oci://{b}-none", dest)
    assert missing.status == 4 and "BucketNotFound" in missing.err, missing


def test_pull_of_more_than_a_page(ocid, store):
    dest = ocid.files / "dest"
    dest.mkdir()
    status = ocid.done(ocid.client.pull("v-1200x10", dest).id, 60)
    assert status.n_done == 1200 and len(os.listdir(dest)) == 1200


HOSTILE = ["../x", "../../x", "/abs", "a//b", "a/../../x", "a/./b", "./a", "..", "x/..",
           "ctl\x01", "tab\tin", "del\x7f", "c" * 256, "d/" + "e" * 256]


def test_hostile_names_are_refused_one_by_one(ocid, store, b):
    made = []
    for name in ["ok", "d/ok", *HOSTILE, "zz/ok", "...", "a b", "-rf", "~x", "c" * 255]:
        try:
            store.put_object(f"{b}/p/{name}", b"bytes")
            made.append(name)
        except RuntimeError:  # not a name that the service takes
            continue
    bad = [name for name in made if name in HOSTILE]
    assert len(bad) > 8
    top = ocid.files / "one/two"
    dest = top / "dest"
    dest.mkdir(parents=True)
    job = ocid.client.pull(f"{b}/p/", dest).id
    status = ocid.failed(job, "some_failed")
    assert tree(dest) == {name for name in made if name not in HOSTILE}
    assert tree(ocid.files) == {os.path.join("one/two/dest", name) for name in tree(dest)}
    assert (status.n_total, status.n_failed) == (len(made), len(bad))
    failed = list(ocid.client.jobs(set=job, state="failed"))
    assert sorted(s.last.job["object"] for s in failed) == sorted(f"p/{name}" for name in bad)
    assert {s.last.outcome.error for s in failed} == {"name"}
    assert not os.path.exists("/abs")


def test_links_below_the_destination_are_not_followed(ocid, store, b):
    store.put_object(f"{b}/p/sub/x", b"bytes")
    store.put_object(f"{b}/p/ok", b"bytes")
    outside, dest = ocid.files / "outside", ocid.files / "dest"
    outside.mkdir()
    dest.mkdir()
    (dest / "sub").symlink_to(outside)
    job = ocid.client.pull(f"{b}/p/", dest).id
    until(lambda: (dest / "ok").exists(), "the rest goes on")
    until(lambda: all(s.final or s.state == "waiting" for s in ocid.client.jobs(set=job)),
          "the other has found the link")
    assert os.listdir(outside) == []
    (dest / "sub").unlink()
    ocid.client.resume([job])
    ocid.client.retry([s.id for s in ocid.client.jobs(set=job) if s.state == "failed"])
    until(lambda: (dest / "sub/x").exists(), "it goes on once the link has gone")


def test_pull_keeps_what_is_there(ocid, store, b):
    for name in ("a", "b"):
        store.put_object(f"{b}/p/{name}", b"new")
    dest = ocid.files / "dest"
    dest.mkdir()
    (dest / "a").write_bytes(b"mine")
    status = ocid.failed(ocid.client.pull(f"{b}/p/", dest).id, "some_failed")
    assert status.n_done == 1
    assert ((dest / "a").read_bytes(), (dest / "b").read_bytes()) == (b"mine", b"new")
    ocid.done(ocid.client.pull(f"{b}/p/", dest, overwrite=True).id)
    assert (dest / "a").read_bytes() == b"new"


def test_pull_goes_on_after_a_crash(make_ocid, store):
    ocid = make_ocid(transfer__connections=4).start()
    dest = ocid.files / "dest"
    dest.mkdir()
    store.on("GetObject", nth=300, do="hang", count=0)
    job = ocid.client.pull("v-2200x10", dest).id
    store.wait_hit("GetObject", 300, timeout=30)
    ocid.kill()
    store.clear()
    ocid.start()
    status = ocid.done(job, 60)
    assert (status.n_total, status.n_done, status.n_failed) == (2200, 2200, 0)
    assert len(os.listdir(dest)) == 2200, "each once, and no part file"


def test_pull_between_two_pages_goes_on_after_a_crash(ocid, store):
    dest = ocid.files / "dest"
    dest.mkdir()
    store.on("ListObjects", nth=2, do="hang")
    job = ocid.client.pull("v-1500x10", dest).id
    store.wait_hit("ListObjects", 2)
    ocid.kill()
    store.clear()
    ocid.start()
    status = ocid.done(job, 60)
    assert (status.n_total, status.n_done, status.n_failed) == (1500, 1500, 0)
    assert sorted(os.listdir(dest)) == [f"f{i:07}" for i in range(1500)]


def test_pull_into_a_directory_that_is_not_there(ocid, store, b):
    store.put_object(f"{b}/p/a", b"bytes")
    dest = ocid.files / "later"
    job = ocid.client.pull(f"{b}/p/", dest).id
    until(lambda: [s for s in ocid.client.jobs(set=job)
                   if (s.state, s.last.why) == ("waiting", "destination")]
          or ocid.status(job).why == "destination" or dest.exists(),
          "it waits for its destination, or has made it")
    dest.mkdir(exist_ok=True)
    ocid.client.resume([job])
    ocid.done(job)
    assert (dest / "a").read_bytes() == b"bytes"


def test_pull_cancelled_in_the_middle_leaves_no_part_files(ocid, store, b):
    for i in range(5):
        store.put_object(f"{b}/p/{i}", blob(3 * MIB, i))
    store.on("GetObject", nth=6, do="hang", count=0)
    dest = ocid.files / "dest"
    dest.mkdir()
    job = ocid.client.pull(f"{b}/p/", dest).id
    store.wait_hit("GetObject", 7)
    ocid.client.cancel([job])
    assert ocid.wait(job).state == "cancelled"
    until(lambda: ocid.part_files() == [], "the part files are removed")
    for name in os.listdir(dest):
        assert sha(dest / name) == sha(blob(3 * MIB, int(name)))
