#!/usr/bin/env bash
# The story grammar of the demo models tells whole stories. Usage: stories.sh BUILD_TREE (unused)
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
exec python3 "$(dirname "$0")/../reference/demo/check_stories.py"
