#!/usr/bin/env bash
# Chat templates against Jinja2 on small templates of every construct, and many expressions made at random:
# 8,000 in a release build, fewer under sanitizers. Skipped without the Python package.
# Usage: templates.sh BUILD_TREE
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
count=8000
[ "$(basename "$out")" = release ] || count=500

venv=$(dirname "$out")/templates-venv
if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    if ! "$venv/bin/pip" install -q --disable-pip-version-check 'jinja2>=3.1.6,<3.2'; then
        echo "[  SKIPPED ] templates: no Python package"
        exit 0
    fi
    touch "$venv/ready"
fi
"$venv/bin/python" -B -W ignore tests/reference/templates/compare.py "$out/tests/tool_render" "$count"
echo "[       OK ] templates"
