/* latent_weights.c - rows of values are whole rows of the product they are for, and stay; those of
 * keys are its columns. A row of blocks cannot be turned as it is: its values go into f32, exactly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/latent_weights.h"

#include "kernels/quant.h"

#include <assert.h>
#include <string.h>

static enum dtype turned_dtype(enum dtype dtype)
{
    return quant_format_get(dtype)->block_values == 1 ? dtype : DTYPE_F32;
}

uint64_t latent_weights_turned_bytes(const struct model_params *params, enum dtype dtype)
{
    uint64_t rows = (uint64_t)params->head_count * params->latent.still_dim;
    return rows * params->latent.kv_rank * quant_format_get(turned_dtype(dtype))->block_bytes;
}

static void turn_row(uint8_t *out, const struct model_params *params, uint32_t column,
                     const uint8_t *row, uint32_t value_bytes)
{
    size_t stride = (size_t)params->latent.still_dim * value_bytes;
    for (uint32_t i = 0; i < params->latent.kv_rank; i++) {
        memcpy(out + i * stride + (size_t)column * value_bytes, row + (size_t)i * value_bytes,
               value_bytes);
    }
}

/* The keys of one head. */
static void turn_head(uint8_t *out, const struct model_params *params, const uint8_t *rows,
                      enum dtype dtype)
{
    float values[LIMIT_MODEL_HEAD_DIM];
    const struct quant_format *format = quant_format_get(dtype);
    uint64_t row_bytes = quant_row_bytes(dtype, params->latent.kv_rank);
    assert(params->latent.kv_rank <= LIMIT_MODEL_HEAD_DIM);
    for (uint32_t i = 0; i < params->latent.still_dim; i++, rows += row_bytes) {
        if (format->block_values == 1) {
            turn_row(out, params, i, rows, format->block_bytes);
            continue;
        }
        format->dequantize(values, rows, params->latent.kv_rank);
        turn_row(out, params, i, (const uint8_t *)values, sizeof(float));
    }
}

void latent_weights_cut(struct model_layer *layer, const struct model_params *params,
                        const struct tensor *stored, void *memory)
{
    const struct latent_params *latent = &params->latent;
    struct tensor whole = *stored; /* which may lie where the first head's keys go */
    const uint8_t *rows = whole.data;
    uint64_t row_bytes = quant_row_bytes(whole.dtype, latent->kv_rank);
    enum dtype dtype = turned_dtype(whole.dtype);
    uint8_t *next = memory;
    for (uint32_t head = 0; head < params->head_count; head++) {
        struct tensor *keys = &layer->key_turned[head];
        struct tensor *values = &layer->value_up[head];
        *keys = (struct tensor){.data = next,
                                .dtype = dtype,
                                .use = TENSOR_TABLE,
                                .dim_count = 2,
                                .shape = {latent->kv_rank, latent->still_dim}};
        *values = (struct tensor){.data = rows + latent->still_dim * row_bytes,
                                  .dtype = whole.dtype,
                                  .use = TENSOR_TABLE,
                                  .dim_count = 2,
                                  .shape = {latent->value_dim, latent->kv_rank}};
        turn_head(next, params, rows, whole.dtype);
        rows += ((uint64_t)latent->still_dim + latent->value_dim) * row_bytes;
        next += latent_weights_turned_bytes(params, whole.dtype) / params->head_count;
    }
}
