# SPDX-License-Identifier: Apache-2.0
"""Every file says under which licence it stands, in its first line (or right after #! or a title)."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = "SPDX-License-Identifier: Apache-2.0"

# Formats without a place for a comment, data that must stay as it is, and the licence itself.
WITHOUT = {".json", ".ipynb", ".pem", ".txt", ".md", ".bin", ".dict", ".sql"}
NAMES = {"LICENSE", "py.typed", ".gitignore", ".gitattributes"}
FOLDERS = ("build", "tests/vectors/", "tests/fuzz/corpus")
SKIPPED = {".git", "__pycache__", ".pytest_cache"}


def listed():
    """Names of the tree's files; without git, of all that is not below FOLDERS."""
    try:
        found = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True,
                               check=True).stdout
        if found:
            return [name.decode() for name in found.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        pass
    names = []
    for folder, below, files_here in os.walk(ROOT):
        below[:] = [one for one in below if one not in SKIPPED and not one.startswith("build")]
        names += [os.path.relpath(os.path.join(folder, one), ROOT) for one in files_here]
    return names


def files():
    for name in listed():
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
        return any(WORDS in line for line in head[:3])
    assert not [str(path.relative_to(ROOT)) for path in files()
                if needs_line(path) and not says(path)]
