# SPDX-License-Identifier: Apache-2.0
"""What it costs that another process makes the signatures: hop.c, in pairs of runs."""
import json
import statistics
import subprocess

from kit import COUNT, PAIRS, bench, emit, quantile
from service import binaries
from wire import Failed


def runs():
    """[{side: (wall, cpu)}], a pair of runs each, in seconds."""
    r = subprocess.run([binaries() + "/bench-hop", str(COUNT), str(PAIRS)], timeout=1800,
                       capture_output=True, text=True)
    if r.returncode:
        raise Failed(f"bench-hop: {r.stderr.strip()[-500:]}")
    rows = [json.loads(line) for line in r.stdout.splitlines()]
    return [{row["side"]: (row["wall"], row["cpu"]) for row in pair}
            for pair in zip(rows[::2], rows[1::2])]


@bench
def hop():
    """signatures by the signer, in batches, beside the same by threads of the asking process"""
    pairs = runs()
    for i, name in ((0, "hop_wall"), (1, "hop_cpu")):
        ours, theirs = (statistics.median(p[side][i] for p in pairs) * 1e6 / COUNT
                        for side in ("signer", "threads"))
        ratios = sorted(p["signer"][i] / p["threads"][i] for p in pairs)
        emit(name, ours, "us/signature", against="threads", theirs=round(theirs, 2),
             ratio=round(statistics.median(ratios), 3), pairs=len(pairs),
             quartiles=[round(quantile(ratios, q), 3) for q in (0.25, 0.75)])
