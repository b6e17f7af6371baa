#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - the benchmarks: measures ocid beside the bare floor, curl and RSA on the same machine.
#
#   sh tests/bench/run.sh speed           all that the README speaks of, about half an hour
#   sh tests/bench/run.sh NAME...         some of them; `-l` lists the names
#   sh tests/bench/run.sh --peers ...     beside rclone, s5cmd and Oracle's own clients as well, the
#                                         newest of each (peers/install.sh needs go, npm, python3)
#
# One JSON line a figure on stdout:
#   {"name": "submit_ack_p50", "value": 0.21, "unit": "ms"}
#   {"name": "put_4k_tls", "value": 1929, "unit": "puts/s", "against": "floor", "ratio": 1.13, ...}
# `ratio` is ours divided by theirs, the median over rounds taken in turn. Compare figures of one
# run only; on a shared machine seconds swing, ratios hold. A run in which the server saw a request
# without a valid signature, or a body whose CRC32C was not the announced one, fails.
#
# What it needs: cmake's build of this tree, and the packages of `packaging/packages.sh build bench`
# (installed here, as root).
#
# Knobs, by the environment:
#   OCID_BIN       directory of ocid and ocictl; else the newest build*/**/bin of this tree
#   BENCH_ROUNDS   rounds of each comparison (5)
#   BENCH_PAIRS    pairs of runs in put_4k_floor and hop (25)
#   BENCH_COUNT    small objects, or signatures, a round (5000)
#   BENCH_SCALE    jobs that wait in scale (1000000)
#   BENCH_BIG      bytes of the large object (2147483648)
#   BENCH_TMP      where data and objects lie; memory is best (/dev/shm)
#   BENCH_STATE    where the queue lies; a real disk, or its fsync costs nothing (/var/tmp)
#   BENCH_LIMIT    seconds after which everything is ended (7200)
#   BENCH_PEERS    where --peers finds the other movers, or puts them (~/.cache/ocid-bench-peers)
#   BENCH_KEEP=1   leave logs and directories behind
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
: "${BENCH_TMP:=/dev/shm}" "${BENCH_STATE:=/var/tmp}" "${BENCH_BIG:=2147483648}"
with_peers=
[ "${1:-}" != --peers ] || { with_peers=1; shift; }
case ${1:-} in
-l | --list) exec python3 "$here/bench.py" --list ;;
-h | --help) sed -n '3,33p' "$0"; exit 0 ;;
esac
. "$root/packaging/packages.sh"
packages build bench >&2
for tool in nginx openssl curl python3 cc strace valgrind; do
    command -v $tool >/dev/null || { echo "run.sh: $tool is not installed" >&2; exit 2; }
done
if [ "$with_peers" ]; then
    : "${BENCH_PEERS:=${XDG_CACHE_HOME:-$HOME/.cache}/ocid-bench-peers}"
    sh "$here/peers/install.sh" "$BENCH_PEERS" >&2
    export BENCH_PEERS
else
    unset BENCH_PEERS
fi
[ -w "$BENCH_TMP" ] || BENCH_TMP=/tmp

tmp=$(mktemp -d "$BENCH_TMP/ocid-bench.XXXXXX")
state=$(mktemp -d "$BENCH_STATE/ocid-bench.XXXXXX")
driver=
clean() {
    trap - EXIT INT TERM HUP
    [ -z "$driver" ] || { kill "$driver" 2>/dev/null && wait "$driver" || true; }
    sh "$here/neutral/neutral.sh" stop "$tmp/neutral" || true
    if [ "${BENCH_KEEP:-}" = 1 ]; then
        echo "run.sh: kept $tmp and $state" >&2
    else
        rm -rf "$tmp" "$state"
    fi
}
trap clean EXIT
trap 'clean; exit 130' INT TERM HUP

cc -O2 "$here/floor.c" -o "$tmp/floor" -luv -lcurl -lcrypto
cc -O2 "$here/spawn.c" -o "$tmp/spawn"
cc -O2 "$here/submit.c" -o "$tmp/submit"
openssl genrsa -out "$tmp/key.pem" 2048 2>/dev/null
openssl rsa -in "$tmp/key.pem" -pubout -out "$tmp/key.pub" 2>/dev/null
chmod 600 "$tmp/key.pem"

NEUTRAL_PORT=$(python3 - <<'P'
import socket
for port in range(18080, 18980, 2):
    try:
        for p in (port, port + 1):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", p))
        print(port)
        break
    except OSError:
        pass
P
)
export NEUTRAL_PORT NEUTRAL_PUB="$tmp/key.pub" NEUTRAL_BIG="$BENCH_BIG"
mkdir "$tmp/neutral"
vars=$(sh "$here/neutral/neutral.sh" start "$tmp/neutral")
eval "$(printf '%s\n' "$vars" | sed 's/^/export /')"

export BENCH_RUN="$tmp" BENCH_QUEUE="$state" BENCH_BIG BENCH_ROOT="$root"
timeout -k 10 "${BENCH_LIMIT:-7200}" python3 "$here/bench.py" "$@" &
driver=$!
status=0
wait "$driver" || status=$?
driver=
exit $status
