#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - ocid is killed, cut off, lied to and starved, and nothing may be lost.
#
#   sh tests/torture/run.sh [--long] [--seed N] [--jobs N] [NAME[/LIFE]…]
#
# Prints its seed; each failure with the command that repeats it; "N passed, M failed" last.
# OCID_BUILD: the build to torture (build/ci). TORTURE_LOG=1: the daemon's log with each failure.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD
. packaging/packages.sh
packages test
export OCID_BUILD="${OCID_BUILD:-$root/build/ci}" PYTHONPATH="$root/tests"
if [ ! -x "$OCID_BUILD/bin/ocid" ]; then
    cmake --preset ci >/dev/null && cmake --build --preset ci -j "$(nproc)" >/dev/null || exit 1
fi
python=${TORTURE_PYTHON:-}
if [ -z "$python" ]; then
    python_env "$root/build/venv" tests/requirements.txt
    python=$root/build/venv/bin/python
fi
exec "$python" -m torture "$@"
