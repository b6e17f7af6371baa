# SPDX-License-Identifier: Apache-2.0
"""_display.py - how jobs, sets and clients look in a notebook: HTML without scripts.

Pure: it is given what is known. Names come from services and file systems, so all text is escaped.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape
from typing import Any, Mapping

from ._model import Status

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def amount(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def what(status: Status) -> str:
    """What the job is about, in one line."""
    job = status.job
    place = "/".join(str(job[name]) for name in ("bucket", "object") if job.get(name))
    if status.n_total:
        return f"{status.n_total:,} transfers" + (f" {place}" if place else "")
    return place or str(job.get("label") or job.get("kind", ""))


def share(status: Status) -> float | None:
    """Of the work that is done, 0 to 1; None: not known."""
    if status.state == "done":
        return 1.0
    if status.n_total:
        return (status.n_done + status.n_failed + status.n_cancelled) / status.n_total
    if status.bytes_total:
        return status.bytes_done / status.bytes_total
    return None


def words(status: Status, now_ms: float) -> str:
    """How far it is: amounts, rate and how long it still takes; why it waits; how it ended."""
    said = []
    if status.n_total:
        said.append(f"{status.n_done:,} of {status.n_total:,}")
        said += [f"{n:,} {name}" for n, name in ((status.n_failed, "failed"),
                                                 (status.n_cancelled, "cancelled")) if n]
    size = status.outcome.bytes if status.state == "done" else status.bytes_done
    total = status.bytes_total
    if total and status.state not in ("done", "failed", "cancelled"):
        said.append(f"{amount(size)} of {amount(total)}")
    elif size:
        said.append(amount(size))
    seconds = ((status.ended_at or now_ms) - (status.created_at or now_ms)) / 1000
    if size and seconds > 0 and status.state in ("done", "running"):
        said.append(f"{amount(size / seconds)}/s")
        if status.state == "running" and total:
            said.append(f"{duration((total - size) * seconds / size)} left")
    if status.final and seconds > 0:
        said.append(f"in {duration(seconds)}" if seconds >= 1 else f"in {seconds * 1000:.0f} ms")
    if status.state == "waiting":
        said.append(f"for {status.why}")
    if status.outcome.text and status.state in ("waiting", "failed"):
        said.append(status.outcome.text)
    return ", ".join(said)


def _row(status: Status, now_ms: float) -> str:
    done = share(status)
    if done is not None:
        bar = f'<progress max="1" value="{done:.4f}"></progress>'
    elif status.final or status.state in ("waiting", "paused"):
        bar = '<progress max="1" value="0"></progress>'
    else:
        bar = "<progress></progress>"
    kind = str(status.job.get("kind", ""))
    cells = [str(status.id), kind, what(status), status.state, bar, words(status, now_ms)]
    return "<tr>" + "".join(f'<td style="text-align:left">'
                            f'{cell if cell is bar else escape(cell)}</td>'
                            for cell in cells) + "</tr>"


def table(statuses: Iterable[Status], more: str = "") -> str:
    """A row a job, as it was last heard of."""
    now_ms = time.time() * 1000
    rows = "".join(_row(status, now_ms) for status in statuses)
    return f"<table>{rows}</table>" + (f"<p>{escape(more)}</p>" if more else "")


def client(info: Mapping[str, Any], stats: Mapping[str, Any], running: Iterable[Status]) -> str:
    counts = ", ".join(f"{stats[name]:,} {name}"
                       for name in ("queued", "running", "waiting", "paused"))
    moved = f"{amount(stats['bytes_up'])} up, {amount(stats['bytes_down'])} down"
    head = f"{info['software']}, process {info['pid']}: {counts}; {moved}"
    return f"<p>{escape(head)}</p>" + table(running)
