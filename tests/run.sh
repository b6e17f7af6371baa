#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - builds (preset ci) and runs the tests; installs first what is missing, as root.
#
#   sh tests/run.sh [--full]
#
# Without --full: units, our reader of profiles against Python's, the arrows, the store, the Python
# package, the scenarios. --full adds Oracle's own tools as judges of the store, Jupyter's kernels and
# data frames, real systemd and the slow scenarios. Each runner closes with its own count; the status
# is 1 if one has failed.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
full=
case ${1-} in
--full) full=1 ;;
"") ;;
*)
    echo "usage: sh tests/run.sh [--full]" >&2
    exit 2
    ;;
esac

. packaging/packages.sh
packages build test ${full:+ci}

failed=
# step NAME COMMAND…: runs it, notes what failed, tells how long it took.
step() {
    name=$1
    shift
    began=$(date +%s)
    echo "== $name"
    "$@" </dev/null || failed="$failed $name"
    echo "== $name: $(($(date +%s) - began)) s"
}

build() {
    cmake --preset ci >build/ci.log 2>&1 || {
        cat build/ci.log
        return 1
    }
    cmake --build --preset ci -j "$(nproc)" >>build/ci.log 2>&1 || {
        grep -E -A12 'error|warning|Error|\*\*\*' build/ci.log | head -100
        return 1
    }
}

# python FOLDER…: those that are there, two at a time, each test on a store of its own.
python() {
    there=
    for folder; do
        [ -d "tests/$folder" ] && there="$there tests/$folder"
    done
    [ -n "$there" ] || return 0
    OCID_BUILD=$root/build/ci PYTHONPATH=$root/tests \
        "$venv/bin/python" -m pytest -q -n "${workers:-2}" --dist worksteal --timeout 300 \
        -p no:cacheprovider -p no:asyncio -ra $there
}

# Oracle's tools have an environment of their own: they are large, and bring much with them.
oracle() (
    venv=$root/build/venv-oracle
    python_env "$venv" tests/requirements.txt tests/oracle/requirements.txt && python oracle
)

# Kernels, JupyterLab and data frames are large, too.
notebook() (
    venv=$root/build/venv-notebook
    python_env "$venv" tests/requirements.txt tests/notebook/requirements.txt && python notebook
)

mkdir -p build
venv=$root/build/venv
python_env "$venv" tests/requirements.txt
step build build
case $failed in
*build*)
    echo "0 passed, 1 failed"
    exit 1
    ;;
esac
step units ctest --preset ci -j "$(nproc)"
step arrows python arrows
step store python store
step python python python
step scenarios python scenario
if [ -n "$full" ]; then
    step oracle oracle
    step notebook notebook
    workers=0 # one machine, looked at in order
    step systemd python systemd
fi
if [ -n "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
