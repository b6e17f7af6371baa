# SPDX-License-Identifier: Apache-2.0
"""Every #include of the tree follows the table of arrows in daemon/ARCHITECTURE.md.

The table has a row a room: its name, its files (globs), the rooms it may include beside itself,
and the libraries it may use beside libc. What the table does not name may not be.
"""

import collections
import fnmatch
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = ROOT / "daemon" / "ARCHITECTURE.md"
HEAD = "| room | files | may include | libraries |"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
SEARCHED = ("", "daemon", "client", "include")
MADE = {"ocid/version.h": "include"}  # written by cmake

# A header that tells of a library, and the library's name in the table.
LIBRARIES = [("uv.h", "uv"), ("curl/*", "curl"), ("openssl/*", "crypto"), ("ini.h", "inih"),
             ("sqlite3.h", "sqlite"), ("msgpack*", "msgpack"), ("jansson.h", "jansson"),
             ("systemd/*", "systemd"), ("ut*.h", "uthash"), ("isa-l*", "isal")]
PLAIN_UT = {"utime.h", "utmp.h", "utmpx.h"}

Room = collections.namedtuple("Room", "name globs rooms libraries")


def names(cell):
    return re.findall(r"[\w./*-]+", cell.replace("`", " "))


def read_table(text):
    lines = text.splitlines()
    start = lines.index(HEAD) + 2
    rooms = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        name, globs, may, libraries = (names(cell) for cell in line.strip("|").split("|"))
        rooms[name[0]] = Room(name[0], globs, set(may), set(libraries))
    return rooms


def sources():
    for folder in ("include", "proto", "daemon", "client"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".c", ".h", ".def", ".in") and path.is_file():
                yield path


def room_of(rooms, path):
    """The room of a file: its glob names whole folders, so no file is in two."""
    name = path.relative_to(ROOT).as_posix()
    found = [room for room in rooms.values()
             if any(fnmatch.fnmatchcase(name, glob) and name.count("/") == glob.count("/")
                    for glob in room.globs)]
    assert len(found) == 1, f"{name} is in {len(found)} rooms of the table"
    return found[0].name


def resolve(path, name):
    for folder in (path.parent, *(ROOT / one for one in SEARCHED)):
        if (folder / name).is_file():
            return (folder / name).resolve()
    return None


def library_of(name):
    if name in PLAIN_UT:
        return None
    return next((lib for glob, lib in LIBRARIES if fnmatch.fnmatchcase(name, glob)), None)


def faults(rooms):
    """Sentences, one for each include that has no arrow."""
    for path in sources():
        here = rooms[room_of(rooms, path)]
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            name, where = match[1] or match[2], path.relative_to(ROOT)
            target = resolve(path, name)
            if target or name in MADE:
                room = MADE.get(name) or room_of(rooms, target)
                if room != here.name and room not in here.rooms:
                    allowed = {f for f in here.rooms if "/" in f}
                    if not target or target.relative_to(ROOT).as_posix() not in allowed:
                        yield f"{where}: {here.name} may not include {room} ({name})"
            elif match[1]:
                yield f"{where}: there is no {name}"
            elif (library := library_of(name)) and library not in here.libraries:
                yield f"{where}: {here.name} may not use {library} ({name})"


@pytest.fixture(scope="module")
def rooms():
    return read_table(MAP.read_text(encoding="utf-8"))


def test_every_include_follows_an_arrow(rooms):
    assert not list(faults(rooms))


def test_the_arrows_lead_one_way(rooms):
    """No room reaches itself, so that each can be built and tested without what stands left."""
    reach = {name: {r for r in room.rooms if r in rooms} for name, room in rooms.items()}
    for _ in rooms:
        for name in reach:
            reach[name] |= set().union(*(reach[r] for r in reach[name]), set())
    assert not [name for name in reach if name in reach[name]]


def test_the_table_names_only_what_is_there(rooms):
    for room in rooms.values():
        for glob in room.globs:
            assert list(ROOT.glob(glob)), f"{room.name}: no file is {glob}"
        for one in room.rooms:
            assert one in rooms or (ROOT / one).is_file(), f"{room.name}: {one} is not a room"


@pytest.mark.parametrize("text,wrong", [
    ("daemon/xfer/engine.c", '#include "jobs/room.h"'), ("proto/text.c", '#include "core/mem.h"'),
    ("client/lib/conn.c", '#include <uv.h>'), ("daemon/signer/main.c", '#include "core/mem.h"'),
])
def test_a_wrong_include_is_found(rooms, monkeypatch, text, wrong):
    """The test bites: one line more in a file, and it is named."""
    read = pathlib.Path.read_text
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self, **how: read(self, **how) + (
        "\n" + wrong + "\n" if self == ROOT / text else ""))
    assert [one for one in faults(rooms) if one.startswith(text)]
