# SPDX-License-Identifier: Apache-2.0
"""notebook.py - `%load_ext ocid`: the magics %ocid and %%ocid. Start at OcidMagics.ocid()."""

from __future__ import annotations

import argparse
import glob
import os
import shlex
from typing import Any, List, Optional

from IPython.core.magic import Magics, line_cell_magic, magics_class

from . import _display, errors
from ._bars import progress
from ._model import Row
from .client import Client, Job

_SHOWN = 20  # rows of a table of jobs


class Table(List[Any]):
    """Jobs or rows of a listing, with a display."""

    def _repr_html_(self) -> str:
        shown = [self._line(one) for one in self[:1000]]
        if all(isinstance(one, Job) for one in self):
            return _display.table([one.last or one.status() for one in self])
        body = "".join(f"<tr>{cells}</tr>" for cells in shown)
        more = f"<p>and {len(self) - 1000:,} more</p>" if len(self) > 1000 else ""
        return f"<table>{body}</table>{more}"

    @staticmethod
    def _line(one: Any) -> str:
        from html import escape
        if not isinstance(one, Row):
            return ""
        size = "" if one.size is None else _display.amount(one.size)
        return "".join(f'<td style="text-align:left">{escape(cell)}</td>'
                       for cell in (one.name or one.prefix, size, one.time_modified))


class _Usage(Exception):
    """The line is not a command."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise _Usage(f"{message}\n{self.format_usage()}")


def _parser() -> _Parser:
    top = _Parser(prog="%ocid", add_help=False)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, *args: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = verbs.add_parser(name, add_help=False)
        for arg in args:
            found.add_argument(arg, **_ARGUMENTS[arg])
        return found
    verb("push", "-r", "--wait", "--if-absent", "sources", "to")
    verb("pull", "-r", "--wait", "--overwrite", "source", "dest")
    verb("ls", "place")
    verb("cat", "place")
    verb("rm", "place")
    verb("status", "ids")
    for name in ("wait", "cancel", "pause", "resume", "retry"):
        verb(name, "some_ids")
    verb("whoami")
    return top


_ARGUMENTS: dict[str, dict[str, Any]] = {
    "-r": {"action": "store_true", "dest": "recursive"},
    "--wait": {"action": "store_true"},
    "--if-absent": {"action": "store_true"},
    "--overwrite": {"action": "store_true"},
    "sources": {"nargs": "+"},
    "to": {}, "source": {}, "dest": {}, "place": {},
    "ids": {"nargs": "*", "type": int},
    "some_ids": {"nargs": "+", "type": int},
}


@magics_class
class OcidMagics(Magics):
    """%ocid VERB …, or %%ocid and a command a line."""

    client: Optional[Client] = None

    @line_cell_magic
    def ocid(self, line: str, cell: Optional[str] = None) -> Any:
        """push [-r] [--wait] [--if-absent] SOURCE… TO
        pull [-r] [--wait] [--overwrite] SOURCE DEST
        ls PLACE, cat PLACE, rm PLACE, status [ID…], wait|cancel|pause|resume|retry ID…, whoami

        What it returns is what the method of ocid.Client returns: a Job, a JobSet, rows, bytes.
        """
        lines = [line] if cell is None else [line, *cell.splitlines()]
        commands = [one for one in map(str.strip, lines) if one and not one.startswith("#")]
        if cell is None:
            return self._one(commands[0] if commands else "status")
        from IPython.display import display
        found = [self._one(one) for one in commands]
        for one in found:
            if one is not None:
                display(one)
        return None

    def _one(self, line: str) -> Any:
        try:
            asked = _parser().parse_args(shlex.split(line))
        except _Usage as error:
            raise errors.Invalid(f"{error}see %ocid? for what there is") from None
        if self.client is None:
            type(self).client = Client(label=f"kernel-{os.getpid()}", start=True)
        return getattr(self, f"_{asked.verb}")(self.client, asked)

    def _push(self, client: Client, asked: Any) -> Any:
        options: dict[str, Any] = {"if_absent": True} if asked.if_absent else {}
        sources = _expanded(asked.sources, asked.recursive)
        many = len(sources) != 1 or asked.to.endswith("/") or asked.recursive
        if many:
            base = asked.sources[0] if asked.recursive else None
            job: Job = client.put_many(sources, asked.to, base=base, **options)
        else:
            job = client.put(sources[0], asked.to, **options)
        return self._shown(job, asked.wait)

    def _pull(self, client: Client, asked: Any) -> Any:
        pull = client.pull if asked.recursive else client.get
        return self._shown(pull(asked.source, asked.dest, overwrite=asked.overwrite), asked.wait)

    @staticmethod
    def _shown(job: Job, wait: bool) -> Job:
        if wait:
            progress(job)
        return job

    @staticmethod
    def _ls(client: Client, asked: Any) -> Any:
        return Table(client.list(asked.place, delimiter="/"))

    @staticmethod
    def _cat(client: Client, asked: Any) -> None:
        print(client.get_bytes(asked.place).decode(errors="replace"), end="")

    @staticmethod
    def _rm(client: Client, asked: Any) -> Any:
        client.delete(asked.place).wait()

    @staticmethod
    def _status(client: Client, asked: Any) -> Any:
        if asked.ids:
            return Table(Job(client, status.id, status) for status in client.status(asked.ids))
        return Table(client.jobs(limit=_SHOWN))

    @staticmethod
    def _wait(client: Client, asked: Any) -> Any:
        jobs = [client.job(ident) for ident in asked.some_ids]
        progress(jobs)
        return Table(jobs)

    def _act(self, client: Client, asked: Any) -> Any:
        for ack in getattr(client, asked.verb)(asked.some_ids):
            if ack.error:
                raise ack.error
        return Table(Job(client, status.id, status) for status in client.status(asked.some_ids))

    _cancel = _pause = _resume = _retry = _act

    @staticmethod
    def _whoami(client: Client, asked: Any) -> Any:
        return dict(client.whoami())


def _expanded(sources: List[str], recursive: bool) -> List[str]:
    """Files that the words stand for: patterns as in a shell, with -r all below one directory."""
    if recursive:
        if len(sources) != 1 or not os.path.isdir(sources[0]):
            raise errors.Invalid("push -r takes one directory")
        found = [os.path.join(folder, name) for folder, _, names in os.walk(sources[0])
                 for name in names]
    else:
        found = [one for word in sources for one in sorted(glob.glob(os.path.expanduser(word)))
                 or [word]]
    if not found:
        raise errors.File(f"there is no file below '{sources[0]}'")
    return found


def use(client: Client) -> None:
    """%ocid asks this client; else one of its own, for this user's daemon."""
    OcidMagics.client = client


def load(shell: Any) -> None:
    shell.register_magics(OcidMagics)
