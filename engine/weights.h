/* weights.h - which tensor of a file goes where in a model.
 *
 * Tensor names are one table for all families (tensor_table.c). Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "engine/model.h"
#include "kernels/backend.h"

/* Points every tensor of model (layers allocated, params read) at the file's bytes, norms and
 * biases converted to f32 in model->converted, and imports them into the backend. */
enum status weights_bind(struct model *model, const struct gguf *file, struct backend *be,
                         struct error *err);

/* Memory that the backend will take for its own copies of the weights of a model with these
 * hyper-parameters. */
uint64_t weights_packed_bytes(const struct gguf *file, const struct model_params *params,
                              enum precision precision);

#endif
