# SPDX-License-Identifier: Apache-2.0
"""test_ctl.py - ocictl from end to end: what it moves, says and returns."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from harness import CALL_S, MIB, SLOW, blob, sha, until


def test_push_and_pull_one_file(ocid, store, b):
    path = ocid.file(blob(3 * MIB))
    done = ocid.ctl("push", path, f"oci://{b}/dir/o", "--wait", "-m", "a=b",
                    "--content-type", "text/x-y")
    assert done.status == 0, done
    assert store.object_sha(f"{b}/dir/o") == sha(path)
    assert store.object_info(f"{b}/dir/o")["meta"]["opc-meta-a"] == "b"
    done = ocid.ctl("pull", f"oci://{b}/dir/o", ocid.files / "back", "--wait")
    assert done.status == 0, done
    assert sha(ocid.files / "back") == sha(path)
    assert (ocid.files / "back").stat().st_mtime_ns == path.stat().st_mtime_ns


def test_a_tree_comes_back_as_it_was(ocid, store, b):
    top = ocid.files / "tree"
    names = ["a", "b/c", "b/d/e", "ü mlaut", "-dash", "empty"]
    for i, name in enumerate(names):
        path = ocid.file(blob(i * 1000, i), f"tree/{name}")
        os.utime(path, ns=(10**18 + i, 10**18 + i))
    done = ocid.ctl("push", "-r", "--wait", top, f"oci://{b}/copy/")
    assert done.status == 0, done
    assert len(store.names(b)) == len(names)
    (ocid.files / "back").mkdir()
    prefix = os.path.commonpath(store.names(b))
    done = ocid.ctl("pull", "-r", "--wait", f"oci://{b}/{prefix}/", ocid.files / "back")
    assert done.status == 0, done
    for i, name in enumerate(names):
        path = ocid.files / "back" / name
        assert sha(path) == sha(blob(i * 1000, i))
        assert path.stat().st_mtime_ns == 10**18 + i


def test_some_of_several_failed(ocid, store, b):
    for name in ("ok", "../out"):
        store.put_object(f"{b}/p/{name}", b"x")
    (ocid.files / "back").mkdir()
    done = ocid.ctl("pull", "-r", "--wait", f"oci://{b}/p/", ocid.files / "back")
    assert done.status == 8 and done.err, done
    assert os.listdir(ocid.files / "back") == ["ok"] and not (ocid.files / "out").exists()


def test_list(ocid, store, b):
    for name in ("a", "d/e", "ctl\x1b[31m"):
        store.put_object(f"{b}/{name}", b"12345")
    done = ocid.ctl("ls", f"oci://{b}/")
    assert done.status == 0 and "d/" in done.out and "d/e" not in done.out
    assert "\x1b" not in done.out, "control bytes are shown escaped"
    done = ocid.ctl("ls", "-r", "--json", f"oci://{b}/")
    assert [json.loads(line)["name"] for line in done.out.splitlines()] == \
        ["a", "ctl\x1b[31m", "d/e"]
    done = ocid.ctl("ls", "-r", "--to", ocid.files / "names", "--wait", f"oci://{b}/")
    assert done.status == 0, done
    assert len((ocid.files / "names").read_text().splitlines()) == 3


def test_cat_head_and_rm(ocid, store, b):
    store.put_object(f"{b}/o", blob(MIB))
    done = subprocess.run([f"{ocid.bin}/ocictl", "cat", f"oci://{b}/o"], env=ocid.env,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 0 and done.stdout == blob(MIB)
    assert str(MIB) in ocid.ctl("head", f"oci://{b}/o").out
    assert ocid.ctl("rm", f"oci://{b}/o", "--wait").status == 0
    assert store.names(b) == []


@pytest.mark.parametrize("args, status", [
    (["pull", "oci://{b}/none", "x", "--wait"], 4), (["head", "oci://{b}/none"], 4),
    (["cat", "oci://{b}/none"], 4), (["ls", "oci://no-such-bucket/"], 4),
    (["status", "999"], 4), (["wait", "999"], 4), (["cancel", "999"], 4),
    (["push", "nothing-here", "oci://{b}/o"], 1), (["push", "x"], 2), (["nonsense"], 2),
    (["ls", "not-a-uri"], 2), (["push", "--priority", "11", "a", "oci://{b}/o"], 2)])
def test_exit_status_and_words(ocid, b, args, status):
    done = ocid.ctl(*(arg.replace("{b}", b) for arg in args))
    assert done.status == status, done
    assert done.err.startswith("ocictl: ") and "\n\n\n" not in done.err
    assert done.out == ""


def test_conditions_and_changes_have_a_status_of_their_own(ocid, store, b):
    store.put_object(f"{b}/o", b"there")
    path = ocid.file(b"x")
    assert ocid.ctl("push", path, f"oci://{b}/o", "--if-absent", "--wait").status == 6
    assert ocid.ctl("push", path, f"oci://{b}/o", "--if-match", "no", "--wait").status == 6
    path = ocid.file(blob(3 * MIB))
    store.on("UploadPart", nth=2, do="hang")
    done = ocid.ctl("push", path, f"oci://{b}/p", "--no-wait")
    assert done.status == 0
    store.wait_hit("UploadPart", 2)
    path.write_bytes(b"changed")
    store.clear()
    (job,) = [s.id for s in ocid.client.jobs(limit=1)]
    assert ocid.ctl("wait", str(job)).status == 7


def test_what_is_no_set_has_no_members(ocid, b):
    job = ocid.put(b"x", f"{b}/o")
    ocid.done(job)
    done = ocid.ctl("status", "--set", str(job))
    assert done.status == 1 and f"job {job} is not a set" in done.err, done
    done = ocid.ctl("status", "--set", "999999")
    assert done.status == 4 and "no such job" in done.err, done
    (group,) = ocid.submit({"kind": "set"})
    done = ocid.ctl("status", "--set", str(group))
    assert done.status == 0 and "no jobs" in done.err, done


def test_no_daemon(make_ocid):
    ocid = make_ocid()
    done = ocid.ctl("status")
    assert done.status == 3 and "ocictl start" in done.err


def test_wait_has_a_bound(ocid, store, b):
    store.on("PutObject", do="hang")
    job = ocid.put(b"x", f"{b}/o")
    assert ocid.ctl("wait", "--timeout", "300ms", str(job)).status == 124
    store.clear()
    assert ocid.ctl("wait", str(job)).status == 0


def test_pause_resume_cancel_retry(ocid, store, b):
    store.on("PutObject", do="hang", count=0)
    job = ocid.put(b"x", f"{b}/o")
    store.wait_hit("PutObject", 1)
    assert ocid.ctl("pause", str(job)).status == 0
    ocid.wait_for(job, "paused")
    assert "paused" in ocid.ctl("status", str(job)).out
    assert ocid.ctl("resume", str(job)).status == 0
    assert ocid.ctl("cancel", str(job)).status == 0
    assert ocid.wait(job).state == "cancelled"
    assert ocid.ctl("wait", str(job)).status == 1
    store.clear()
    assert ocid.ctl("retry", str(job)).status == 0
    ocid.done(job)


def test_status_in_json(ocid, b):
    job = ocid.put(b"x", f"{b}/o", label="mine")
    ocid.done(job)
    found = json.loads(ocid.ctl("status", "--json", str(job)).out.splitlines()[0])
    assert (found["id"], found["state"]) == (job, "done")
    assert [json.loads(line)["id"] for line in ocid.ctl("status", "--json").out.splitlines()] == \
        [job]


def test_start_many_at_once_starts_one_and_stop_ends_it(make_ocid):
    ocid = make_ocid()
    running = [subprocess.Popen([f"{ocid.bin}/ocictl", "start"], env=ocid.env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for _ in range(5)]
    try:
        for process in running:
            out, err = process.communicate(timeout=30)
            assert process.returncode == 0, err
        pids = {ocid.another().info["pid"] for _ in range(3)}
        assert len(pids) == 1
    finally:
        done = ocid.ctl("stop")
    assert done.status == 0, done
    until(lambda: not os.path.exists(ocid.socket), "it has ended")
    assert ocid.ctl("status").status == 3


@pytest.mark.skipif(not shutil.which("cmake"), reason="cmake is not installed")
def test_what_is_installed_works_below_any_prefix(make_ocid, tmp_path):
    """cmake --install --prefix: programs find each other, and units the programs."""
    ocid = make_ocid()
    build, prefix = os.path.dirname(ocid.bin), tmp_path / "elsewhere"
    if not os.path.exists(f"{build}/cmake_install.cmake"):
        pytest.skip(f"{build} is no build")
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True,
                   capture_output=True)
    ocid.bin = str(prefix / "bin")
    try:
        done = ocid.ctl("start")
        assert done.status == 0, done
        done = ocid.ctl("setup", "fingerprint", ocid.profile.key_file)
        assert (done.status, done.out.strip()) == (0, ocid.profile.fingerprint)
    finally:
        ocid.ctl("stop")
    for mode in ("user", "system"):
        unit = (prefix / f"lib/systemd/{mode}/ocid.service").read_text()
        assert re.search(f"^ExecStart={re.escape(ocid.bin)}/ocid\\b", unit, re.MULTILINE)


@pytest.mark.slow
def test_start_and_stop_say_how_to_end_a_daemon_that_hangs(ocid):
    os.kill(ocid.pid, signal.SIGSTOP)
    try:
        asking = [subprocess.Popen([f"{ocid.bin}/ocictl", verb], env=ocid.env, text=True,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
                  for verb in ("start", "stop")]
        said = [(process.communicate(timeout=CALL_S)[1], process.returncode)
                for process in asking]
    finally:
        os.kill(ocid.pid, signal.SIGCONT)
    for text, status in said:
        assert status == 124 and f"kill -9 {ocid.pid}," in text, said
    assert ocid.ctl("status").status == 0


def test_who_may_wait_so_long_waits_no_longer_for_a_daemon_that_hangs(ocid):
    """Of ten seconds, which it would have to say hello."""
    os.kill(ocid.pid, signal.SIGSTOP)
    try:
        for words in (["stop"], ["start"], ["wait", "1"], ["doctor", "--quick"]):
            begun = time.monotonic()
            done = ocid.ctl(*words, "-t", "1s")
            assert done.status in (1, 3, 124), done
            assert time.monotonic() - begun < 1 + 4 * SLOW, words
    finally:
        os.kill(ocid.pid, signal.SIGCONT)
    job = ocid.get("nowhere/o")
    ocid.wait(job)
    assert ocid.ctl("wait", "-t", "0", str(job)).status == 4, "it has ended, and says so"


def test_a_closed_stream_is_an_error_and_not_the_socket(ocid, b):
    """The socket would take the lowest free descriptor: 0 or 1."""
    def closed(which, *words):
        return subprocess.run(["sh", "-c", f'exec "$@" {which}&-', "sh", f"{ocid.bin}/ocictl",
                               *words], env=ocid.env, capture_output=True, text=True,
                              timeout=CALL_S, check=False)
    ocid.done(ocid.put(b"x", f"{b}/o"))
    done = closed("0<", "push", "--wait", "-", f"oci://{b}/stdin")
    assert done.returncode == 1 and "Bad file descriptor" in done.stderr, done
    for words in (["status"], ["status", "--json"], ["cat", f"oci://{b}/o"], ["ls", f"oci://{b}/"],
                  ["pull", "--wait", f"oci://{b}/o", "-"]):
        done = closed("1>", *words)
        assert done.returncode == 1 and "Bad file descriptor" in done.stderr, done


def test_reload_says_what_is_wrong(ocid):
    assert ocid.ctl("reload").status == 0
    ocid.write_config("[transfer]\npart_mib = none\n")
    done = ocid.ctl("reload")
    assert done.status == 5 and "line 2" in done.err


def test_standard_output_is_never_made_non_blocking(ocid, store, b):
    import fcntl
    store.put_object(f"{b}/o", blob(MIB))
    reading, writing = os.pipe()
    process = subprocess.Popen([f"{ocid.bin}/ocictl", "cat", f"oci://{b}/o"], env=ocid.env,
                               stdin=subprocess.DEVNULL, stdout=writing)
    assert os.read(reading, 1)
    assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(writing)
    while os.read(reading, 1 << 16):
        pass
    os.close(reading)
    assert process.wait(10) == 0
