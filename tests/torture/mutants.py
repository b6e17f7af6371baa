# SPDX-License-Identifier: Apache-2.0
"""mutants.py - the daemon with a promise taken out of it: the tortures must notice. What a mutant does
is at OC_MUTANT(NAME) in the sources; only builds with fault points have them."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
MUTANTS = {  # and the tortures that have to catch it
    "sync": ("power",),
    "publish": ("power",),
    "intent": ("kill-call", "kill-time"),
    "check": ("changed",),
    "link": ("kill-call", "kill-time"),
    "stream": ("kill-time", "kill-call"),
    "state": ("kill-time",),
    "limit": ("kill-time",),
}


def in_sources():
    return {name for path in (ROOT / "daemon").rglob("*.c")
            for name in re.findall(r'OC_MUTANT\("([^"]+)"\)', path.read_text("utf-8"))}


def hunt(name, run):
    """run(torture, fault) -> failures as they come. Whether it was caught, and what was said."""
    for torture in MUTANTS[name]:
        for trouble in run(torture, f"mutant.{name}:1+"):
            if "Traceback" in trouble:
                return False, f"the torture itself has failed: {trouble}"
            return True, trouble.splitlines()[0][:200]
    return False, f"{' and '.join(MUTANTS[name])} noticed nothing"
