# SPDX-License-Identifier: Apache-2.0
"""test_live.py - the questions to the real service, asked of the test store: all can be settled,
none is answered otherwise than expected, nothing stays behind, and who has set it up wrongly is
told how to mend it."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import SLOW, alive, binaries, make_profile, process_tree, until
from test_auth import PHRASE
from test_modes import Session, session_ocid  # noqa: F401
from test_setup import Person

LIVE = Path(__file__).resolve().parents[1] / "live/live.py"
PROBLEM = re.compile(r"live: [^\n]+\n")


@pytest.fixture(autouse=True)
def temp(monkeypatch):
    """Temporary files of the run alone, of which none may stay."""
    folder = Path(tempfile.mkdtemp(prefix="ocid-t", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert left == []


def command(ocid, *words):
    return [sys.executable, LIVE, "--config", str(ocid.oci_config), *words]


def environment(ocid, **more):
    return {"HOME": str(ocid.home), "PATH": os.environ["PATH"], "OCID_BIN": str(binaries()),
            "TMPDIR": os.environ["TMPDIR"], **more}


def live(ocid, *words, env=(), **more):
    return subprocess.run(command(ocid, *words), env=environment(ocid, **dict(env)),
                          capture_output=True, text=True, timeout=100 * SLOW,
                          stdin=subprocess.DEVNULL, start_new_session=True, **more)


def ask(ocid, store, b, *words, **more):
    return live(ocid, "--endpoint", store.url, *words, b, **more)


def rows_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def all_is_as_expected(done):
    rows = rows_of(done)
    assert [row for row in rows if row["verdict"] != "as expected"] == [], done.stderr
    assert done.returncode == 0 and f"{len(rows)} settled, 0 not settled, 0 differ" in done.stderr
    assert len(rows) > 40 and all(row["claim"].endswith(".") for row in rows)


def nothing_stays(store, b, but=()):
    assert store.names(b) == list(but)
    assert store.uploads(b) == []


def gives_up(done, *words):
    """One sentence, and nothing was written."""
    assert done.returncode == 1 and PROBLEM.fullmatch(done.stderr), done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def test_every_question_is_settled_and_nothing_stays(make_ocid, store, b):
    store.put_object(f"{b}/of-somebody-else", b"x")
    all_is_as_expected(ask(make_ocid(), store, b, "--yes", "--json"))
    nothing_stays(store, b, ["of-somebody-else"])


def test_a_long_temporary_directory(make_ocid, store, b, tmp_path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    done = ask(make_ocid(), store, b, "--yes", "--json", env={"TMPDIR": str(folder)})
    all_is_as_expected(done)
    assert list(folder.iterdir()) == []


def test_people_read_one_line_a_question(make_ocid, store, b):
    done = ask(make_ocid(), store, b, "--yes")
    *lines, last = done.stdout.splitlines()
    assert all(re.fullmatch(r"as expected  \w+: .+ - .+\.", line) for line in lines), done.stdout
    assert last.startswith(f"{len(lines)} settled, 0 not settled, 0 differ; ")


def test_an_answer_of_another_kind_differs(make_ocid, store, b):
    ocid = make_ocid()
    store.on("BatchDeleteObjects", do="status", status=405, code="MethodNotAllowed", count=0)
    store.on("RenameObject", do="status", status=200, at="read", count=0)
    store.on("CreatePreauthenticatedRequest", do=403, count=0)
    done = ask(ocid, store, b, "--yes")
    found = {line.split(": ")[0]: line for line in done.stdout.splitlines()}
    assert ("a_batch_of_deletes: 405 MethodNotAllowed (expected 200, 1 deleted, 1 failed by 404) - "
            in found["differs      a_batch_of_deletes"])
    assert "403 NotAuthorized (expected 200, then 404)" in found["not settled  a_link_and_its_end"]
    assert "differs      a_rename_to_the_same_name" in found
    assert "3 not settled, 2 differ" in done.stdout and done.returncode == 1
    nothing_stays(store, b)


def test_it_asks_before_it_begins(make_ocid, store, b):
    done = ask(make_ocid(), store, b)
    assert done.returncode == 1 and "nothing was done" in done.stderr
    assert store.count("PutObject") == 0


# Who is set up wrongly.

def drop(key):
    def spoil(ocid, _tmp_path):
        text = ocid.oci_config.read_text()
        ocid.oci_config.write_text(re.sub(rf"(?m)^{key}=.*\n", "", text))
    return spoil


def set_to(key, value):
    def spoil(ocid, _tmp_path):
        text = ocid.oci_config.read_text()
        ocid.oci_config.write_text(re.sub(rf"(?m)^({key}=).*$", rf"\g<1>{value}", text))
    return spoil


def key_file(make):
    """The profile's key_file is what make() writes."""
    def spoil(ocid, tmp_path):
        path = tmp_path / "other.pem"
        path.write_bytes(make(ocid))
        set_to("key_file", path)(ocid, tmp_path)
    return spoil


def public_key(ocid):
    return ocid.profile.public_pem.encode()


def damaged_key(ocid):
    return Path(ocid.profile.key_file).read_bytes().replace(b"\nM", b"\n*", 1)


def other_kind(_ocid):
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())


def locked_key(ocid):
    return Path(make_profile(ocid.files, passphrase=PHRASE).key_file).read_bytes()


def wrong_phrase(ocid, tmp_path):
    key_file(locked_key)(ocid, tmp_path)
    ocid.oci_config.write_text(ocid.oci_config.read_text().rstrip() + "\npass_phrase=other\n")


def text_of_file(text):
    return lambda ocid, _tmp_path: ocid.oci_config.write_text(text)


def no_token(ocid, tmp_path):
    drop("user")(ocid, tmp_path)
    ocid.oci_config.write_text(ocid.oci_config.read_text().rstrip()
                               + f"\nsecurity_token_file={ocid.home}/token\n")


def bad_token(ocid, tmp_path):
    no_token(ocid, tmp_path)
    (ocid.home / "token").write_text("no token\n")


@pytest.mark.parametrize("spoil, words", [
    (lambda ocid, _: ocid.oci_config.unlink(), "No such file or directory; ocictl setup makes one"),
    (text_of_file("user=1\n"), "is not a file of profiles: File contains no section headers"),
    (text_of_file("[OTHER]\nuser=1\n"), "has no key_file"),
    *[(drop(key), f"profile DEFAULT of CONFIG has no {key}: add a line")
      for key in ("key_file", "tenancy", "user", "fingerprint", "region")],
    (set_to("key_file", "/nowhere/key.pem"), "/nowhere/key.pem of profile DEFAULT: No such"),
    (set_to("key_file", "/"), "Is a directory"),
    (set_to("region", "a region"), "region 'a region' cannot be one"),
    (key_file(public_key), "is no private key"),
    (key_file(damaged_key), "cannot be read as a key"),
    (key_file(other_kind), "is no RSA key"),
    (key_file(locked_key), "is encrypted and there is no terminal"),
    (wrong_phrase, "the pass phrase does not open"),
    (no_token, "cannot read the security_token_file"),
    (bad_token, "is no session's token: oci session authenticate makes one"),
    (text_of_file("[DEFAULT]\nauthentication_type=instance_principal\n"),
     "signs by instance_principal"),
])
def test_a_profile_that_cannot_be_used(make_ocid, store, b, tmp_path, spoil, words):
    ocid = make_ocid()
    spoil(ocid, tmp_path)
    gives_up(ask(ocid, store, b, "--yes"), words.replace("CONFIG", str(ocid.oci_config)))
    assert store.log() == [], "nothing was asked of the service"


@pytest.mark.parametrize("words, text", [
    (("--endpoint", "https://127.0.0.1:1"), "cannot reach https://127.0.0.1:1: Connection refused"),
    (("--endpoint", "https://nowhere.invalid"), "cannot reach https://nowhere.invalid: "),
    (("--endpoint", "nowhere"), "names no host"),
    (("--endpoint", "https://h:port"), "is no address"),
    (("--endpoint", "ftp://h"), "write it as https://host"),
    (("--profile", "OTHER"), "has no profile OTHER; it has DEFAULT"),
    (("--proxy", "http://127.0.0.1:1"), "through the proxy 127.0.0.1: Connection refused"),
    (("--proxy", "socks5://127.0.0.1:1"), "of a kind that only ocid speaks"),
    (("--proxy", "http://u:p@127.0.0.1:1"), "the proxy's address names a user"),
    (("--passphrase-fd", "77"), None),
    (("--ca-file", "/nowhere"), None),
])
def test_a_place_that_cannot_be_reached(make_ocid, store, b, words, text):
    """What the key and plain http do not need is not looked at."""
    done = ask(make_ocid(), store, b, *words)
    if text is None:
        assert "nothing was done" in done.stderr
    else:
        gives_up(done, text)


def test_a_certificate_that_is_not_trusted(make_ocid, make_store):
    store = make_store(tls=True)
    gives_up(ask(make_ocid(), store, "b", "--yes"), "is not trusted", "--ca-file")
    gives_up(ask(make_ocid(), store, "b", "--yes", "--ca-file", "/nowhere"), "/nowhere cannot be")


@pytest.mark.parametrize("folder, words", [
    ("/nowhere", "there is no program /nowhere/ocid"),
    ("/", "there is no program /ocid"),
])
def test_programs_are_looked_for_first(make_ocid, store, b, folder, words):
    done = ask(make_ocid(), store, b, "--yes", env={"OCID_BIN": folder})
    gives_up(done, words, "set OCID_BIN")
    assert store.log() == []


def test_a_key_that_the_service_does_not_know(make_ocid, store, b, tmp_path):
    other = make_profile(tmp_path, user="ocid1.user.oc1..unknown")
    gives_up(ask(make_ocid(profile=other), store, b, "--yes"), "refuses profile DEFAULT: 401",
             "ocictl doctor")


def test_a_bucket_that_there_is_not(make_ocid, store, b):
    gives_up(ask(make_ocid(), store, "no-such-bucket", "--yes"),
             "bucket no-such-bucket of namespace testns does not exist in us-ashburn-1, or profile "
             "DEFAULT may not read it: 404 BucketNotFound", "ocictl mkbucket")
    gives_up(ask(make_ocid(), store, "../x", "--yes"), "bucket ../x")


def test_a_bucket_that_keeps_versions_is_refused(make_ocid, store, b):
    store.make_bucket(b + "v", versioning="Enabled")
    gives_up(ask(make_ocid(), store, b + "v", "--yes"), "keeps versions")
    assert store.count("PutObject", bucket=b + "v") == 0


@pytest.mark.parametrize("op, words", [("PutObject", "may not write in"),
                                       ("DeleteObject", "may not delete what it has written in")])
def test_a_bucket_where_one_may_only_read(make_ocid, store, b, op, words):
    store.on(op, do="status", status=404, code="BucketNotFound", count=1)
    ocid = make_ocid()
    done = ask(ocid, store, b, "--yes")
    assert done.returncode == 1 and done.stdout == ""
    assert f"profile DEFAULT {words} the bucket {b}: 404" in done.stderr
    nothing_stays(store, b)


def test_what_cannot_be_cleaned_up_is_told(make_ocid, store, b):
    for op in ("ListMultipartUploads", "ListObjects"):
        store.on(op, do="status", status=403, count=0)
    done = ask(make_ocid(), store, b, "--yes")
    assert done.returncode == 1 and f"in {b} could be deleted" in done.stderr


def test_a_service_that_goes_away_is_not_asked_for_ever(make_ocid, store, b):
    store.on("HeadObject|GetObject", do="reset", nth=8, count=0)
    store.on("PutObject", do="reset", nth=6, count=0)
    ocid = make_ocid()
    done = ask(ocid, store, b, "--yes", "--json")
    assert "does not answer any more" in done.stderr and done.returncode == 1
    assert "Traceback" not in done.stderr
    store.clear()
    nothing_stays(store, b)


# Other ways to the service.

def test_a_locked_key_is_opened_by_a_descriptor(make_ocid, store, b, tmp_path):
    profile = make_profile(tmp_path, passphrase=PHRASE, user="ocid1.user.oc1..locked")
    store.add_key(profile.key_id, profile.public_pem)
    ocid = make_ocid(profile=profile)
    reader, writer = os.pipe()
    os.write(writer, PHRASE.encode() + b"\n")
    os.close(writer)
    done = ask(ocid, store, b, "--yes", "--json", "--passphrase-fd", str(reader),
               pass_fds=(reader,))
    os.close(reader)
    all_is_as_expected(done)
    nothing_stays(store, b)


def test_a_user_with_a_token_file_is_no_session(make_ocid, store, b):
    """As ocid has it: the key counts."""
    ocid = make_ocid()
    ocid.oci_config.write_text(ocid.oci_config.read_text().rstrip()
                               + f"\nsecurity_token_file={ocid.home}/token\n")
    all_is_as_expected(ask(ocid, store, b, "--yes", "--json"))


def test_a_session_asks_by_its_token(session_ocid, store, b):  # noqa: F811
    session = Session(session_ocid, store)
    token = session.token
    all_is_as_expected(ask(session_ocid, store, b, "--yes", "--json", "--profile", "S"))
    assert all(entry["token"] for entry in store.log(bucket=b) if entry["auth"] == "signature")
    assert session.token == token, "the session's file is left alone"
    nothing_stays(store, b)


class Proxy:
    """Takes CONNECT, notes where to, and joins the two ends; or refuses."""

    def __init__(self, refuse=False):
        self.refuse, self.seen = refuse, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(near,), daemon=True).start()

    def one(self, near):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            block = near.recv(1)
            if not block:
                return
            head += block
        target = head.split()[1].decode()
        self.seen.append(target)
        if self.refuse:
            near.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            near.close()
            return
        host, _, port = target.rpartition(":")
        far = socket.create_connection((host, int(port)))
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.carry, args=(far, near), daemon=True).start()
        self.carry(near, far)

    @staticmethod
    def carry(source, to):
        try:
            while block := source.recv(1 << 16):
                to.sendall(block)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


@pytest.fixture
def make_proxy():
    made = []

    def make(**options):
        made.append(Proxy(**options))
        return made[-1]
    yield make
    for one in made:
        one.close()


def test_all_goes_through_the_proxy(make_ocid, make_store, make_proxy):
    store, proxy = make_store(tls=True), make_proxy()
    done = ask(make_ocid(store), store, "b", "--yes", "--json", "--ca-file", store.ca_file,
               env={"https_proxy": proxy.url, "no_proxy": "example.com,10.0.0.0/8"})
    all_is_as_expected(done)
    n = int(re.search(r"; (\d+) requests", done.stderr)[1])
    assert len(proxy.seen) > n, "those of ocid, too"
    assert set(proxy.seen) == {store.url.removeprefix("https://")}
    nothing_stays(store, "b")


@pytest.mark.parametrize("spared", ["127.0.0.1", "127.0.0.0/8", "*"])
def test_a_host_may_be_spared_the_proxy(make_ocid, make_store, make_proxy, spared):
    store, proxy = make_store(tls=True), make_proxy()
    done = ask(make_ocid(store), store, "b", "--ca-file", store.ca_file,
               env={"HTTPS_PROXY": proxy.url, "NO_PROXY": spared})
    assert "nothing was done" in done.stderr and proxy.seen == []


@pytest.mark.parametrize("region, host", [
    ("eu-frankfurt-1", "objectstorage.eu-frankfurt-1.oraclecloud.com"),
    ("FRA", "objectstorage.eu-frankfurt-1.oraclecloud.com"),
    ("us-luke-1", "objectstorage.us-luke-1.oraclegovcloud.com"),
    ("uk-gov-london-1", "objectstorage.uk-gov-london-1.oraclegovcloud.uk"),
    ("xx-new-1", "objectstorage.xx-new-1.oraclecloud.com"),
    ("xx-new-1.example.org", "objectstorage.xx-new-1.example.org"),
])
def test_each_realm_has_its_domain(make_ocid, make_proxy, tmp_path, region, host):
    proxy, ocid = make_proxy(refuse=True), make_ocid()
    set_to("region", region)(ocid, tmp_path)
    gives_up(live(ocid, "--proxy", proxy.url, "b"),
             f"cannot reach https://{host} through the proxy", "403")
    assert proxy.seen == [f"{host}:443"]


# When it is ended.

def test_a_transfer_that_takes_too_long_is_given_up(make_ocid, store, b):
    store.on("UploadPart", bucket=b, object="*/ocid", do="hang", count=0)
    ocid = make_ocid()
    done = ask(ocid, store, b, "--yes", "--json", "--patience", "2")
    first, *rest = rows_of(done)
    assert first["verdict"] == "differs" and first["found"].startswith("push: not done within 2 s")
    assert "Traceback" not in done.stderr and {row["verdict"] for row in rest} == {"as expected"}
    store.clear()
    nothing_stays(store, b)


@pytest.fixture
def person(make_ocid, store, b):
    """Somebody who has begun, at a terminal."""
    ocid = make_ocid()
    one = Person(ocid, "--endpoint", store.url, b, program=command(ocid), env=environment(ocid))
    yield one
    store.clear()
    one.process.kill()
    one.process.wait()


def test_ctrl_c_leaves_nothing(person, store, b):
    """In the middle of what ocid sends, and again while that is deleted."""
    store.on("UploadPart", object="*/ocid", do="hang", nth=2, count=0)
    store.on("ListObjects", do="hang", count=0)
    person.answers("Begin?", "y")
    store.wait_hit("UploadPart", 2)
    below = process_tree(person.process.pid)[1:]
    assert len(below) >= 3, "ocid, ocid-signer, ocictl"
    person.interrupts()
    store.wait_hit("ListObjects")
    until(lambda: not any(map(alive, below)), "its programs are ended")
    assert store.uploads(b) != []
    person.interrupts()
    person.interrupts()
    store.clear()
    assert person.end() == 130
    assert person.seen.count("live: interrupted: deleting what was made") == 1
    assert "Traceback" not in person.seen
    nothing_stays(store, b)


def test_ctrl_c_between_questions_leaves_nothing(person, store, b):
    store.on("RenameObject", do="hang", count=0)
    person.answers("Begin?", "y")
    store.wait_hit("RenameObject")
    assert store.names(b) != []
    person.interrupts()
    assert person.end() == 130 and "Traceback" not in person.seen
    nothing_stays(store, b)


def test_ctrl_c_before_it_begins(person, store, b):
    until(lambda: person.read() or "Begin?" in person.seen, "it asks")
    for _ in range(3):  # Python does not hear one that comes between its prompt and its read
        person.interrupts()
        with contextlib.suppress(TimeoutError):
            until(person.read, "it has heard", 5 * SLOW)
            break
    assert person.end() == 130 and "Traceback" not in person.seen
    assert store.count("PutObject") == 0


@pytest.mark.parametrize("number", [1, 15])
def test_other_signals_leave_nothing(make_ocid, store, b, number):
    ocid = make_ocid()
    store.on("CopyObject", do="hang", count=0)
    process = subprocess.Popen(command(ocid, "--endpoint", store.url, "--yes", b),
                               env=environment(ocid), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store.wait_hit("CopyObject")
    process.send_signal(number)
    out, err = process.communicate(timeout=60 * SLOW)
    assert process.returncode == 128 + number and "interrupted" in err and "Traceback" not in err
    assert "as expected  a_rename: " in out
    nothing_stays(store, b)


def test_no_is_an_answer(person, store):
    person.answers("Begin?", "n")
    assert person.end() == 1 and "nothing was done" in person.seen
    assert store.count("PutObject") == 0
