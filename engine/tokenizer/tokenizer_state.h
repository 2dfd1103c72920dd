/* tokenizer_state.h - what an open tokenizer is made of; for the files of this folder only.
 * Thread: any once open. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_TOKENIZER_STATE_H
#define ENGINE_TOKENIZER_TOKENIZER_STATE_H

#include "engine/tokenizer/normalizer.h"
#include "engine/tokenizer/pretokenizer.h"
#include "engine/tokenizer/special_ids.h"
#include "engine/tokenizer/special_scan.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

struct tokenizer {
    struct tokenizer_info info;
    struct vocabulary vocabulary;
    struct special_ids ids;
    struct special_scan user_defined; /* taken out of any text */
    struct special_scan control;      /* these and control tokens: TOKENIZER_PARSE_SPECIAL */
    struct special_scan normalized_user_defined; /* likewise, of text that is normalised */
    struct special_scan normalized_control;
    struct normalizer normalizer;
    const struct pretokenizer *pretokenizer; /* byte-level; likewise whole_words */
    bool whole_words;
    uint32_t prefix;          /* of enum tokenizer_prefix */
    bool remove_extra_spaces; /* vocabularies of characters; likewise below */
    bool split_words;
    bool fuse_unknown;
    uint32_t strip;          /* enum tokenizer_strip */
    uint64_t joins_space[4]; /* bit b: some token has a space right behind byte b */
    uint64_t growth;         /* ids a byte of text, at most */
};

#endif
