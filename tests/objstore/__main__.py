# SPDX-License-Identifier: Apache-2.0
"""__main__.py - `python -m objstore`: arguments, then app.run()."""

import argparse
import asyncio
import logging
import shutil
import tempfile

from . import buckets
from .app import run
from .profile import keys_of_config

DESCRIPTION = """Runs the test store until SIGTERM. Once it listens it prints one line,
"objstore ready URL". Point ocid, oci-cli (--endpoint URL) or an SDK (service_endpoint=URL) at
that URL. Faults and the log of received requests: /_ctl/…, see control.py and faults.py."""


def key_option(text):
    key_id, sep, path = text.rpartition("=")
    if not sep:
        raise argparse.ArgumentTypeError("KEYID=PEM expected")
    with open(path, encoding="ascii") as file:
        return key_id, file.read()


def parse():
    parser = argparse.ArgumentParser(prog="python -m objstore", description=DESCRIPTION)
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0",
                        help="port 0 takes a free one (default: %(default)s)")
    parser.add_argument("--data", metavar="DIR",
                        help="where objects and the catalog are kept; the default is a "
                             "temporary folder, gone at the end")
    parser.add_argument("--namespace", default="testns", help="default: %(default)s")
    parser.add_argument("--key", metavar="KEYID=PEM", action="append", default=[],
                        type=key_option, help="a keyId and the file with its public key; may "
                        "be given several times")
    parser.add_argument("--oci-config", metavar="FILE", action="append", default=[],
                        help="accept the API keys of all profiles in this config file")
    parser.add_argument("--bucket", metavar="NAME", action="append", default=[],
                        help="create this bucket at the start; may be given several times. "
                             "Buckets named v-NxS (v-1000000x1024) always exist: N made-up "
                             "objects of S bytes")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain: serve https")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key")
    parser.add_argument("--log-limit", metavar="N", type=int, default=200_000,
                        help="how many received requests are remembered (default: %(default)s)")
    options = parser.parse_args()
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    if ":" not in options.listen:
        parser.error("--listen needs HOST:PORT")
    return options


def main():
    logging.basicConfig(level=logging.WARNING, format="objstore: %(levelname)s: %(message)s")
    options = parse()
    temporary = None
    if not options.data:
        temporary = options.data = tempfile.mkdtemp(prefix="objstore-")

    def prepare(service):
        for key_id, pem in options.key:
            service.add_key(key_id, pem)
        for path in options.oci_config:
            for key_id, pem in keys_of_config(path).items():
                service.add_key(key_id, pem)
        for name in options.bucket:
            if buckets.look_up(service, name) is None:
                buckets.make(service, name, service.compartment)
    try:
        asyncio.run(run(options, prepare))
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
