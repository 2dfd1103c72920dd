"""Directories as they were published: the keys and tensor names of older writers.

save_pretrained writes what the newest library calls things; most models that people have were
written before. The library reads both, so each rewriting is checked by reading it again.
SPDX-License-Identifier: Apache-2.0
"""
import torch

NEOX_ROPE = {"partial_rotary_factor": "rotary_pct", "rope_theta": "rotary_emb_base"}


def config_as_published(config):
    """Rotary settings as separate keys, torch_dtype, no list of layer types."""
    config = dict(config)
    if "text_config" in config:
        config["text_config"] = config_as_published(config["text_config"])
    config["torch_dtype"] = config.pop("dtype", None)
    config["transformers_version"] = "4.44.0"
    config.pop("layer_types", None)
    if config["model_type"] == "qwen3_moe" and "num_local_experts" in config:
        config["num_experts"] = config.pop("num_local_experts")
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]
    if config["model_type"] == "falcon" and not config["new_decoder_architecture"]:
        config.pop("num_kv_heads")  # multi_query says it
    rotary = config.pop("rope_parameters", None)
    if config["model_type"] == "gemma3_text":
        rotary = gemma3_rotary(config, rotary)
    if rotary is not None:
        put_rotary(config, dict(rotary))
    return config


def gemma3_rotary(config, rotary):
    config["rope_local_base_freq"] = rotary["sliding_attention"]["rope_theta"]
    config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 6)
    return rotary["full_attention"]


def put_rotary(config, rotary):
    names = NEOX_ROPE if config["model_type"] == "gpt_neox" else {}
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in rotary:
            config[names.get(key, key)] = rotary.pop(key)
    if rotary["rope_type"] == "default":
        config["rope_scaling"] = None
        return
    if config["model_type"] == "phi3":
        rotary.pop("original_max_position_embeddings", None)  # a key of the configuration itself
    rotary["type" if config["model_type"] == "phi3" else "rope_type"] = rotary.pop("rope_type")
    config["rope_scaling"] = rotary


def without_transformer(tensors, config):
    """GPT-2 as first published: no common prefix, the causal masks beside the weights."""
    out = {}
    for name, tensor in tensors.items():
        if name != "lm_head.weight":
            out[name.removeprefix("transformer.")] = tensor
    positions = config["n_positions"]
    for layer in range(config["n_layer"]):
        mask = torch.ones(positions, positions).tril().view(1, 1, positions, positions)
        out[f"h.{layer}.attn.bias"] = mask.to(torch.bfloat16)
    return out


def with_frequencies(tensors, config):
    """Llama as first converted: every layer keeps its rotary frequencies."""
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    frequencies = 1.0 / 10000.0 ** (torch.arange(0, head_dim, 2).float() / head_dim)
    for layer in range(config["num_hidden_layers"]):
        tensors[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = frequencies.clone()
    return tensors


def with_newer_vision_names(tensors, config):
    """Gemma 3 with its vision part as the library wrote it for a while."""
    old = {"language_model.model.": "model.language_model.", "vision_tower.": "model.vision_tower.",
           "multi_modal_projector.": "model.multi_modal_projector."}
    out = {}
    for name, tensor in tensors.items():
        prefix = next(prefix for prefix in old if name.startswith(prefix))
        out[old[prefix] + name.removeprefix(prefix)] = tensor
    return out


def with_next_layer(tensors, config):
    """DeepSeek-V3 as published: behind the last layer one that guesses the token after next."""
    last = f"model.layers.{config['num_hidden_layers'] - 1}."
    front = f"model.layers.{config['num_hidden_layers']}."
    dim = config["hidden_size"]
    for name in [name for name in tensors if name.startswith(last)]:
        tensors[front + name.removeprefix(last)] = tensors[name].clone()
    tensors[front + "embed_tokens.weight"] = tensors["model.embed_tokens.weight"].clone()
    tensors[front + "shared_head.head.weight"] = tensors["lm_head.weight"].clone()
    for part in ("enorm", "hnorm", "shared_head.norm"):
        tensors[front + part + ".weight"] = torch.ones(dim, dtype=torch.bfloat16)
    tensors[front + "eh_proj.weight"] = torch.ones(dim, 2 * dim, dtype=torch.bfloat16)
    return tensors


def with_neox_masks(tensors, config):
    """GPT-NeoX and Pythia as published: masks and frequencies beside the weights."""
    positions = config["max_position_embeddings"]
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{layer}.attention."
        mask = torch.ones(positions, positions, dtype=torch.bool).tril()
        tensors[prefix + "bias"] = mask.view(1, 1, positions, positions)
        tensors[prefix + "masked_bias"] = torch.tensor(-1e9)
        tensors[prefix + "rotary_emb.inv_freq"] = torch.ones(head_dim // 8)
    return tensors
