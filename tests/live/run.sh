#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - what the real service does, where its documentation does not say: one line a question.
#
#   sh tests/live/run.sh [--yes] [--json] [--profile NAME] BUCKET
#
# Needs a bucket of yours without versioning, in which your profile of ~/.oci/config may read, write
# and delete (`ocictl setup --print-policy oci://BUCKET/ocid-live` prints the rights): one with a
# key, or a session's. What needs more (links, copies) is not settled without. Everything is below
# the name ocid-live-RANDOM/ there and is deleted at the end, also after Ctrl-C; nothing else in the
# bucket is touched. Some 150 requests and 20 MB, a minute or two. It says so, and asks before it
# begins.
#
# A line a question: `as expected`, `differs` (the service does otherwise than ocid and the test
# store take for granted: worth an issue) or `not settled`, what was found, and the claim.
# The status is 0 if all of them were settled, whatever the answers, and nothing was left behind.
#
# ocid itself moves a file there and back first, in a daemon of its own: OCID_BIN, or the newest
# build*/bin of this tree. OCI_CLI_CONFIG_FILE, OCI_CLI_PROFILE and https_proxy count as elsewhere;
# --help has the other options. For a stand-in of the service: --endpoint URL --ca-file FILE.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
(
    cd "$root"
    . packaging/packages.sh
    mkdir -p build
    python_env build/venv tests/requirements.txt >&2
)
exec "$root/build/venv/bin/python" "$root/tests/live/live.py" "$@"
