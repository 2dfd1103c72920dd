"""Writes trained demo models as GGUF: export.py FOLDER OUT_FOLDER.

Matrices are stored in q8_0, norms, biases and routers in f32. Tensor names are llama.cpp's; those
of the heads are documented in configs/demo/README.md. SPDX-License-Identifier: Apache-2.0"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch

import heads
import model as models
import train
import vocabulary

TEMPLATE = pathlib.Path(__file__).with_name("chat_template.jinja")
TITLES = {
    "target": ("sluice-demo", "llama", "A little storyteller, embedded in sluiced."),
    "draft": ("sluice-demo-draft", "llama", "A draft model aligned with sluice-demo."),
    "moe": ("sluice-demo-moe", "qwen2moe", "A little storyteller with 8 experts a layer."),
    "heads": ("sluice-demo-heads", "llama", "Medusa heads and an MTP layer for sluice-demo."),
}
CHECKPOINTS = {"target": lambda folder: train.checkpoint_of(folder, "target"),
               "draft": lambda folder: folder / "draft_aligned.pt",
               "moe": lambda folder: train.checkpoint_of(folder, "moe"),
               "heads": lambda folder: folder / "heads.pt"}
LAYER_NAMES = {"attention_norm": "attn_norm.weight", "ffn_norm": "ffn_norm.weight",
               "q.weight": "attn_q.weight", "q.bias": "attn_q.bias",
               "k.weight": "attn_k.weight", "k.bias": "attn_k.bias",
               "v.weight": "attn_v.weight", "v.bias": "attn_v.bias",
               "o.weight": "attn_output.weight", "ffn.gate.weight": "ffn_gate.weight",
               "ffn.up.weight": "ffn_up.weight", "ffn.down.weight": "ffn_down.weight",
               "ffn.router.weight": "ffn_gate_inp.weight",
               "ffn.shared_gate.weight": "ffn_gate_inp_shexp.weight",
               "ffn.shared.gate.weight": "ffn_gate_shexp.weight",
               "ffn.shared.up.weight": "ffn_up_shexp.weight",
               "ffn.shared.down.weight": "ffn_down_shexp.weight"}


def is_quantised(name, weight):
    routing = "router" in name or "shared_gate" in name
    return weight.dim() >= 2 and not routing and weight.shape[-1] % 32 == 0


def layer_tensors(prefix, state, experts):
    """{GGUF name: (our name, weight)} of one layer's state."""
    out = {}
    for name, weight in state.items():
        if name in LAYER_NAMES:
            weight = weight.flatten() if "shared_gate" in name else weight
            out[prefix + LAYER_NAMES[name]] = (name, weight)
    for part in ("gate", "up", "down") if experts else ():
        stacked = torch.stack([state[f"ffn.experts.{i}.{part}.weight"] for i in range(experts)])
        out[f"{prefix}ffn_{part}_exps.weight"] = (part, stacked)
    return out


def scoped(state, prefix):
    return {name[len(prefix):]: weight for name, weight in state.items()
            if name.startswith(prefix)}


def decoder_tensors(state, shape):
    out = {"token_embd.weight": ("embedding", state["embedding.weight"]),
           "output_norm.weight": ("output_norm", state["output_norm"])}
    for index in range(shape.layers):
        out |= layer_tensors(f"blk.{index}.", scoped(state, f"layers.{index}."), shape.experts)
    return out


def heads_tensors(state, target):
    """The MTP layer stands behind the target's layers, as llama.cpp numbers it."""
    out = {}
    for index in range(models.Medusa.COUNT):
        out[f"medusa.{index}.linear.weight"] = ("w", state[f"medusa.linear.{index}.weight"])
        out[f"medusa.{index}.linear.bias"] = ("b", state[f"medusa.linear.{index}.bias"])
        out[f"medusa.{index}.output.weight"] = ("w", state[f"medusa.output.{index}.weight"])
    prefix = f"blk.{target.layers}."
    out |= layer_tensors(prefix, scoped(state, "mtp.layer."), 0)
    out[prefix + "nextn.eh_proj.weight"] = ("w", state["mtp.join.weight"])
    out[prefix + "nextn.enorm.weight"] = ("n", state["mtp.embedding_norm"])
    out[prefix + "nextn.hnorm.weight"] = ("n", state["mtp.hidden_norm"])
    out[prefix + "nextn.shared_head_norm.weight"] = ("n", state["mtp.head_norm"])
    return out


def add_shape(writer, shape, heads_only):
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers + (1 if heads_only else 0))
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(models.THETA)
    writer.add_layer_norm_rms_eps(models.EPSILON)
    writer.add_vocab_size(shape.vocabulary)
    if shape.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.ffn)
        writer.add_expert_shared_feed_forward_length(shape.ffn)
    if heads_only:
        writer.add_nextn_predict_layers(1)
        writer.add_uint32("medusa.head_count", models.Medusa.COUNT)
        writer.add_string("sluice.companion_of", TITLES["target"][0])


def add_vocabulary(writer, path):
    content = json.loads(path.read_text())["model"]
    tokens = sorted(content["vocab"], key=content["vocab"].get)
    types = [gguf.TokenType.CONTROL if token in vocabulary.SPECIAL else gguf.TokenType.NORMAL
             for token in tokens]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    end = tokens.index(vocabulary.END_OF_TEXT)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(tokens.index(vocabulary.TURN_END))
    writer.add_add_bos_token(True)
    writer.add_chat_template(TEMPLATE.read_text())


def write(kind, tensors, shape, words_path, path):
    name, architecture, description = TITLES[kind]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_description(description)
    writer.add_license("apache-2.0")
    add_shape(writer, shape, kind == "heads")
    if kind != "heads":
        add_vocabulary(writer, words_path)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for tensor_name, (own_name, weight) in tensors.items():
        values = weight.float().numpy()
        if is_quantised(own_name, weight):
            kind_of = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor_name, gguf.quants.quantize(values, kind_of),
                              raw_dtype=kind_of)
        else:
            writer.add_tensor(tensor_name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path, path.stat().st_size, "bytes")


def stored(path):
    """{GGUF name: float32 values exactly as the file holds them}"""
    return {tensor.name: torch.from_numpy(
                gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).copy())
            for tensor in gguf.GGUFReader(path).tensors}


def load_decoder(path, shape):
    """The decoder with the weights that the file holds, rounded as they are there."""
    decoder = models.Decoder(shape).eval()
    values, state = stored(path), {}
    for name, (_, weight) in decoder_tensors(decoder.state_dict(), shape).items():
        assert values[name].numel() == weight.numel(), name
    state["embedding.weight"] = values["token_embd.weight"]
    state["output_norm"] = values["output_norm.weight"]
    for index in range(shape.layers):
        state |= layer_state(values, f"blk.{index}.", f"layers.{index}.", shape.experts)
    decoder.load_state_dict({name: value.reshape(decoder.state_dict()[name].shape)
                             for name, value in state.items()})
    return decoder


def layer_state(values, prefix, own_prefix, experts):
    state = {own_prefix + own: values[prefix + name] for own, name in LAYER_NAMES.items()
             if prefix + name in values}
    for part in ("gate", "up", "down") if experts else ():
        for index, value in enumerate(values[f"{prefix}ffn_{part}_exps.weight"]):
            state[f"{own_prefix}ffn.experts.{index}.{part}.weight"] = value
    return state


def load_heads(path, target):
    """heads.Heads of a target loaded by load_decoder."""
    values, own = stored(path), heads.Heads(target).eval()
    prefix = f"blk.{target.shape.layers}."
    state = layer_state(values, prefix, "mtp.layer.", 0)
    state |= {"mtp.join.weight": values[prefix + "nextn.eh_proj.weight"],
              "mtp.embedding_norm": values[prefix + "nextn.enorm.weight"],
              "mtp.hidden_norm": values[prefix + "nextn.hnorm.weight"],
              "mtp.head_norm": values[prefix + "nextn.shared_head_norm.weight"]}
    for index in range(models.Medusa.COUNT):
        for part in ("linear.weight", "linear.bias", "output.weight"):
            field, kind = part.split(".")
            state[f"medusa.{field}.{index}.{kind}"] = values[f"medusa.{index}.{part}"]
    own.load_state_dict(state)
    return own


SHAPES = {"target": models.TARGET, "draft": models.DRAFT, "moe": models.MOE}


def path_of(folder, kind):
    return folder / f"{TITLES[kind][0]}.gguf"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    words = options.folder / "vocabulary.json"
    for kind in TITLES:
        path = CHECKPOINTS[kind](options.folder)
        if not path.exists():
            print("not trained yet:", path)
            continue
        state = torch.load(path)["weights"]
        shape = SHAPES.get(kind, models.TARGET)
        tensors = heads_tensors(state, shape) if kind == "heads" else decoder_tensors(state, shape)
        write(kind, tensors, shape, words, path_of(options.out, kind))


if __name__ == "__main__":
    main()
