# SPDX-License-Identifier: Apache-2.0
"""systemd_machine.py - a machine with a real systemd in namespaces: no image, gone at the end.

Needs root, cgroup v2 and the packages systemd, dbus, libpam-systemd, dbus-user-session, iproute2;
elsewhere the tests are skipped and say so. See boot.sh.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("OCID_BUILD", ROOT / "build" / "ci"))
sys.path.insert(0, str(ROOT / "tests"))

from objstore.profile import Profile  # noqa: E402

WAIT_S = 30
USER = "ocidtest"


def cgroup_root():
    """Where a cgroup v2 hierarchy is mounted, or None."""
    for place in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(os.path.join(place, "cgroup.procs")) and os.path.exists(
                os.path.join(place, "cgroup.controllers")):
            return pathlib.Path(place)
    return None


def why_not():
    """What keeps a systemd from booting here, or None."""
    if os.geteuid() != 0:
        return "booting systemd needs root"
    for program in ("/lib/systemd/systemd", "/usr/bin/dbus-daemon", "/usr/bin/nsenter"):
        if not os.path.exists(program):
            return f"there is no {program}"
    if not list(pathlib.Path("/").glob("lib/*/security/pam_systemd.so")):
        return "there is no pam_systemd (package libpam-systemd)"
    if shutil.which("ip") is None:
        return "there is no ip (package iproute2)"
    if cgroup_root() is None:
        return "no cgroup v2 hierarchy is mounted"
    probe = subprocess.run(["unshare", "-muinpC", "--fork", "true"], capture_output=True,
                           check=False)
    if probe.returncode:
        return f"no namespaces here: {probe.stderr.decode().strip()}"
    return None


def wait_for(what, ask, seconds=WAIT_S):
    """The first true answer of ask(); fails with `what` when the time is up."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Machine:
    """A booted systemd with ocid installed, a store on its loopback and a user with a profile."""

    def __init__(self, folder):
        self.folder = folder
        self.cgroup = cgroup_root() / f"ocid-test-{os.getpid()}"
        self.log = open(folder / "boot.log", "wb")
        self.store_process = self.unshare = None

    def boot(self):
        stage = self.folder / "stage"
        subprocess.run(["cmake", "--install", str(BUILD)], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(stage)})
        os.chmod(stage, 0o755)  # it is laid over /
        self.cgroup.mkdir()
        enter = f'echo $$ >"{self.cgroup}/cgroup.procs" && exec "$@"'
        self.unshare = subprocess.Popen(
            ["sh", "-c", enter, "sh", "unshare", "-muinpC", "--fork", "--kill-child",
             "--propagation", "private", "bash", str(HERE / "boot.sh"), str(stage), str(ROOT)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = wait_for("the namespaces", self._child)
        wait_for("basic.target", lambda: self.run(
            "systemctl", "is-active", "basic.target", check=False).stdout == "active\n")

    def _child(self):
        if self.unshare.poll() is not None:
            pytest.fail("systemd has not booted:\n" + (self.folder / "boot.log").read_text())
        found = subprocess.run(["pgrep", "-P", str(self.unshare.pid)], capture_output=True,
                               text=True, check=False).stdout.split()
        return int(found[0]) if found else None

    def command(self, *words):
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C",
                "--root", "--wd", "env", "-i", "HOME=/root", "LANG=C.UTF-8",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *words]

    def run(self, *words, check=True, input=None, timeout=60):
        """Runs a command inside as root; its CompletedProcess with text."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False,
                              input=input, timeout=timeout)
        if check and done.returncode:
            pytest.fail(f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}\n"
                        + self.journal())
        return done

    def user(self, *words, **how):
        """The same as the user, with the runtime directory that logind made."""
        return self.run("runuser", "-u", USER, "--", "env", f"XDG_RUNTIME_DIR={self.runtime}",
                        f"HOME=/home/{USER}", *words, **how)

    def make_user(self):
        self.run("useradd", "-m", "-s", "/bin/sh", USER)
        self.uid = int(self.run("id", "-u", USER).stdout)
        self.runtime = f"/run/user/{self.uid}"
        self.run("systemctl", "start", "dbus.socket", "systemd-logind.service")
        self.run("loginctl", "enable-linger", USER)
        wait_for("the user's manager", lambda: self.user(
            "systemctl", "--user", "is-active", "basic.target",
            check=False).stdout == "active\n")

    def write(self, path, text, owner="root", mode="0644"):
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chown "$2:" "$1" && '
                 'chown "$2:" "$(dirname "$1")" && chmod "$3" "$1"', "sh", path, owner, mode,
                 input=text)

    def start_store(self):
        """A store on the machine's own loopback; it accepts the test key."""
        profile = Profile()
        with open(profile.key_file, encoding="ascii") as file:
            self.write("/srv/key.pem", file.read())
        self.write("/srv/public.pem", profile.public_pem)
        self.profile = profile
        self.store_process = subprocess.Popen(
            self.command("env", f"PYTHONPATH={ROOT}/tests", sys.executable, "-m", "objstore",
                         "--key", f"{profile.key_id}=/srv/public.pem", "--bucket", "b"),
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.store_process.stdout.readline()
        assert line.startswith("objstore ready "), line
        self.store_url = line.split()[-1]

    def configure(self, home, config, owner):
        """A profile below home, and an ocid.conf that leads to the store."""
        text = "".join(f"{key}={value}\n" for key, value in self.profile.as_config().items()
                       if key != "key_file")
        with open(self.profile.key_file, encoding="ascii") as file:
            self.write(f"{home}/.oci/key.pem", file.read(), owner, "0600")
        self.write(f"{home}/.oci/config", f"[DEFAULT]\n{text}key_file={home}/.oci/key.pem\n",
                   owner, "0600")
        self.write(config, f"[network]\nendpoint = {self.store_url}\n", owner)

    def store(self, method, path, body=""):
        """The store's door for tests, from inside."""
        return self.run(sys.executable, "-c", "import sys, urllib.request as u; print(u.urlopen("
                        "u.Request(sys.argv[1], method=sys.argv[2], data=sys.argv[3].encode() or "
                        "None, headers={'content-type': 'application/json'}), timeout=30)"
                        ".read().decode())", f"{self.store_url}/_ctl/{path}", method, body).stdout

    def journal(self):
        """The latest lines, but for those that our own runuser makes."""
        said = self.run("journalctl", "--no-pager", "-o", "short-monotonic", "-n", "200",
                        check=False).stdout
        return "\n".join([line for line in said.splitlines() if "pam_unix" not in line][-40:])

    def close(self):
        if self.store_process:
            self.store_process.kill()
            self.store_process.wait()
        if self.unshare and self.unshare.poll() is None:
            try:
                os.kill(self.pid, signal.SIGKILL)  # the init of its namespace: all of it ends
            except (AttributeError, ProcessLookupError):
                self.unshare.kill()
            self.unshare.wait(WAIT_S)
        self.log.close()
        if self.cgroup.exists():
            def gone():
                for below in sorted(self.cgroup.rglob("*"), reverse=True):
                    if below.is_dir():
                        try:
                            below.rmdir()
                        except OSError:
                            return False
                try:
                    self.cgroup.rmdir()
                except OSError:
                    return False
                return True
            wait_for("an empty cgroup", gone)
