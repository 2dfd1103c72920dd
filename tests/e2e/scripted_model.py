"""A GGUF model that says what it is told to: each token of the text is followed by the next.

A Llama of one layer whose attention and feed-forward are zeros, so that a position's hidden state is
its token's embedding alone: one direction for each token of the text, and one for all others, from
which the text begins. The output matrix leads from each direction to the token that comes next.
SPDX-License-Identifier: Apache-2.0
"""
import struct

DIM = 512  # tokens of a text, and one
HEADS = 8
FFN = 32
CONTEXT = 8192
SURE = 8.0  # times sqrt(DIM), by the norm: the distance between the logits of next and all others

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
NORMAL, CONTROL = 1, 3


def byte_alphabet():
    """How byte-level vocabularies spell each byte (GPT-2)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


SPELLING = byte_alphabet()


def spell(text):
    return "".join(SPELLING[b] for b in text)


def pieces_of(text, used):
    """Cuts bytes into tokens of two and more that are all different; characters may be cut, too."""
    pieces, at = [], 0
    while at < len(text):
        end = at + 2 + len(pieces) % 3
        while end < len(text) and text[at:end] in used:
            end += 1
        if len(text) - end < 4:
            end = len(text)
        pieces.append(text[at:end])
        used.add(text[at:end])
        at = end
    return pieces


def vocabulary(script):
    """script: strings of ordinary tokens and ("control", text). -> tokens, types, the script's ids."""
    tokens, types = [SPELLING[b] for b in range(256)], [NORMAL] * 256
    tokens.append("<|stop|>")
    types.append(CONTROL)
    ids, used = [], set()
    for part in script:
        control = isinstance(part, tuple)
        for piece in [part[1]] if control else pieces_of(part.encode(), used):
            ids.append(len(tokens))
            tokens.append(piece if control else spell(piece))
            types.append(CONTROL if control else NORMAL)
    return tokens, types, ids


def packed_string(text):
    text = text.encode()
    return struct.pack("<Q", len(text)) + text


def packed(kind, value):
    if kind == STRING:
        return packed_string(value)
    if kind == ARRAY:
        inner, items = value
        return struct.pack("<IQ", inner, len(items)) + b"".join(packed(inner, item) for item in items)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def row(position, value):
    values = [0.0] * DIM
    values[position] = value
    return struct.pack(f"<{DIM}f", *values)


def tensors_of(count, ids):
    """name -> shape (innermost first) and data."""
    place = {token: i + 1 for i, token in enumerate(ids)}
    following = {token: i for i, token in enumerate([*ids, 256])}
    zeros = bytes(4 * DIM)
    embedding = b"".join(row(place.get(token, 0), 1.0) for token in range(count))
    output = b"".join(row(following[token], SURE) if token in following else zeros for token in range(count))
    ones = struct.pack(f"<{DIM}f", *[1.0] * DIM)
    tensors = {"token_embd.weight": ((DIM, count), embedding), "output.weight": ((DIM, count), output),
               "output_norm.weight": ((DIM,), ones)}
    for name in ("attn_norm", "ffn_norm"):
        tensors[f"blk.0.{name}.weight"] = ((DIM,), ones)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensors[f"blk.0.{name}.weight"] = ((DIM, DIM), bytes(4 * DIM * DIM))
    for name, shape in (("ffn_gate", (DIM, FFN)), ("ffn_up", (DIM, FFN)), ("ffn_down", (FFN, DIM))):
        tensors[f"blk.0.{name}.weight"] = (shape, bytes(4 * DIM * FFN))
    return tensors


def write(path, script, template, tool_template=None):
    """Writes the model. Returns how many tokens the script has, the one that ends it included."""
    tokens, types, ids = vocabulary(script)
    assert len(ids) < DIM, "the text is too long"
    entries = [("general.architecture", STRING, "llama"), ("llama.block_count", U32, 1),
               ("llama.context_length", U32, CONTEXT), ("llama.embedding_length", U32, DIM),
               ("llama.feed_forward_length", U32, FFN), ("llama.attention.head_count", U32, HEADS),
               ("llama.attention.head_count_kv", U32, HEADS),
               ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
               ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "gpt-2"),
               ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
               ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
               ("tokenizer.ggml.merges", ARRAY, (STRING, [])),
               ("tokenizer.ggml.eos_token_id", U32, 256),
               ("tokenizer.chat_template", STRING, template)]
    if tool_template is not None:
        entries.append(("tokenizer.chat_template.tool_use", STRING, tool_template))
    tensors = tensors_of(len(tokens), ids)
    with open(path, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(entries)))
        for key, kind, value in entries:
            out.write(packed_string(key) + struct.pack("<I", kind) + packed(kind, value))
        offset = 0
        for name, (shape, data) in tensors.items():
            out.write(packed_string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape))
            out.write(struct.pack("<IQ", 0, offset))
            offset += (len(data) + 31) // 32 * 32
        out.write(bytes(-out.tell() % 32))
        for _, data in tensors.values():
            out.write(data + bytes(-len(data) % 32))
    return len(ids) + 1
