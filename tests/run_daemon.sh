#!/usr/bin/env bash
# Starts sluiced on a GGUF file, or, where none is named, on a generated model with random weights
# (its text is noise; everything else is real). Prints a curl line to paste.
# Usage: run_daemon.sh BUILD_TREE [MODEL.gguf]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
model=${2:-}
port=${SLUICE_PORT:-8080}

if [ -z "$model" ]; then
    model=$out/random-weights.gguf
    [ -e "$model" ] || "$out/tests/tool_synth_gguf" "$model" --preset tiny --arch llama --type q8_0 --seed 1
    echo "No MODEL=FILE.gguf given: serving random weights, so the text will be noise."
fi
name=$(basename "$model" .gguf)
cat <<TEXT

Once it listens, in another terminal:

  curl -N http://127.0.0.1:$port/v1/completions -H 'Content-Type: application/json' \\
    -d '{"model": "$name", "prompt": "Once upon a time", "max_tokens": 64, "stream": true}'

TEXT
exec "$out/sluiced" --model "$model" --port "$port"
