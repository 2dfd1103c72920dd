/* unigram.h - one stretch of text -> the pieces with the best sum of log probabilities.
 *
 * Viterbi over characters, as SentencePiece's unigram model decodes (Kudo, 2018): linear in the
 * text, times the longest token. Thread: any; the scratch and the output are the caller's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_TOKENIZER_UNIGRAM_H
#define ENGINE_TOKENIZER_UNIGRAM_H

#include "configs/error.h"
#include "engine/tokenizer/bpe.h"

/* text_bytes in 1 .. LIMIT_ENCODE_BYTES. *score is the sum of what is in front of text, and then of
 * all: rounding, and with it ties, must not depend on where text was cut. ERR_MEMORY. */
enum status unigram_encode(const struct vocabulary *vocabulary, const uint8_t *text,
                           size_t text_bytes, double *score, struct bpe_output *output,
                           struct error *err);

#endif
