#!/usr/bin/env bash
# Trains, exports and measures every demo model from nothing: about two hours on two cores with
# AVX-512 BF16. A run that was stopped goes on from its checkpoints.
# Usage: train_all.sh RUN_FOLDER; PYTHON names an interpreter that has requirements.txt.
set -euo pipefail
run=$(realpath -m "$1")
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
export SLUICE_DATA=${SLUICE_DATA:-$root/../shared/data}

for kind in target draft moe; do
    "$python" "$here/train.py" "$kind" "$run"
    "$python" "$here/train.py" "$kind" "$run" --stage 2
done
for kind in heads align; do
    "$python" "$here/heads.py" "$kind" "$run"
done
"$python" "$here/export.py" "$run" "$root/configs/demo"
"$python" "$here/golden.py" "$root/configs/demo" "$run/vocabulary.json" "$root/tests/golden/demo"
"$python" "$here/evaluate.py" "$root/configs/demo" "$run" | tee "$run/figures.md"
