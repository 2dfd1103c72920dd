#!/usr/bin/env bash
# Starts sluiced on a GGUF file, or, where none is named, on its embedded demo model, and prints a
# curl line to paste.
# Usage: run_daemon.sh BUILD_TREE [MODEL.gguf]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
model=${2:-}
port=${SLUICE_PORT:-8080}

cat <<TEXT

Once it listens, in another terminal:

  curl -N http://127.0.0.1:$port/v1/completions -H 'Content-Type: application/json' \\
    -d '{"prompt": "Once upon a time", "max_tokens": 300, "temperature": 0.4, "seed": 7, "stream": true}'

TEXT
exec "$out/sluiced" ${model:+--model "$model"} --port "$port"
