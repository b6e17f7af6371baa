# SPDX-License-Identifier: Apache-2.0
"""The system unit on a real systemd: its user, its directories, its socket, its sandbox."""

import re

import pytest

EXPOSURE_MOST = 2.0


@pytest.fixture(scope="module")
def system(machine):
    machine.run("systemd-sysusers")
    machine.run("systemd-tmpfiles", "--create", "/usr/local/lib/tmpfiles.d/ocid.conf")
    machine.run("mkdir", "-p", "/var/lib/ocid")
    machine.run("chown", "ocid:", "/var/lib/ocid")
    machine.configure("/var/lib/ocid", "/etc/ocid/ocid.conf", "ocid")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "ocid.socket")
    ask(machine)
    return machine


def ask(system):
    """Any call: it starts the daemon if it does not run."""
    return system.run("runuser", "-u", "ocid", "--", "env", "HOME=/var/lib/ocid", "ocictl",
                      "--socket", "/run/ocid/ocid.sock", "version", "--daemon").stdout


def show(system, name):
    return system.run("systemctl", "show", "-P", name, "ocid.service").stdout.strip()


def test_it_answers_on_the_socket_of_the_system(system):
    assert "ocid" in ask(system)
    assert show(system, "ActiveState") == "active"
    pid = show(system, "MainPID")
    status = system.run("cat", f"/proc/{pid}/status").stdout
    uid = system.run("id", "-u", "ocid").stdout.strip()
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s", status, re.M)
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert re.search(r"^CapBnd:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)


def test_directories_are_as_the_units_say(system):
    assert system.run("stat", "-c", "%a %U %G", "/run/ocid").stdout.strip() == "755 root ocid"
    assert system.run("stat", "-c", "%a %U", "/var/lib/ocid").stdout.strip() == "700 ocid"
    assert system.run("stat", "-c", "%a %G", "/run/ocid/ocid.sock").stdout.strip() == "660 ocid"


def test_it_stops_and_starts_again(system):
    system.run("systemctl", "restart", "ocid.service")
    assert show(system, "ActiveState") == "active"
    system.run("systemctl", "stop", "ocid.service")
    assert show(system, "Result") == "success"
    assert "ocid" in ask(system)
    assert system.run("test", "-S", "/run/ocid/ocid.sock", check=False).returncode == 0


def test_its_exposure_is_small(system):
    said = system.run("systemd-analyze", "security", "--offline=true", "--threshold=100",
                      "/usr/local/lib/systemd/system/ocid.service").stdout
    level = float(re.search(r"exposure level for ocid\.service: ([\d.]+)", said)[1])
    assert level <= EXPOSURE_MOST, said


def test_the_units_are_well_formed(system):
    said = system.run("systemd-analyze", "verify", "ocid.service", "ocid.socket", check=False)
    lines = [line for line in (said.stdout + said.stderr).splitlines()
             if "ocid" in line and "man " not in line]
    assert not lines
