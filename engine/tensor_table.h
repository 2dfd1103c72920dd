/* tensor_table.h - the names of a model's tensors, the shape each must have, and who has it.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TENSOR_TABLE_H
#define ENGINE_TENSOR_TABLE_H

#include "engine/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lengths a tensor's dimensions may have. */
enum extent {
    EXTENT_NONE, /* as rows: the tensor is a vector */
    EXTENT_DIM,
    EXTENT_Q,
    EXTENT_Q_IN,
    EXTENT_ATTENDED, /* values that attention puts out */
    EXTENT_KV,
    EXTENT_HEADS,
    EXTENT_KV_HEADS,
    EXTENT_HEAD,   /* values of one */
    EXTENT_QKV,    /* rows of q, k and v */
    EXTENT_Q_NORM, /* a head, or all */
    EXTENT_K_NORM,
    EXTENT_FFN,
    EXTENT_FFN_TWICE, /* rows of gate and up */
    EXTENT_Q_DOWN,    /* this and the next: latent attention */
    EXTENT_KV_DOWN,
    EXTENT_KV_RANK,
    EXTENT_KV_UP, /* rows of a head's keys, then of its values, of all heads */
    EXTENT_STILL,
    EXTENT_VALUE,
    EXTENT_EXPERTS,
    EXTENT_EXPERT_FFN,
    EXTENT_SHARED_FFN,
    EXTENT_ONE, /* as rows: a matrix of one row, which files may write as a vector */
    EXTENT_VOCAB,
    EXTENT_CONTEXT,
    EXTENT_ROTARY_PAIRS,
    EXTENT_COUNT
};

/* Which models have a tensor; others must not. */
enum presence {
    REQUIRED,
    OPTIONAL,
    WITH_POSITIONS,
    NORM_BEFORE,      /* before attention */
    NORM_BEFORE_BIAS, /* of LayerNorm, where the family has biases */
    NORM_SECOND,      /* optional where the family may have it */
    NORM_AFTER,
    FFN_NORM,
    FFN_NORM_POST_NAMED,
    FFN_NORM_BIAS,
    OUTPUT_NORM_BIAS,
    QKV_APART,
    QKV_APART_BIAS, /* required by families with the flag, optional in others */
    QKV_FUSED,
    QKV_FUSED_BIAS, /* likewise */
    WITH_QK_NORM,
    WITH_QK_NORM_EACH,
    LATENT,
    LATENT_Q,        /* where the layer's input makes queries */
    LATENT_Q_DOWN,   /* where another product comes before */
    LATENT_PER_HEAD, /* rows x values for each head: one tensor of three dimensions. offset is that
                         of the pointer to head_count matrices */
    LATENT_KV_UP,    /* both of these in one, as earlier files have it: latent_weights.c */
    DENSE,           /* required where there are no experts */
    DENSE_GATE,
    DENSE_GATE_FUSED,
    DENSE_UP,       /* up alone */
    DENSE_OPTIONAL, /* biases; the next three of the same kinds as above */
    DENSE_GATE_OPTIONAL,
    DENSE_GATE_FUSED_OPTIONAL,
    DENSE_UP_OPTIONAL,
    WITH_SINKS,
    WITH_EXPERTS,
    WITH_EXPERT_BIAS,
    PER_EXPERT, /* as WITH_EXPERTS, but rows x values for each: one tensor of three dimensions, or
                   one for each expert. offset is that of the pointer to expert_count matrices */
    WITH_EXPERT_MERIT,
    WITH_SHARED_EXPERT,
    WITH_SHARED_GATE
};

enum {
    TENSOR_PARTS_MAX = 3
};

/* A stretch of a fused tensor: its rows, or a vector's values. */
struct tensor_part {
    size_t offset; /* in struct model_layer */
    enum extent extent;
};

struct tensor_row {
    const char *name; /* of a layer: what follows "blk.N." */
    size_t offset;    /* in struct model, or in struct model_layer; of no meaning with parts */
    enum presence presence;
    enum extent rows;
    enum extent values;
    struct tensor_part parts[TENSOR_PARTS_MAX]; /* EXTENT_NONE ends them; none: one tensor */
    const char *apart; /* PER_EXPERT: what precedes ".E.weight" in the name of expert E's own */
};

extern const struct tensor_row tensor_table_model[];
extern const uint32_t tensor_table_model_count;
extern const struct tensor_row tensor_table_layer[];
extern const uint32_t tensor_table_layer_count;

/* Is it a norm, bias or factor: f32 for every kernel, however the file stores it? */
bool tensor_table_plain(const struct tensor_row *row);

/* Does a tensor of this row belong into the model at all, or into this layer of it? */
bool tensor_table_known(const struct tensor_row *row, const struct model_params *params,
                        uint32_t layer_index);

/* Of a row that is known. */
bool tensor_table_required(const struct tensor_row *row, const struct model_params *params);

/* The lengths that the hyper-parameters give the symbols. */
void tensor_table_extents(const struct model_params *params, uint64_t extents[EXTENT_COUNT]);

#endif
