# SPDX-License-Identifier: Apache-2.0
"""test_auth.py - clocks, keys and pass phrases: what a person can mend is waited for."""

import contextlib
import os
import pty
import re
from pathlib import Path

import pytest
from harness import MIB, NO_LEAKS, SLOW, blob, client_library, make_profile, rss, until
from test_setup import Person

PHRASE = "correct horse; battery #staple"


@pytest.mark.parametrize("offset", [3600, -3600, 86400 * 400])
def test_a_wrong_clock_is_learnt_and_corrected(ocid, store, b, offset):
    store.set_clock(offset)
    ocid.done(ocid.put(b"x", f"{b}/o"))
    refused = store.count(status=401)
    assert 1 <= refused <= 2
    warned = [line for line in ocid.log().splitlines() if " warn " in line]
    learnt = re.findall(r"our clock differs from that of \S+ by (-?\d+) s", "\n".join(warned))
    assert learnt and all(abs(int(by) - offset) < 60 for by in learnt), warned
    for i in range(3):
        ocid.done(ocid.put(b"x", f"{b}/{i}"))
    ocid.done(ocid.put(blob(3 * MIB), f"{b}/big"))
    assert store.count(status=401) == refused, "once learnt, it is known"


def test_a_clock_that_moves_back_is_learnt_again(ocid, store, b):
    store.set_clock(3600)
    ocid.done(ocid.put(b"x", f"{b}/1"))
    store.set_clock(0)
    ocid.done(ocid.put(b"x", f"{b}/2"))


def test_a_wrong_clock_is_learnt_from_an_answer_without_a_body(ocid, store, b):
    """A HEAD's refusal says nothing: its Date does."""
    store.put_object(f"{b}/o", b"x")
    store.on("HeadObject", do="clock", offset=-7200)
    assert ocid.client.head(f"{b}/o")


def test_a_clock_that_is_wrong_now_and_then_stops_nobody_for_good(ocid, store, b):
    """Requests and signer went by different clocks when a job had learnt too often: nothing was
    signed any more."""
    store.on("PutObject", do="clock", offset=3600, count=6)
    for i in range(4):
        ocid.done(ocid.put(b"x", f"{b}/{i}"))
    store.on("PutObject", do="clock", offset=-3600, count=6)
    jobs = [ocid.put(b"x", f"{b}/more{i}") for i in range(4)]
    for job in jobs:
        ocid.done(job)


def test_refused_credentials_wait_for_a_login(ocid, store, b, profile):
    store.drop_key()
    jobs = [ocid.put(b"x", f"{b}/{i}") for i in range(5)]
    for job in jobs:
        status = ocid.wait_for(job, "waiting", "login")
        assert status.outcome.http_status == 401 and status.outcome.text
    refused = store.count(status=401)
    assert refused <= 3 * len(jobs) + 3, "it does not hammer"
    assert "fresh credentials" in ocid.ctl("status", f"{jobs[0]}").out
    store.add_key(profile.key_id, profile.public_pem)
    for job in jobs:  # nobody has to say that the service knows the key now
        ocid.done(job)


def test_jobs_whose_credentials_are_refused_cost_the_service_little(make_ocid, store, b, profile):
    """Each of them was refused twice, and kept its files open, however many there were."""
    n = 1000
    ocid = make_ocid(transfer__connections=8, network__retry_cap_seconds=60).start()
    ocid.done(ocid.put(b"x", f"{b}/first"))
    store.drop_key()
    path = ocid.file(b"x")
    jobs = [ocid.submit(*(client_library.client.put_job(path, f"{b}/{at + i}", {})
                          for i in range(100))) for at in range(0, n, 100)]
    jobs = [job for some in jobs for job in some]
    until(lambda: all(s.why == "login" for s in ocid.client.status(jobs)), "all wait for a login")
    assert store.count(status=401) < n / 2
    refused = store.count(status=401)
    assert store.count("PutObject", bucket=b, object=f"{n - 1}") == 0
    ocid.client.resume(jobs[-1:])
    until(lambda: store.count("PutObject", bucket=b, object=f"{n - 1}") == 2, "it tries at once")
    ocid.wait_for(jobs[-1], "waiting", "login")
    assert store.count(status=401) <= refused + 2 + 8, "and next to no others with it"
    store.add_key(profile.key_id, profile.public_pem)
    assert ocid.client.whoami()  # an answer to a question tells the jobs as well
    assert {s.state for s in ocid.client.wait(jobs, 30 * SLOW)} == {"done"}


def test_one_job_that_is_refused_does_not_stop_the_others_of_its_profile(ocid, store, b):
    """Perhaps it is what it asks for."""
    refused = store.on("PutObject", bucket=b, object="bad*", do=401, count=0)
    bad = [ocid.put(b"x", f"{b}/bad{i}") for i in range(3)]
    for job in bad:
        ocid.wait_for(job, "waiting", "login")
    for i in range(20):
        ocid.done(ocid.put(b"x", f"{b}/{i}"))
    store.clear(refused)
    for job in bad:
        ocid.done(job)


def test_credentials_refused_in_the_middle_keep_what_has_arrived(make_ocid, store, b, profile):
    ocid = make_ocid(transfer__connections=4).start()
    store.on("UploadPart", nth=5, do=401, count=0)
    job = ocid.put(blob(8 * MIB), f"{b}/o")
    ocid.wait_for(job, "waiting", "login")
    store.clear()
    ocid.done(job)
    assert store.count("CreateMultipartUpload") == 1
    assert store.count("UploadPart", status=200) <= 8 + 4


def test_one_lucky_401_is_nothing(ocid, store, b):
    store.on("PutObject", do=401)
    ocid.done(ocid.put(b"x", f"{b}/o"))


def test_a_question_does_not_wait_for_a_login(ocid, store):
    store.drop_key()
    with pytest.raises((client_library.Login, client_library.Auth)):
        ocid.client.whoami()


@pytest.fixture
def locked(make_ocid, tmp_path, store):
    """A daemon whose key needs a pass phrase that the configuration does not tell."""
    profile = make_profile(tmp_path, passphrase=PHRASE, user="ocid1.user.oc1..locked")
    store.add_key(profile.key_id, profile.public_pem)
    return make_ocid(profile=profile).start()


def test_a_locked_key_waits_until_it_is_unlocked(locked, b, store):
    job = locked.put(b"x", f"{b}/o")
    status = locked.wait_for(job, "waiting", "locked")
    assert "unlock" in status.outcome.text
    with pytest.raises(client_library.Key):
        locked.unlock("wrong")
    locked.wait_for(job, "waiting", "locked")
    assert locked.unlock(PHRASE) == {"DEFAULT": "ok"}
    locked.done(job)
    assert locked.client.stats()["profiles"] == {"DEFAULT": "ok"}
    locked.client.lock()
    later = locked.put(b"y", f"{b}/p")
    locked.wait_for(later, "waiting", "locked")
    locked.unlock(PHRASE + "\n", "DEFAULT")
    locked.done(later)


def test_jobs_that_wait_for_a_key_cost_what_queued_ones_do(locked, b, store):
    """Each of them was begun and had to stop: what is left is its place in the queue."""
    n = 4000
    locked.wait_for(locked.put(b"x", f"{b}/first"), "waiting", "locked")
    before = rss(locked.pid)
    path = locked.file(b"x")
    put_job = client_library.client.put_job
    jobs = locked.submit(*(put_job(path, f"{b}/{i}", {}) for i in range(n)))
    for job in jobs[-1], jobs[0]:
        locked.wait_for(job, "waiting", "locked")
    if SLOW == 1:  # a sanitizer keeps what was freed
        assert rss(locked.pid) - before < n * 1500 + 2 * MIB
    cancelled, paused = jobs[1], jobs[2]
    locked.client.cancel([cancelled])
    locked.client.pause([paused])
    locked.unlock(PHRASE)
    for job in jobs[:1] + jobs[3:50] + jobs[-50:]:
        locked.done(job)
    assert locked.status(cancelled).state == "cancelled"
    assert locked.status(paused).state == "paused"
    locked.client.resume([paused])
    locked.done(paused)
    assert store.count("GetNamespace") <= 1


def test_a_question_with_a_locked_key_says_so(locked, b):
    with pytest.raises(client_library.Locked):
        locked.client.whoami()


def test_one_prompt_serves_a_thousand_pushes(locked, b, store):
    """And to lock in the middle of them loses none."""
    source = locked.file(b"x")
    jobs = [locked.put(source, f"{b}/{n}") for n in range(500)]
    locked.wait_for(jobs[-1], "waiting", "locked")
    person = Person(locked, "unlock")
    person.answers("Pass phrase of the default profile", PHRASE)
    assert person.end() == 0 and "Pass phrase" not in person.seen, "asked once"
    for job in jobs:
        locked.done(job)
    store.on("PutObject", bucket=b, nth=100, count=1, do="hang")  # the second half is under way
    jobs += [locked.put(source, f"{b}/{n}") for n in range(500, 1000)]
    store.wait_hit("PutObject", 100)
    locked.client.lock()
    store.clear()
    jobs.append(locked.put(source, f"{b}/last"))
    locked.wait_for(jobs[-1], "waiting", "locked")
    locked.unlock(PHRASE)
    for job in jobs:
        locked.done(job)
    assert len(store.names(b)) == 1001
    assert store.count(status=401) == 0


def test_no_pass_phrase_opens_no_key(locked):
    reader, writer = os.pipe()
    os.close(writer)
    done = locked.ctl("unlock", "--passphrase-fd", str(reader), pass_fds=(reader,))
    os.close(reader)
    assert done.status == 5
    assert done.err == "ocictl: unlock: no pass phrase was given, and the key has one\n"


def test_a_crash_locks_the_key_again(locked, b):
    locked.unlock(PHRASE)
    locked.done(locked.put(b"x", f"{b}/o"))
    locked.crash()
    job = locked.put(b"y", f"{b}/p")
    locked.wait_for(job, "waiting", "locked")
    locked.unlock(PHRASE)
    locked.done(job)


def test_the_signer_is_shut_in(ocid, b):
    ocid.done(ocid.put(b"x", f"{b}/o"))
    status = Path(f"/proc/{ocid.signer}/status").read_text()
    rights = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert rights["NoNewPrivs"] == "1" and rights["Seccomp"] == "2"
    held = [os.readlink(fd) for fd in Path(f"/proc/{ocid.signer}/fd").iterdir()]
    assert sum(name.startswith("socket:") for name in held) <= 3, "those it was started with"


def test_profiles_are_chosen_by_name(ocid, store, b, tmp_path):
    other = make_profile(tmp_path, user="ocid1.user.oc1..other")
    store.add_key(other.key_id, other.public_pem)
    ocid.write_profile(other, "OTHER")
    ocid.reload()
    assert ocid.client.whoami(profile="OTHER")["id"] == other.user
    assert ocid.client.whoami()["id"] == ocid.profile.user
    ocid.done(ocid.put(b"x", f"{b}/o", profile="OTHER"))


def test_a_profile_that_is_missing_is_waited_for(ocid, store, b, tmp_path):
    job = ocid.put(b"x", f"{b}/o", profile="LATER")
    status = ocid.wait_for(job, "waiting", "login")
    assert "LATER" in status.outcome.text
    other = make_profile(tmp_path, user="ocid1.user.oc1..later")
    store.add_key(other.key_id, other.public_pem)
    ocid.write_profile(other, "LATER")
    ocid.reload()
    ocid.done(job)


def test_a_wrong_fingerprint_is_found_before_anything_is_sent(ocid, store, b, profile):
    ocid.write_profile(profile, "WRONG", fingerprint=":".join(["00"] * 16))
    ocid.reload()
    job = ocid.put(b"x", f"{b}/o", profile="WRONG")
    status = ocid.wait_that(job, lambda s: s.final or s.state == "waiting", "refused")
    assert status.outcome.error == "auth" or status.why == "login"
    assert "fingerprint" in status.outcome.text
    assert store.log(bucket=b) == []


def test_no_key_file_is_waited_for(ocid, store, b, profile, tmp_path):
    path = tmp_path / "moved.pem"
    ocid.write_profile(profile, "MOVED", key_file=str(path))
    ocid.reload()
    job = ocid.put(b"x", f"{b}/o", profile="MOVED")
    status = ocid.wait_for(job, "waiting", "login")
    assert "moved.pem" in status.outcome.text
    path.write_bytes(Path(profile.key_file).read_bytes())
    path.chmod(0o600)
    ocid.reload()
    ocid.done(job)


def test_no_profiles_at_all(make_ocid, store, b):
    ocid = make_ocid()
    text = ocid.oci_config.read_text()
    ocid.oci_config.unlink()
    ocid.start()
    job = ocid.put(b"x", f"{b}/o")
    ocid.wait_for(job, "waiting", "login")
    ocid.oci_config.write_text(text)
    ocid.reload()
    ocid.done(job)


def test_a_pass_phrase_in_the_profile_is_used(make_ocid, tmp_path, store, b):
    profile = make_profile(tmp_path, passphrase=PHRASE, user="ocid1.user.oc1..phrase")
    store.add_key(profile.key_id, profile.public_pem)
    ocid = make_ocid(profile=profile)
    ocid.write_profile(profile, "PHRASE", pass_phrase=PHRASE)
    ocid.start()
    ocid.done(ocid.put(b"x", f"{b}/o", profile="PHRASE"))
    assert PHRASE not in ocid.log()


def test_an_answer_typed_at_once_is_taken_and_not_shown(locked, b):
    """The prompt came before the terminal was ready, which then threw away what had been typed. A
    slow terminal makes that sure."""
    job = locked.put(b"x", f"{b}/o")
    locked.wait_for(job, "waiting", "locked")
    slowly = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=ioctl",
              "-e", "inject=ioctl:delay_enter=200000"]
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe("strace", [*slowly, f"{locked.bin}/ocictl", "unlock"],
                   {**os.environ, **locked.env, **NO_LEAKS})
    shown = b""
    while b"Pass phrase" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, PHRASE.encode() + b"\n")
    locked.done(job)
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(terminal, 4096):
            shown += more
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0 and PHRASE.encode() not in shown
