/* hf_tensors.h - the tensors of a directory under GGUF's names, in GGUF's layout.
 *
 * For the Hugging Face reader only. What would change the arithmetic and is not known is refused by
 * name. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_TENSORS_H
#define ENGINE_FORMATS_HF_TENSORS_H

#include "engine/formats/hf_reading.h"

enum status hf_tensors_read(struct hf_reading *reading, struct error *err);

#endif
