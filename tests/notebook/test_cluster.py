# SPDX-License-Identifier: Apache-2.0
"""test_cluster.py - a dask cluster of three machines with one worker and one `ocid` each: they read and
write one data set, and nothing but conditional writes keeps them apart."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import cluster_work
import dask.dataframe
import machines
import numpy
import pandas
import pytest
from distributed import Client
from harness import SLOW, WAIT_S, until

import ocid.fs  # noqa: F401, here it has no entry point that fsspec would find

N_MACHINES, N_PARTS, N_ENTRIES = 3, 24, 8
ROWS = 120_000


class Cluster:
    """The machines, the store, and a client of the scheduler."""

    def __init__(self, store, hosts, client):
        self.store, self.hosts, self.client = store, hosts, client

    def everywhere(self, work, *args):
        """work(…) on every machine at once; its results by machine."""
        futures = [self.client.submit(work, *[arg(host) if callable(arg) else arg for arg in args],
                                      workers=[host.name], pure=False) for host in self.hosts]
        return self.client.gather(futures)

    def callers(self, op):
        """Addresses of the machines that have asked the store for this."""
        return {entry["connection"].rpartition(":")[0]
                for entry in self.store.log(op, limit=100_000)}


@contextlib.contextmanager
def program(log_file, command, **env):
    with open(log_file, "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env={**os.environ, **env})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path, profile, installed, monkeypatch):
    if (reason := machines.possible()) is not None:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        stack.enter_context(machines.hub())
        store = stack.enter_context(machines.HubStore(buckets=["b"], profile=profile))
        hosts = []
        for number in range(N_MACHINES):
            (tmp_path / f"m{number}").mkdir()
            hosts.append(machines.Machine(number, tmp_path / f"m{number}", store, profile))
            stack.callback(hosts[-1].close)
            hosts[-1].start()
        where = tmp_path / "scheduler"
        path = {"PYTHONPATH": os.pathsep.join([installed, str(Path(__file__).parent)])}
        stack.enter_context(program(tmp_path / "scheduler.log", machines.mortal(
            sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", machines.HUB, "--port",
            "0", "--no-dashboard", "--no-jupyter", "--scheduler-file", str(where)), **path))
        until(where.exists, "the scheduler is up", 60 * SLOW)
        for host in hosts:
            stack.enter_context(program(tmp_path / f"{host.name}.log", host.inside(
                sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(where),
                "--host", host.address, "--name", host.name, "--nthreads", "2", "--no-nanny",
                "--no-dashboard", "--local-directory", str(tmp_path / host.name)),
                **host.env, **path))
        for name in ("XDG_RUNTIME_DIR", "HOME"):  # the one who asks is at the first machine
            monkeypatch.setenv(name, hosts[0].env[name])
        client = stack.enter_context(Client(scheduler_file=str(where), timeout=60 * SLOW))
        client.wait_for_workers(N_MACHINES, timeout=60 * SLOW)
        yield Cluster(store, hosts, client)


@pytest.fixture
def frame():
    random = numpy.random.default_rng(7)
    return pandas.DataFrame({"step": numpy.arange(ROWS), "energy": random.normal(size=ROWS),
                             "kind": random.choice(["ice", "water", "vapour"], ROWS)})


def test_three_machines_share_one_data_set(cluster, frame):
    store, addresses = cluster.store, {host.address for host in cluster.hosts}
    assert cluster.everywhere(cluster_work.here) == [host.client.info["uuid"]
                                                     for host in cluster.hosts]

    dask.dataframe.from_pandas(frame, npartitions=N_PARTS).to_parquet("ocid://b/frame")
    assert cluster.callers("PutObject") == addresses, "each machine wrote by its own daemon"
    store.clear_log()
    back = dask.dataframe.read_parquet("ocid://b/frame")
    pandas.testing.assert_frame_equal(back.compute(), frame, check_dtype=False)
    assert cluster.callers("GetObject") == addresses

    done = cluster.everywhere(cluster_work.claim_parts, "b", lambda host: host.name, N_MACHINES,
                              N_PARTS)
    assert sum(map(bool, done)) > 1, "it was shared out"
    assert sorted(part for parts in done for part in parts) == list(range(N_PARTS)), "once each"
    for host, parts in zip(cluster.hosts, done):
        for part in parts:
            assert store.object_bytes(f"b/claims/{part}") == host.name.encode()
    sums = pandas.read_parquet("ocid://b/sums").groupby("kind")["energy"].sum()
    pandas.testing.assert_series_equal(sums, frame.groupby("kind")["energy"].sum(),
                                       check_index_type=False)
    assert store.count("PutObject", object="claims/*", status=412) == (N_MACHINES - 1) * N_PARTS

    store.put_object("b/list", b"[]")
    lost = cluster.everywhere(cluster_work.add_to_list, "b/list", lambda host: host.name, N_ENTRIES)
    entries = cluster.hosts[0].client.get_json("b/list")
    assert sorted(entries) == sorted(f"{host.name}/{i}" for host in cluster.hosts
                                     for i in range(N_ENTRIES)), "none was overwritten"
    print(f"parts: {list(map(len, done))}; another was faster: {lost}")
