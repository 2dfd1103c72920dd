/* chat_template.h - messages -> prompt text, by the model's own template (a Jinja subset).
 *
 * A template is parsed once, at load, and is immutable: any thread may render it. Rendering sees
 * only the values it is given, and has budgets on steps, depth and output (limits.h).
 * Settings are those of Hugging Face transformers: trim_blocks, lstrip_blocks, loop controls.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_CHAT_TEMPLATE_H
#define SERVER_CHAT_CHAT_TEMPLATE_H

#include "configs/error.h"
#include "server/text_buffer.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct chat_template;

/* source need not be terminated. Errors name line and column: ERR_FORMAT for what is no template,
 * ERR_UNSUPPORTED for tags, filters and sizes that are not taken. */
enum status chat_template_open(struct chat_template **out, const char *source, size_t source_bytes,
                               struct error *err);
void chat_template_close(struct chat_template *chat_template);

/* context: object of the template's global names (messages, tools, add_generation_prompt,
 * bos_token, ...); borrowed, not changed. now_seconds: wall time for strftime_now (UTC).
 * Appends the prompt to out, or leaves out as it was. ERR_INVALID when the template itself refuses
 * (raise_exception), with exactly its message, and when it cannot work with these values or would
 * exceed a budget, with line and column. */
enum status chat_template_render(const struct chat_template *chat_template, const json_t *context,
                                 int64_t now_seconds, struct text_buffer *out, struct error *err);

#endif
