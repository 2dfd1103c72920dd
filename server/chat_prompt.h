/* chat_prompt.h - the messages of a chat -> the prompt's text, through the chat template.
 *
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHAT_PROMPT_H
#define SERVER_CHAT_PROMPT_H

#include "engine/tokenizer/tokenizer.h"
#include "server/chat/chat_template.h"
#include "server/params.h"
#include "server/refusal.h"
#include "server/text_buffer.h"

/* The template a model without one of its own gets: ChatML when the vocabulary has its tokens,
 * else the bare texts of the messages. Constant text; *name says in words which it is. */
const char *chat_prompt_default_template(const struct tokenizer *tokenizer, const char **name);

/* Checks every message and renders them. Where params have a guard, the prompt has guards in it: for the
 * tokenizer (TOKENIZER_DROP_GUARDS), or to be stripped. chat_template may be NULL: refused, with what to do.
 * tokenizer may be NULL: bos_token and eos_token are then those of template_values, or empty. */
enum status chat_prompt_render(const struct params *params,
                               const struct chat_template *chat_template,
                               const struct tokenizer *tokenizer, struct text_buffer *out,
                               struct refusal *refusal);

#endif
