#!/usr/bin/env bash
# End to end: the real daemon on loopback, spoken to by openai-python and by raw sockets.
# Uses the tinystories model of the test data, else a generated model with random weights. Without
# the openai package (no network), the tests that need it are skipped.
# Usage: serve.sh BUILD_TREE
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
data=${SLUICE_DATA:-../shared/data}
model=$data/models/tinystories-656k/derived/tinystories-656k-Q8_0.gguf

if [ ! -e "$model" ]; then
    model=$out/e2e-model.gguf
    [ -e "$model" ] || "$out/tests/tool_synth_gguf" "$model" --preset micro --arch llama --seed 1
fi

# One environment for all variants; made in one piece, so that an interrupted run leaves nothing.
venv=$(dirname "$out")/e2e-venv
if [ ! -e "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    if "$venv/bin/pip" install -q --disable-pip-version-check 'openai>=1.50,<3'; then
        touch "$venv/ready"
    fi
fi
exec "$venv/bin/python" -B tests/e2e/run.py "$out/sluiced" "$model" "${@:2}"
