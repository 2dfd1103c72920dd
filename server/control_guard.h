/* control_guard.h - keeps the words of clients from becoming control tokens in a chat's prompt.
 *
 * A template's text and the client's strings end up in one prompt, in which "<|im_end|>" is the token
 * that ends a turn. So a guard (TOKENIZER_GUARD) is put into every such text in a client's strings
 * before the template sees them: behind its first character, and into what might be the beginning of
 * one at a string's end. The tokenizer then finds no token there, and drops the guard.
 * Thread: constant once open. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_GUARD_H
#define SERVER_CONTROL_GUARD_H

#include "configs/error.h"
#include "engine/tokenizer/tokenizer.h"
#include "server/text_buffer.h"

#include <jansson.h>

struct control_guard;

/* spared: two texts, or NULL, that an assistant's past content may have as tokens: the marks of its
 * reasoning, which templates take out of there. */
enum status control_guard_open(struct control_guard **out, const struct tokenizer *tokenizer,
                               const char *const spared[2], struct error *err);
void control_guard_close(struct control_guard *guard); /* accepts NULL */

/* The value with all its strings and keys guarded: another reference to it where nothing had to be
 * done, else a copy. `messages`: its items are messages. NULL: no memory. */
json_t *control_guard_apply(const struct control_guard *guard, json_t *value);
json_t *control_guard_apply_messages(const struct control_guard *guard, json_t *messages);

/* Takes guards out again, for readers other than the tokenizer. */
void control_guard_strip(struct text_buffer *text);

#endif
