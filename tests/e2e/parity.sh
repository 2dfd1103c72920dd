#!/usr/bin/env bash
# The golden models of every family through the daemon; and the whole parity suite: tiny models of
# every family and variant are made anew by Hugging Face transformers, and tests/check_parity.c is
# held to what it computed. The packages are large (PyTorch; 6 GB while they are needed), so that
# second part runs only where SLUICE_PARITY=full.
# Usage: parity.sh BUILD_TREE
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
out=$1
families=$(dirname "$out")/families

skip()
{
    echo "[  SKIPPED ] parity_of_generated_families: $1"
    exit 0
}

# One set of cases for all variants; the packages go as soon as it is made.
make_families()
{
    local venv=$families/venv
    rm -rf "$families"
    mkdir -p "$families/cases"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir \
        -r tests/reference/families/requirements.txt || skip "the packages cannot be installed"
    "$venv/bin/python" -B tests/reference/families/make.py "$families/cases" || exit 1
    rm -rf "$venv"
    touch "$families/ready"
}

python3 -B tests/e2e/family_tests.py "$out/sluiced" tests/golden/families || exit 1
[ "${SLUICE_PARITY:-}" = full ] || skip "not asked for (SLUICE_PARITY=full)"
case $(basename "$out") in
    tsan) skip "a hundred times slower here, and the tree's own cases show the threads" ;;
esac
[ -e "$families/ready" ] || make_families
SLUICE_FAMILIES=$families/cases exec "$out/tests/check_parity"
