/* special_ids.h - the tokens with a role: begin, end, unknown; and what the file says of them.
 *
 * Thread: any once loaded. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_SPECIAL_IDS_H
#define ENGINE_TOKENIZER_SPECIAL_IDS_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

struct gguf;
struct vocabulary;

enum {
    SPECIAL_IDS_ENDS_MAX = 64,
    SPECIAL_IDS_BEGINS_MAX = 8
};

struct special_ids {
    uint32_t bos; /* TOKEN_NONE: none; likewise the others */
    uint32_t eos;
    uint32_t unknown;
    bool add_bos;
    bool add_eos;
    uint32_t begins[SPECIAL_IDS_BEGINS_MAX]; /* what a prompt begins with, where add_bos */
    uint32_t begin_count;
    uint32_t ends[SPECIAL_IDS_ENDS_MAX]; /* no id twice */
    uint32_t end_count;
};

/* begins_with_bos: where the file does not say. Tokens of a role become TOKEN_CONTROL or
 * TOKEN_UNKNOWN in a vocabulary whose file has no types. */
enum status special_ids_load(struct special_ids *ids, const struct vocabulary *vocabulary,
                             const struct gguf *file, bool begins_with_bos, struct error *err);

#endif
