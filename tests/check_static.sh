#!/usr/bin/env bash
# clang-tidy and cppcheck over the sources; any finding fails. BASE_FLAGS: how the files are compiled.
# Findings are cached by content under build/, so that a second run looks at what changed.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t sources < <(find configs kernels kvcache scheduler engine server tests -name '*.c' ! -name 'fuzz_*' | sort)
cache=${STATIC_CACHE:-build/static}
mkdir -p "$cache"

headers_hash=$(find . -path ./build -prune -o -name '*.h' -print0 | sort -z | xargs -0 cat | cat - .clang-tidy | sha256sum | cut -c1-16)
tidy_one()
{
    source=$1
    key=$( (echo "$BASE_FLAGS $2"; cat "$source") | sha256sum | cut -c1-16)
    [ -e "$cache/$key" ] && exit 0
    flags=$BASE_FLAGS
    case $source in
    *_avx2.c) flags="$flags -mavx2 -mfma -mf16c" ;;
    *_avx512vnni.c) flags="$flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c" ;;
    *_avx512.c) flags="$flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c" ;;
    esac
    # shellcheck disable=SC2086
    if ! out=$(clang-tidy --quiet "$source" -- $flags -DSLUICE_BUILD='"check"' 2>&1); then
        printf '%s\n' "$out"
        exit 1
    fi
    touch "$cache/$key"
}
export -f tidy_one
export cache BASE_FLAGS
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c 'tidy_one "$1" "$2"' _ {} "$headers_hash"
echo "clang-tidy: ${#sources[@]} files"

cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 --inline-suppr \
    --suppress=missingIncludeSystem --suppress=unknownMacro -D_GNU_SOURCE -I. -j "$(nproc)" \
    --cppcheck-build-dir="$cache" "${sources[@]}"
echo "cppcheck: ${#sources[@]} files"
