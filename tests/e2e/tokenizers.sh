#!/usr/bin/env bash
# Tokenizers against the libraries the models' own files are made for, on generated texts: about 100,000
# in a release build, fewer under sanitizers. Skipped without the test data or the Python packages.
# Usage: tokenizers.sh BUILD_TREE
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
data=${SLUICE_DATA:-../shared/data}
texts=2400
[ "$(basename "$out")" = release ] || texts=100

if [ ! -e "$data/README.md" ]; then
    echo "[  SKIPPED ] tokenizers: no test data at $data"
    exit 0
fi

venv=$(dirname "$out")/tokenizers-venv
if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    if ! "$venv/bin/pip" install -q --disable-pip-version-check \
        'tokenizers>=0.20,<1' 'sentencepiece>=0.2,<1'; then
        echo "[  SKIPPED ] tokenizers: no Python packages"
        exit 0
    fi
    touch "$venv/ready"
fi
"$venv/bin/python" -B tests/reference/tokenizers/compare.py "$out/tests/tool_tokenize" "$data" "$texts"
echo "[       OK ] tokenizers"
