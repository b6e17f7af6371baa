# SPDX-License-Identifier: Apache-2.0
"""test_display.py - what notebooks show: of states, and of a daemon that is not there."""

import re

import pytest

from ocid import Outcome, Status, _display

PUT = {"kind": "put", "bucket": "b", "object": "dir/o"}
MIB = 1 << 20

ROWS = [
    (Status(7, "queued", created_at=1000, job=PUT), ["7", "put", "b/dir/o", "queued"], None),
    (Status(7, "running", created_at=1000, bytes_done=10 * MIB, bytes_total=40 * MIB, job=PUT),
     ["running", "10.0 MiB of 40.0 MiB", "1.0 MiB/s", "30 s left"], 0.25),
    (Status(7, "waiting", why="locked", created_at=1000, job=PUT,
            outcome=Outcome(text="the key needs its pass phrase")),
     ["waiting", "for locked", "the key needs its pass phrase"], 0),
    (Status(7, "done", created_at=1000, ended_at=3000, job=PUT, outcome=Outcome(bytes=MIB)),
     ["done", "1.0 MiB", "512.0 KiB/s", "in 2 s"], 1),
    (Status(7, "failed", created_at=1000, ended_at=1020, job=PUT,
            outcome=Outcome(error="denied", text="not allowed")),
     ["failed", "in 20 ms", "not allowed"], 0),
    (Status(7, "waiting", why="members", created_at=1000, job={"kind": "set", "label": "run"},
            n_total=2000, n_done=500, n_failed=3), ["2,000 transfers", "500 of 2,000", "3 failed"],
     503 / 2000),
    (Status(7, "queued", job={"kind": "whoami"}), ["whoami"], None),
    (Status(7, "unknown"), ["7", "unknown"], None),
]


@pytest.mark.parametrize("status, expected, share", ROWS)
def test_every_state_is_shown(status, expected, share, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 11.0)
    html = _display.table([status])
    text = re.sub("<[^>]*>", "|", html)
    assert all(word in text for word in expected), text
    value = re.search('value="([^"]*)"', html)
    assert (value and float(value[1])) == (None if share is None else pytest.approx(share, 1e-3))
    assert "<script" not in html


def test_names_are_data():
    """They come from services and file systems, and a notebook renders what it is given."""
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    status = Status(1, "failed", job={"kind": "put", "bucket": evil, "object": evil},
                    outcome=Outcome(error="server", text=evil))
    html = _display.table([status], more=evil)
    assert "<script" not in html and "<img" not in html
    info, stats = {"software": evil, "pid": 1}, dict.fromkeys(
        ("queued", "running", "waiting", "paused", "bytes_up", "bytes_down"), 0)
    assert "<script" not in _display.client(info, stats, [status])


@pytest.mark.parametrize("size, text", [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"),
                                        (5 << 30, "5.0 GiB"), (3 << 60, "3072.0 PiB")])
def test_amounts(size, text):
    assert _display.amount(size) == text


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"),
                                           (3599, "59:59 min"), (3661, "1:01 h"), (1e6, "277:46 h")])
def test_durations(seconds, text):
    assert _display.duration(seconds) == text


def test_a_job_shows_what_it_is_and_stays_calm_without_a_daemon(daemon, client):
    daemon.on["job.status"] = {"epoch": 7, "seq": 1, "jobs": [
        {"id": 3, "state": "running", "seq": 1, "job": PUT}]}
    job = client.job(3)
    assert "b/dir/o" in job._repr_html_()
    daemon.close()
    assert "b/dir/o" in job._repr_html_(), "what was last heard"
    assert "unknown" in client.job(4)._repr_html_()
    assert "not running" in client._repr_html_()
    open(daemon.path, "w").close()  # for the fixture to take away


def test_a_client_shows_the_daemon_and_what_runs(daemon, client):
    daemon.on["daemon.stats"] = {"queued": 1000, "running": 1, "waiting": 0, "paused": 0,
                                 "bytes_up": 5 * MIB, "bytes_down": 0}
    daemon.on["job.list"] = {"epoch": 7, "seq": 1, "jobs": [
        {"id": 3, "state": "running", "seq": 1, "job": PUT}]}
    html = client._repr_html_()
    assert all(word in html for word in ("fake, process 1", "1,000 queued", "5.0 MiB up", "dir/o"))
