/* gguf_sample.h - a small GGUF file with one of everything, for tests of the parser.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_GGUF_SAMPLE_H
#define TESTS_SUPPORT_GGUF_SAMPLE_H

#include "tests/support/gguf_writer.h"

/* Indices of the sample's tensors. */
enum {
    SAMPLE_EMBEDDING, /* "token_embd.weight" f32 [3, 32]: value i is i */
    SAMPLE_MATRIX,    /* "blk.0.attn_q.weight" q8_0 [2, 64] */
    SAMPLE_VECTOR,    /* "output_norm.weight" f16 [5], all 1 */
    SAMPLE_COUNT,
};

/* Indices of some of its entries. */
enum {
    SAMPLE_ARCHITECTURE, /* the first: general.architecture = "llama" */
    SAMPLE_BOOL,         /* t.bool = true */
    SAMPLE_STRINGS,      /* t.strings = ["one", "", "three"] */
    SAMPLE_INTS,         /* t.int32s = [-1, 0, 7] */
};

/* Also t.uint8 ... t.float64, one of each type. */
void gguf_sample_build(struct gguf_writer *writer);

/* Parses a copy of exactly these bytes, so that a sanitizer sees any read beyond them, and, when
 * that succeeds, reads everything the result points to. */
enum status gguf_sample_try(const uint8_t *bytes, uint64_t byte_count, struct error *err);

#endif
