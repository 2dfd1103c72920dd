"""Trains what guesses ahead for a finished target: its Medusa heads and its MTP layer, or aligns
the draft model with it: heads.py heads|align FOLDER [--steps N].

All learn the frozen target's own laws (soft labels), which is what acceptance is measured
against, on the corpus and on texts the target wrote itself. SPDX-License-Identifier: Apache-2.0"""
import argparse
import pathlib
import random

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import generate
import model as models
import train
import vocabulary

STEPS = {"heads": 200, "align": 200}
DECAY_SHARE = 0.353
WRITTEN_SHARE = 0.5  # of the rows: the target's own texts
PROMPTS, PROMPT_ROWS, WRITTEN_TOKENS = 256, 128, 320
TEMPERATURES = (0.3, 0.7, 1.0)


def load(folder, kind, shape):
    decoder = models.Decoder(shape)
    decoder.load_state_dict(torch.load(train.checkpoint_of(folder, kind))["weights"])
    return decoder.eval()


def write_texts(target, words, texts, folder):
    """Texts of the target by itself: stories from their first words, answers to chats."""
    path = folder / "written.npz"
    if path.exists():
        return list(np.load(path).values())
    rng = random.Random(3)
    end = words.token_to_id(vocabulary.END_OF_TEXT)
    stop = words.token_to_id(vocabulary.TURN_END)
    prompts = []
    for _ in range(PROMPTS):
        if rng.random() < 0.5:
            ids = words.encode(rng.choice(texts[rng.choice(("tiny", "grammar"))][0])).ids[:rng.randint(1, 12)]
        else:
            chat = rng.choice(texts[rng.choice(("chat", "asked"))][0])
            cut = chat.rindex("<|im_start|>assistant\n") + len("<|im_start|>assistant\n")
            ids = words.encode(chat[:cut]).ids[-150:]
        prompts.append([end] + ids)
    prompts.sort(key=len)
    written = []
    for first in range(0, PROMPTS, PROMPT_ROWS):
        part = prompts[first:first + PROMPT_ROWS]
        temperature = TEMPERATURES[first // PROMPT_ROWS % len(TEMPERATURES)]
        rows = generate.continue_prompts(target, part, WRITTEN_TOKENS, temperature, {end, stop},
                                         seed=first)
        written += [np.array([id for i, id in enumerate(row) if i == 0 or id != end],
                             dtype=np.int64) for row in rows]
        print(f"written {first + len(part)}/{PROMPTS}", flush=True)
    np.savez(path, *written)
    return written


def soft_loss(logits, law):
    """Cross-entropy against a whole law instead of one token."""
    return -(law * F.log_softmax(logits.float(), -1)).sum(-1).mean()


class Heads(torch.nn.Module):
    def __init__(self, target):
        super().__init__()
        self.medusa = models.Medusa(target.shape)
        self.mtp = models.NextTokens(target.shape)
        for output in self.medusa.output:
            output.weight.data.copy_(target.embedding.weight)

    def loss(self, target, ids, hidden, law):
        """hidden: the target's last one, normed; law[:, i]: of token i + 1."""
        loss = soft_loss(self.mtp(hidden[:, :-1], target.embedding(ids[:, 1:]),
                                  target.embedding.weight), law[:, 1:])
        for ahead, logits in enumerate(self.medusa(hidden), start=1):
            loss = loss + soft_loss(logits[:, :-ahead], law[:, ahead:])
        return loss


class Draft(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.decoder = load(folder, "draft", models.DRAFT)

    def loss(self, target, ids, hidden, law):
        return soft_loss(self.decoder(ids), law)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=sorted(STEPS))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    steps = options.steps or STEPS[options.kind]
    torch.manual_seed(2)
    torch.set_num_threads(2)
    texts = corpus.load()
    words = vocabulary.load(options.folder / "vocabulary.json")
    target = load(options.folder, "target", models.TARGET)
    target.requires_grad_(False)
    written = write_texts(target, words, texts, options.folder)
    trained = {name: train.encode(pair[0], words) for name, pair in texts.items()}
    batches = train.Batches(trained, train.STAGES[train.LAST_STAGE], seed=11)
    own = train.Stream(written, seed=12)
    student = Heads(target) if options.kind == "heads" else Draft(options.folder)
    student.train()
    matrices = [w for name, w in student.named_parameters()
                if w.dim() == 2 and ("layer" in name or "join" in name)]
    chosen = {id(w) for w in matrices}
    optimizers = [torch.optim.Muon(matrices, lr=0.01, weight_decay=0.0, momentum=0.95),
                  torch.optim.AdamW([w for w in student.parameters() if id(w) not in chosen],
                                    lr=0.002, betas=(0.9, 0.95), weight_decay=0.0)]
    rates = [0.01, 0.002]
    for step in range(steps):
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * train.rate_factor(step, steps, DECAY_SHARE)
        ids, _ = batches.take(0.7)  # the late shares, rows of 512
        for row in range(int(len(ids) * WRITTEN_SHARE)):
            ids[row] = torch.from_numpy(own.take(ids.shape[1]))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                hidden = target.hiddens(ids)[-1]
                law = target.head(hidden).float().softmax(-1)
                hidden = models.norm(hidden, target.output_norm)
            loss = student.loss(target, ids, hidden, law)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 20 == 0 or step + 1 == steps:
            print(f"step {step}/{steps} loss {loss.item():.3f}", flush=True)
    name = "heads" if options.kind == "heads" else "draft_aligned"
    state = student.state_dict() if options.kind == "heads" else student.decoder.state_dict()
    torch.save({"step": steps, "weights": state}, options.folder / f"{name}.pt")


if __name__ == "__main__":
    main()
