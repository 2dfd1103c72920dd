"""Directories with quantised weights, packed from the public definitions of their formats.

Each packer takes a matrix and returns what its parts mean, as float32, and the parts as they are
stored. The first becomes the model that transformers runs, the second what lies in the directory.
Formats: AutoGPTQ and GPTQModel; AutoAWQ; compressed-tensors; transformers' fp8; OpenAI's gpt-oss.
SPDX-License-Identifier: Apache-2.0
"""
import numpy as np
import torch
from safetensors.torch import load_file, save_file

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def grouped(weight, groups_of, bits, symmetric):
    """Codes [rows, values], zeros and f16 scales [rows, groups], and what they mean."""
    w = weight.numpy().astype(np.float64)
    top = 2**bits - 1
    group_count = int(groups_of.max()) + 1
    codes = np.zeros(w.shape, np.int64)
    zeros = np.full((w.shape[0], group_count), 2 ** (bits - 1), np.int64)
    scales = np.zeros((w.shape[0], group_count), np.float16)
    for group in range(group_count):
        part = w[:, groups_of == group]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if symmetric:
            scales[:, group] = 2 * np.maximum(-low, high) / top
        else:
            scales[:, group] = (high - low) / top
            zeros[:, group] = np.clip(np.rint(-low / scales[:, group]), 0, top)
        step = scales[:, group].astype(np.float64)[:, None]
        codes[:, groups_of == group] = np.clip(np.rint(part / step) + zeros[:, [group]], 0, top)
    meant = scales[:, groups_of].astype(np.float64) * (codes - zeros[:, groups_of])
    return codes, zeros, scales, torch.tensor(meant.astype(np.float32))


def packed(values, bits):
    """Along the last axis, the first value lowest."""
    per_word = 32 // bits
    values = values.reshape(*values.shape[:-1], -1, per_word).astype(np.uint64)
    words = (values << (bits * np.arange(per_word, dtype=np.uint64))).sum(-1)
    return torch.tensor(words.astype(np.uint32).view(np.int32))


def gptq(weight, bits=4, group=32, symmetric=False, order=False, version=1):
    values = weight.shape[1]
    group_of = np.arange(values) // (values if group < 0 else group)
    if order:
        group_of = group_of[np.random.default_rng(values).permutation(values)]
    codes, zeros, scales, meant = grouped(weight, group_of, bits, symmetric)
    qzeros = packed(zeros.T, bits)
    if version == 1:
        ones = sum(1 << at for at in range(0, 32, bits))
        qzeros = torch.tensor((qzeros.numpy().view(np.uint32) - np.uint32(ones)).view(np.int32))
    return meant, {"qweight": packed(codes, bits).T.contiguous(), "qzeros": qzeros,
                   "scales": torch.tensor(scales.T.copy()),
                   "g_idx": torch.tensor(group_of.astype(np.int32))}


def awq(weight, group=32):
    def words(values):  # along rows, in AWQ's order
        return packed(values.T.reshape(values.shape[1], -1, 8)[..., AWQ_ORDER], 4).squeeze(-1)
    codes, zeros, scales, meant = grouped(weight, np.arange(weight.shape[1]) // group, 4, False)
    return meant, {"qweight": words(codes), "qzeros": words(zeros),
                   "scales": torch.tensor(scales.T.copy())}


def pack_quantized(weight, bits=4, group=32, symmetric=True):
    groups = np.arange(weight.shape[1]) // (group or weight.shape[1])
    codes, zeros, scales, meant = grouped(weight, groups, bits, symmetric)
    parts = {"weight_packed": packed(codes, bits), "weight_scale": torch.tensor(scales),
             "weight_shape": torch.tensor(weight.shape)}
    if not symmetric:
        parts["weight_zero_point"] = packed(zeros.T, bits).T.contiguous()
    return meant, parts


def int_quantized(weight):
    groups = np.zeros(weight.shape[1], np.int64)
    codes, zeros, scales, meant = grouped(weight, groups, 8, True)
    return meant, {"weight": torch.tensor((codes - zeros).astype(np.int8)),
                   "weight_scale": torch.tensor(scales)}


def fp8(weight, block=(32, 32), name="weight_scale_inv"):
    """e4m3 with a scale for each block; a block of 0 values is a row."""
    rows, values = weight.shape
    block = (block[0], block[1] or values)
    scales = torch.zeros(-(-rows // block[0]), -(-values // block[1]))
    codes, meant = torch.zeros(rows, values, dtype=torch.float8_e4m3fn), torch.zeros(rows, values)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            at = np.s_[i * block[0]:(i + 1) * block[0], j * block[1]:(j + 1) * block[1]]
            scales[i, j] = weight[at].abs().max() / 448
            codes[at] = (weight[at] / scales[i, j]).to(torch.float8_e4m3fn)
            meant[at] = (codes[at].double() * scales[i, j].double()).float()
    return meant, {"weight": codes, name: scales}


def mxfp4(weight):
    """gpt-oss: [experts, in, out] as blocks of 32 values of `in`, two neighbours a byte."""
    w = weight.transpose(1, 2).reshape(weight.shape[0], weight.shape[2], -1, 32).numpy()
    exponent = np.floor(np.log2(np.abs(w).max(-1))) - 2
    scaled = w / 2.0 ** exponent[..., None]
    codes = np.abs(scaled[..., None] - FP4).argmin(-1).astype(np.uint8)
    meant = FP4[codes] * (2.0 ** exponent[..., None]).astype(np.float32)
    meant = torch.tensor(meant.reshape(weight.shape[0], weight.shape[2], -1)).transpose(1, 2)
    return meant.contiguous(), {"_blocks": torch.tensor(codes[..., ::2] | codes[..., 1::2] << 4),
                                "_scales": torch.tensor((exponent + 127).astype(np.uint8))}


def compressed(form, **weights):
    group = {"targets": ["Linear"], "input_activations": None, "output_activations": None,
             "weights": {"symmetric": True, "dynamic": False, **weights}}
    return {"quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"],
            "quantization_status": "compressed", "kv_cache_scheme": None,
            "config_groups": {"group_0": group}}


def settings(method, **more):
    return {"quant_method": method, **more}


# name: the packer, its arguments, and quantization_config.
METHODS = {
    "gptq": (gptq, {}, settings("gptq", bits=4, group_size=32, desc_act=False, sym=False)),
    "gptq_order": (gptq, dict(symmetric=True, order=True),
                   settings("gptq", bits=4, group_size=32, desc_act=True, sym=True)),
    "gptq_v2": (gptq, dict(version=2), settings("gptq", bits=4, group_size=32,
                                                checkpoint_format="gptq_v2")),
    "gptq8": (gptq, dict(bits=8, group=-1, symmetric=True),
              settings("gptq", bits=8, group_size=-1, desc_act=False, sym=True)),
    "awq": (awq, {}, settings("awq", bits=4, group_size=32, version="gemm", zero_point=True)),
    "packed": (pack_quantized, {}, compressed("pack-quantized", num_bits=4, type="int",
                                              strategy="group", group_size=32)),
    "packed_zeros": (pack_quantized, dict(symmetric=False),
                     {**compressed("pack-quantized", num_bits=4, type="int", strategy="group",
                                   group_size=32, symmetric=False)}),
    "packed8": (pack_quantized, dict(bits=8, group=0),
                compressed("pack-quantized", num_bits=8, type="int", strategy="channel")),
    "int8": (int_quantized, {}, compressed("int-quantized", num_bits=8, type="int",
                                           strategy="channel")),
    "float8": (fp8, dict(block=(1, 0), name="weight_scale"),
               compressed("float-quantized", num_bits=8, type="float", strategy="channel")),
    "fp8": (fp8, {}, settings("fp8", activation_scheme="dynamic", weight_block_size=[32, 32])),
    "mxfp4": (mxfp4, {}, settings("mxfp4")),
}


def quantise(model, method):
    """Sets the matrices to what their parts mean, and returns the parts by name."""
    pack, arguments, _ = METHODS[method]
    parts = {}
    for name, weight in model.named_parameters():
        expert = ".experts." in name and weight.dim() == 3
        wanted = expert if method == "mxfp4" else weight.dim() == 2 and "_proj." in name
        if wanted:
            weight.data, stored = pack(weight.data, **arguments)
            stem = name.removesuffix("weight")
            parts[name] = {stem + part: tensor for part, tensor in stored.items()}
    return parts


def store(path, parts, config, method):
    """Puts the parts in the place of the matrices in a safetensors file, and says so."""
    tensors = load_file(path)
    for name, stored in parts.items():
        del tensors[name]
        tensors.update({part: tensor.contiguous() for part, tensor in stored.items()})
    save_file(tensors, path, metadata={"format": "pt"})
    config["quantization_config"] = METHODS[method][2]
