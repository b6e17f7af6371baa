#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# valgrind.sh - the daemon and the signer under memcheck, in scenarios that go through every thread
# and every way to prove who one is: minutes.
#
#   sh tests/valgrind.sh [PYTEST OPTION…]       after a build; OCID_BUILD, else build/ci
#
# What it says of either (reads of what is not set, use after the end, bytes that nobody knows any
# more) is printed, and is a failure whatever the scenarios say.
set -u
cd "$(dirname "$0")/.." || exit 1
. packaging/packages.sh
command -v valgrind >/dev/null || { echo "valgrind.sh: install valgrind" >&2; exit 2; }
mkdir -p build
venv=build/venv
python_env "$venv" tests/requirements.txt

names="parts_above_the_threshold or without_crc32c_md5 or any_size_arrives or replaced_in_the_middle
    or to_a_file or page_that_fails or sends_only_what_is_missing or wrong_clock_is_learnt_and or
    refused_credentials or locked_key_waits or profiles_are_chosen or its_certificate_for_a_token or
    signs_by_what_its or signs_by_its_token or session_that_is_over or bad_new_key"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM HUP
status=0
OCID_WRAP="valgrind -q --trace-children=yes --leak-check=full --show-leak-kinds=definite
    --errors-for-leak-kinds=definite --log-file=$logs/%p" \
    OCID_SLOW="${OCID_SLOW:-10}" OCID_BUILD="${OCID_BUILD:-build/ci}" PYTHONPATH=tests \
    "$venv/bin/python" -m pytest -q -n 2 -p no:cacheprovider -m "not slow" \
    -k "$(echo $names)" tests/scenario "$@" || status=1

# Calls that valgrind does not know are its own affair.
n=$(ls "$logs" | wc -l)
[ "$n" -gt 0 ] || { echo "valgrind.sh: nothing was run under valgrind" >&2; exit 1; }
if grep -h '^==' "$logs"/*; then
    status=1
fi
echo "valgrind: $n processes, $([ $status = 0 ] && echo clean || echo FAILED)"
exit $status
