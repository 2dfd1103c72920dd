"""The demo models in PyTorch: the float32 definition that training and golden logits share.

A Llama-style decoder; with `experts` the feed-forward of every layer is that of Qwen2-MoE. RoPE
turns neighbouring pairs (Llama in GGUF) or halves (Qwen2-MoE), so that export never permutes.
SPDX-License-Identifier: Apache-2.0"""
import dataclasses
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

EPSILON = 1e-5
THETA = 10000.0


@dataclasses.dataclass(frozen=True)
class Shape:
    dim: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int = 2048
    context: int = 1024
    experts: int = 0  # routed ones, each `ffn` wide; beside them one shared expert as wide
    experts_used: int = 2
    dropout_max: float = 0.0  # of the last layer, in training

    @property
    def head(self):
        return self.dim // self.heads


TARGET = Shape(dim=256, layers=8, heads=4, kv_heads=2, ffn=768, dropout_max=0.1)
DRAFT = Shape(dim=128, layers=2, heads=4, kv_heads=2, ffn=384)
MOE = Shape(dim=256, layers=3, heads=4, kv_heads=2, ffn=256, experts=8)


def norm(x, weight):
    return F.rms_norm(x, (x.shape[-1],), weight, EPSILON)


def angles(shape, positions):
    """(cos, sin), each [position, 1, head / 2]"""
    pairs = torch.arange(0, shape.head, 2, dtype=torch.float64) / shape.head
    angle = positions.double()[:, None] * THETA ** -pairs
    return angle.cos().float()[:, None, :], angle.sin().float()[:, None, :]


def rotate(x, cos, sin, halves):
    """x: [batch, position, head count, head]"""
    if halves:
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(x.dtype)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


class Gated(nn.Module):
    """down(silu(gate x) * up x)"""

    def __init__(self, dim, ffn):
        super().__init__()
        self.gate = nn.Linear(dim, ffn, bias=False)
        self.up = nn.Linear(dim, ffn, bias=False)
        self.down = nn.Linear(ffn, dim, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Qwen2-MoE: softmax over all experts, the best few weighted by it as it is, and a shared
    expert behind a sigmoid of its own."""

    def __init__(self, shape):
        super().__init__()
        self.used = shape.experts_used
        self.router = nn.Linear(shape.dim, shape.experts, bias=False)
        self.experts = nn.ModuleList(Gated(shape.dim, shape.ffn) for _ in range(shape.experts))
        self.shared = Gated(shape.dim, shape.ffn)
        self.shared_gate = nn.Linear(shape.dim, 1, bias=False)

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        with torch.autocast("cpu", enabled=False):  # routing is decided in float32
            law = self.router(flat.float()).softmax(-1)
            gate = torch.sigmoid(self.shared_gate(flat.float()))
        weights, chosen = law.topk(self.used, -1)
        out = gate * self.shared(flat)
        for index, expert in enumerate(self.experts):
            row, rank = (chosen == index).nonzero(as_tuple=True)
            if len(row):
                out = out.index_add(0, row, weights[row, rank, None] * expert(flat[row]))
        # Load balance (Switch Transformers): share of tokens times mean probability, an expert.
        share = F.one_hot(chosen, law.shape[-1]).float().mean((0, 1))
        self.balance = law.shape[-1] * (share * law.mean(0)).sum()
        return out.reshape(x.shape).to(x.dtype)


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.halves = bool(shape.experts)
        kv_width = shape.kv_heads * shape.head
        self.attention_norm = nn.Parameter(torch.ones(shape.dim))
        self.q = nn.Linear(shape.dim, shape.dim, bias=self.halves)
        self.k = nn.Linear(shape.dim, kv_width, bias=self.halves)
        self.v = nn.Linear(shape.dim, kv_width, bias=self.halves)
        self.o = nn.Linear(shape.dim, shape.dim, bias=False)
        self.ffn_norm = nn.Parameter(torch.ones(shape.dim))
        self.ffn = Experts(shape) if shape.experts else Gated(shape.dim, shape.ffn)

    def project(self, x, cos, sin):
        """Rotated q, k and v, [batch, position, heads, head] each."""
        batch, positions, _ = x.shape
        shape = self.shape
        q = self.q(x).view(batch, positions, shape.heads, shape.head)
        k = self.k(x).view(batch, positions, shape.kv_heads, shape.head)
        v = self.v(x).view(batch, positions, shape.kv_heads, shape.head)
        return rotate(q, cos, sin, self.halves), rotate(k, cos, sin, self.halves), v

    def mix(self, q, k, v, causal):
        """Grouped-query attention over [batch, heads, position, head]; heads side by side."""
        groups = self.shape.heads // self.shape.kv_heads
        k, v = (t.repeat_interleave(groups, 1) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)

    def finish(self, x, attended):
        x = x + self.o(attended)
        return x + self.ffn(norm(x, self.ffn_norm))

    def forward(self, x, cos, sin):
        q, k, v = self.project(norm(x, self.attention_norm), cos, sin)
        return self.finish(x, self.mix(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                       causal=True))


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.dim)  # the head too: tied
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.output_norm = nn.Parameter(torch.ones(shape.dim))
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            elif weight.dim() == 2:
                inner = name.endswith((".o.weight", ".down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.layers if inner else 1))

    def dropout(self, layer):
        """LayerSkip: the chance of leaving a layer out grows exponentially with depth."""
        depth = layer / max(1, self.shape.layers - 1)
        return self.shape.dropout_max * (math.exp(depth * math.log(2)) - 1)

    def hiddens(self, ids):
        """The residual stream behind every layer, [batch, position, dim] each."""
        cos, sin = angles(self.shape, torch.arange(ids.shape[1]))
        x = self.embedding(ids)
        out = []
        for index, layer in enumerate(self.layers):
            if not (self.training and torch.rand(()) < self.dropout(index)):
                x = layer(x, cos, sin)
            out.append(x)
        return out

    def head(self, hidden):
        return F.linear(norm(hidden, self.output_norm), self.embedding.weight)

    def forward(self, ids, exit_layer=-1):
        return self.head(self.hiddens(ids)[exit_layer])


class Medusa(nn.Module):
    """Head i guesses the token i + 2 behind: x + silu(W x + b), then a vocabulary matrix of its
    own, over the target's normed last hidden x (Medusa, resblock heads)."""

    COUNT = 3

    def __init__(self, shape):
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(shape.dim, shape.dim) for _ in range(self.COUNT))
        self.output = nn.ModuleList(nn.Linear(shape.dim, shape.vocabulary, bias=False)
                                    for _ in range(self.COUNT))
        for linear in self.linear:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x):
        return [output(x + F.silu(linear(x))) for linear, output in zip(self.linear, self.output)]


class NextTokens(nn.Module):
    """DeepSeek-V3's multi-token prediction with one dense layer: from the normed last hidden of
    position i and the embedding of token i + 1 to the law of token i + 2, through the target's
    embedding as head."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding_norm = nn.Parameter(torch.ones(shape.dim))
        self.hidden_norm = nn.Parameter(torch.ones(shape.dim))
        self.join = nn.Linear(2 * shape.dim, shape.dim, bias=False)  # the embedding's half first
        self.layer = Layer(shape)
        self.head_norm = nn.Parameter(torch.ones(shape.dim))

    def forward(self, x, next_embedding, head_weight):
        joined = torch.cat((norm(next_embedding, self.embedding_norm),
                            norm(x, self.hidden_norm)), -1)
        cos, sin = angles(self.shape, torch.arange(x.shape[1]))
        out = self.layer(self.join(joined), cos, sin)
        return F.linear(norm(out, self.head_norm), head_weight)
