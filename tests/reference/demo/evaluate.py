"""Measures the exported demo models on held-out text, as Markdown for configs/demo/README.md:
evaluate.py MODEL_FOLDER RUN_FOLDER.

SPDX-License-Identifier: Apache-2.0"""
import math
import pathlib
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import export
import generate
import golden
import heads
import model as models
import train
import vocabulary

POSITIONS, ROWS_MAX = 512, 12
SAMPLES = ("Once upon a time", "One day, a little girl named", "The old dog", "There was a boy who",
           "In a big forest, there lived a", "It was raining and",
           "Tell me a story about a cat.", "Write a short story about a boy named Tom.",
           "Can you tell me a story about a bird and a tree?", "Who are you?")
SAMPLE_TOKENS, SAMPLE_TEMPERATURE = 300, 0.5


def rows_of(documents):
    """[rows, POSITIONS + 1]"""
    tokens = np.concatenate(documents)
    rows = min(ROWS_MAX, (len(tokens) - 1) // POSITIONS)
    return torch.from_numpy(np.stack([tokens[i * POSITIONS:(i + 1) * POSITIONS + 1]
                                      for i in range(rows)]))


@torch.no_grad()
def perplexity(logits_of, rows):
    total = [F.cross_entropy(logits_of(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten(),
                             reduction="sum").item() for part in rows.split(4)]
    return math.exp(sum(total) / (rows.shape[0] * POSITIONS))


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(map(str, line)) + " |" for line in lines]) + "\n"


def perplexities(decoders, held):
    lines = [[name] + [f"{perplexity(decoder, rows):.2f}" for rows in held.values()]
             for name, decoder in decoders.items()]
    return table(["model"] + list(held), lines)


@torch.no_grad()
def exits(target, held):
    columns = []
    for rows in held.values():
        sums = [0.0] * target.shape.layers
        for part in rows.split(4):
            for layer, hidden in enumerate(target.hiddens(part[:, :-1])):
                sums[layer] += F.cross_entropy(target.head(hidden).flatten(0, 1),
                                               part[:, 1:].flatten(), reduction="sum").item()
        columns.append([math.exp(total / (rows.shape[0] * POSITIONS)) for total in sums])
    return table(["layers run"] + list(held),
                 [[layer + 1] + [f"{column[layer]:.2f}" for column in columns]
                  for layer in range(target.shape.layers)])


@torch.no_grad()
def acceptance(target, own, drafts, rows):
    """Share of positions at which a guess is the target's own choice (greedy), and at which one
    drawn from the guesser's law would stand under rejection sampling (sum of min(p, q))."""
    sums, counts = {}, {}

    def add(name, law, guess):
        law, guess = law.softmax(-1), guess.softmax(-1)
        same = (law.argmax(-1) == guess.argmax(-1)).float().sum().item()
        overlap = torch.minimum(law, guess).sum(-1).sum().item()
        old = sums.get(name, (0.0, 0.0))
        sums[name] = (old[0] + same, old[1] + overlap)
        counts[name] = counts.get(name, 0) + law.shape[0] * law.shape[1]

    for ids in rows.split(4):
        hiddens = target.hiddens(ids)
        law = target.head(hiddens[-1])
        hidden = models.norm(hiddens[-1], target.output_norm)
        for name, decoder in drafts.items():
            add(name, law, decoder(ids))
        for layer in range(target.shape.layers - 1):
            add(f"exit after layer {layer + 1}", law, target.head(hiddens[layer]))
        mtp = own.mtp(hidden[:, :-1], target.embedding(ids[:, 1:]), target.embedding.weight)
        add("MTP layer (token + 2)", law[:, 1:], mtp)
        for ahead, logits in enumerate(own.medusa(hidden), start=1):
            add(f"Medusa head {ahead} (token + {ahead + 1})", law[:, ahead:], logits[:, :-ahead])
    return table(["guesser", "greedy", "sampled"],
                 [[name, f"{same / counts[name]:.3f}", f"{overlap / counts[name]:.3f}"]
                  for name, (same, overlap) in sums.items()])


@torch.no_grad()
def routing(moe, rows):
    """How often each expert is among the chosen, a layer."""
    lines = []
    shares = [torch.zeros(moe.shape.experts) for _ in moe.layers]

    def count(index):
        def hook(module, inputs, _):
            law = module.router(inputs[0].reshape(-1, moe.shape.dim))
            chosen = law.topk(module.used, -1).indices.flatten()
            shares[index] += torch.bincount(chosen, minlength=moe.shape.experts)
        return hook

    hooks = [layer.ffn.register_forward_hook(count(i)) for i, layer in enumerate(moe.layers)]
    for ids in rows.split(4):
        moe(ids[:, :-1])
    for hook in hooks:
        hook.remove()
    for index, share in enumerate(shares):
        lines.append([index + 1] + [f"{100 * value:.0f}" for value in share / share.sum()])
    return table(["layer"] + [f"expert {i}" for i in range(moe.shape.experts)], lines)


def samples(target, words):
    end, stop = words.token_to_id(vocabulary.END_OF_TEXT), words.token_to_id(vocabulary.TURN_END)
    out = []
    for index, prompt in enumerate(SAMPLES):
        asked = prompt.endswith((".", "?")) and index >= 6
        ids = golden.encode(words, golden.as_chat(prompt) if asked else prompt)
        row = generate.continue_prompts(target, [ids], SAMPLE_TOKENS, SAMPLE_TEMPERATURE,
                                        {end, stop}, seed=index)[0]
        text = words.decode(row[len(ids):]).strip() if asked else words.decode(row[1:])
        out.append(f"{index + 1}. {'**' + prompt + '** ' if asked else ''}"
                   + " ".join(text.split()))
    return "\n".join(out) + "\n"


def main():
    folder, run = map(pathlib.Path, sys.argv[1:3])
    torch.set_num_threads(2)
    words = vocabulary.load(run / "vocabulary.json")
    texts = corpus.load()
    held = {name: rows_of(train.encode(pair[1], words)) for name, pair in texts.items()}
    decoders = {export.TITLES[kind][0]: export.load_decoder(export.path_of(folder, kind), shape)
                for kind, shape in export.SHAPES.items()}
    target, draft, moe = decoders.values()
    decoders["draft before alignment"] = heads.load(run, "draft", models.DRAFT)
    own = export.load_heads(export.path_of(folder, "heads"), target)
    print("## Held-out perplexity\n\n" + perplexities(decoders, held))
    print("## Leaving early\n\n" + exits(target, held))
    fresh, begun = random.Random(99), texts["tiny"][1] + texts["grammar"][1]
    begins = [golden.encode(words, " ".join(fresh.choice(begun).split()[:6]))
              for _ in range(64)]
    begins += [golden.encode(words, golden.as_chat(f"Tell me a story about a {animal}."))
               for animal in ("dog", "cat", "bird", "fish", "frog", "bear", "king", "tree")] * 4
    begins.sort(key=len)
    end, stop = words.token_to_id(vocabulary.END_OF_TEXT), words.token_to_id(vocabulary.TURN_END)
    written = generate.continue_prompts(target, begins, 300, 0.7, {end, stop}, seed=77)
    drafts = {"draft before alignment": decoders["draft before alignment"],
              "sluice-demo-draft": draft}
    rows = rows_of([np.array(row) for row in written])
    print("## Acceptance\n\n" + acceptance(target, own, drafts, rows))
    print("## Routing\n\n" + routing(moe, held["tiny"]))
    print("## Samples\n\n" + samples(target, words))


if __name__ == "__main__":
    main()
