/* weights.h - which tensor of a file goes where in a model.
 *
 * Tensor names are one table for all families (tensor_table.c). Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "engine/loading.h"
#include "engine/model.h"
#include "kernels/backend.h"

/* Points every tensor of model (layers allocated, params read) at the file's bytes, norms and
 * biases converted to f32 in model->converted, and imports them into the backend. `loading` (may be NULL) hears of every tensor. */
enum status weights_bind(struct model *model, const struct gguf *file, struct backend *be,
                         struct loading *loading, struct error *err);

/* What the backend will take when the weights are bound. */
struct weights_memory {
    uint64_t packed_bytes; /* its own copies of weights, and what has to be turned */
    uint64_t input_bytes;  /* the inputs of products with such copies */
};

/* That of a model with these hyper-parameters. */
struct weights_memory weights_measure(const struct gguf *file, const struct model_params *params,
                                      enum precision precision);

#endif
