#!/usr/bin/env bash
# Builds every tests/fuzz_*.c with libFuzzer and the sanitizers and runs each for a while.
# Usage: run_fuzz.sh BUILD_TREE SECONDS; BASE_FLAGS, LIBRARIES: how the files
# are compiled and linked.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$1
seconds=$2
flags="$BASE_FLAGS -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
mkdir -p "$tree"

compile()
{
    object=$tree/$(echo "$1" | tr / _).o
    extra=
    case $1 in
    *_avx2.c) extra="-mavx2 -mfma -mf16c" ;;
    *_avx512vnni.c) extra="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mfma -mf16c" ;;
    *_avx512.c) extra="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c" ;;
    esac
    # Any header may be one of its own: a struct of two sizes finds bugs that are none.
    newer=$(find configs kernels kvcache scheduler engine server tests -name '*.h' -newer "$object" \
        -print -quit 2>/dev/null || echo none)
    # shellcheck disable=SC2086
    { [ "$object" -nt "$1" ] && [ -z "$newer" ]; } || clang $flags -fsanitize=fuzzer-no-link $extra -c -o "$object" "$1"
}
export -f compile
export tree flags
find configs kernels kvcache scheduler engine server tests/support tests/load -name '*.c' \
    ! -path server/main.c ! -path tests/load/main.c |
    xargs -P "$(nproc)" -I{} bash -c 'compile "$1"' _ {}

for target in tests/fuzz_*.c; do
    name=$(basename "$target" .c)
    corpus=$tree/corpus_$name
    mkdir -p "$corpus"
    # shellcheck disable=SC2086
    clang $flags -fsanitize=fuzzer -o "$tree/$name" "$target" "$tree"/*.o \
        $LIBRARIES
    seeds=()
    [ -d "tests/golden/fuzz/$name" ] && seeds=("tests/golden/fuzz/$name")
    echo "== $name for $seconds s"
    "$tree/$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$tree/" "$corpus" "${seeds[@]}" >"$tree/$name.log" 2>&1 ||
        { tail -n 60 "$tree/$name.log"; exit 1; }
    grep -E 'stat::(number_of_executed_units|peak_rss_mb)' "$tree/$name.log"
done
