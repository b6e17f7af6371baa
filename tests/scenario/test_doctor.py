# SPDX-License-Identifier: Apache-2.0
"""test_doctor.py - `ocictl doctor` names what is wrong in one line, and the command that mends it."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from harness import WAIT_S, make_profile, until
from objstore.profile import fingerprint, public_half

PHRASE = "correct horse; battery #staple"
USER, TENANCY = "ocid1.user.oc1..ill", "ocid1.tenancy.oc1..ill"
OTHER_FINGERPRINT = ":".join(["ab"] * 16)


class Patient:
    """A daemon with a set-up of its own, that may be spoilt before it is started."""

    def __init__(self, make_ocid, store):
        self.store = store
        self.ocid = make_ocid()
        self.oci = self.ocid.home / ".oci"
        self.key = self.oci / "oci_api_key.pem"
        self.config = self.ocid.oci_config

    def make_key(self, phrase=None, bits=2048):
        made = make_profile(self.oci, bits=bits, passphrase=phrase)
        shutil.move(made.key_file, self.key)
        self.phrase = phrase
        self.write()
        self.upload()

    def write(self, **values):
        """The profile; None leaves a key out, the order is that of `oci setup config`."""
        pem = self.key.read_bytes()
        values = {"user": USER, "fingerprint": fingerprint(pem, self.phrase), "key_file": self.key,
                  "tenancy": TENANCY, "region": "us-ashburn-1", **values}
        self.config.write_text("[DEFAULT]\n" + "".join(
            f"{k}={v}\n" for k, v in values.items() if v is not None))
        self.config.chmod(0o600)

    def upload(self):
        pem = self.key.read_bytes()
        self.store.add_key(f"{TENANCY}/{USER}/{fingerprint(pem, self.phrase)}",
                           public_half(pem, self.phrase))

    def edit(self, old, new):
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
        self.key.chmod(0o600)

    def doctor(self, *args, env=None, **more):
        """[{check, level, text, mend}], and the exit status."""
        done = self.ocid.ctl("doctor", "--json", *args, env=env, **more)
        assert done.err == "", done
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert all(set(line) == {"check", "level", "text", "mend"} for line in lines)
        return lines, done.status


@pytest.fixture
def patient(make_ocid, store):
    one = Patient(make_ocid, store)
    one.make_key()
    return one


def only(lines, level):
    return [(line["check"], line["text"], line["mend"]) for line in lines if line["level"] == level]


def test_all_is_well(patient, b):
    patient.ocid.start()
    lines, status = patient.doctor("--bucket", f"oci://{b}/some/prefix/")
    checks = [line["check"] for line in lines if line["level"] == "ok"]
    assert status == 0 and only(lines, "fail") == only(lines, "warn") == []
    for name in ("daemon", "settings", "config", "profile", "key", "signing", "space",
                 "descriptors", "name", "service", "clock", "user", "list", "write", "read",
                 "delete"):
        assert name in checks, name
    assert patient.store.count("PutObject", status=200) == 1
    assert patient.store.count("DeleteObject", status=204) == 1, "nothing is left there"


def test_people_read_one_line_a_check(patient):
    patient.ocid.start()
    patient.key.chmod(0o644)
    done = patient.ocid.ctl("doctor")
    lines = done.out.splitlines()
    assert done.status == 0 and all(line.split()[0] in ("OK", "WARN", "SKIP") for line in lines)
    (warned,) = [line for line in lines if line.startswith("WARN")]
    assert warned.endswith(f"; mend: chmod 600 {patient.key}")
    quiet = patient.ocid.ctl("doctor", "--quiet")
    assert quiet.out == warned + "\n"


def test_a_probe_asks_no_service(patient):
    patient.ocid.start()
    patient.store.clear_log()
    lines, status = patient.doctor("--quick")
    assert status == 0 and patient.store.log() == []
    assert not {"signing", "service", "name"} & {line["check"] for line in lines}
    patient.ocid.stop()
    assert patient.doctor("--quick")[1] == 1


# What people get wrong: each is one function of the patient.

def nothing(p):
    shutil.rmtree(p.oci)


def garbage_line(p):
    p.edit("region=", "region ")


def key_before_section(p):
    p.edit("[DEFAULT]\n", "")


def byte_order_mark(p):
    p.config.write_bytes(b"\xef\xbb\xbf" + p.config.read_bytes())


def double_key(p):
    p.config.write_text(p.config.read_text() + "user=again\n")


def dos_lines(p):
    p.config.write_bytes(p.config.read_bytes().replace(b"\n", b"\r\n"))


def other_profile(p):
    p.edit("[DEFAULT]", "[ADMIN]")


def no_user(p):
    p.write(user=None)


def user_is_a_name(p):
    p.write(user="somebody@example.com")


def user_is_a_tenancy(p):
    p.write(user=TENANCY)


def user_of_another_realm(p):
    p.write(user="ocid1.user.oc2..somebody")


def region_of_another_realm(p):
    p.write(region="us-langley-1")


def user_of_another_tenancy(p):
    p.write(user="ocid1.user.oc1..somebodyelse")


def region_misspelt(p):
    p.write(region="frankfurt")


def quotes(p):
    p.write(user=f'"{USER}"')


def comment_behind(p):
    p.write(region="us-ashburn-1 # home")


def wrong_fingerprint(p):
    p.write(fingerprint=OTHER_FINGERPRINT)


def wrong_fingerprint_by_hand(p):
    wrong_fingerprint(p)
    p.edit("fingerprint=", "Fingerprint : ")


def capital_fingerprint(p):
    p.write(fingerprint=fingerprint(p.key.read_bytes()).upper())


def no_key_file(p):
    p.key.unlink()


def relative_key_file(p):
    p.write(key_file="oci_api_key.pem")


def key_file_is_a_directory(p):
    p.write(key_file=p.oci)


def public_key_given(p):
    public = p.oci / "oci_api_key_public.pem"
    public.write_text(public_half(p.key.read_bytes()))
    p.write(key_file=public)


def openssh_key(p):
    p.key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", p.key], check=True)


def der_key(p):
    p.openssl("pkey", "-in", p.key, "-outform", "DER", "-out", p.key.with_suffix(".der"))
    p.key.with_suffix(".der").rename(p.key)


def elliptic_key(p):
    p.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", p.key)


def empty_key(p):
    p.key.write_bytes(b"")


def half_a_key(p):
    p.key.write_bytes(p.key.read_bytes()[:700])


def world_readable_key(p):
    p.key.chmod(0o644)


def world_readable_config(p):
    p.config.chmod(0o644)


def writable_directory(p):
    p.oci.chmod(0o777)


def locked_by_openssl(p):
    """The seed's own: `openssl genrsa -aes128`, the profile by hand."""
    p.openssl("genrsa", "-traditional", "-aes128", "-passout", f"pass:{PHRASE}", "-out", p.key, 2048)
    p.phrase = PHRASE
    p.write()
    p.upload()


def wrong_phrase(p):
    locked_by_openssl(p)
    p.write(pass_phrase="wrong")


def phrase_in_clear(p):
    locked_by_openssl(p)
    p.write(pass_phrase=PHRASE)


def small_key(p):
    p.make_key(bits=1024)


def never_uploaded(p):
    p.store.drop_key()
    p.make_key()
    p.store.drop_key(f"{TENANCY}/{USER}/{fingerprint(p.key.read_bytes())}")


def clock_behind(p):
    p.store.set_clock(600)


def clock_a_bit_off(p):
    p.store.set_clock(-90)


def no_such_host(p):
    p.ocid.configure(network__endpoint="https://objectstorage.nowhere.invalid")


def nobody_listens(p):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        p.ocid.configure(network__endpoint=f"http://127.0.0.1:{s.getsockname()[1]}")


def no_such_proxy(p):
    p.ocid.configure(network__proxy="http://proxy.nowhere.invalid:3128")


def bad_settings(p):
    p.ocid.write_config("[transfer]\nconnections = many\n")


FAILS = [
    # what, check, words of the text, words of the mend
    (nothing, "config", "could not find config file", "ocictl setup"),
    (garbage_line, "config", "line 6", "+6"),
    (key_before_section, "config", "line 1", "+1"),
    (byte_order_mark, "config", "byte order mark", "sed -i"),
    (double_key, "config", "line 7", "+7"),
    (other_profile, "profile", "'ADMIN'", "ocictl setup --profile DEFAULT"),
    (no_user, "profile", "user missing", "ocictl setup --overwrite"),
    (user_is_a_name, "profile", "user malformed (line 2)", "ocictl setup --overwrite"),
    (user_is_a_tenancy, "profile", "user (line 2", "ocictl setup --overwrite"),
    (user_of_another_realm, "profile", "another tenancy", "ocictl setup --overwrite"),
    (region_of_another_realm, "profile", "realm 'oc2'", "ocictl setup --overwrite"),
    (user_of_another_tenancy, "service", "do not belong together", "ocictl setup --overwrite"),
    (quotes, "profile", "user (line 2", "sed -i"),
    (comment_behind, "profile", "region (line 6", "'6s"),
    (wrong_fingerprint, "fingerprint", OTHER_FINGERPRINT, "'3s"),
    (capital_fingerprint, "profile", "fingerprint malformed (line 3)", "ocictl setup --overwrite"),
    (no_key_file, "key", "there is no key file", "--key-file"),
    (relative_key_file, "key", "not absolute", "sed -i"),
    (key_file_is_a_directory, "profile", "is not a file", "ocictl setup"),
    (public_key_given, "key", "a public key was provided", "oci_api_key.pem"),
    (openssh_key, "key", "OpenSSH", "ssh-keygen -p -m PEM"),
    (der_key, "key", "DER", "openssl pkey -inform DER"),
    (elliptic_key, "key", "not an RSA key", "--key-file"),
    (empty_key, "key", "is empty", "--key-file"),
    (half_a_key, "key", "is damaged", "--key-file"),
    (locked_by_openssl, "key", "locked in the daemon", "ocictl unlock --profile DEFAULT"),
    (wrong_phrase, "key", "line 7", "ocictl unlock"),
    (never_uploaded, "service", "not uploaded", "ocictl setup --overwrite --wait"),
    (clock_behind, "clock", "600 s behind", "timedatectl"),
    (no_such_host, "name", "objectstorage.nowhere.invalid", "getent hosts"),
    (nobody_listens, "service", "no connection", "curl -v http://127.0.0.1"),
    (no_such_proxy, "name", "proxy.nowhere.invalid", "proxy in ocid.conf"),
]


@pytest.mark.parametrize("spoil, check, text, mend", FAILS, ids=[row[0].__name__ for row in FAILS])
def test_what_is_wrong_is_one_line(patient, spoil, check, text, mend):
    if spoil is openssh_key and not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    spoil(patient)
    patient.ocid.start()
    lines, status = patient.doctor()
    (failed,) = only(lines, "fail")
    assert failed[0] == check and text in failed[1] and mend in failed[2], failed
    assert status == 1 and "\n" not in failed[1]


WARNS = [
    (dos_lines, "config", "CRLF", "'s/\\r$//'"),
    (region_misspelt, "profile", "'frankfurt' (line 6", "ocictl setup --overwrite"),
    (world_readable_key, "rights", "may read", "chmod 600"),
    (world_readable_config, "rights", "may read", "chmod 600"),
    (writable_directory, "rights", "may change", "chmod 755"),
    (phrase_in_clear, "pass phrase", "in clear in line 7", "ocictl unlock"),
    (small_key, "key", "1024 bits", "ocictl setup"),
    (clock_a_bit_off, "clock", "90 s ahead", "timedatectl"),
]


@pytest.mark.parametrize("spoil, check, text, mend", WARNS, ids=[row[0].__name__ for row in WARNS])
def test_what_works_but_should_not_stay_so(patient, spoil, check, text, mend):
    spoil(patient)
    patient.ocid.start()
    lines, status = patient.doctor()
    (warned,) = only(lines, "warn")
    assert warned[0] == check and text in warned[1] and mend in warned[2], warned
    assert (status, only(lines, "fail")) == (0, [])


SHELL = [dos_lines, byte_order_mark, quotes, comment_behind, wrong_fingerprint,
         wrong_fingerprint_by_hand, public_key_given,
         openssh_key, der_key, relative_key_file, world_readable_key, world_readable_config,
         writable_directory]


@pytest.mark.parametrize("spoil", SHELL)
def test_the_mend_mends(patient, spoil):
    """Each that is a command of the shell, run as it stands."""
    good = stat.S_IMODE(patient.config.stat().st_mode)
    spoil(patient)
    patient.ocid.start()
    for _ in range(3):  # ssh-keygen leaves a key of another fingerprint
        lines, _ = patient.doctor()
        found = only(lines, "fail") + only(lines, "warn")
        if not found:
            break
        subprocess.run(["sh", "-ec", found[0][2]], env=patient.ocid.env, check=True,
                       input=b"", capture_output=True)
        patient.upload()
        patient.ocid.reload()
    assert found == [] and stat.S_IMODE(patient.config.stat().st_mode) == good


def test_no_daemon_leaves_the_local_checks(patient):
    wrong_fingerprint(patient)
    lines, status = patient.doctor()
    assert [row[0] for row in only(lines, "fail")] == ["daemon", "fingerprint"] and status == 1
    assert only(lines, "fail")[0][1:] == (f"no daemon listens at '{patient.ocid.socket}'",
                                          "ocictl start")
    assert "config" in [row[0] for row in only(lines, "ok")]


def test_settings_that_cannot_be_read_are_told_by_their_line(patient):
    patient.ocid.start()
    bad_settings(patient)
    lines, _ = patient.doctor()
    (failed,) = only(lines, "fail")
    assert failed[0] == "settings" and "line 2" in failed[1]
    assert failed[2] == f"${{EDITOR:-vi}} +2 '{patient.ocid.config_file}' && ocictl reload"
    patient.ocid.configure()


def test_the_settings_say_where_the_profiles_are(patient, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    patient.config.rename(elsewhere)
    patient.ocid.write_config(
        f"[credentials]\nconfig_file = {elsewhere}\nprofile = OTHER\n"
        f"[network]\nendpoint = {patient.store.url}\nidentity_endpoint = {patient.store.url}\n")
    lines, _ = patient.doctor()
    (_, failed) = only(lines, "fail")
    assert failed[0] == "profile" and "'OTHER' not found" in failed[1] and str(elsewhere) in failed[1]


def test_what_was_mended_is_well_by_itself(patient):
    wrong_fingerprint(patient)
    patient.ocid.start()
    assert patient.doctor()[1] == 1
    patient.write()
    until(lambda: patient.doctor()[1] == 0, "the daemon has read it again")


def test_a_certificate_that_is_not_trusted(patient, make_store):
    store = make_store(tls=True)
    patient.ocid.configure(network__endpoint=store.url, network__identity_endpoint=store.url)
    patient.ocid.start()
    (failed,) = only(patient.doctor()[0], "fail")
    assert failed[0] == "service" and "not trusted" in failed[1] and "ca_file" in failed[1]
    assert str(patient.ocid.config_file) in failed[2]


def test_another_configuration_than_the_daemons(patient, tmp_path):
    other = tmp_path / "config"
    patient.config.rename(other)
    patient.ocid.start()
    lines, status = patient.doctor("--config", other)
    assert status == 0 and only(lines, "fail") == []
    assert ("service", f"the daemon goes by '{patient.config}'", "") in only(lines, "skip")


def test_paths_that_a_shell_would_take_for_more_are_quoted(patient):
    odd = patient.oci / "it's; a $(key).pem"
    patient.key.rename(odd)
    patient.edit(str(patient.key), str(odd))
    odd.chmod(0o644)
    lines, _ = patient.doctor("--quick")
    ((name, _, mend),) = only(lines, "warn")
    assert name == "rights"
    subprocess.run(["sh", "-ec", mend], check=True)
    assert stat.S_IMODE(odd.stat().st_mode) == 0o600


def test_a_profile_that_stands_in_the_settings_alone(patient):
    patient.ocid.write_config("[profile BOX]\nauth = instance_principal\nregion = us-phoenix-1\n")
    lines, _ = patient.doctor("--quick", "--profile", "BOX")
    found = {line["check"]: line for line in lines}
    assert found["profile"]["level"] == "ok" and "instance_principal" in found["profile"]["text"]
    assert "us-phoenix-1" in found["profile"]["text"] and "key" not in found
    lines, _ = patient.doctor("--quick", "--profile", "OTHER")
    assert [row[0] for row in only(lines, "fail")] == ["daemon", "profile"]


def test_a_locked_key_is_well_once_it_is_open(patient):
    locked_by_openssl(patient)
    patient.ocid.start()
    ((name, text, mend),) = only(patient.doctor("--quick")[0], "warn")
    assert name == "key" and "pass phrase" in text and mend == "ocictl unlock --profile DEFAULT"
    lines, status = patient.doctor()
    assert status == 1 and only(lines, "fail") == [
        ("key", "it is locked in the daemon, too", "ocictl unlock --profile DEFAULT")]
    patient.ocid.unlock(PHRASE)
    lines, status = patient.doctor()
    assert status == 0 and "open in the daemon" in dict(
        (line["check"], line["text"]) for line in lines)["key"]


def test_a_pass_phrase_may_be_tried(patient):
    locked_by_openssl(patient)
    for phrase, level in ((PHRASE, "ok"), ("wrong", "fail")):
        reader, writer = os.pipe()
        os.write(writer, phrase.encode() + b"\n")
        os.close(writer)
        lines, _ = patient.doctor("--quick", "--passphrase-fd", str(reader), pass_fds=(reader,))
        os.close(reader)
        assert [line["level"] for line in lines if line["check"] == "key"] == [level]
        assert phrase == "wrong" or PHRASE not in json.dumps(lines)


@pytest.mark.parametrize("name, value, mend", [
    ("OCI_CONFIG_FILE", "/somewhere/config", "config_file = /somewhere/config"),
    ("OCI_CLI_PROFILE", "ADMIN", "ocictl doctor --profile ADMIN"),
    ("https_proxy", "http://proxy:3128", "proxy = $https_proxy"),
])
def test_what_other_tools_take_from_the_environment(patient, name, value, mend):
    patient.ocid.start()
    lines, status = patient.doctor(env={name: value})
    (warned,) = only(lines, "warn")
    assert warned[0] == "environment" and name in warned[1] and mend in warned[2] and status == 0


def test_rights_in_a_bucket(patient, b):
    patient.ocid.start()
    lines, status = patient.doctor("--bucket", "oci://none-of-mine/x/")
    failed = only(lines, "fail")
    assert [row[0] for row in failed] == ["list", "write"] and status == 1
    assert all(row[2] == "ocictl setup --print-policy oci://none-of-mine/x/" for row in failed)
    patient.store.on("DeleteObject", do=403)
    lines, _ = patient.doctor("--bucket", f"oci://{b}")
    assert [row[0] for row in only(lines, "fail")] == ["delete"]
    assert patient.ocid.ctl("doctor", "--bucket", "nonsense").status == 2


def test_few_descriptors(patient, monkeypatch):
    wrap = os.environ.get("OCID_WRAP", "")
    monkeypatch.setenv("OCID_WRAP", f"prlimit --nofile=300:300 {wrap}")
    patient.ocid.start()
    lines, _ = patient.doctor()
    (warned,) = only(lines, "warn")
    assert warned[0] == "descriptors" and "300" in warned[1] and "ulimit" in warned[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is made as root only")
@pytest.mark.parametrize("mib, level", [(40, "fail"), (300, "warn")])
def test_little_space(patient, mib, level):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "none",
                       patient.ocid.state], check=False, capture_output=True).returncode:
        pytest.skip("no file systems can be mounted here")
    try:
        patient.ocid.start()
        lines, status = patient.doctor()
        patient.ocid.stop()
    finally:
        subprocess.run(["umount", "-l", patient.ocid.state], check=True)
    ((name, text, mend),) = only(lines, level)
    assert name == "space" and "MiB are free" in text and mend.startswith("df -h ")
    assert status == (level == "fail")


def test_ctrl_c_ends_it(patient):
    patient.store.on("GetNamespace", do="hang", count=0)
    patient.ocid.start()
    process = subprocess.Popen([f"{patient.ocid.bin}/ocictl", "doctor"], env=patient.ocid.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    patient.store.wait_hit("GetNamespace", 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130 and err == "ocictl: interrupted\n" and "FAIL" not in out
    patient.store.clear()


def test_a_word_too_many(patient):
    assert patient.ocid.ctl("doctor", "now").status == 2


def test_a_bucket_that_is_none_is_told_first(patient):
    done = patient.ocid.ctl("doctor", "--bucket", "b")
    assert done.status == 2 and done.out == "" and "oci://bucket" in done.err
