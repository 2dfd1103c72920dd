/* hf_rope.h - how config.json says positions are rotated, as GGUF's keys.
 *
 * For the Hugging Face reader only. What would change the arithmetic and is not known is refused by
 * name. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_ROPE_H
#define ENGINE_FORMATS_HF_ROPE_H

#include "engine/formats/hf_reading.h"

enum status hf_rope_read(struct hf_reading *reading, struct error *err);

#endif
