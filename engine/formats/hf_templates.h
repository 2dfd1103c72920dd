/* hf_templates.h - the chat templates of a Hugging Face directory: its own, and others with a name.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_TEMPLATES_H
#define ENGINE_FORMATS_HF_TEMPLATES_H

#include "engine/formats/gguf_builder.h"

#include <jansson.h>

enum {
    HF_TEMPLATES_PATH_BYTES = 1024
};

/* Sets tokenizer.chat_template, and tokenizer.chat_template.NAME for the others. tokenizer_config: the
 * tree of that file, or NULL. */
enum status hf_templates_write(const char *dir, const json_t *tokenizer_config,
                               struct gguf_builder *out, struct error *err);

#endif
