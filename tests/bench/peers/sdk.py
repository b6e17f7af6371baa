# SPDX-License-Identifier: Apache-2.0
"""Oracle's Python SDK on one task of the benchmarks, as its users would write it: 32 threads.

sdk.py put-4k DIR BUCKET PREFIX | get-4k DIR BUCKET COUNT | list BUCKET
"""
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import oci
from oci._vendor.requests.adapters import HTTPAdapter

task, args = sys.argv[1], sys.argv[2:]
E, NS, THREADS = os.environ, "bench", 32
client = oci.object_storage.ObjectStorageClient(oci.config.from_file(E["PEER_CONFIG"]),
                                                service_endpoint=E["PEER_ENDPOINT"])
client.base_client.session.verify = E["NEUTRAL_CA"]
client.base_client.session.mount(E["PEER_ENDPOINT"], HTTPAdapter(pool_maxsize=THREADS))


def put(path, bucket, name):
    with open(path, "rb") as f:
        client.put_object(NS, bucket, name, f)


def get(path, bucket, name):
    data = client.get_object(NS, bucket, name).data
    with open(path, "wb") as f:
        for piece in data.raw.stream(1 << 20, decode_content=False):
            f.write(piece)


def rows(bucket):
    start = None
    while True:
        page = client.list_objects(NS, bucket, fields="name,size", limit=1000, start=start).data
        for o in page.objects:
            print(o.size, o.name)
        start = page.next_start_with
        if not start:
            return


with ThreadPoolExecutor(THREADS) as pool:
    if task == "put-4k":
        d, to, prefix = args
        list(pool.map(lambda n: put(f"{d}/{n}", to, f"{prefix}/{n}"), sorted(os.listdir(d))))
    elif task == "get-4k":
        d, source, count = args
        list(pool.map(lambda i: get(f"{d}/f{i:07d}", source, f"f{i:07d}"), range(int(count))))
    else:
        rows(args[0])
