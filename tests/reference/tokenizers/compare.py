"""Holds sluice's tokenizers against `tokenizers` and `sentencepiece` on generated texts.

Usage: compare.py TOOL DATA [COUNT]: the program tests/tool_tokenize, the folder of test data, and how
many texts a tokenizer gets. What is compared: ids with special tokens found in text and as text, and
decoded text. Prints one line a tokenizer; fails on any difference.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import sys
import tempfile

import families
import texts
import tool

SHOWN_MAX = 3


def differences(name, what, inputs, wanted, got):
    count = 0
    for text, want, have in zip(inputs, wanted, got):
        if want != have:
            count += 1
            if count <= SHOWN_MAX:
                print(f"  {name}: {what}: {text!r}\n    wanted {want!r}\n    got    {have!r}")
    return count


def is_comparable(text):
    """tokenizers replaces each byte of a run that is no UTF-8, and characters next to it, too."""
    return "�" not in text


def refused_as_well(program, name, path, error):
    try:
        tool.run(program, path, [])
    except tool.Refused as refusal:
        print(f"  {name}: both refuse it: {error}; {refusal}")
        return 0, 0
    print(f"  {name}: only the peer refuses it: {error}")
    return 0, 1


def compare_json(program, name, path, count, seed):
    from tokenizers import Tokenizer
    try:
        peer = Tokenizer.from_file(path)
    except Exception as error:  # the package has no narrower class
        return refused_as_well(program, name, path, error)
    added = json.load(open(path, encoding="utf-8")).get("added_tokens", [])
    inputs = texts.make(count, seed, [t["content"] for t in added])
    found = [e.ids for e in peer.encode_batch(inputs, add_special_tokens=False)]
    around = [e.ids for e in peer.encode_batch(inputs, add_special_tokens=True)]
    ours = tool.run(program, path, inputs, "special")
    bad = differences(name, "ids", inputs, found, [ids for ids, _ in ours])
    ours_around = tool.run(program, path, inputs, "special", "around")
    bad += differences(name, "ids with bos and eos", inputs, around, [ids for ids, _ in ours_around])
    decoded = peer.decode_batch(found, skip_special_tokens=True)
    # The peer spells a token of normalised text as normalised, and then does not skip a special one.
    odd = {t["id"] for t in added if t["normalized"]}
    pairs = [(t, d.encode(), o) for t, d, (ids, o) in zip(inputs, decoded, ours)
             if is_comparable(d) and odd.isdisjoint(ids)]
    bad += differences(name, "text", *map(list, zip(*pairs)))
    # Special tokens as text: the peer then skips what lies inside one, so such texts are left out.
    contents = [t["content"] for t in added if t["special"]]
    plain = [t for t in inputs if not any(c in t for c in contents)]
    peer.encode_special_tokens = True
    wanted = [e.ids for e in peer.encode_batch(plain, add_special_tokens=False)]
    bad += differences(name, "ids of plain text", plain, wanted,
                       [ids for ids, _ in tool.run(program, path, plain)])
    return len(inputs), bad


def compare_pair(program, name, path, count, seed):
    """A directory of vocab.json and merges.txt; the peer is put together as GPT-2's class does it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    peer = Tokenizer(models.BPE.from_file(f"{path}/vocab.json", f"{path}/merges.txt"))
    peer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    peer.decoder = decoders.ByteLevel()
    peer.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    inputs = texts.make(count, seed, ["<|endoftext|>"])
    found = [e.ids for e in peer.encode_batch(inputs)]
    ours = tool.run(program, path, inputs, "special")
    bad = differences(name, "ids", inputs, found, [ids for ids, _ in ours])
    pairs = [(t, d.encode(), o) for t, d, (_, o) in zip(inputs, peer.decode_batch(found), ours)
             if is_comparable(d)]
    bad += differences(name, "text", *map(list, zip(*pairs)))
    return len(inputs), bad


def compare_sentencepiece(program, name, path, count, seed):
    import sentencepiece
    peer = sentencepiece.SentencePieceProcessor(model_file=path)
    inputs = [t.replace("\0", "") for t in texts.make(count, seed, ["<s>", "</s>", "<unk>"])]
    wanted = peer.encode(inputs)
    ours = tool.run(program, path, inputs)
    bad = differences(name, "ids", inputs, wanted, [ids for ids, _ in ours])
    pairs = [(t, d.encode(), o) for t, d, (_, o) in zip(inputs, peer.decode(wanted), ours)
             if is_comparable(d)]
    bad += differences(name, "text", *map(list, zip(*pairs)))
    return len(inputs), bad


def main():
    program, data = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    wanted = sys.argv[4:]
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        jobs = []
        for folder in sorted(os.listdir(f"{data}/tokenizers/hf")):
            path = f"{data}/tokenizers/hf/{folder}/tokenizer.json"
            if os.path.exists(path):
                jobs.append((compare_json, folder, path))
            elif os.path.exists(f"{data}/tokenizers/hf/{folder}/vocab.json"):
                jobs.append((compare_pair, folder, f"{data}/tokenizers/hf/{folder}"))
        jobs.append((compare_json, "tinystories-656k", f"{data}/models/tinystories-656k/tokenizer.json"))
        for name in sorted(os.listdir(f"{data}/tokenizers/sentencepiece")):
            if name.endswith(".model"):
                jobs.append((compare_sentencepiece, name, f"{data}/tokenizers/sentencepiece/{name}"))
        for name, tree in families.pipelines(data):
            path = f"{scratch}/{name}.json"
            with open(path, "w", encoding="utf-8") as out:
                json.dump(tree, out)
            jobs.append((compare_json, name, path))
        for path in families.unigram_models(scratch):
            jobs.append((compare_sentencepiece, os.path.basename(path), path))
        for seed, (compare, name, path) in enumerate(jobs):
            if wanted and name not in wanted:
                continue
            try:
                total, bad = compare(program, name, path, count, seed)
            except tool.Refused as refusal:
                total, bad = 0, 1
                print(f"  {name}: {refusal}")
            print(f"{name}: {total} texts, {bad} differences", flush=True)
            failed += bad > 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
