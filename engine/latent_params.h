/* latent_params.h - the sizes of multi-head latent attention, as a file states them.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_LATENT_PARAMS_H
#define ENGINE_LATENT_PARAMS_H

#include "engine/model.h"
#include "engine/params_reader.h"

/* Sets params->latent, and heads of keys as the cache holds them: one, of the latent vector and the
 * rotated values. */
enum status latent_params_read(const struct params_reader *reader, struct model_params *params,
                               struct error *err);

#endif
