# SPDX-License-Identifier: Apache-2.0
"""test_life.py - the daemon's own life: start, stop, signals, configuration, several clients."""

import os
import signal
import subprocess
import sys
import time

import pytest
from harness import MIB, NO_LEAKS, ROOT, alive, blob, client_library, process_tree, sha, until

put_job = client_library.client.put_job


# The end.


def test_an_idle_daemon_stops_at_once(ocid):
    began = time.monotonic()
    assert ocid.stop() == 0
    assert time.monotonic() - began < 2
    assert not os.path.exists(ocid.socket)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_a_bounded_time_under_load(make_ocid, store, b, number):
    ocid = make_ocid()
    del ocid.settings["daemon"]["drain_seconds"]
    ocid.configure()
    ocid.start()
    store.on("PutObject", nth=20, do="hang", count=0)
    store.on("UploadPart", nth=4, do="hang", count=0)
    big = ocid.put(blob(8 * MIB), f"{b}/big")
    path = ocid.file(blob(300000))
    ids = ocid.submit(*(put_job(path, f"{b}/{i}", {}) for i in range(300)))
    store.wait_hit("PutObject", 25)
    followers = [ocid.another() for _ in range(5)]
    began = time.monotonic()
    assert ocid._end(number, 15) == 0
    assert time.monotonic() - began < 5
    for follower in followers:
        follower.close()
    store.clear()
    ocid.start()
    assert {s.state for s in ocid.client.wait([big, *ids], 60)} == {"done"}
    assert store.object_sha(f"{b}/big") == sha(blob(8 * MIB))


def test_a_client_that_cannot_be_answered_is_hung_up_on(ocid, b):
    """It neither waits nor stops the others, and the log says why."""
    ocid.restart(OCID_FAULT="rpc.send:2")
    with pytest.raises(ConnectionResetError):
        ocid.wire()
    assert ocid.another().stats()
    assert "is hung up on: cannot answer it: No buffer space available" in ocid.log()


def test_what_is_nearly_through_is_let_through(make_ocid, store, b):
    ocid = make_ocid(daemon__drain_seconds=4).start()
    store.on("PutObject", do="delay", seconds=0.7, at="answer")
    job = ocid.put(b"x", f"{b}/o")
    store.wait_hit("PutObject", 1)
    ocid.stop()
    assert store.log("PutObject")[0]["status"] == 200
    ocid.start()
    ocid.done(job)
    assert store.count("PutObject") == 1


@pytest.mark.parametrize("nth", range(1, 6))
def test_an_upload_whose_id_is_known_is_not_forgotten_at_the_stop(make_ocid, store, b, nth):
    """Whichever of a put's rows was refused by the disk when the daemon stops."""
    ocid = make_ocid(network__retry_cap_seconds=60).start(OCID_FAULT=f"store.write:{nth}")
    path = ocid.file(blob(3 * MIB))
    try:
        job = ocid.put(path, f"{b}/o", key="o")
        ocid.wait_that(job, lambda s: s.final or s.state == "waiting", "refused a row, or done")
    except client_library.OcidError:
        pass  # it was the row of the job itself
    ocid.restart()
    ocid.done(ocid.put(path, f"{b}/o", key="o"))
    assert store.count("CreateMultipartUpload") == 1 and store.uploads(b) == []


def test_jobs_of_a_stopping_daemon_are_refused_or_kept(ocid, store, b):
    """Whatever was acknowledged up to the end is done after it."""
    path, taken = ocid.file(b"x"), []
    client = ocid.another()
    ocid.process.send_signal(signal.SIGTERM)
    try:
        for i in range(1000):
            taken += client.submit([put_job(path, f"{b}/{i}", {})])
    except client_library.OcidError as error:
        assert error.code in ("no_daemon", "stopping")
    ocid.stop()
    ocid.start()
    assert {s.state for s in ocid.client.wait(taken)} <= {"done"}


def test_a_daemon_without_its_signer_ends(ocid, store, b):
    store.on("PutObject", do="hang", count=0)
    job = ocid.put(b"x", f"{b}/o")
    assert ocid.signer
    os.kill(ocid.signer, signal.SIGKILL)
    assert ocid.process.wait(15) != 0
    ocid.process = None
    store.clear()
    ocid.start()
    ocid.done(job)


def test_the_signer_ends_with_the_daemon(ocid):
    below = process_tree(ocid.pid)[1:]
    assert below
    ocid.kill()
    until(lambda: not any(map(alive, below)), "the signer has gone", 5)


# Configuration.


def test_hup_and_reload_take_a_new_configuration(ocid, store, b):
    ocid.done(ocid.put(blob(4 * MIB), f"{b}/1"))
    ocid.configure(transfer__part_mib=2)
    ocid.hup()
    until(lambda: "reloaded" in ocid.log(), "it was read")
    ocid.done(ocid.put(blob(4 * MIB), f"{b}/2"))
    ocid.configure(transfer__multipart_threshold_mib=10)
    ocid.reload()
    ocid.done(ocid.put(blob(4 * MIB), f"{b}/3"))
    assert [len(store.parts_received(f"{b}/{i}")) for i in (1, 2, 3)] == [4, 2, 0]


BAD = [("[transfer]\npart_mib = none\n", 2), ("[transfer]\n\npart_mib = 0\n", 3),
       ("[nothing]\nx = 1\n", 1), ("[daemon]\nno_such = 1\n", 2), ("[daemon\n", 1),
       ("x = 1\n", 1), ("[network]\nendpoint = http://example.com\n", 2),
       ("[transfer]\npart_mib = 1\npart_mib = 2\n", 3)]


@pytest.mark.parametrize("text, line", BAD, ids=[repr(text) for text, _ in BAD])
def test_a_bad_configuration_names_its_line_and_changes_nothing(ocid, store, b, text, line):
    ocid.write_config(text)
    with pytest.raises(client_library.Config) as caught:
        ocid.reload()
    assert f"line {line}" in str(caught.value) or f":{line}" in str(caught.value)
    assert str(ocid.config_file) in str(caught.value)
    ocid.hup()
    until(lambda: ocid.log().count("stays as it was") >= 2, "the log says so, too")
    ocid.done(ocid.put(blob(2 * MIB), f"{b}/o"))
    assert store.parts_received(f"{b}/o") == [1, 2], "the old one is in force"
    checked = ocid.run_once("--check-config")
    assert checked.status != 0 and (f"line {line}" in checked.err or f":{line}" in checked.err)
    ocid.configure()
    ocid.reload()


@pytest.mark.parametrize("text, line", BAD, ids=[repr(text) for text, _ in BAD])
def test_a_bad_configuration_at_the_start_names_its_line(make_ocid, text, line):
    ocid = make_ocid()
    ocid.write_config(text)
    ended = ocid.run_once()
    assert ended.status != 0
    assert f"line {line}" in ended.err or f":{line}" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_check_config_of_a_good_one(make_ocid):
    ocid = make_ocid()
    checked = ocid.run_once("--check-config")
    assert (checked.status, checked.err) == (0, "") and str(ocid.config_file) in checked.out
    assert "\ntransfer.part_mib\t1\n" in checked.out and "\ndaemon.log_level\tdebug\n" in checked.out
    other = ocid.folder / "other.conf"
    other.write_text("[daemon]\nlog_level = loud\n")
    checked = ocid.run_once("--check-config", "--config", str(other))
    assert checked.status != 0 and str(other) in checked.err


@pytest.mark.parametrize("args, status", [(["--help"], 0), (["--version"], 0),
                                          (["--print-config"], 0), (["--nonsense"], 2),
                                          (["word"], 2), (["--config"], 2)])
def test_words_on_the_command_line(make_ocid, args, status):
    assert make_ocid().run_once(*args).status == status


def test_the_environment_gives_no_orders(make_ocid, store, b, tmp_path):
    ocid = make_ocid().start(http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1",
                             ALL_PROXY="http://127.0.0.1:1", SSLKEYLOGFILE=str(tmp_path / "keys"),
                             OCI_CONFIG_FILE="/nonexistent", LD_BIND_NOW="1")
    ocid.done(ocid.put(b"x", f"{b}/o"))
    assert not (tmp_path / "keys").exists()


# One daemon a queue.


def test_a_second_daemon_on_the_same_queue_names_the_first(ocid, make_ocid):
    second = make_ocid()
    ended = second.run_once(XDG_STATE_HOME=str(ocid.state))
    assert ended.status not in (0, 2)
    assert str(ocid.pid) in ended.err
    assert ocid.client.stats()["pid"] == ocid.pid


def test_a_second_daemon_on_the_same_socket_leaves_the_first_alone(ocid, make_ocid, store, b):
    second = make_ocid()
    ended = second.run_once(XDG_RUNTIME_DIR=str(ocid.run))
    assert ended.status not in (0, 2) and ocid.socket in ended.err
    ocid.done(ocid.another().put(ocid.file(b"x"), f"{b}/o").id)


def test_five_at_once_leave_one(make_ocid):
    ocid = make_ocid()
    started = [ocid.spawn(**NO_LEAKS) for _ in range(5)]
    try:
        until(lambda: sum(p.poll() is None for p in started) == 1, "four have ended")
        until(ocid_ready(ocid), "one serves")
        pid = client_library.Client(socket=ocid.socket).info["pid"]
        assert [p.pid for p in started if p.poll() is None] == [pid]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(15)


def ocid_ready(ocid):
    def ready():
        try:
            return client_library.Client(socket=ocid.socket)
        except client_library.NoDaemon:
            return None
    return ready


def test_the_queue_and_the_socket_are_for_their_owner_alone(ocid):
    for path in (os.path.dirname(ocid.socket), ocid.database().parent):
        assert os.stat(path).st_mode & 0o077 == 0, path


# Several clients.

TWO = """
import sys, ocid
client = ocid.Client(label=sys.argv[1])
jobs = [client.put(sys.argv[2], f"{sys.argv[3]}/{sys.argv[1]}{i}") for i in range(50)]
client.wait(jobs, 60)
print(*[job.id for job in jobs])
"""


def test_two_processes_share_a_daemon(ocid, store, b):
    path = ocid.file(b"shared")
    env = {**ocid.env, "PYTHONPATH": str(ROOT / "client/python/src")}
    running = [subprocess.Popen([sys.executable, "-c", TWO, name, path, b], env=env, text=True,
                                stdout=subprocess.PIPE) for name in ("left", "right")]
    ids = []
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        ids += map(int, out.split())
    assert len(set(ids)) == 100 and len(store.names(b)) == 100
    assert {s.state for s in ocid.client.status(ids)} == {"done"}


def test_a_forked_child_has_a_connection_of_its_own(ocid, store, b):
    client, path = ocid.client, ocid.file(b"x")
    client.put(path, f"{b}/parent").wait(30)
    pid = os.fork()
    if pid == 0:
        try:
            client.put(path, f"{b}/child").wait(30)
            os._exit(0)
        except BaseException:
            os._exit(1)
    for i in range(20):
        client.put(path, f"{b}/parent{i}").wait(30)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.exists(f"{b}/child") and client.stats()["pid"] == ocid.pid


def test_wait_goes_on_over_a_restart(ocid, store, b):
    store.on("PutObject", do="hang", count=0)
    client = ocid.another()
    job = client.put(ocid.file(b"x"), f"{b}/o")
    store.wait_hit("PutObject", 1)
    pid = os.fork()
    if pid == 0:
        try:
            job.wait(30)
            os._exit(0)
        except BaseException:
            os._exit(1)
    ocid.kill()
    store.clear()
    ocid.start()
    assert os.waitpid(pid, 0)[1] == 0


def test_stats_count(ocid, store, b):
    store.on("PutObject", do=503)
    ocid.done(ocid.put(blob(1000), f"{b}/o"))
    assert len(ocid.client.get_bytes(f"{b}/o")) == 1000
    stats = ocid.client.stats()
    assert stats["bytes_up"] >= 1000 and stats["bytes_down"] >= 1000
    assert stats["requests"] >= 3 and stats["retries"] == 1
    assert stats["clients"] == 1 and stats["pid"] == ocid.pid
    assert (stats["queued"], stats["running"], stats["waiting"], stats["paused"]) == (0, 0, 0, 0)


def test_an_idle_daemon_sleeps(ocid, b):
    """No timer, no busy loop: hardly a wake-up in a second."""
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/o"))

    def switches():
        total = 0
        for pid in process_tree(ocid.pid):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status") as file:
                    total += sum(int(line.split()[1]) for line in file
                                 if line.startswith("voluntary_ctxt"))
        return total
    store_quiet = min(_grown(switches) for _ in range(3))
    assert store_quiet < 40


def _grown(count):
    before, end = count(), time.monotonic() + 1
    until(lambda: time.monotonic() > end, "a second has passed")
    return count() - before
