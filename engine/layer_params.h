/* layer_params.h - how a model's layers are put together: norms, residual, scales, windows.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LAYER_PARAMS_H
#define ENGINE_LAYER_PARAMS_H

#include "engine/model.h"
#include "engine/params_reader.h"

/* Needs the sizes; refuses keys of computations that no layer here makes. */
enum status layer_params_read(const struct params_reader *reader, struct model_params *params,
                              struct error *err);

/* Gives each layer its window and its rotation: by the family's period, by the file's pattern
 * (`attention.sliding_window_pattern`: another period, or a bool a layer), or by the array
 * `sluice.layer_windows` (u32 a layer, 0 = all positions) of models whose layers are named one by
 * one; and `sluice.unrotated_layers` (u32 a layer, 1 = not rotated) where the family's period does
 * not tell. */
enum status layer_params_assign(struct model *model, const struct gguf *file, struct error *err);

#endif
