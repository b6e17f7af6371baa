# SPDX-License-Identifier: Apache-2.0
"""test_modes.py - who signs by a token: resources, instances and sessions, and what happens when
their tokens end; and keys that are replaced while they are used."""

import os
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from harness import MIB, SLOW, blob, client_library, make_profile, process_tree, until

from objstore.tokens import new_key, private_pem

SHORT_S = round(6 * SLOW)
RESOURCE = {"profile FN__auth": "resource_principal", "credentials__profile": "FN",
            "transfer__connections": 2}


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def replace(path, text):
    """As a platform does it: no reader sees half a file."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.rename(path)


class Function:
    """A function's environment: a key and a token, as values or in files that are replaced."""

    def __init__(self, store, folder=None, seconds=None):
        self.store, self.folder, self.seconds = store, folder, seconds
        self.given = {}
        self.give()

    def give(self):
        """A fresh key and token; the environment."""
        key = new_key()
        values = {"PRIVATE_PEM": private_pem(key),
                  "RPST": self.store.resource_token(public_pem(key), self.seconds)}
        self.given = dict(values)
        if self.folder:
            for name, text in values.items():
                replace(self.folder / name, text)
            values = {name: str(self.folder / name) for name in values}
        return {"OCI_RESOURCE_PRINCIPAL_VERSION": "2.2", "OCI_RESOURCE_PRINCIPAL_REGION": "iad",
                **{f"OCI_RESOURCE_PRINCIPAL_{name}": text for name, text in values.items()}}


class Again:
    """Calls something every so often until the end of the block."""

    def __init__(self, call, seconds):
        self.call, self.seconds, self.over = call, seconds, threading.Event()
        self.n, self.error = 0, None

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over.wait(self.seconds):
            try:
                self.call()
            except Exception as error:  # told at the end of the block
                self.error = error
                return
            self.n += 1

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error


@pytest.fixture
def token_seconds(store):
    """token_seconds(4): tokens live so long."""
    yield lambda seconds: store.settings(token_seconds=seconds)
    store.settings(token_seconds=3600)


def crosses_refreshes(ocid, store, b, refreshes=3, seconds=SHORT_S):
    """A multipart put that takes longer than that many tokens live: no request of it fails. A
    request is judged at its beginning, so a slow one may outlive its token."""
    parts = 2 * (refreshes + 1)
    store.on("UploadPart", do="delay", at="answer", seconds=seconds, count=0)
    data = blob(parts * MIB)
    job, seen = ocid.put(data, f"{b}/o", part_mib=1), []
    ocid.wait_that(job, lambda s: seen.append((s.state, s.why)) or s.final, "at its end",
                   timeout=60 * SLOW)
    ocid.done(job)
    assert not [state for state, _ in seen if state == "waiting"], "it never had to wait"
    store.clear()
    assert store.object_bytes(f"{b}/o") == data
    log = store.log(bucket=b)
    assert [entry for entry in log if entry["status"] != 200] == []
    assert len({entry["token"] for entry in log}) > refreshes
    assert ocid.client.stats()["retries"] == 0


@pytest.mark.parametrize("form", ["values", "files"])
def test_a_function_signs_by_what_its_platform_gives(make_ocid, store, b, tmp_path, form):
    function = Function(store, tmp_path if form == "files" else None)
    ocid = make_ocid(**RESOURCE)
    ocid.oci_config.unlink()  # a function has none
    ocid.start(**function.give())
    data = blob(3 * MIB)
    ocid.done(ocid.put(data, f"{b}/o"))
    assert store.object_bytes(f"{b}/o") == data
    assert all(entry["token"] for entry in store.log(bucket=b))
    assert ocid.client.stats()["profiles"] == {"FN": "ok"}


@pytest.mark.slow
def test_a_function_outlives_its_tokens(make_ocid, store, b, tmp_path):
    function = Function(store, tmp_path, SHORT_S)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    with Again(function.give, SHORT_S / 2):
        crosses_refreshes(ocid, store, b)


def shown(ocid, uri):
    """The state of the profile as the daemon tells it, once somebody has wanted to use it."""
    with pytest.raises(client_library.Login):
        ocid.client.head(uri)
    (word,) = ocid.client.stats()["profiles"].values()
    return word


def test_a_token_that_cannot_be_renewed_is_waited_for(make_ocid, store, b, tmp_path):
    """The platform is late: the job waits and goes on by itself when the files are there."""
    function = Function(store, tmp_path, 2)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/1"))
    end = time.monotonic() + 30 * SLOW
    while True:
        job = ocid.put(b"x", f"{b}/2")
        status = ocid.wait_that(job, lambda s: s.final or s.why == "login", "over")
        if status.why == "login":
            break
        assert time.monotonic() < end
    assert "has expired" in status.outcome.text and "FN" in status.outcome.text
    until(lambda: shown(ocid, f"{b}/o") == "over", "it is shown")
    assert store.count(bucket=b, status=401) <= 2, "an expired token is not sent"
    function.seconds = None
    function.give()
    ocid.done(job)


def test_a_revoked_token_is_read_anew(make_ocid, store, b, tmp_path):
    function = Function(store, tmp_path)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/1"))
    store.revoke_tokens()
    function.give()
    ocid.done(ocid.put(b"x", f"{b}/2"))
    assert store.count(bucket=b, status=401) <= 1


@pytest.mark.parametrize("change, words", [
    ({"VERSION": None}, "OCI_RESOURCE_PRINCIPAL_VERSION is not set"),
    ({"VERSION": "3.0"}, "'3.0' are not known here"),
    ({"RPST": None}, "OCI_RESOURCE_PRINCIPAL_RPST is not set"),
    ({"RPST": "/nowhere/rpst"}, "/nowhere/rpst"),
    ({"RPST": "no token"}, "OCI_RESOURCE_PRINCIPAL_RPST: it is no token"),
    ({"PRIVATE_PEM": "no key"}, "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM: "),
    ({"REGION": None}, "OCI_RESOURCE_PRINCIPAL_REGION is not set"),
])
def test_what_a_function_lacks_is_said(make_ocid, store, b, change, words):
    env = Function(store).give()
    for name, value in change.items():
        if value is None:
            del env[f"OCI_RESOURCE_PRINCIPAL_{name}"]
        else:
            env[f"OCI_RESOURCE_PRINCIPAL_{name}"] = value
    ocid = make_ocid(**RESOURCE).start(**env)
    status = ocid.wait_for(ocid.put(b"x", f"{b}/o"), "waiting", "login")
    assert words in status.outcome.text
    assert store.log(bucket=b) == []


def test_variables_of_resources_are_dropped_where_no_profile_wants_them(make_ocid, store, b):
    ocid = make_ocid().start(**Function(store).give())
    ocid.done(ocid.put(b"x", f"{b}/o"))
    for pid in process_tree(ocid.pid):
        assert b"OCI_RESOURCE" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_profiles_of_ocid_conf_come_and_go_by_a_reload(make_ocid, store, b, profile):
    ocid = make_ocid().start()
    ocid.configure(**{"profile OTHER__auth": "resource_principal"})
    ocid.reload()
    with pytest.raises(client_library.OcidError) as error:
        ocid.client.head(f"{b}/o", profile="OTHER")
    assert "looked at when ocid starts" in str(error.value) or "VERSION is not set" in str(
        error.value)
    ocid.write_profile(profile, "OTHER")
    ocid.configure(**{"profile OTHER__auth": "api_key"})
    ocid.reload()
    ocid.done(ocid.put(b"x", f"{b}/o", profile="OTHER"))


# Instances.

INSTANCE = {"profile VM__auth": "instance_principal", "credentials__profile": "VM",
            "transfer__connections": 2}


@pytest.fixture
def make_instance(make_ocid, store):
    """make_instance(**settings): a daemon, not started, on a compute instance."""
    return lambda **settings: make_ocid(**{"network__metadata_endpoint": store.url, **INSTANCE,
                                           **settings})


@pytest.fixture
def instance(make_instance):
    """On a compute instance, where nobody has made a configuration."""
    ocid = make_instance()
    ocid.oci_config.unlink()
    return ocid.start()


def documents(store):
    return [entry["object"] for entry in store.log("GetMetadata")]


def test_an_instance_trades_its_certificate_for_a_token(instance, store, b):
    assert store.log() == [], "nobody has asked for anything"
    data = blob(3 * MIB)
    instance.done(instance.put(data, f"{b}/o"))
    assert store.object_bytes(f"{b}/o") == data
    assert documents(store) == ["instance/region", "identity/cert.pem", "identity/key.pem",
                                "identity/intermediate.pem"]
    assert store.count("FederateInstance", status=200) == 1
    log = store.log(bucket=b)
    assert {entry["status"] for entry in log} == {200}
    assert len({entry["token"] for entry in log}) == 1 and log[0]["token"]
    assert instance.client.stats()["profiles"] == {"VM": "ok"}


def test_an_instance_named_in_the_file_of_the_sdks(make_ocid, store, b):
    ocid = make_ocid(network__metadata_endpoint=store.url)
    ocid.oci_config.write_text("[DEFAULT]\nauthentication_type=instance_principal\nregion=iad\n")
    ocid.start()
    ocid.done(ocid.put(b"x", f"{b}/o"))
    assert "instance/region" not in documents(store), "the profile says where it is"


def test_many_jobs_wait_for_one_federation(make_instance, store, b):
    ocid = make_instance(transfer__connections=32).start()
    store.on("FederateInstance", do="hang", count=1)
    jobs = [ocid.put(b"x", f"{b}/{i}") for i in range(50)]
    store.wait_hit("FederateInstance")
    store.release()
    for job in jobs:
        ocid.done(job)
    assert store.count("FederateInstance") == 1


@pytest.mark.slow
def test_an_instance_outlives_its_tokens(instance, store, b, token_seconds):
    token_seconds(SHORT_S)
    crosses_refreshes(instance, store, b)


@pytest.mark.slow
def test_an_instance_whose_certificates_rotate(instance, store, b, token_seconds):
    """Each renewal asks for certificates anew."""
    token_seconds(SHORT_S)
    with Again(store.rotate_instance, SHORT_S / 3):
        crosses_refreshes(instance, store, b)
    keys = documents(store).count("identity/key.pem")
    assert keys == store.count("FederateInstance") > 3


@pytest.mark.parametrize("op, fault", [
    ("GetMetadata", {"do": 503}), ("GetMetadata", {"do": 429}), ("GetMetadata", {"do": "reset"}),
    ("FederateInstance", {"do": 500}), ("FederateInstance", {"do": "reset"}),
    ("FederateInstance", {"do": "clock", "offset": 3600}),
])
def test_a_federation_that_fails_for_now_is_tried_again(instance, store, b, op, fault):
    store.on(op, **fault)
    instance.done(instance.put(b"x", f"{b}/o"))
    assert store.count("FederateInstance", status=200) == 1


@pytest.mark.slow
def test_a_token_is_kept_while_it_lives_though_renewals_fail(instance, store, b, token_seconds):
    token_seconds(round(12 * SLOW))
    instance.done(instance.put(b"x", f"{b}/o"))
    store.on("FederateInstance", do=503, count=2)
    store.wait_hit("FederateInstance", 4, timeout=60 * SLOW)
    instance.done(instance.put(b"x", f"{b}/p"))
    assert store.count(bucket=b, status=401) == 0


def test_a_revoked_token_is_traded_for_another(instance, store, b):
    instance.done(instance.put(b"x", f"{b}/1"))
    time.sleep(2.1)  # a token that has just come is not asked for again
    store.revoke_tokens()
    job = instance.put(b"x", f"{b}/2")
    states = []
    instance.wait_that(job, lambda s: states.append(s.why) or s.final, "at its end")
    instance.done(job)
    assert store.count("FederateInstance") == 2
    assert "login" not in states, "nobody has to do anything"
    assert 1 <= store.count(bucket=b, status=401) <= 4


def test_an_instance_that_is_refused_waits_and_goes_on_by_itself(instance, store, b):
    store.on("FederateInstance", do=401, count=2, message="no dynamic group")
    job = instance.put(b"x", f"{b}/o")
    status = instance.wait_for(job, "waiting", "login")
    assert "refuses this instance" in status.outcome.text
    instance.done(job)
    assert store.count("FederateInstance") == 3


def test_a_machine_that_is_no_instance_says_so(instance, store, b):
    store.on("GetMetadata", do=404, object="identity/*", count=0)
    status = instance.wait_for(instance.put(b"x", f"{b}/o"), "waiting", "login")
    assert "is this a compute instance?" in status.outcome.text


def test_no_metadata_service_is_a_network_that_fails(make_instance, b):
    ocid = make_instance(network__metadata_endpoint="http://127.0.0.1:1").start()
    status = ocid.wait_for(ocid.put(b"x", f"{b}/o"), "waiting", "network")
    assert "metadata service" in status.outcome.text


@pytest.mark.parametrize("path, text, words", [
    ("identity/cert.pem", "nonsense", "the instance's certificate is not one"),
    ("identity/key.pem", "nonsense", "the instance's key: "),
    ("identity/intermediate.pem", "", "the intermediate certificate is not one"),
])
def test_nonsense_of_the_metadata_service_is_told(instance, store, b, path, text, words):
    store.on("GetMetadata", do="status", status=200, object=path, body=text, at="answer", count=0)
    status = instance.wait_for(instance.put(b"x", f"{b}/o"), "waiting", "login")
    assert words in status.outcome.text
    store.clear()


def test_a_region_that_no_table_has(make_instance, store, b):
    """Its domain comes from the metadata service, too."""
    ocid = make_instance().start()
    store.on("GetMetadata", do="status", status=200, object="instance/region", body="xx-new-1",
             at="answer")
    ocid.done(ocid.put(b"x", f"{b}/o"))
    assert "instance/regionInfo" in documents(store)


def test_a_reload_keeps_the_token_of_an_instance(instance, store, b):
    instance.done(instance.put(b"x", f"{b}/1"))
    instance.reload()
    instance.done(instance.put(b"x", f"{b}/2"))
    assert store.count("FederateInstance") == 1


# Sessions.

class Session:
    """What `oci session authenticate` leaves: a key, a token, a section in ~/.oci/config."""

    def __init__(self, ocid, store, passphrase=None):
        self.store, self.passphrase = store, passphrase
        self.folder = ocid.home / ".oci/sessions/S"
        self.folder.mkdir(mode=0o700, parents=True)
        self.token_file = self.folder / "token"
        profile = ocid.profile
        ocid.oci_config.write_text(
            # as is usual: a key in DEFAULT, whose user all others inherit
            f"[DEFAULT]\nuser={profile.user}\nfingerprint={profile.fingerprint}\n"
            f"tenancy={profile.tenancy}\nregion=us-ashburn-1\nkey_file={profile.key_file}\n\n"
            f"[S]\nfingerprint={profile.fingerprint}\nkey_file={self.folder}/key.pem\n"
            f"tenancy={profile.tenancy}\nregion=us-ashburn-1\n"
            f"security_token_file={self.token_file}\n")
        ocid.configure(credentials__profile="S", transfer__connections=2)
        self.login()

    def login(self, **options):
        """A new login: another key, another token."""
        self.key = new_key()
        replace(self.folder / "key.pem", self.private_pem)
        self.give(**options)

    def give(self, **options):
        """Another token for the same key."""
        replace(self.token_file, self.store.session_token(public_pem(self.key), **options))

    @property
    def private_pem(self):
        return private_pem(self.key)

    @property
    def token(self):
        return self.token_file.read_text()


@pytest.fixture
def session_ocid(make_ocid):
    return make_ocid(credentials__profile="S")


def test_a_session_signs_by_its_token(session_ocid, store, b):
    session = Session(session_ocid, store)
    session.token_file.write_text(f"\n{session.token} \n")  # Oracle's tools do not strip it
    session_ocid.start()
    data = blob(3 * MIB)
    session_ocid.done(session_ocid.put(data, f"{b}/o"))
    assert store.object_bytes(f"{b}/o") == data
    assert all(entry["token"] for entry in store.log(bucket=b))
    assert session_ocid.client.whoami()["id"] == store.profile.user
    assert store.count("RefreshSession") == 0


@pytest.mark.slow
def test_a_session_outlives_its_tokens(session_ocid, store, b, token_seconds):
    token_seconds(SHORT_S)
    session = Session(session_ocid, store)
    first = session.token
    session_ocid.start()
    crosses_refreshes(session_ocid, store, b)
    assert store.count("RefreshSession", status=200) == store.count("RefreshSession") >= 3
    assert session.token != first and session.token_file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in session.folder.iterdir()) == ["key.pem", "token"]
    claims = {entry["token"] for entry in store.log("RefreshSession")}
    assert len(claims) >= 3, "each was signed by the one before"


@pytest.mark.slow
def test_a_session_that_others_refresh(session_ocid, store, b, token_seconds):
    token_seconds(SHORT_S)
    session = Session(session_ocid, store)
    session_ocid.configure(**{"profile S__refresh": "no"})
    session_ocid.start()
    with Again(session.give, SHORT_S / 2):
        crosses_refreshes(session_ocid, store, b)
    assert store.count("RefreshSession") == 0


def test_a_session_that_is_over_waits_for_a_new_login(session_ocid, store, b):
    session = Session(session_ocid, store)
    session_ocid.start()
    session_ocid.done(session_ocid.put(b"x", f"{b}/1"))
    store.revoke_tokens()
    jobs = [session_ocid.put(b"x", f"{b}/{i}") for i in range(2, 5)]
    for job in jobs:
        status = session_ocid.wait_for(job, "waiting", "login")
        assert status.outcome.http_status == 401
    assert store.count("RefreshSession", status=401) >= 1
    session.login()  # nobody tells the daemon
    for job in jobs:
        session_ocid.done(job)


def test_a_session_that_has_expired_says_how_to_mend_it(session_ocid, store, b):
    store.set_clock(-4000)
    session = Session(session_ocid, store)
    store.set_clock(0)
    session_ocid.start()
    status = session_ocid.wait_for(session_ocid.put(b"x", f"{b}/o"), "waiting", "login")
    assert "oci session authenticate" in status.outcome.text
    assert store.count(bucket=b) == 0, "nothing is sent by an expired token"
    session.login()
    session_ocid.done(status.id)


def test_a_session_without_a_token_file(session_ocid, store, b):
    session = Session(session_ocid, store)
    session.token_file.unlink()
    session_ocid.start()
    status = session_ocid.wait_for(session_ocid.put(b"x", f"{b}/o"), "waiting", "login")
    assert str(session.token_file) in status.outcome.text
    session.login()
    session_ocid.done(status.id)


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{"do": 503}, {"do": "truncate", "after": 40}])
def test_a_refresh_that_fails_for_now_is_tried_again(session_ocid, store, b, token_seconds, fault):
    token_seconds(round(12 * SLOW))  # three seconds of which are for a second try
    Session(session_ocid, store)
    session_ocid.start()
    store.on("RefreshSession", **fault)
    session_ocid.done(session_ocid.put(b"x", f"{b}/1"))
    store.wait_hit("RefreshSession", 2, timeout=30 * SLOW, state="done")
    session_ocid.done(session_ocid.put(b"x", f"{b}/2"))
    assert store.count(bucket=b, status=401) == 0


@pytest.mark.slow
def test_a_token_of_another_tool_is_not_overwritten(session_ocid, store, b, token_seconds):
    """It came while ours was being asked for: it may belong to another login."""
    token_seconds(SHORT_S)
    session = Session(session_ocid, store)
    session_ocid.start()
    store.on("RefreshSession", do="hang", at="answer", count=1)
    session_ocid.done(session_ocid.put(b"x", f"{b}/1"))
    store.wait_hit("RefreshSession", timeout=30 * SLOW)
    session.login(seconds=3600)
    theirs = session.token
    store.release()
    store.wait_hit("RefreshSession", state="done", timeout=30 * SLOW)
    for i in range(20):
        session_ocid.done(session_ocid.put(b"x", f"{b}/{i}"))
    assert session.token == theirs
    assert store.count("RefreshSession") == 1


# Keys.

ROTATIONS, JOBS = (int(os.environ.get(name, usual)) for name, usual in
                   (("OCID_ROTATIONS", 10), ("OCID_ROTATION_JOBS", 1000)))


@pytest.mark.slow
def test_keys_that_rotate_cost_no_job(make_ocid, store, b):
    """Nobody tells the daemon; the old key is refused from the moment when the new one is there."""
    ocid = make_ocid().start()
    source = ocid.file(b"x" * 1000)
    jobs, old = [], None
    for i in range(ROTATIONS):
        folder = ocid.home / f".oci/key{i}"
        folder.mkdir()
        fresh = make_profile(folder)
        store.add_key(fresh.key_id, fresh.public_pem)
        replace(ocid.oci_config, "[DEFAULT]\n" + "".join(
            f"{k}={v}\n" for k, v in fresh.as_config().items()))
        store.drop_key(old.key_id if old else ocid.profile.key_id)
        old = fresh
        jobs += [ocid.put(source, f"{b}/{i}/{n}") for n in range(JOBS // ROTATIONS)]
    states = [ocid.done(job, timeout=60 * SLOW) for job in jobs]
    assert len(states) == JOBS and all(state.state == "done" for state in states)
    assert len(store.names(b)) == JOBS
    store.add_key(ocid.profile.key_id, ocid.profile.public_pem)


def test_a_locked_function_stays_locked(make_ocid, store, b, tmp_path):
    """Its token is due to be read again all the time, and neither opens it nor keeps anybody busy."""
    function = Function(store, tmp_path, 2)
    ocid = make_ocid(**RESOURCE)
    ocid.start(**function.give())
    ocid.done(ocid.put(b"x", f"{b}/1"))
    ocid.client.lock()
    job = ocid.put(b"x", f"{b}/2")
    ocid.wait_for(job, "waiting", "locked")

    def spent():
        fields = Path(f"/proc/{ocid.signer}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    time.sleep(2.5)  # its token is over by now
    before = spent()
    time.sleep(1)
    assert spent() - before < 50, "it sleeps"
    function.seconds = None
    function.give()
    assert ocid.status(job).why == "locked"
    ocid.unlock("")
    ocid.done(job)


def test_a_bad_new_key_keeps_the_old_one_and_says_so(ocid, store, b):
    ocid.done(ocid.put(b"x", f"{b}/1"))
    text = ocid.oci_config.read_text()
    replace(ocid.oci_config, text.replace(ocid.profile.fingerprint, ":".join(["00"] * 16)))
    until(lambda: "keeps its old credential" in ocid.log(), "it is said")
    ocid.done(ocid.put(b"x", f"{b}/2"))
