/* synth_model.h - models of any architecture, size and weight type, made from a seed.
 *
 * Weights are random but scaled so that activations stay near one and logits spread over a few
 * units. The float value of a weight depends on seed, tensor name and position alone: the same
 * model in two weight types differs by quantisation only.
 * The tokenizer is complete: byte tokens, merges, control tokens, a chatml template.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SYNTH_MODEL_H
#define TESTS_SUPPORT_SYNTH_MODEL_H

#include "tests/support/gguf_writer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum synth_rope {
    SYNTH_ROPE_PLAIN,
    SYNTH_ROPE_LINEAR,
    SYNTH_ROPE_YARN,
    SYNTH_ROPE_LLAMA3, /* as the tensor rope_freqs.weight */
};

/* Routers that random weights do not make. */
enum synth_router {
    SYNTH_ROUTER_PLAIN,
    SYNTH_ROUTER_EQUAL, /* all scores are 0: every row takes the first experts */
    SYNTH_ROUTER_PAIRS, /* experts 2i and 2i + 1 always have the same score */
};

struct synth_options {
    const char *arch; /* as in synth_family.c */
    uint32_t layer_count;
    uint32_t dim;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t ffn_dim;
    uint32_t expert_count; /* this and the next four: of architectures with experts only */
    uint32_t expert_used_count;
    uint32_t expert_ffn_dim;
    uint32_t shared_ffn_dim; /* qwen2moe */
    enum synth_router router;
    uint32_t vocab_count; /* at least SYNTH_VOCAB_MIN */
    uint32_t context;
    enum dtype dtype;        /* of the matrices, where their rows are whole blocks; else f16 */
    enum dtype output_dtype; /* of embedding and output matrix, likewise */
    bool tied;               /* no output.weight: the embedding serves as output */
    bool spm;                /* SentencePiece tokenizer; else byte-level BPE */
    float rope_theta;
    float norm_epsilon;
    enum synth_rope rope;
    float rope_factor;      /* of the scaling */
    uint32_t rope_original; /* context before scaling */
    uint64_t seed;
};

/* Ids of the control tokens, at the end of the vocabulary. */
enum {
    SYNTH_VOCAB_MIN = 384, /* bytes, characters and control tokens */
    SYNTH_CONTROL_COUNT = 4,
    SYNTH_BOS_FROM_END = 4, /* id = vocab_count - this: <|bos|> */
    SYNTH_EOS_FROM_END = 3, /* <|endoftext|> */
    SYNTH_IM_START_FROM_END = 2,
    SYNTH_IM_END_FROM_END = 1, /* ends a turn: the file's eos_token_id is this one */
};

/* Starts from a preset: "micro" (2 layers of 64, milliseconds to make; good for every arch), "tiny"
 * (4 layers of 256), "tiny-moe", "qwen2.5-0.5b", "qwen3-0.6b", "llama-3.2-1b", "qwen1.5-moe-a2.7b",
 * "olmoe-1b-7b", "qwen3-30b-a3b". False when there is none of that name. */
bool synth_model_preset(struct synth_options *options, const char *name);

/* Puts the whole model into a writer, from where tests may change it before it is written.
 * options must outlive the writer. False, with a message on stderr, when options cannot be. */
bool synth_model_build(struct gguf_writer *writer, const struct synth_options *options);

/* Build and write in one go. */
bool synth_model_write(const struct synth_options *options, FILE *out);
uint8_t *synth_model_bytes(const struct synth_options *options, uint64_t *byte_count);

#endif
