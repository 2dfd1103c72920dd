#!/usr/bin/env bash
# Runs every test program, then the end-to-end tests on the real daemon, and says what failed.
# Usage: run_tests.sh BUILD_TREE PROGRAM...
set -u
cd "$(dirname "$0")/.."
out=$1
shift
logs=$out/logs
mkdir -p "$logs"
passed=0
failed=0
skipped=0

run_one()
{
    local name=$1 log=$logs/$1.log started=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + $(grep -c '^\[       OK \]' "$log")))
    else
        failed=$((failed + 1))
        echo "FAILED $name (log: $log)"
        grep -vE '^\[( RUN      |       OK )\]' "$log" | tail -n 40
    fi
    skipped=$((skipped + $(grep -c '^\[  SKIPPED \]' "$log")))
    echo "$name: $((SECONDS - started)) s"
}

for program in "$@"; do
    run_one "$(basename "$program")" "$program"
done
for script in tests/e2e/*.sh; do
    [ -e "$script" ] && run_one "$(basename "$script")" "$script" "$out"
done

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
