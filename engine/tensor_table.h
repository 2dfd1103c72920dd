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
    EXTENT_KV,
    EXTENT_HEAD,
    EXTENT_FFN,
    EXTENT_EXPERTS,
    EXTENT_EXPERT_FFN,
    EXTENT_SHARED_FFN,
    EXTENT_ONE, /* as rows: a matrix of one row, which files may write as a vector */
    EXTENT_VOCAB,
    EXTENT_ROTARY_PAIRS,
    EXTENT_COUNT
};

enum presence {
    REQUIRED,
    OPTIONAL,
    WITH_QKV_BIAS, /* required by families with the flag, optional in others */
    WITH_QK_NORM,  /* required by families with the flag, unknown to others */
    DENSE,         /* required where there are no experts, unknown elsewhere */
    DENSE_OPTIONAL,
    WITH_EXPERTS,
    PER_EXPERT, /* as WITH_EXPERTS, but rows x values for each: one tensor of three dimensions,
                   bound as expert_count matrices. offset is that of the pointer to them */
    WITH_SHARED_EXPERT
};

struct tensor_row {
    const char *name; /* of a layer: what follows "blk.N." */
    size_t offset;    /* in struct model, or in struct model_layer */
    enum presence presence;
    enum extent rows;
    enum extent values;
};

extern const struct tensor_row tensor_table_model[];
extern const uint32_t tensor_table_model_count;
extern const struct tensor_row tensor_table_layer[];
extern const uint32_t tensor_table_layer_count;

/* Does a tensor of this row belong into the model's family at all? */
bool tensor_table_known(const struct tensor_row *row, const struct model_params *params);

/* Of a row that is known. */
bool tensor_table_required(const struct tensor_row *row, const struct model_params *params);

/* The lengths that the hyper-parameters give the symbols. */
void tensor_table_extents(const struct model_params *params, uint64_t extents[EXTENT_COUNT]);

#endif
