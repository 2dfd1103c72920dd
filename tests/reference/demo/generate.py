"""Continues many prompts at once with a trained decoder, keys and values cached.

Rows share their position: a row whose prompt is longer goes on reading it while others already
write. SPDX-License-Identifier: Apache-2.0"""
import torch
import torch.nn.functional as F

import model as models


class Cache:
    """Keys and values of every layer, [rows, kv heads, positions, head] each."""

    def __init__(self, shape, rows, positions):
        size = (shape.layers, rows, shape.kv_heads, positions, shape.head)
        self.keys, self.values = torch.zeros(size), torch.zeros(size)


def step(decoder, cache, ids, position):
    """Logits [rows, vocabulary] for one token of every row."""
    shape = decoder.shape
    cos, sin = models.angles(shape, torch.tensor([position]))
    x = decoder.embedding(ids)[:, None]
    for index, layer in enumerate(decoder.layers):
        q, k, v = layer.project(models.norm(x, layer.attention_norm), cos, sin)
        cache.keys[index, :, :, position] = k[:, 0]
        cache.values[index, :, :, position] = v[:, 0]
        keys = cache.keys[index, :, :, :position + 1]
        values = cache.values[index, :, :, :position + 1]
        x = layer.finish(x, layer.mix(q.transpose(1, 2), keys, values, causal=False))
    return decoder.head(x[:, 0])


@torch.no_grad()
def continue_prompts(decoder, prompts, token_count, temperature, end_ids, seed):
    """[prompt + continuation] for lists of ids; temperature 0 is greedy. A row ends with one of
    end_ids, which it keeps, or at token_count tokens in all."""
    draws = torch.Generator().manual_seed(seed)
    rows = [list(prompt) for prompt in prompts]
    cache = Cache(decoder.shape, len(rows), token_count)
    open_rows = set(range(len(rows)))
    for position in range(token_count - 1):
        ids = torch.tensor([row[min(position, len(row) - 1)] for row in rows])
        logits = step(decoder, cache, ids, position)
        if temperature > 0:
            law = F.softmax(logits / temperature, -1)
            picks = torch.multinomial(law, 1, generator=draws)[:, 0].tolist()
        else:
            picks = logits.argmax(-1).tolist()
        for index in list(open_rows):
            if position + 1 == len(rows[index]):
                rows[index].append(picks[index])
                if picks[index] in end_ids:
                    open_rows.discard(index)
        if not open_rows:
            break
    return rows
