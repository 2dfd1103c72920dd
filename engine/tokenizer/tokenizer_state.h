/* tokenizer_state.h - what an open tokenizer is made of; for the files of this folder only.
 * Thread: any once open. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKENIZER_STATE_H
#define ENGINE_TOKENIZER_TOKENIZER_STATE_H

#include "engine/tokenizer/pretokenizer.h"
#include "engine/tokenizer/special_ids.h"
#include "engine/tokenizer/special_scan.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

struct tokenizer {
    struct tokenizer_info info;
    struct vocabulary vocabulary;
    struct special_ids ids;
    struct special_scan user_defined;        /* taken out of any text */
    struct special_scan control;             /* these and control tokens: TOKENIZER_PARSE_SPECIAL */
    const struct pretokenizer *pretokenizer; /* VOCABULARY_MERGES */
    bool add_space_prefix;                   /* VOCABULARY_SCORES, likewise below */
    bool remove_extra_spaces;
    uint64_t joins_space[4]; /* bit b: some token has a space right behind byte b */
};

#endif
