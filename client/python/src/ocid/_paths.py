# SPDX-License-Identifier: Apache-2.0
"""_paths.py - where the daemon's socket is: the same rule as proto/paths.c."""

from __future__ import annotations

import os
import stat

from . import errors

SYSTEM = "/run/ocid/ocid.sock"


def _ours(path: str | None) -> bool:
    """A directory of ours where no other may write."""
    if not path or not path.startswith("/"):
        return False
    try:
        st = os.stat(path)
    except OSError:
        return False
    return stat.S_ISDIR(st.st_mode) and st.st_uid == os.geteuid() and not st.st_mode & 0o022


def _temporary() -> str:
    path = os.environ.get("TMPDIR")
    if path and path.startswith("/"):
        try:
            st = os.stat(path)
        except OSError:
            return "/tmp"
        if stat.S_ISDIR(st.st_mode) and (not st.st_mode & 0o022 or st.st_mode & stat.S_ISVTX):
            return path
    return "/tmp"


def user_socket() -> str:
    """Path of the user's own socket, whether it is there or not; DeniedPeer if its directory is
    somebody else's."""
    runtime, by_uid = os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.geteuid()}"
    if runtime and _ours(runtime):
        folder = f"{runtime}/ocid"
    elif _ours(by_uid):
        folder = f"{by_uid}/ocid"
    else:
        folder = f"{_temporary()}/ocid-{os.geteuid()}"
    try:
        st = os.lstat(folder)
    except OSError:
        return f"{folder}/ocid.sock"
    if not stat.S_ISDIR(st.st_mode):
        raise errors.Config(f"'{folder}' is not a directory; move it away")
    if st.st_uid != os.geteuid():
        raise errors.DeniedPeer(f"the directory '{folder}' belongs to another user")
    if st.st_mode & 0o022:
        raise errors.Config(f"others may write to '{folder}'; chmod 0700 it")
    return f"{folder}/ocid.sock"


def candidates(explicit: str | None) -> list[str]:
    """Sockets to try, in order."""
    return [explicit] if explicit else [user_socket(), SYSTEM]
