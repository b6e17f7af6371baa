# SPDX-License-Identifier: Apache-2.0
"""machines.py - several machines on this one: network namespaces on a bridge, an `ocid` in each.

The caller's thread moves into a network of its own, with the store at HUB; every machine is a process
that does nothing but hold a namespace, and ends with its standard input. What runs there is killed by
the kernel when we end, however we do: nothing is left of any of it.
"""

import contextlib
import os
import shutil
import subprocess

from harness import Ocid, Store, own_network
from objstore.tls import make_certificates

HUB = "10.77.0.1"


def possible():
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    missing = [name for name in ("ip", "nsenter", "setpriv", "unshare") if not shutil.which(name)]
    return f"needs {', '.join(missing)}" if missing else None


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def mortal(*command):
    """One that does not outlive us."""
    return ["setpriv", "--pdeathsig", "KILL", *command]


@contextlib.contextmanager
def hub():
    """A network for us, with a bridge where the machines are plugged in."""
    with own_network():
        run("ip", "link", "add", "hub", "type", "bridge")
        run("ip", "addr", "add", f"{HUB}/24", "dev", "hub")
        run("ip", "link", "set", "hub", "up")
        yield


class HubStore(Store):
    """Reached by the machines at HUB, and over TLS, since it is not on theirs; its controls by us."""

    def __init__(self, **options):
        super().__init__(tls=True, host="0.0.0.0", **options)
        self.ca_file, self._cert, self._key = make_certificates(
            os.path.dirname(self.ca_file), addresses=(HUB, self.host))

    def _command(self):
        return mortal(*super()._command())

    @property
    def url(self):
        return f"https://{HUB}:{self.port}"


class Machine(Ocid):
    """A daemon on a machine of its own, and whatever else is run() there."""

    def __init__(self, number, folder, store, profile, **settings):
        self.name, self.address = f"m{number}", f"10.77.0.{number + 2}"
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()  # it is in its own
        self._plug_in()
        super().__init__(folder, store, profile, **settings)

    def _plug_in(self):
        pid = str(self.holder.pid)
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "link", "set", self.name, "master", "hub", "up")
        run(*self.inside("ip", "link", "set", "lo", "up"))
        run(*self.inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0"))
        run(*self.inside("ip", "link", "set", "eth0", "up"))

    def inside(self, *command):
        return mortal("nsenter", "-t", str(self.holder.pid), "--net", *command)

    def command(self, *args):
        return self.inside(*super().command(*args))

    def close(self):
        try:
            super().close()
        finally:
            self.holder.stdin.close()
            self.holder.wait()
            self.holder.stdout.close()
