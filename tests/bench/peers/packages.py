# SPDX-License-Identifier: Apache-2.0
"""One Python package on one task of the benchmarks, as its users would write it.

packages.py SIDE version|first|put|get|list|cold [PREFIX]

SIDE: ocid or oci (clients), ocid.fs or ocifs (file systems of fsspec). Where a package does one thing
at a time, 32 threads call it. The seconds of put, get and list are printed, those of the others are
taken from outside: `first` is a whole process with one put, `cold` one that begins as a function does,
without a daemon, and prints when (CLOCK_MONOTONIC) it had the first bytes.
"""
import os
import sys
import time

E = os.environ
SIZE, NS, THREADS = 65536, "bench", 32
COUNT = int(E["PEER_COUNT"])


def threads(call, *args):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, *args))


def source():
    return [f"f{i:07d}" for i in range(COUNT)]


class Client:
    """ocid"""

    def __init__(self):
        import ocid
        self.client = ocid.Client()

    def put(self, bodies):
        self.client.put_many(bodies, "sink").wait()

    def get(self, bucket):
        return threads(lambda name: self.client.get_bytes(f"{bucket}/{name}"), source())

    def list(self, bucket):
        return sum(1 for _ in self.client.list(bucket, fields="name,size"))

    @staticmethod
    def cold(bucket):
        sys.path.insert(0, E["PEER_FUNCTION"])
        import func
        with func.daemon() as client:
            client.get_bytes(f"{bucket}/f0000000")
            return time.monotonic()


class Sdk:
    """oci"""

    def __init__(self, **signed):
        import oci
        from oci._vendor.requests.adapters import HTTPAdapter
        config = {} if signed else oci.config.from_file(E["PEER_CONFIG"])
        self.client = oci.object_storage.ObjectStorageClient(
            config, service_endpoint=E["PEER_ENDPOINT"], **signed)
        session = self.client.base_client.session
        session.verify = E["NEUTRAL_CA"]
        session.mount(E["PEER_ENDPOINT"], HTTPAdapter(pool_maxsize=THREADS))

    def put(self, bodies):
        threads(lambda name: self.client.put_object(NS, "sink", name, bodies[name]), bodies)

    def get(self, bucket):
        return threads(lambda name: self.client.get_object(NS, bucket, name).data.content, source())

    def list(self, bucket):
        n, start = 0, None
        while n == 0 or start:
            page = self.client.list_objects(NS, bucket, fields="name,size", start=start).data
            n, start = n + len(page.objects), page.next_start_with
        return n

    @classmethod
    def cold(cls, bucket):
        import oci
        signer = oci.auth.signers.get_resource_principals_signer()
        cls(signer=signer).client.get_object(NS, bucket, "f0000000").data.content  # noqa: B018
        return time.monotonic()


class Files:
    """ocid.fs"""

    def __init__(self):
        from ocid.fs import OcidFileSystem
        self.fs = OcidFileSystem()

    def put(self, bodies):
        self.fs.pipe({f"sink/{name}": body for name, body in bodies.items()})

    def get(self, bucket):
        return list(self.fs.cat([f"{bucket}/{name}" for name in source()]).values())

    def list(self, bucket):
        return len(self.fs.find(bucket))


class TheirFiles:
    """ocifs"""

    def __init__(self):
        from ocifs import OCIFileSystem
        self.fs = OCIFileSystem(config=E["PEER_CONFIG"],
                                config_kwargs={"service_endpoint": E["PEER_ENDPOINT"]})
        self.fs.oci_client.base_client.session.verify = E["NEUTRAL_CA"]

    def put(self, bodies):
        threads(lambda name: self.fs.pipe_file(f"sink@{NS}/{name}", bodies[name]), bodies)

    def get(self, bucket):
        return threads(lambda name: self.fs.cat_file(f"{bucket}@{NS}/{name}"), source())

    def list(self, bucket):
        return len(self.fs.find(f"{bucket}@{NS}"))


SIDES = {"ocid": Client, "oci": Sdk, "ocid.fs": Files, "ocifs": TheirFiles}


def main(side, task, prefix=""):
    if task == "version":
        import importlib.metadata
        print(importlib.metadata.version(side))
    elif task == "cold":
        print(SIDES[side].cold(f"v-1x{SIZE}"))
    elif task == "first":
        SIDES[side]().put({prefix: b"1" * SIZE})
    else:
        one = SIDES[side]()
        bodies = {f"{prefix}/{i}": os.urandom(SIZE) for i in range(COUNT)}
        began = time.monotonic()
        if task == "put":
            one.put(bodies)
        elif task == "get":
            sizes = {len(data) for data in one.get(f"v-{COUNT}x{SIZE}")}
            assert sizes == {SIZE}, sizes
        else:
            n = one.list("v-100000x64")
            assert n == 100000, n
        print(time.monotonic() - began)


main(*sys.argv[1:])
