# SPDX-License-Identifier: Apache-2.0
"""test_setup.py - from nothing to a key that the service knows, by `ocictl setup`."""

import configparser
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import stat
import subprocess
import termios
from pathlib import Path

import pytest
from harness import NO_LEAKS, START_S, WAIT_S, process_tree, until
from objstore.profile import fingerprint, public_half

USER, TENANCY = "ocid1.user.oc1..setup", "ocid1.tenancy.oc1..setup"
REGION = "us-ashburn-1"
GIVEN = ("--user", USER, "--tenancy", TENANCY, "--region", REGION)
PHRASE = "pass phrase; with # signs = and \\"
OLD = ("# mine, by hand\n[DEFAULT]\nuser = ocid1.user.oc1..old\n  ; a remark\n"
       "region=eu-zurich-1\n\n[ODD]\r\nuser:\tsomebody\nsecret=a=b ; c\n  and more\n\n\n#end")


@pytest.fixture
def home(make_ocid):
    """A daemon that is not started, whose home has no .oci yet."""
    ocid = make_ocid()
    shutil.rmtree(ocid.home / ".oci")
    ocid.oci = ocid.home / ".oci"
    ocid.key = ocid.oci / "oci_api_key.pem"
    return ocid


def setup(ocid, *args, phrase=None, **more):
    """Runs it; the pass phrase comes down a pipe."""
    if phrase is None:
        return ocid.ctl("setup", *args, **more)
    reader, writer = os.pipe()
    os.write(writer, phrase.encode() + b"\n")
    os.close(writer)
    try:
        return ocid.ctl("setup", *args, "--passphrase-fd", str(reader), pass_fds=(reader,), **more)
    finally:
        os.close(reader)


def made(ocid, *args, **more):
    done = setup(ocid, *args, **more)
    assert done.status == 0, done
    return done


def profile_of(ocid, name="DEFAULT"):
    """As Oracle's tools read it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(ocid.oci_config.read_text())
    return dict(parser[name])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def check(ocid, phrase=None, name="DEFAULT"):
    """The profile names a key that is there and fits."""
    values = profile_of(ocid, name)
    pem = Path(values["key_file"]).read_bytes()
    assert values["fingerprint"] == fingerprint(pem, phrase)
    assert (values["user"], values["tenancy"], values["region"]) == (USER, TENANCY, REGION)
    return values


def test_nothing_becomes_a_profile(home):
    done = made(home, *GIVEN, "--no-passphrase")
    values = check(home)
    assert [mode(p) for p in (home.oci, home.oci_config, home.key)] == [0o700, 0o600, 0o600]
    assert values["fingerprint"] in done.out
    public = (home.oci / "oci_api_key_public.pem").read_text()
    assert public in done.out and public == public_half(home.key.read_bytes())
    assert home.key.read_text().endswith("OCI_API_KEY\n")
    assert sorted(p.name for p in home.oci.iterdir()) == [
        "config", "oci_api_key.pem", "oci_api_key_public.pem"]


def test_again_changes_nothing(home):
    made(home, *GIVEN, "--no-passphrase")
    before = [p.read_bytes() for p in sorted(home.oci.iterdir())]
    found = json.loads(made(home, *GIVEN, "--json").out)
    assert (found["made"], found["fingerprint"]) == ("0", profile_of(home)["fingerprint"])
    assert [p.read_bytes() for p in sorted(home.oci.iterdir())] == before


def test_a_pass_phrase_locks_the_key_and_stands_nowhere(home):
    done = made(home, *GIVEN, phrase=PHRASE)
    assert "BEGIN ENCRYPTED PRIVATE KEY" in home.key.read_text()
    assert "pass_phrase" not in check(home, PHRASE)
    assert PHRASE not in done.out + done.err
    for path in home.oci.iterdir():
        assert PHRASE.encode() not in path.read_bytes()
    before = home.key.read_bytes()
    made(home, *GIVEN, phrase=PHRASE)
    wrong = setup(home, *GIVEN, phrase="wrong")
    assert wrong.status == 5 and "passphrase is incorrect" in wrong.err
    none = setup(home, *GIVEN, "--no-passphrase")
    assert none.status == 5 and "--passphrase-fd" in none.err
    assert home.key.read_bytes() == before


def test_what_is_there_stays_byte_for_byte(home):
    home.oci.mkdir()
    home.oci_config.write_bytes(OLD.encode())
    made(home, *GIVEN, "--no-passphrase", "--profile", "NEW")
    text = home.oci_config.read_bytes()
    assert text.startswith(OLD.encode()) and check(home, name="NEW")
    assert mode(home.oci_config) == 0o600
    assert (home.oci / "oci_api_key_NEW.pem").exists()
    refused = setup(home, *GIVEN, "--no-passphrase")
    assert refused.status == 6 and "--overwrite" in refused.err
    assert home.oci_config.read_bytes() == text and not home.key.exists()
    made(home, *GIVEN, "--no-passphrase", "--overwrite")
    check(home)
    kept = home.oci_config.read_bytes().splitlines()
    assert [line for line in text.splitlines() if line not in kept] == [
        b"user = ocid1.user.oc1..old", b"region=eu-zurich-1"]


def test_a_link_in_the_place_of_the_configuration_stays(home, tmp_path):
    home.oci.mkdir()
    target = tmp_path / "dotfiles-config"
    target.write_text("# kept elsewhere\n")
    home.oci_config.symlink_to(target)
    made(home, *GIVEN, "--no-passphrase")
    assert home.oci_config.is_symlink() and target.read_text().startswith("# kept elsewhere\n")
    check(home)


@pytest.mark.parametrize("form", ["-----BEGIN RSA", "ENCRYPTED"])
def test_a_key_made_by_openssl_is_taken(home, form):
    """The traditional form, as `openssl genrsa -aes128` wrote it."""
    home.oci.mkdir()
    key = home.oci / "by-hand.pem"
    lock = ["-aes128", "-passout", f"pass:{PHRASE}"] if form == "ENCRYPTED" else []
    subprocess.run(["openssl", "genrsa", "-traditional", *lock, "-out", key, "2048"], check=True,
                   capture_output=True)
    assert form in key.read_text()
    before = key.read_bytes()
    made(home, *GIVEN, "--key-file", key, phrase=PHRASE if lock else None)
    assert check(home, PHRASE if lock else None)["key_file"] == str(key)
    assert key.read_bytes() == before


@pytest.mark.parametrize("change, words", [
    (("--user", TENANCY), "OCID of a user"),
    (("--user", "me"), "OCID of a user"),
    (("--tenancy", USER), "OCID of a tenancy"),
    (("--region", "eu frankfurt"), "eu-frankfurt-1"),
    (("--region", "Frankfurt"), "'Frankfurt' is not a region: it looks like eu-frankfurt-1"),
    (("--profile", "a]b"), "name for a profile"),
    (("--key-file", "a=b.pem"), "'='"),
    (("--key-file", "/proc/none/key.pem"), "cannot make the directory '/proc/none'"),
    (("extra",), "'extra' is not key"),
    (("fingerprint",), "fingerprint of which key?"),
])
def test_bad_values_make_nothing(home, change, words):
    done = setup(home, *GIVEN, "--no-passphrase", *change)
    assert done.status in (1, 2) and words in done.err, done
    assert not home.oci_config.exists() and not home.key.exists()


def test_a_broken_configuration_is_told_by_its_line(home):
    home.oci.mkdir()
    home.oci_config.write_text("[DEFAULT]\nuser=x\nnonsense\n")
    done = setup(home, *GIVEN, "--no-passphrase")
    assert done.status == 5 and "line 3" in done.err
    assert home.oci_config.read_text() == "[DEFAULT]\nuser=x\nnonsense\n"
    assert not home.key.exists()


def test_without_a_terminal_it_says_which_option(home):
    assert "--user" in setup(home).err
    done = setup(home, *GIVEN)
    assert done.status == 2 and "--no-passphrase" in done.err and "--passphrase-fd" in done.err
    assert not home.key.exists()


class Person:
    """Types at a terminal that `ocictl`, or another program, has as its own."""

    def __init__(self, ocid, *args, program=None, env=None):
        self.fd, theirs = pty.openpty()
        self.seen = ""

        def own():
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background do not hear it
        self.process = subprocess.Popen(
            [*(program or [f"{ocid.bin}/ocictl"]), *args], env=env or ocid.env, stdin=theirs,
            stdout=theirs, stderr=theirs, preexec_fn=own)
        os.close(theirs)
        os.set_blocking(self.fd, False)

    def read(self):
        try:
            self.seen += os.read(self.fd, 65536).decode()
        except BlockingIOError:
            pass
        except OSError:  # the other end has closed
            return True
        return False

    def answers(self, prompt, text):
        until(lambda: self.read() or prompt in self.seen, f"the prompt '{prompt}'")
        assert prompt in self.seen, self.seen
        self.seen = self.seen.partition(prompt)[2]  # an answer as soon as the prompt is there counts
        os.write(self.fd, text.encode() + b"\n")

    def interrupts(self):
        """Ctrl-C, for whoever is in the foreground."""
        os.write(self.fd, b"\x03")

    def end(self):
        until(self.read, "the end of ocictl")
        os.close(self.fd)
        return self.process.wait(WAIT_S)


def test_a_person_is_asked(home):
    person = Person(home, "setup")
    person.answers("User OCID", USER)
    person.answers("Tenancy OCID", TENANCY)
    person.answers("Region", REGION)
    person.answers("Pass phrase for the new key", PHRASE)
    person.answers("Once more", PHRASE)
    assert person.end() == 0
    assert PHRASE not in person.seen
    check(home, PHRASE)


def test_two_different_pass_phrases_make_nothing(home):
    person = Person(home, "setup", *GIVEN)
    person.answers("Pass phrase for the new key", PHRASE)
    person.answers("Once more", PHRASE + "x")
    assert person.end() == 2 and "not the same" in person.seen
    assert not home.key.exists() and not home.oci_config.exists()


def test_a_fingerprint_of_either_half(home):
    made(home, *GIVEN, phrase=PHRASE)
    want = profile_of(home)["fingerprint"]
    assert made(home, "fingerprint", home.oci / "oci_api_key_public.pem").out == want + "\n"
    assert made(home, "fingerprint", "~/.oci/oci_api_key.pem", phrase=PHRASE).out == want + "\n"
    locked = setup(home, "fingerprint", home.key)
    assert locked.status == 5 and locked.err == (
        f"ocictl: setup: '{home.key}' has a pass phrase; --passphrase-fd N gives it\n")
    absent = setup(home, "fingerprint", home.oci / "none.pem")
    assert absent.status == 1 and "none.pem" in absent.err


def test_a_key_alone(home):
    made(home, "key", "--no-passphrase", "--key-file", home.files / "k.pem")
    assert not home.oci_config.exists()
    assert mode(home.files / "k.pem") == 0o600 and (home.files / "k_public.pem").exists()


def test_rights_are_closed(home):
    made(home, *GIVEN, "--no-passphrase")
    home.oci.chmod(0o755)
    for path in (home.key, home.oci_config):
        path.chmod(0o644)
    done = made(home, "permissions")
    assert all(str(path) in done.out for path in (home.oci, home.key, home.oci_config))
    assert [mode(p) for p in (home.oci, home.oci_config, home.key)] == [0o700, 0o600, 0o600]
    assert made(home, "permissions").out == ""


def test_the_policy_allows_one_place(home):
    done = made(home, "--print-policy", "oci://bucket/some/prefix/")
    assert all(line.startswith("Allow group ") and "target.bucket.name='bucket'" in line
               for line in done.out.splitlines())
    assert "target.object.name='some/prefix/*'" in done.out and not home.oci.exists()
    assert "target.object.name" not in made(home, "--print-policy", "oci://bucket").out
    assert setup(home, "--print-policy", "oci://bucket/it's").status == 2


@pytest.mark.parametrize("phrase", [None, PHRASE])
def test_it_waits_until_the_service_knows_the_key(home, store, b, phrase):
    home.start()
    args = [f"{home.bin}/ocictl", "setup", *GIVEN, "--wait"]
    reader, writer = os.pipe()
    os.write(writer, (phrase or "").encode() + b"\n")
    os.close(writer)
    process = subprocess.Popen([*args, "--passphrase-fd", str(reader)], env=home.env,
                               pass_fds=(reader,), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    os.close(reader)
    until(lambda: store.count(status=401), "the key is tried")
    assert process.poll() is None
    values = check(home, phrase)
    store.add_key(f"{TENANCY}/{USER}/{values['fingerprint']}",
                  public_half(home.key.read_bytes(), phrase))
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert re.search(rf"^id +{re.escape(USER)}$", out, re.MULTILINE)
    home.done(home.put(b"x", f"{b}/o"))


def test_it_does_not_wait_for_ever(home, store):
    home.start()
    done = setup(home, *GIVEN, "--no-passphrase", "--wait", "--timeout", "1s")
    assert done.status == 124 and "does not know the key yet" in done.err
    check(home)


def test_no_daemon_to_wait_with(home):
    done = setup(home, *GIVEN, "--no-passphrase", "--wait")
    assert done.status == 3
    check(home)


def test_a_secret_is_in_no_command_line_or_environment(home):
    """Stopped in the middle: the signer still waits for the end of the pass phrase."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [f"{home.bin}/ocictl", "setup", *GIVEN, "--passphrase-fd", str(reader)], env=home.env,
        pass_fds=(reader,), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(reader)
    os.write(writer, PHRASE.encode())
    seen = 0
    for pid in process_tree(process.pid):
        for name in ("cmdline", "environ"):
            assert PHRASE.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
            seen += 1
    assert seen >= 2
    os.write(writer, b"\n")
    os.close(writer)
    while process.poll() is None:
        for pid in process_tree(process.pid):
            for name in ("cmdline", "environ"):
                try:
                    assert PHRASE.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
                except OSError:  # it has ended meanwhile
                    continue
    assert process.communicate(timeout=START_S) and process.returncode == 0
    check(home, PHRASE)


CALLS = ("flock", "mkdir", "openat", "linkat", "unlink", "rename", "fsync", "fchmod", "write")


def kill_at(ocid, call, n, *command):
    """Runs it until it is killed at its nth such system call; whether it got through."""
    done = subprocess.run(
        ["strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
         f"inject={call}:signal=KILL:when={n}", *command],
        env={**ocid.env, **NO_LEAKS}, check=False, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=START_S)
    return done.returncode == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call", CALLS)
def test_killed_at_any_call_it_leaves_the_old_or_the_new(home, call):
    """For each n in turn (strace counts each kind of call by itself), until it gets through."""
    signer = [f"{home.bin}/ocid-signer", "setup", "--home", home.home, *GIVEN, "--overwrite"]
    for n in range(1, 200):
        shutil.rmtree(home.oci, ignore_errors=True)
        if call != "mkdir":
            home.oci.mkdir(mode=0o700)
            home.oci_config.write_bytes(OLD.encode())
        through = kill_at(home, call, n, *signer)
        if home.oci_config.exists() and home.oci_config.read_bytes() != OLD.encode():
            check(home)
        if home.key.exists():
            assert fingerprint(home.key.read_bytes()) and mode(home.key) == 0o600
        again = subprocess.run(signer, env=home.env, stdin=subprocess.DEVNULL,
                               capture_output=True, check=False, timeout=START_S)
        assert again.returncode == 0, again
        check(home)
        assert sorted(p.name for p in home.oci.iterdir()) == [
            "config", "oci_api_key.pem", "oci_api_key_public.pem"]
        if through:
            break
    assert through and n > 1, "it was killed at least once, and got through in the end"
