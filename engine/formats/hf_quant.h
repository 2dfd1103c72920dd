/* hf_quant.h - the quantised matrices of a directory, each put in the place of its parts.
 *
 * X.qweight, X.scales and the like, or X.weight with X.weight_scale, become X.weight of a type that
 * the engine has, in memory that the file owns; the rest of the reader sees an ordinary directory.
 * A module is quantised when its tensors say so; parts that belong to none stay, to be refused by
 * name. For the Hugging Face reader only. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_QUANT_H
#define ENGINE_FORMATS_HF_QUANT_H

#include "engine/formats/hf_quant_config.h"
#include "engine/formats/hf_reading.h"

/* Between hf_weights_open and hf_tensors_read. Nothing happens where the method is HF_QUANT_NONE. */
enum status hf_quant_read(struct hf_reading *reading, const struct hf_quant_config *config,
                          struct error *err);

#endif
