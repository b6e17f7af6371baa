# SPDX-License-Identifier: Apache-2.0
"""python -m torture [--long] [--seed N] [--jobs N] [NAME[/LIFE]…] - see run.sh.

A life is a daemon with a queue of its own that goes through some points one after the other; its
moves follow from the seed, the name and the life's number alone.
"""

import argparse
import contextlib
import faulthandler
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenario"))

from harness import Store, binaries, make_profile  # noqa: E402

from . import (changed, faults, kills, load, mounts, names, network, power,  # noqa: E402
               restarts, syscalls)
from .mutants import MUTANTS, hunt, in_sources  # noqa: E402
from .world import World, silence  # noqa: E402

SUITES = {suite.name: suite for suite in (
    kills.AtSyscall(), kills.AtRandom(), power.Cut(), faults.Store(), syscalls.Errors(),
    changed.Source(), restarts.Restarts(), load.Load(), network.Network(), names.Names(),
    mounts.Mount())}
_worker = {}


def begin_worker(folder, fault=None):
    """Each worker has a store of its own, which says nothing of connections that broke. SIGUSR1
    tells where it hangs."""
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was begun is taken down
    if fault:
        os.environ["OCID_FAULT"] = fault
    profile = make_profile(tempfile.mkdtemp(prefix="key-", dir=folder))
    _worker["profile"] = profile
    with silence():
        _worker["store"] = Store(buckets=[], profile=profile).start()
    multiprocessing.util.Finalize(None, _worker["store"].close, exitpriority=10)


def run_life(task):
    """(task, points passed, what went wrong or None, seconds)."""
    seed, name, number, n_points, folder = task
    suite, store = SUITES[name], _worker["store"]
    began, at = time.monotonic(), []
    rng = random.Random(f"{seed}/{name}/{number}")
    above = Path(tempfile.mkdtemp(prefix=f"{name}-{number}-", dir=folder))
    bucket = above.name
    store.clear()
    store.clear_log()
    trouble = None
    try:
        suite.profile = _worker["profile"]
        with getattr(suite, "place", somewhere)(above) as where, \
                World(where, getattr(suite, "store", store), _worker["profile"], bucket, rng,
                      **getattr(suite, "settings", {})) as world:
            try:
                suite.life(world, number, n_points, at.append)
            except Exception as error:
                trouble = tell(error, world)
    except Exception:
        trouble = traceback.format_exc()
    passed = max(0, len(at) - 1) if trouble else len(at)
    if trouble:
        trouble = f"{name}/{number}, point {len(at)} ({at[-1] if at else 'before'}): {trouble}"
    return task, passed, trouble, time.monotonic() - began


@contextlib.contextmanager
def somewhere(folder):
    """Where a world is to be, if its torture does not care."""
    yield folder / "w"


def tell(error, world):
    if type(error).__name__ == "Violation":
        text = str(error)
    else:
        text = traceback.format_exc()
    if os.environ.get("TORTURE_LOG"):
        text += "\n" + world.ocid.log()[-20000:]
    return text


def lives_of(suite, seed, long, only=None):
    points = suite.long_points if long else suite.points
    per = min(suite.per_life, points)
    numbers = [only] if only is not None else range((points + per - 1) // per)
    return [(seed, suite.name, n, per if only is not None else min(per, points - n * per))
            for n in numbers]


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long run, hours")
    parser.add_argument("--seed", type=int, help="repeats a run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="lives at a time")
    parser.add_argument("--mutants", action="store_true",
                        help="daemons with a promise taken out, which must be caught")
    parser.add_argument("names", nargs="*", metavar="NAME[/LIFE]",
                        help=f"of {', '.join(SUITES)}; else all")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not binaries():
        sys.exit("no ocid: build it first, or set OCID_BUILD")
    seed = random.SystemRandom().randrange(10**9) if args.seed is None else args.seed
    print(f"seed {seed}", flush=True)
    if args.mutants:
        sys.exit(run_mutants(args.names or MUTANTS, seed, args))
    tasks = []
    for name in args.names or SUITES:
        name, _, only = name.partition("/")
        if name not in SUITES:
            sys.exit(f"no such torture: {name} (there are {', '.join(SUITES)})")
        reason = getattr(SUITES[name], "possible", lambda: None)()
        if reason:
            print(f"{name}: left out, {reason}", flush=True)
            continue
        tasks += lives_of(SUITES[name], seed, args.long, int(only) if only else None)
    with tempfile.TemporaryDirectory(prefix="torture-", dir=home(),
                                     ignore_cleanup_errors=True) as folder:
        sys.exit(run_all([(*task, folder) for task in tasks], args, folder))


def run_mutants(names, seed, args):
    """Each is caught, or the status is 1."""
    passed = failed = 0
    if in_sources() != set(MUTANTS):
        sys.exit(f"the mutants of the sources are {in_sources()}, those known {set(MUTANTS)}")
    for name in names:
        def troubles(torture, fault):
            with tempfile.TemporaryDirectory(prefix="torture-", dir=home(),
                                             ignore_cleanup_errors=True) as folder:
                tasks = [(*t, folder) for t in lives_of(SUITES[torture], seed, args.long)]
                with multiprocessing.Pool(args.jobs, begin_worker, [folder, fault]) as pool:
                    for at in range(0, len(tasks), args.jobs):  # so that all have ended at a yield
                        for *_, trouble, _ in pool.map(run_life, tasks[at:at + args.jobs], 1):
                            if trouble:
                                yield trouble
                    pool.close()
                    pool.join()
        caught, said = hunt(name, troubles)
        passed, failed = passed + caught, failed + (not caught)
        print(f"mutant {name}: {'caught' if caught else 'NOT CAUGHT'}: {said}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def home():
    """In memory: what a kill leaves behind is in the kernel's hands anyhow."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def run_all(tasks, args, folder):
    passed = failed = 0
    took, count = {}, {}
    with multiprocessing.Pool(args.jobs, begin_worker, [folder]) as pool:
        for (seed, name, number, _, _), points, trouble, seconds in pool.imap_unordered(run_life,
                                                                                      tasks):
            passed += points
            took[name] = took.get(name, 0) + seconds
            count[name] = count.get(name, 0) + points
            if trouble:
                failed += 1
                print(f"FAILED {trouble}\n  again: sh tests/torture/run.sh --seed {seed} "
                      f"{name}/{number}", flush=True)
        pool.close()
        pool.join()
    for name in took:
        rate = count[name] / took[name] if took[name] else 0
        print(f"{name}: {count[name]} points, {took[name]:.0f} s of a worker's, {rate:.1f} a second")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
