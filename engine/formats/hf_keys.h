/* hf_keys.h - the hyper-parameters of config.json, as GGUF's keys.
 *
 * For the Hugging Face reader only. What would change the arithmetic and is not known is refused by
 * name. Thread: one. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_KEYS_H
#define ENGINE_FORMATS_HF_KEYS_H

#include "engine/formats/hf_reading.h"

enum status hf_keys_read(struct hf_reading *reading, struct error *err);

#endif
