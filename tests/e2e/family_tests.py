"""Whole models of every family through the daemon: family_tests.py SLUICED FOLDER.

FOLDER has cases as tests/reference/families/make.py writes them. Each is served as it lies there, and
must go on with each prompt as Hugging Face transformers does, up to the first choice that is too
close to a tie; a text must become the tokens that its own tokenizer makes of it.
SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import sys

from daemon import Daemon, Settings

CLEAR_GAP = 0.02  # between logits of some units; float32 differs by 1e-5 of them


def clear_tokens(continuation):
    """The tokens up to the first that is not a clear choice."""
    for index, gap in enumerate(continuation["gap"]):
        if gap < CLEAR_GAP:
            return continuation["ids"][:index]
    return continuation["ids"]


def check_continuation(daemon, record, continuation):
    expected = clear_tokens(continuation)
    answer = daemon.complete(prompt=record["prompts"][continuation["prompt"]]["ids"], temperature=0,
                             max_tokens=len(continuation["ids"]), ignore_eos=True,
                             return_token_ids=True)
    got = answer["choices"][0]["token_ids"]
    assert got[:len(expected)] == expected, f"{got} instead of {expected}"
    return len(expected)


def check_text(daemon, record):
    status, _, answer = daemon.post("/tokenize", {"model": "tiny", "prompt": record["text"],
                                                  "add_special_tokens": False})
    assert status == 200, answer
    assert answer["tokens"] == record["text_ids"], f"{answer['tokens']}, not {record['text_ids']}"


def check_case(folder):
    record = json.loads((folder / "expected.json").read_text())
    Settings.model = str(folder)
    with Daemon(activation_precision="f32", kv_cache_dtype="f32", max_num_seqs=2) as daemon:
        check_text(daemon, record)
        return sum(check_continuation(daemon, record, one) for one in record["greedy"])


def main():
    Settings.binary = sys.argv[1]
    failed, tokens = 0, 0
    for folder in sorted(path.parent for path in pathlib.Path(sys.argv[2]).glob("*/expected.json")):
        try:
            tokens += check_case(folder)
        except AssertionError as failure:
            failed += 1
            print(f"{folder.name}: {failure}")
    name = "every_family_is_served"
    print(f"{tokens} tokens\n[  FAILED  ] {name}" if failed else f"[       OK ] {name}: {tokens} tokens")
    return 1 if failed or not tokens else 0


if __name__ == "__main__":
    sys.exit(main())
