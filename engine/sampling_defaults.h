/* sampling_defaults.h - how a model's makers would have it sampled, where a request does not say.
 *
 * From GGUF's general.sampling.* keys, which hf_sampling.c makes of a generation_config.json.
 * Thread: any once read. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SAMPLING_DEFAULTS_H
#define ENGINE_SAMPLING_DEFAULTS_H

#include "configs/error.h"

#include <stddef.h>
#include <stdint.h>

struct gguf;

/* Ranges and meanings are those of struct sampling_params (generate.h). */
struct sampling_defaults {
    float temperature;
    float top_p;
    float min_p;
    float repetition_penalty;
    uint32_t top_k;
};

/* OpenAI's: temperature 1 and nothing else. */
#define SAMPLING_DEFAULTS_NEUTRAL                                                                  \
    ((struct sampling_defaults){.temperature = 1, .top_p = 1, .repetition_penalty = 1})

/* Neutral where the file says nothing. ERR_FORMAT: a value of the wrong type or that a request might
 * not have either, by its key. */
enum status sampling_defaults_read(struct sampling_defaults *out, const struct gguf *file,
                                   struct error *err);

/* What differs from the neutral ones, as "temperature 0.6, top_k 20"; empty where nothing does. */
void sampling_defaults_show(const struct sampling_defaults *defaults, char *text,
                            size_t text_bytes);

/* The first of the file's sampling keys that sluice does not follow (mirostat and the like), or NULL. */
const char *sampling_defaults_unknown(const struct gguf *file);

#endif
