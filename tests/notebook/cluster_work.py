# SPDX-License-Identifier: Apache-2.0
"""cluster_work.py - what the workers of the cluster do. Each uses the `ocid` of its own machine, and
knows of the others by what is in the store."""

import time

import ocid
import pandas

JOB_S = 60


def here():
    """Which machine's daemon this worker has."""
    return ocid.Client().info["uuid"]


def meet(client, place, me, n_machines):
    """Until all are here."""
    client.put_bytes(f"{place}/here/{me}", b"", timeout=JOB_S).wait()
    while len(list(client.list(f"{place}/here/", timeout=JOB_S))) < n_machines:
        time.sleep(0.01)


def claim_parts(place, me, n_machines, n_parts):
    """Does those parts of the work that nobody else has begun; which they were."""
    mine = []
    with ocid.Client(label=me) as client:
        meet(client, place, me, n_machines)
        for i in range(n_parts):
            try:
                client.put_bytes(f"{place}/claims/{i}", me.encode(), if_absent=True,
                                 timeout=JOB_S).wait()
            except ocid.Exists:
                continue
            part = pandas.read_parquet(f"ocid://{place}/frame/part.{i}.parquet")
            sums = part.groupby("kind", as_index=False)["energy"].sum()
            sums.to_parquet(f"ocid://{place}/sums/{i}.parquet")
            mine.append(i)
    return mine


def add_to_list(place, me, n_entries):
    """Adds entries to one list that all write; how often another was faster."""
    lost = 0
    with ocid.Client(label=me) as client:
        for i in range(n_entries):
            while True:
                try:
                    etag = client.head(place, timeout=JOB_S)["etag"]
                    entries = client.get_json(place, if_match=etag, timeout=JOB_S)
                    client.put_json(place, [*entries, f"{me}/{i}"], if_match=etag,
                                    timeout=JOB_S).wait()
                    break
                except ocid.Condition:
                    lost += 1
    return lost


