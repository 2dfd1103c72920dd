#!/usr/bin/env python3
"""Tiny random models of every family, and what Hugging Face transformers computes from them.

Usage: make.py OUT [--golden] [--list] [NAME...]     NAME: a case, or a family for all its cases
Writes OUT/CASE/: config.json, model.safetensors (or shards), tokenizer.json, as save_pretrained
does; and beside them expected.json and logits.f32, from the directory as it is read back, in float32
whatever the stored type. tests/check_parity.c holds the engine to them.

expected.json: text and text_ids: what the tokenizer makes of a text. prompts: each with ids; argmax,
gap and norm of every position (gap: the largest less the second largest logit; norm: root of the mean
square); rows: the positions whose logits are written out in logits.f32, from row first_row on. greedy:
continuations of prompts, one full forward pass per token, with the gap at each choice. logits.f32:
little-endian floats [rows, vocab_count].
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import pathlib
import shutil
import sys
import zlib

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import cases
import hub
import quantised

GREEDY_TOKENS = 32
GREEDY_PROMPTS_MAX = 70  # tokens: the continuation of a longer prompt takes long and shows no more
TEXT = ("the cat sat on the mat and the dog ran after it, then there was a bird in the tree; "
        "she said that they were all friends of the old man who had been there before. ") * 8
SAMPLE = "They said: the cat's 12 friends ran\n\n  after Zo\u00eb \u2014 and \U0001f426!"
MARKERS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = 288


def make_tokenizer():
    """Byte-level BPE: 256 bytes, markers, and merges of the text above."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=WORDS, special_tokens=MARKERS, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator([TEXT], trainer)
    assert tokenizer.get_vocab_size() == WORDS
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=MARKERS[0],
                                                bos_token=MARKERS[0])


def spread(model, generator):
    """Random weights by which every part of the model shows in the logits."""
    def noise(tensor):
        return torch.randn(tensor.shape, generator=generator)

    for name, weight in model.named_parameters():
        leaf = name.split(".")[-1]
        embedding = "embed" in name or ".wte." in name
        if "norm" in name or ".ln_" in name or "layernorm" in name:
            start = 0.0 if leaf == "bias" else weight.data
            weight.data = start + 0.25 * noise(weight).clamp(-2, 2)
        elif weight.dim() == 1 or leaf.endswith("bias"):
            weight.data = 0.4 * noise(weight)
        elif embedding:
            weight.data = noise(weight)
        elif ".wpe." in name:
            weight.data = 0.5 * noise(weight)
        else:
            gain = 3.0 if "lm_head" in name or "embed_out" in name else 1.4
            weight.data = gain * noise(weight) / inputs_of(model, name, weight) ** 0.5
    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(0.1 * noise(buffer))
    model.tie_weights()


def inputs_of(model, name, weight):
    """The inputs of a matrix: GPT-2 and the experts of gpt-oss are stored the other way round."""
    transposed = model.config.model_type == "gpt_oss" and weight.dim() == 3
    if transposed or (model.config.model_type == "gpt2" and ".h." in name):
        return weight.shape[-2]
    return weight.shape[-1]


def make_experts_equal(model):
    """Experts 1 and 3 alike, router row and weights: which of them a tie takes is nobody's
    business, that it takes each once is."""
    for name, weight in model.named_parameters():
        routes = name.endswith((".gate.weight", ".router.weight"))
        if routes or (".experts." in name and weight.dim() == 3):
            weight.data[3] = weight.data[1]


def configuration(case, tokenizer):
    ends = dict(vocab_size=WORDS, bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id, pad_token_id=None)
    kind = getattr(transformers, case.config + "Config")
    return kind(**{**ends, **case.args})


def rewrite(folder, case):
    """What save_pretrained wrote, made to look as published."""
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text())
    if case.rename:
        path = folder / "model.safetensors"
        tensors = getattr(hub, case.rename)(load_file(path), config)
        save_file(tensors, path, metadata={"format": "pt"})
    if case.hub:
        config = hub.config_as_published(config)
    for key in case.drop:
        *parents, last = key.split(".")
        place = config
        for parent in parents:
            place = place[parent]
        del place[last]
    config.update(case.extra)
    config_path.write_text(json.dumps(config, indent=1) + "\n")


@torch.no_grad()
def logits_of(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].float()


def rows_of(length):
    return sorted({0, length // 2, length - 1})


def gap_of(rows):
    top = rows.topk(2, dim=-1).values
    return top[..., 0] - top[..., 1]


def record_prompt(model, ids, kept):
    logits = logits_of(model, ids)
    assert torch.isfinite(logits).all()
    rows = rows_of(len(ids))
    first = sum(len(block) for block in kept)
    kept.append(logits[rows])
    norms = logits.double().square().mean(dim=-1).sqrt()
    return {"ids": ids, "argmax": logits.argmax(-1).tolist(),
            "gap": [float(f"{x:.3g}") for x in gap_of(logits).tolist()],
            "norm": [float(f"{x:.8g}") for x in norms.tolist()], "rows": rows, "first_row": first}


def record_greedy(model, prompt, index):
    ids, gaps = list(prompt), []
    for _ in range(GREEDY_TOKENS):
        last = logits_of(model, ids)[-1]
        gaps.append(float(f"{gap_of(last).item():.3g}"))
        ids.append(int(last.argmax()))
    return {"prompt": index, "ids": ids[len(prompt):], "gap": gaps}


def record(folder, case, model, tokenizer, generator):
    kept, prompts, greedy = [], [], []
    for length in case.prompts:
        ids = torch.randint(len(MARKERS), WORDS, (length,), generator=generator).tolist()
        prompts.append(record_prompt(model, ids, kept))
    for index, prompt in enumerate(prompts):
        room = 10 < len(prompt["ids"]) <= GREEDY_PROMPTS_MAX
        context = model.config.get_text_config().max_position_embeddings
        if room and len(prompt["ids"]) + GREEDY_TOKENS <= context:
            greedy.append(record_greedy(model, prompt["ids"], index))
    logits = torch.cat(kept)
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())
    header = {"family": case.family, "variant": case.name.split("-", 1)[1], "dtype": case.dtype,
              "transformers": transformers.__version__, "vocab_count": logits.shape[1],
              "text": SAMPLE}
    write_record(folder / "expected.json", {
        **header, "text_ids": tokenizer.encode(SAMPLE, add_special_tokens=False),
        "prompts": prompts, "greedy": greedy})


def write_record(path, content):
    """One line per array: short, and readable in a difference."""
    lines = [f'"{key}": {json.dumps(value)}' for key, value in content.items()
             if key not in ("prompts", "greedy")]
    for key in ("prompts", "greedy"):
        entries = [",\n  ".join(f'"{name}": {json.dumps(value, separators=(",", ":"))}'
                                for name, value in entry.items()) for entry in content[key]]
        lines.append(f'"{key}": [' + ",".join("\n {" + entry + "}" for entry in entries) + "]")
    path.write_text("{" + ",\n".join(lines) + "}\n")


def make(out, case, tokenizer):
    generator = torch.Generator().manual_seed(zlib.crc32(case.name.encode()))
    torch.manual_seed(0)
    config = configuration(case, tokenizer)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager",
                                                          dtype=torch.float32).eval()
    spread(model, generator)
    if case.equal_experts:
        make_experts_equal(model)
    for weight in model.parameters():  # and no buffer: rotary frequencies stay float32
        weight.data = weight.data.to(getattr(torch, case.dtype))
    parts = {}
    if case.quantised:
        model = model.float()
        parts = quantised.quantise(model, case.quantised)
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, **({"max_shard_size": case.shard} if case.shard else {}))
    tokenizer.save_pretrained(folder)
    rewrite(folder, case)
    again = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = list(range(3, 3 + case.prompts[-1] % 200))
    if not torch.equal(logits_of(model.float(), ids), logits_of(again, ids)):
        raise SystemExit(f"{case.name}: the directory reads as another model than was written")
    record(folder, case, again, tokenizer, generator)
    if case.quantised:
        config = json.loads((folder / "config.json").read_text())
        quantised.store(folder / "model.safetensors", parts, config, case.quantised)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def wanted(arguments):
    every = cases.every_case()
    unknown = [name for name in arguments.names if not any(name in (c.name, c.family) for c in every)]
    if unknown:
        raise SystemExit("no such case or family: " + ", ".join(unknown))
    return [case for case in every if (case.golden or not arguments.golden) and
            (not arguments.names or case.name in arguments.names or case.family in arguments.names)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--golden", action="store_true", help="only the cases kept in the tree")
    parser.add_argument("--list", action="store_true", help="name the cases and make nothing")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(case.name for case in wanted(arguments)))
        return
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = make_tokenizer()
    for case in wanted(arguments):
        make(arguments.out, case, tokenizer)
        print(case.name, flush=True)


if __name__ == "__main__":
    sys.exit(main())
