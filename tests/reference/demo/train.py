"""Trains one demo model: train.py target|draft|moe OUT_FOLDER [--stage 2] [--steps N].

Stage 1 learns English from the corpora. There are only some 1,700 simple stories in them: a share
that is too large (half, and 0.3 of chats made of them, over the last third) is learnt by heart, and
their held-out loss rises from 2.73 to 3.46. So how a story hangs together is learnt in stage 2,
in which the target goes on with stories of our own grammar (story_grammar.py) as the larger part;
the draft gets to know them from the target (heads.py align), the mixture of experts does not.
Muon for the matrices of the layers, AdamW for the rest; a constant rate that falls to nothing over
the last part. bf16 autocast over float32 weights. A checkpoint every 100 steps; a started run goes
on from it. SPDX-License-Identifier: Apache-2.0"""
import argparse
import dataclasses
import pathlib
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import model as models
import vocabulary

BATCH_TOKENS = 8192
WARM_UP = 40
EXIT_ROTATION, EXIT_WEIGHT = 4, 0.25
BALANCE_WEIGHT = 0.01


@dataclasses.dataclass(frozen=True)
class Stage:
    suffix: str  # of the checkpoint's name
    steps: dict  # of each model
    rates: dict  # of each model: Muon's, AdamW's
    decay_share: float  # of the steps, at their end
    shares: dict  # of each source among the rows
    shares_late: dict  # while the rate falls


STAGES = {
    1: Stage("", {"target": 1700, "draft": 600, "moe": 700},
             {"target": (0.02, 0.004), "draft": (0.02, 0.006), "moe": (0.02, 0.004)}, 0.353,
             {"tiny": 0.35, "storybooks": 0.12, "books": 0.38, "chat": 0.15},
             {"tiny": 0.28, "storybooks": 0.12, "books": 0.40, "chat": 0.20}),
    2: Stage("_told", {"target": 900, "draft": 300, "moe": 400},
             {"target": (0.01, 0.002), "draft": (0.01, 0.003), "moe": (0.01, 0.002)}, 0.435,
             {"grammar": 0.38, "asked": 0.22, "tiny": 0.14, "storybooks": 0.07, "books": 0.14,
              "chat": 0.05},
             {"grammar": 0.47, "asked": 0.33, "tiny": 0.04, "storybooks": 0.04, "books": 0.10,
              "chat": 0.02})}


RUN_SHAPES = {"target": models.TARGET, "draft": models.DRAFT, "moe": models.MOE}
LAST_STAGE = max(STAGES)


def checkpoint_of(folder, kind, stage=None):
    """Of a stage, or of the last one that the model goes through."""
    stage = stage or max(number for number, own in STAGES.items() if kind in own.steps)
    return folder / f"{kind}{STAGES[stage].suffix}.pt"


def encode(documents, words):
    """One array of ids a document, each opened by <|endoftext|>."""
    end = words.token_to_id(vocabulary.END_OF_TEXT)
    return [np.array([end] + e.ids, dtype=np.int64) for e in words.encode_batch(documents)]


class Stream:
    """Endless tokens of one source: its documents in a new random order each round."""

    def __init__(self, documents, seed):
        self.documents, self.rng = documents, random.Random(seed)
        self.order, self.left = [], np.zeros(0, dtype=np.int64)

    def take(self, count):
        parts, have = [self.left], len(self.left)
        while have < count:
            if not self.order:
                self.order = list(range(len(self.documents)))
                self.rng.shuffle(self.order)
            parts.append(self.documents[self.order.pop()])
            have += len(parts[-1])
        tokens = np.concatenate(parts)
        self.left = tokens[count:]
        return tokens[:count]


class Batches:
    """Rows of one source each, drawn by a stage's shares."""

    def __init__(self, documents, stage, seed):
        self.stage = stage
        self.streams = {name: Stream(docs, seed + i)
                        for i, (name, docs) in enumerate(sorted(documents.items()))
                        if docs}
        self.rng = random.Random(seed)

    def take(self, progress):
        late = progress > 1 - self.stage.decay_share
        shares = self.stage.shares_late if late else self.stage.shares
        positions = 1024 if progress > 0.85 else 512
        names = self.rng.choices(list(shares), list(shares.values()), k=BATCH_TOKENS // positions)
        rows = np.stack([self.streams[name].take(positions + 1) for name in names])
        return torch.from_numpy(rows[:, :-1]), torch.from_numpy(rows[:, 1:])


def loss_of(decoder, ids, wanted, step, cross_entropy):
    """Cross-entropy behind the last layer, and behind a rotating few of the others (LayerSkip)."""
    hiddens = decoder.hiddens(ids)
    loss = cross_entropy(hiddens[-1], wanted)
    total = loss
    if decoder.shape.dropout_max > 0:
        for layer in range(step % EXIT_ROTATION, decoder.shape.layers - 1, EXIT_ROTATION):
            weight = EXIT_WEIGHT * (layer + 1) / decoder.shape.layers
            total = total + weight * cross_entropy(hiddens[layer], wanted)
    if decoder.shape.experts:
        total = total + BALANCE_WEIGHT * sum(layer.ffn.balance for layer in decoder.layers)
    return loss, total


def optimizers_of(decoder, rates):
    matrices = [w for name, w in decoder.named_parameters()
                if w.dim() == 2 and name.startswith("layers.") and min(w.shape) > 16]
    chosen = {id(w) for w in matrices}
    others = [w for w in decoder.parameters() if id(w) not in chosen]
    return [torch.optim.Muon(matrices, lr=rates[0], weight_decay=0.02, momentum=0.95),
            torch.optim.AdamW(others, lr=rates[1], betas=(0.9, 0.95), weight_decay=0.0)]


def rate_factor(step, steps, decay_share):
    warm = min(1.0, (step + 1) / WARM_UP)
    left = (steps - step) / (steps * decay_share)
    return warm * min(1.0, max(left, 0.02))


@torch.no_grad()
def held_out_nll(decoder, documents, positions=512, rows_max=24):
    tokens = np.concatenate(documents)
    rows = min(rows_max, (len(tokens) - 1) // positions)
    ids = torch.from_numpy(tokens[:rows * positions].reshape(rows, positions))
    wanted = torch.from_numpy(tokens[1:rows * positions + 1].reshape(rows, positions))
    decoder.eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.cat([decoder(ids[i:i + 8]) for i in range(0, rows, 8)])
    decoder.train()
    return F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten()).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(RUN_SHAPES))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--stage", type=int, choices=sorted(STAGES), default=1)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    stage = STAGES[options.stage]
    if options.kind not in stage.steps:
        parser.error(f"{options.kind} has no stage {options.stage}")
    steps = options.steps or stage.steps[options.kind]
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    torch.set_num_threads(2)

    texts = corpus.load()
    path = options.folder / "vocabulary.json"
    if not path.exists():
        plain = [d for name in ("tiny", "storybooks") for d in texts[name][0]]
        vocabulary.train(plain + texts["books"][0][::3], path)
    words = vocabulary.load(path)
    trained = {name: encode(pair[0], words) for name, pair in texts.items()}
    held = {name: encode(pair[1], words) for name, pair in texts.items()}
    print({name: sum(map(len, docs)) for name, docs in trained.items()}, "tokens", flush=True)

    decoder = models.Decoder(RUN_SHAPES[options.kind])
    print(sum(w.numel() for w in decoder.parameters()), "parameters", flush=True)
    optimizers = optimizers_of(decoder, stage.rates[options.kind])
    checkpoint = checkpoint_of(options.folder, options.kind, options.stage)
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        first = saved["step"]
        decoder.load_state_dict(saved["weights"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
    elif options.stage > 1:
        before = checkpoint_of(options.folder, options.kind, options.stage - 1)
        decoder.load_state_dict(torch.load(before)["weights"])
    batches = Batches(trained, stage, seed=7 + first)

    @torch.compile
    def cross_entropy(hidden, wanted):
        return F.cross_entropy(decoder.head(hidden).float().flatten(0, 1), wanted.flatten())

    if not decoder.shape.experts:
        for layer in decoder.layers:
            layer.compile()
    rates = stage.rates[options.kind]
    started, smooth = time.time(), None
    for step in range(first, steps):
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_factor(step, steps, stage.decay_share)
        ids, wanted = batches.take(step / steps)
        with torch.autocast("cpu", torch.bfloat16):
            loss, total = loss_of(decoder, ids, wanted, step, cross_entropy)
        total.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 20 == 0:
            speed = (step - first + 1) * BATCH_TOKENS / (time.time() - started)
            print(f"step {step}/{steps} loss {smooth:.3f} {speed:.0f} tokens/s", flush=True)
        if (step + 1) % 100 == 0 or step + 1 == steps:
            torch.save({"step": step + 1, "weights": decoder.state_dict(),
                        "optimizers": [o.state_dict() for o in optimizers]}, checkpoint)
            print("held-out", {name: round(held_out_nll(decoder, docs), 3)
                               for name, docs in held.items()}, flush=True)


if __name__ == "__main__":
    main()
