/* hf_layers.h - in which layers attention sees a window only, and which layers are not rotated.
 *
 * For the Hugging Face reader only. What would change the arithmetic and is not known is refused by
 * name. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_LAYERS_H
#define ENGINE_FORMATS_HF_LAYERS_H

#include "engine/formats/hf_reading.h"

enum status hf_layers_read(struct hf_reading *reading, struct error *err);

#endif
