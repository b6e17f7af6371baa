#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# neutral.sh - starts and stops the other end of every speed figure: nginx + Lua on loopback.
#
#   sh neutral.sh start DIR    prints shell variables to eval; DIR is best on tmpfs
#   sh neutral.sh stop DIR     ends it and removes what start made
#
# It answers enough of the Object Storage API for the benchmarks (oci.lua says what), computes real
# CRC32C, counts requests and verifies a sample of their signatures. A yardstick for speed: what is
# correct is the test store's business (tests/objstore).
#
# Knobs: NEUTRAL_PORT (18080; TLS is the next one), NEUTRAL_WORKERS (2), NEUTRAL_BIG (bytes of the
# large object, 1073741824), NEUTRAL_PUB (PEM public key that signatures are verified with).
# Debian: nginx libnginx-mod-http-lua lua-cjson libisal2 openssl.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cmd=${1:-} run=${2:-}
port=${NEUTRAL_PORT:-18080}
[ -n "$run" ] || { sed -n '4,17p' "$0"; exit 2; }

certificates() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=bench CA" \
        -keyout "$run/ca.key" -out "$run/ca.crt" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" \
        -keyout "$run/server.key" -out "$run/server.csr" 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$run/ext"
    openssl x509 -req -in "$run/server.csr" -CA "$run/ca.crt" -CAkey "$run/ca.key" \
        -CAcreateserial -days 30 -extfile "$run/ext" -out "$run/leaf.crt" 2>/dev/null
    cat "$run/leaf.crt" "$run/ca.crt" >"$run/server.crt"
}

filler() { # real pages, not a hole: a reader must touch memory
    [ -s "$run/blob/$1" ] && return
    openssl enc -aes-128-ctr -nosalt -pass pass:bench -md md5 -in /dev/zero 2>/dev/null |
        head -c "$1" >"$run/blob/$1"
}

case $cmd in
start)
    mkdir -p "$run/blob" "$run/body" "$run/t"
    [ -s "$run/server.crt" ] || certificates
    [ -z "${NEUTRAL_PUB:-}" ] || cp "$NEUTRAL_PUB" "$run/signer.pub"
    for s in 64 4096 65536 "${NEUTRAL_BIG:-1073741824}"; do filler "$s"; done
    modules=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
    chmod -R a+rX "$run"
    chmod 777 "$run/blob" "$run/body" "$run/t"
    sed -e "s|@RUN@|$run|g; s|@HERE@|$here|g; s|@WORKERS@|${NEUTRAL_WORKERS:-2}|" \
        -e "s|@USER@|$(id -un)|; s|@PORT@|$port|; s|@TLSPORT@|$((port + 1))|" \
        -e "s|@MODULES@|$modules|" "$here/nginx.conf.in" >"$run/nginx.conf"
    ulimit -n 16384 2>/dev/null || true
    nginx -q -c "$run/nginx.conf" -p "$run" -e "$run/error.log"
    echo "NEUTRAL_RUN=$run"
    echo "NEUTRAL_PLAIN=http://localhost:$port"
    echo "NEUTRAL_TLS=https://localhost:$((port + 1))"
    echo "NEUTRAL_CA=$run/ca.crt"
    ;;
stop)
    if [ -s "$run/nginx.pid" ]; then
        pid=$(cat "$run/nginx.pid")
        kill -TERM "$pid" 2>/dev/null || true
        n=0
        while kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
    fi
    (cd "$run" 2>/dev/null && rm -rf blob body t ca.* server.* leaf.crt ext nginx.conf nginx.pid \
        error.log signer.pub) || true
    rmdir "$run" 2>/dev/null || true
    ;;
*)
    sed -n '4,17p' "$0"
    exit 2
    ;;
esac
