/* hf_sampling.h - the sampling of a generation_config.json, as GGUF's general.sampling.* keys.
 *
 * Ranges are not looked at here: whether the values are used at all is for the operator to say.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_SAMPLING_H
#define ENGINE_FORMATS_HF_SAMPLING_H

#include "engine/formats/gguf_builder.h"

/* Nothing where dir has no such file. ERR_FORMAT: a value of the wrong type, by name. */
enum status hf_sampling_read(struct gguf_builder *out, const char *dir, struct error *err);

#endif
