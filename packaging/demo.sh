#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh - ocid at work, from nothing: builds it, starts it against the test store on this
# machine, moves a real tree and a large file, kills it in the middle, and compares every byte.
#
# All it makes is in build/demo, build/venv and a temporary directory, which is removed. Nothing
# outside this machine is asked, but for packages that are missing.
set -eu
cd "$(dirname "$0")/.."
. packaging/packages.sh

TREE=${OCID_DEMO_TREE:-/usr/share/doc}
FILE_MIB=300
PART_MIB=8
CONNECTIONS=8 # a killed upload may have to send so many parts again
ARRIVE=14     # parts that arrive before the kill; the others are held up

say() { printf 'demo: %s\n' "$*"; }
now() { date +%s%N; }
# seconds SINCE, rate BYTES SINCE: to two places, by the clock of now().
seconds() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", (b - a) / 1e9 }'; }
rate() { awk -v n="$1" -v a="$2" -v b="$(now)" 'BEGIN { printf "%.0f MiB/s", n / 1048576 / ((b - a) / 1e9) }'; }

# ---- What it needs, the programs, the store's Python.

packages build demo
began=$(now)
mkdir -p build/demo
if ! { cmake -S . -B build/demo -DCMAKE_BUILD_TYPE=RelWithDebInfo -DOCID_TESTS=OFF &&
    cmake --build build/demo -j "$(nproc)"; } >build/demo/demo.log 2>&1; then
    tail -50 build/demo/demo.log
    say "the build has failed"
    exit 1
fi
say "built in $(seconds "$began") s"
python_env build/venv tests/requirements.txt

# ---- A place of its own: keys, configuration, queue, socket. Its end, however that comes.

work=$(mktemp -d "${TMPDIR:-/tmp}/ocid-demo.XXXXXX")
store_pid='' daemon_pid=''
stop_all() {
    for pid in $daemon_pid $store_pid; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    store_pid='' daemon_pid=''
}
end() {
    status=$?
    trap - EXIT INT TERM
    stop_all || :
    if [ "$status" != 0 ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] && { echo "--- ${log##*/}"; tail -30 "$log"; }
        done >&2
    fi
    rm -rf "$work"
    [ "$status" = 0 ] || say "failed" >&2
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python=$PWD/build/venv/bin/python
export PYTHONPATH="$PWD/tests" PATH="$PWD/build/demo/bin:$PATH"
export HOME="$work/home" XDG_RUNTIME_DIR="$work/run" XDG_CONFIG_HOME="$work/config" \
    XDG_STATE_HOME="$work/state"
unset OCI_CONFIG_FILE OCI_CLI_PROFILE 2>/dev/null || :
umask 077
mkdir -p "$HOME/.oci" "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME/ocid" "$XDG_STATE_HOME"

openssl genrsa -out "$HOME/.oci/key.pem" 2048 2>/dev/null
fingerprint=$(openssl rsa -in "$HOME/.oci/key.pem" -pubout -outform DER 2>/dev/null |
    openssl md5 -c | sed 's/.*[= ]//')
cat >"$HOME/.oci/config" <<END
[DEFAULT]
user=ocid1.user.oc1..demouser
tenancy=ocid1.tenancy.oc1..demotenancy
fingerprint=$fingerprint
key_file=$HOME/.oci/key.pem
region=us-ashburn-1
END
"$python" -c 'import sys; from objstore.tls import make_certificates as m; m(sys.argv[1])' \
    "$work/tls"

# ---- The store, over TLS, on a free port of the loopback.

"$python" -m objstore --data "$work/store" --oci-config "$HOME/.oci/config" --bucket demo \
    --tls-cert "$work/tls/cert.pem" --tls-key "$work/tls/key.pem" \
    >"$work/store.log" 2>&1 &
store_pid=$!
# until_true SECONDS COMMAND…: asks again, ten times a second; fails when the time is up.
until_true() {
    turns=$(($1 * 10))
    shift
    while ! "$@" >/dev/null 2>&1; do
        turns=$((turns - 1))
        [ "$turns" -gt 0 ] || return 1
        sleep 0.1
    done
}
until_true 30 grep -q '^objstore ready' "$work/store.log" || { say "no store"; exit 1; }
url=$(sed -n 's/^objstore ready //p' "$work/store.log")

# control METHOD PATH [JSON]: the store's door for tests, see tests/objstore/control.py.
cat >"$work/control.py" <<'END'
import json, ssl, sys, urllib.request
url, ca, method, path, *body = sys.argv[1:]
request = urllib.request.Request(f"{url}/_ctl/{path}", method=method,
                                 data=body[0].encode() if body else None,
                                 headers={"content-type": "application/json"})
with urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca))).open(
            request, timeout=60) as reply:
    print(reply.read().decode())
END
control() { "$python" "$work/control.py" "$url" "$work/tls/ca.pem" "$@"; }

# ---- The daemon, as a person has it in $XDG_CONFIG_HOME/ocid/ocid.conf.

cat >"$XDG_CONFIG_HOME/ocid/ocid.conf" <<END
[network]
endpoint = $url
ca_file = $work/tls/ca.pem

[transfer]
connections = $CONNECTIONS
multipart_threshold_mib = $PART_MIB
part_mib = $PART_MIB
END
start() {
    ocid >>"$work/ocid.log" 2>&1 &
    daemon_pid=$!
    until_true 20 ocictl version --daemon || { say "ocid does not answer"; exit 1; }
}
start
say "ocid and the store run: $url"

# ---- A tree of many small files.

began=$(now)
ocictl push -r --wait --symlinks follow "$TREE" oci://demo/tree/ >"$work/push.log" 2>&1 || {
    say "the push of $TREE has failed"
    exit 1
}
cp -rL "$TREE" "$work/sent" 2>"$work/copy.log" || : # links without a target are not copied
files=$(find "$work/sent" -type f | wc -l)
bytes=$(find "$work/sent" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }')
say "$TREE: $files files, $((bytes >> 20)) MiB, pushed in $(seconds "$began") s"

# ---- A large file by parts, and a kill in the middle: the store holds up all parts after the
# first few, so that the moment does not depend on anybody's speed.

head -c "$((FILE_MIB << 20))" /dev/urandom >"$work/large"
parts=$(((FILE_MIB + PART_MIB - 1) / PART_MIB))
control POST rules "{\"op\": \"UploadPart\", \"nth\": $((ARRIVE + 1)), \"count\": 0,
    \"do\": \"hang\", \"at\": \"body\", \"after\": 1048576}" >/dev/null
job=$(ocictl push --no-wait "$work/large" oci://demo/large)
control GET "wait?op=UploadPart&object=large&status=200&n=$ARRIVE&timeout=60" >/dev/null
say "status, with $ARRIVE of $parts parts there:"
ocictl status
kill -9 "$daemon_pid"
wait "$daemon_pid" 2>/dev/null || :
arrived=$(control GET 'wait?op=UploadPart&object=large&status=200&n=0&timeout=0' | tr -dc 0-9)
[ "$arrived" -gt 0 ] && [ "$arrived" -lt "$parts" ] || {
    say "$arrived of $parts parts had arrived: that is no kill in the middle"
    exit 1
}
say "kill -9: $arrived of $parts parts had arrived"
control DELETE rules >/dev/null

began=$(now)
start
ocictl wait "$job" >/dev/null || { say "the upload has not ended well"; exit 1; }
say "started again: the other $((parts - arrived)) parts took $(seconds "$began") s"
# Parts that were begun twice: those on their way at the kill, and any whose row was not written.
again=$(control GET 'log?op=UploadPart&object=large' | "$python" -c '
import collections, json, sys
begun = collections.Counter(entry["part"] for entry in json.load(sys.stdin))
print(sum(n > 1 for n in begun.values()))')
say "$again parts were sent again, at most one for each of the $CONNECTIONS connections"
[ "$again" -le "$CONNECTIONS" ] || exit 1
echo
ocictl status --all | head -12
echo

# ---- All of it back, and compared.

began=$(now)
ocictl pull -r --wait oci://demo/tree/ "$work/back" >"$work/pull.log" 2>&1 || {
    say "the pull has failed"
    exit 1
}
say "the tree came back in $(seconds "$began") s"
began=$(now)
ocictl pull --wait oci://demo/large "$work/large.back" >>"$work/pull.log" 2>&1
say "the file of $FILE_MIB MiB came back at $(rate $((FILE_MIB << 20)) "$began")"
say "(the store is a Python program that checks signatures: it sets the pace)"
find "$work/sent" -type d -empty -delete # an object store knows files only
diff -r "$work/sent" "$work/back"
cmp "$work/large" "$work/large.back"
say "every byte is the same"
stop_all || :

cat <<END

To use it with your own tenancy: put the key that the console gave you into ~/.oci/config, as the
SDKs want it (user, tenancy, fingerprint, key_file, region), then

  $PWD/build/demo/bin/ocictl start
  $PWD/build/demo/bin/ocictl push FILE oci://BUCKET/NAME

README.md has the rest.

END
say ok
