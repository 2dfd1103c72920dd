#!/usr/bin/env bash
# Fails when a source file is not as clang-format would write it. --list names the files.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(find configs kernels kvcache scheduler engine server tests -name '*.[ch]' | sort)
if [ "${1:-}" = --list ]; then
    printf '%s\n' "${sources[@]}"
    exit 0
fi
clang-format --dry-run --Werror "${sources[@]}"
echo "style: ${#sources[@]} files"
