/* special_tokens.h - which tokens are looked for in text, and in which form of it.
 *
 * Thread: before the tokenizer is shared. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SPECIAL_TOKENS_H
#define ENGINE_TOKENIZER_SPECIAL_TOKENS_H

#include "engine/tokenizer/tokenizer_state.h"

/* Fills the tokenizer's scans from its vocabulary; false when memory is short. */
bool special_tokens_load(struct tokenizer *tokenizer);

#endif
