/* expert_params.h - the sizes and the routing of a mixture of experts, as a file states them.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_EXPERT_PARAMS_H
#define ENGINE_EXPERT_PARAMS_H

#include "engine/model.h"
#include "engine/params_reader.h"

/* The lengths of a layer's ffn or of its experts; other ways to route than ours are refused. */
enum status expert_params_read(const struct params_reader *reader, struct model_params *params,
                               struct error *err);

#endif
