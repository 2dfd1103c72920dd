/* hf_quant_config.h - how the weights of a directory are quantised: config.json's
 * quantization_config, or the refusal that names what is not known.
 *
 * What it says about activations and the KV cache is left aside: those stay as fine as the engine
 * has them. What would change the meaning of weights (rotations, sparsity) is refused.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_QUANT_CONFIG_H
#define ENGINE_FORMATS_HF_QUANT_CONFIG_H

#include "engine/formats/hf_config.h"

enum hf_quant_method {
    HF_QUANT_NONE,
    HF_QUANT_FP8,        /* e4m3, a scale a tensor, a row or a block */
    HF_QUANT_GPTQ,       /* qweight, qzeros, scales, g_idx */
    HF_QUANT_AWQ,        /* the same in the order of its gemm kernel */
    HF_QUANT_COMPRESSED, /* compressed-tensors: pack-, int- and float-quantized */
    HF_QUANT_MXFP4,      /* gpt-oss: blocks and scales */
};

struct hf_quant_config {
    enum hf_quant_method method;
    const char *name;      /* quant_method, borrowed from the configuration */
    uint32_t bits;         /* gptq and awq */
    uint32_t group_values; /* likewise; 0: a whole row */
    uint32_t block_rows; /* of a scale of e4m3 that is none of a row or tensor; 0: there are none */
    uint32_t block_values; /* likewise */
    bool zeros_less_one;   /* stored zeros are one less than meant */
};

/* config: config.json. */
enum status hf_quant_config_read(struct hf_quant_config *out, const struct hf_config *config,
                                 struct error *err);

#endif
