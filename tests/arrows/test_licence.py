# SPDX-License-Identifier: Apache-2.0
"""Every file says under which licence it stands, in its first line (or right after #!)."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "SPDX-License-Identifier: Apache-2.0"

# Formats without a place for a comment, data that must stay as it is, and the licence itself.
WITHOUT = {".json", ".pem", ".txt", ".md", ".bin", ".dict", ".sql"}
NAMES = {"LICENSE", "py.typed", ".gitignore", ".gitattributes"}
FOLDERS = ("build", ".git", "tests/vectors/", "tests/fuzz/corpus")


def files():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True,
                            check=False)
    if listed.returncode == 0 and listed.stdout:
        names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    else:  # a source tree without git
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")
                 if "__pycache__" not in path.parts]
    for name in names:
        path = ROOT / name
        if path.is_file() and not path.is_symlink() and not name.startswith(FOLDERS):
            yield path


def needs_line(path):
    if path.name == "CMakeLists.txt":
        return True
    return path.suffix not in WITHOUT and path.name not in NAMES


def test_every_file_has_its_line():
    def says(path):
        with open(path, "rb") as file:
            head = file.read(400).decode("utf-8", "replace").splitlines()
        return any(WORDS in line for line in head[:2])
    assert not [str(path.relative_to(ROOT)) for path in files()
                if needs_line(path) and not says(path)]
