#!/usr/bin/env bash
# Fails on an external function whose name does not start with its file's stem, on two files of one
# stem, on banned functions, and on a source file without its SPDX line.
# Usage: check_names.sh LIBRARY (the built libsluice.a)
set -euo pipefail
library=$(realpath "$1")
cd "$(dirname "$0")/.."
bad=0

nm -A --defined-only "$library" | awk '
$(NF - 1) ~ /^[TDBRC]$/ {
    split($1, part, ":")
    object = part[2]
    stem = object
    sub(/\.o$/, "", stem)
    if (index($NF, stem "_") != 1 && $NF != stem) { print object ": " $NF " does not start with " stem "_"; bad = 1 }
}
END { exit bad }' || bad=1

find configs kernels kvcache scheduler engine server -name '*.c' -printf '%f\n' | sort | uniq -d |
    sed 's/^/two files of one name: /' | grep . && bad=1

sources=$(find configs kernels kvcache scheduler engine server tests -name '*.[ch]')
grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca)[[:space:]]*\(' $sources &&
    { echo "banned function"; bad=1; }
grep -nE '^[^/"]*\b(exit|abort|perror|printf)[[:space:]]*\(' \
    $(find configs kernels kvcache scheduler engine server -name '*.c' \
        ! -path server/main.c ! -path engine/log.c) && { echo "only main.c and log.c may"; bad=1; }
for source in $sources; do
    grep -q 'SPDX-License-Identifier: Apache-2.0' "$source" || { echo "$source: no SPDX line"; bad=1; }
done
[ "$bad" -eq 0 ] && echo "names: every symbol leads to its file"
exit "$bad"
