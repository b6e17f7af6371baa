# SPDX-License-Identifier: Apache-2.0
"""_bars.py - progress(): live bars in notebooks and terminals, through tqdm.auto."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, List, Optional, Union

from . import _display
from ._core import checked
from ._model import Status
from .client import Job, JobSet

_EVERY_S = 0.2


def progress(jobs: Union[Job, Iterable[Job]], timeout: Optional[float] = None) -> List[Status]:
    """Waits as Job.wait() does, behind a live bar for each: of bytes, or of a set's members. An
    interrupt takes the bars away and nothing else."""
    several = [jobs] if isinstance(jobs, Job) else list(jobs)
    return [_bar(job, timeout) for job in several]


def _bar(job: Job, timeout: Optional[float]) -> Status:
    from tqdm.auto import tqdm
    files = isinstance(job, JobSet)
    unit: dict[str, Any] = {"unit": " files"} if files else \
        {"unit": "B", "unit_scale": True, "unit_divisor": 1024}
    last = None
    with tqdm(desc=f"{job.id}", **unit) as bar:
        for last in job.follow(timeout, every=_EVERY_S):
            bar.set_description_str(_display.what(last), refresh=False)
            _resize(bar, last.n_total if files else last.bytes_total)
            bar.n = last.n_done if files else last.bytes_done
            if last.state == "done" and not files:
                _resize(bar, last.outcome.bytes)
                bar.n = last.outcome.bytes
            bar.set_postfix_str(last.state if last.why == "none" else f"waiting for {last.why}")
            bar.refresh()
    assert last is not None  # a job that does not exist has been raised
    return checked([last], True)[0]


def _resize(bar: Any, total: Optional[int]) -> None:
    """A notebook's bar takes a size at a reset only, which must not begin its time again."""
    if not total or total == bar.total:
        return
    begun = getattr(bar, "start_t", None)  # one that is not shown has none
    bar.reset(total)
    if begun is not None:
        bar.start_t = begun
