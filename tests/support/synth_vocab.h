/* synth_vocab.h - a vocabulary of any size for synthetic models, complete enough to serve text.
 *
 * Every byte has a token; the rest are merges of letters, most with a space in front as in real
 * vocabularies, so that English text takes fewer tokens than bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SYNTH_VOCAB_H
#define TESTS_SUPPORT_SYNTH_VOCAB_H

#include "tests/support/gguf_writer.h"

/* Adds tokenizer.ggml.*: byte-level BPE with pre-tokenizer `pre`, or SentencePiece when spm. */
void synth_vocab_add(struct gguf_writer *writer, uint32_t vocab_count, bool spm, const char *pre,
                     bool add_bos);

#endif
