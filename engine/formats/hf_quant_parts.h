/* hf_quant_parts.h - which tensors of a directory are one quantised matrix, and whether they go
 * together.
 *
 * For hf_quant.c only. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_QUANT_PARTS_H
#define ENGINE_FORMATS_HF_QUANT_PARTS_H

#include "engine/formats/hf_quant_config.h"
#include "engine/formats/hf_quant_matrix.h"
#include "engine/formats/hf_weights.h"

struct hf_quant_module {
    char *name;                   /* of the matrix that it is; the caller's to free */
    const struct hf_shard *shard; /* of its codes */
    enum dtype dtype;             /* what it becomes */
    uint32_t dim_count;
    uint64_t shape[TENSOR_DIMS_MAX]; /* outermost first */
    struct hf_quant_matrix matrix;
    const struct safetensors_tensor *blocks; /* mxfp4, in place of `matrix` */
    const struct safetensors_tensor *block_scales;
};

/* What lookups need. */
struct hf_quant_search {
    const struct hf_weights *weights;
    const struct hf_quant_config *config;
    uint8_t *consumed; /* [weight_count]: set to 1 for what is a part */
    struct error *err;
};

/* If weight `index` holds the codes of a module, *found and out say which. Parts, and what is said
 * about activations only, become consumed. */
enum status hf_quant_parts_find(struct hf_quant_module *out, bool *found,
                                const struct hf_quant_search *search, uint64_t index);

/* Writes the matrix as module->dtype. False: no memory for a row. */
bool hf_quant_parts_convert(const struct hf_quant_module *module, void *out);

#endif
