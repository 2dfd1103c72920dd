"""Writes what the exported demo models must compute: golden.py MODEL_FOLDER VOCABULARY OUT_FOLDER.

Greedy continuations, all logits behind a prompt, and the mean negative log-likelihood of a text, by
the float32 definition in model.py on the weights as the files hold them.
SPDX-License-Identifier: Apache-2.0"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F

import export
import model as models
import vocabulary

PROMPTS = ("Once upon a time", "The old dog", "\"Why are you sad?\" asked the bird.")
TEXT = ("Once upon a time, there was a small mouse who lived under a big tree. Every day, the mouse "
        "looked for seeds. One day, she found a red apple. It was too big to carry! A bird saw her "
        "and said, \"Let me help you.\" Together they rolled the apple home, and they ate it with "
        "all their friends. The mouse was very happy, and so was the bird.")
QUESTION = "Tell me a story about a cat."
GREEDY_TOKENS = 48


def encode(words, text):
    return [words.token_to_id(vocabulary.END_OF_TEXT)] + words.encode(text).ids


def as_chat(question):
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@torch.no_grad()
def greedy(decoder, words, prompt):
    ids = encode(words, prompt)
    count, gap = len(ids), float("inf")
    for _ in range(GREEDY_TOKENS):
        top = decoder(torch.tensor([ids]))[0, -1].topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    return {"prompt": prompt, "prompt_ids": ids[:count], "output_ids": ids[count:],
            "text": words.decode(ids[count:], skip_special_tokens=False),
            "min_top2_gap": round(gap, 6)}


def listed(logits):
    return [round(value, 5) for value in logits.tolist()]


@torch.no_grad()
def decoder_golden(decoder, words):
    ids = encode(words, PROMPTS[1])
    logits = decoder(torch.tensor([ids]))[0, -1]
    text = encode(words, TEXT)
    nll = F.cross_entropy(decoder(torch.tensor([text]))[0, :-1].double(), torch.tensor(text[1:]))
    prompts = PROMPTS + (as_chat(QUESTION),)
    return {"greedy": [greedy(decoder, words, prompt) for prompt in prompts],
            "logits": [{"prompt_ids": ids, "top10": [[i] for i in logits.topk(10).indices.tolist()],
                        "all": listed(logits)}],
            "teacher_forced": [{"ids": text, "mean_nll": round(nll.item(), 8)}]}


@torch.no_grad()
def heads_golden(own, target, words):
    """Behind each position of a text: what every head guesses, and the last position's logits."""
    ids = torch.tensor([encode(words, TEXT)])
    hidden = models.norm(target.hiddens(ids)[-1], target.output_norm)
    mtp = own.mtp(hidden[:, :-1], target.embedding(ids[:, 1:]), target.embedding.weight)
    out = {"ids": ids[0].tolist(), "medusa": [], "mtp": {
        "argmax": mtp[0].argmax(-1).tolist(), "last": listed(mtp[0, -1])}}
    for logits in own.medusa(hidden):
        out["medusa"].append({"argmax": logits[0].argmax(-1).tolist(),
                              "last": listed(logits[0, -1])})
    return out


def main():
    folder, words_path, out = map(pathlib.Path, sys.argv[1:4])
    words = vocabulary.load(words_path)
    out.mkdir(parents=True, exist_ok=True)
    for kind, shape in export.SHAPES.items():
        path = export.path_of(folder, kind)
        if path.exists():
            golden = decoder_golden(export.load_decoder(path, shape), words)
            (out / f"{path.stem}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    path = export.path_of(folder, "heads")
    if path.exists():
        target = export.load_decoder(export.path_of(folder, "target"), models.TARGET)
        golden = heads_golden(export.load_heads(path, target), target, words)
        (out / f"{path.stem}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
