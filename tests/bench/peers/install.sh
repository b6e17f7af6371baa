#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install.sh DIR - the newest of each mover that the benchmarks compare with, under DIR: rclone and
# s5cmd (by go), Oracle's Python SDK, ocifs and CLI (by pip), Oracle's TypeScript SDK (by npm). What is
# there already stays. A tool that is missing costs its peers, and says so.
set -eu
dir=$1
mkdir -p "$dir"
need() {
    command -v "$1" >/dev/null && return
    echo "peers: $1 is not installed: no $2" >&2
    return 1
}
for peer in rclone/rclone peak/s5cmd/v2; do
    name=$(basename "${peer%/v2}")
    [ -x "$dir/bin/$name" ] || ! need go "$name" ||
        GOBIN="$dir/bin" GOPATH="$dir/go" GOFLAGS=-modcacherw go install "github.com/$peer@latest" ||
        echo "peers: $name could not be built" >&2
done
if { [ ! -x "$dir/py/bin/oci" ] || [ ! -d "$(echo "$dir"/py/lib/python*/site-packages/ocifs)" ]; } &&
    need python3 "oci, ocifs and oci-cli"; then
    python3 -m venv "$dir/py"
    "$dir/py/bin/pip" install --quiet oci ocifs oci-cli msgpack # the last one is what ours needs
fi
if [ ! -d "$dir/node/node_modules/oci-objectstorage" ] && need npm "TypeScript SDK"; then
    mkdir -p "$dir/node"
    (cd "$dir/node" && npm install --silent --no-audit --no-fund oci-common oci-objectstorage)
fi
