# SPDX-License-Identifier: Apache-2.0
"""The user unit on a real systemd: activation, readiness, watchdog, crash, reload, stop."""

import json
import re

import pytest
from systemd_machine import USER, wait_for

CONF = f"/home/{USER}/.config/ocid/ocid.conf"


@pytest.fixture(scope="module")
def home(machine):
    """The machine with a user who has a profile, a file, and the socket unit."""
    machine.make_user()
    machine.configure(f"/home/{USER}", CONF, USER)
    machine.run("chown", "-R", f"{USER}:", f"/home/{USER}")
    machine.user("sh", "-c", f"head -c 300000 /dev/urandom >/home/{USER}/file")
    machine.user("systemctl", "--user", "daemon-reload")
    machine.user("systemctl", "--user", "enable", "--now", "ocid.socket")
    return machine


@pytest.fixture
def user(home):
    """The same with a daemon that runs."""
    home.store("DELETE", "rules")
    home.user("ocictl", "version", "--daemon")
    return home


def show(user, name):
    return user.user("systemctl", "--user", "show", "-P", name, "ocid.service").stdout.strip()


def state(user):
    return show(user, "ActiveState") + "/" + show(user, "SubState")


def test_the_first_client_starts_the_daemon(home):
    user = home
    user.user("systemctl", "--user", "stop", "ocid.service")
    assert state(user) == "inactive/dead"
    said = user.user("ocictl", "version", "--daemon").stdout
    assert "ocid" in said
    assert state(user) == "active/running"
    assert show(user, "Type") == "notify"


def test_the_sandbox_is_on(user):
    """Mount namespace, seccomp and no new privileges, in the user manager too."""
    pid = show(user, "MainPID")
    status = user.run("cat", f"/proc/{pid}/status").stdout
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    mounts = user.run("readlink", f"/proc/{pid}/ns/mnt", "/proc/1/ns/mnt").stdout.split()
    assert mounts[0] != mounts[1]


def test_a_transfer_ends_well_in_the_sandbox(user):
    user.user("ocictl", "push", "--wait", f"/home/{USER}/file", "oci://b/file")
    user.user("ocictl", "pull", "--wait", "oci://b/file", f"/home/{USER}/back", "--overwrite")
    user.user("cmp", f"/home/{USER}/file", f"/home/{USER}/back")


def test_the_watchdog_is_fed(user):
    """WatchdogTimestamp moves while nothing else happens; it is not killed."""
    assert show(user, "WatchdogUSec") not in ("0", "infinity", "")
    pid, first = show(user, "MainPID"), show(user, "WatchdogTimestampMonotonic")
    wait_for("a keep-alive", lambda: show(user, "WatchdogTimestampMonotonic") != first)
    assert show(user, "MainPID") == pid


def test_a_reload_reads_the_file_and_names_a_wrong_line(user):
    good = user.run("cat", CONF).stdout
    user.user("systemctl", "--user", "reload", "ocid.service")
    user.write(CONF, good + "\n[transfer]\nconnections = many\n", USER)
    refused = user.user("systemctl", "--user", "reload", "ocid.service", check=False)
    user.write(CONF, good, USER)
    assert refused.returncode != 0
    assert state(user) == "active/running"
    assert "line " in user.journal() and "connections" in user.journal()
    user.user("systemctl", "--user", "reload", "ocid.service")


def test_the_queue_outlives_a_kill(user):
    """SIGKILL with a job that cannot end: systemd starts the daemon again, the job goes on."""
    user.store("POST", "rules", json.dumps({"op": "PutObject", "do": "hang", "count": 0}))
    job = user.user("ocictl", "push", "--no-wait", f"/home/{USER}/file",
                    "oci://b/again").stdout.strip()
    assert re.fullmatch(r"\d+", job)
    user.store("GET", "wait?op=PutObject&object=again&n=1&timeout=20")
    pid, restarts = show(user, "MainPID"), int(show(user, "NRestarts"))
    user.run("kill", "-9", pid)
    wait_for("another main process", lambda: show(user, "MainPID") not in ("0", pid)
             and state(user) == "active/running")
    user.store("DELETE", "rules")
    user.user("ocictl", "wait", job)
    assert int(show(user, "NRestarts")) == restarts + 1


def test_doctor_knows_what_becomes_of_jobs_at_a_logout(user):
    def said():
        lines = user.user("ocictl", "doctor", "--json", check=False).stdout.splitlines()
        return {one["check"]: one for one in map(json.loads, lines)}
    found = said()
    assert [one for one in found.values() if one["level"] == "fail"] == []
    assert found["linger"]["level"] == "ok"
    user.run("mv", f"/var/lib/systemd/linger/{USER}", "/run/not-lingering")
    found = said()
    user.run("mv", "/run/not-lingering", f"/var/lib/systemd/linger/{USER}")
    assert found["linger"]["level"] == "warn"
    assert found["linger"]["mend"] == f"loginctl enable-linger {USER}"


def test_a_stop_is_orderly_and_the_next_client_starts_it_again(user):
    user.user("systemctl", "--user", "stop", "ocid.service")
    assert show(user, "Result") == "success"
    user.user("ocictl", "version", "--daemon")
    assert state(user) == "active/running"
    user.user("ocictl", "status", "--all")


def test_the_units_are_well_formed(user):
    said = user.user("systemd-analyze", "--user", "verify", "ocid.service", "ocid.socket",
                     check=False)
    lines = [line for line in (said.stdout + said.stderr).splitlines()
             if "ocid" in line and "man " not in line]
    assert not lines
