#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - what the real service does, where its documentation does not say: one line a question.
#
#   sh tests/live/run.sh [--yes] [--json] [--profile NAME] BUCKET
#
# Needs a bucket of yours in which your profile of ~/.oci/config (OCI_CLI_CONFIG_FILE) may write.
# Everything is below the name ocid-live-RANDOM/ there and is deleted at the end, also after Ctrl-C;
# nothing else in the bucket is touched. About a hundred requests and 20 MB. It says so, and asks
# before it begins. For a stand-in of the service: --endpoint URL --namespace NAME --ca-file FILE.
#
# ocid itself moves a file there and back first, in a daemon of its own: OCID_BIN, or the newest
# build*/bin of this tree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
. packaging/packages.sh
mkdir -p build
python_env build/venv tests/requirements.txt >&2
exec build/venv/bin/python "$here/live.py" "$@"
