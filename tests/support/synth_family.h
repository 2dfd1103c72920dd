/* synth_family.h - which tensors and keys the files of each family have, for synthetic models.
 *
 * Written from the lists of the public GGUF format, not from the engine's table, so that either can
 * contradict the other. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_SYNTH_FAMILY_H
#define TESTS_SUPPORT_SYNTH_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

/* The tensors that a family's layers have, as bits. */
enum {
    SYNTH_NORMS = 1 << 0,       /* attn_norm, and ffn_norm unless SYNTH_ONE_NORM */
    SYNTH_NORM_BIASES = 1 << 1, /* their biases, and that of output_norm */
    SYNTH_ONE_NORM = 1 << 2,
    SYNTH_POST_NORMS = 1 << 3, /* post_attention_norm, post_ffw_norm */
    SYNTH_QKV_BIASES = 1 << 4,
    SYNTH_QKV_FUSED = 1 << 5,  /* attn_qkv */
    SYNTH_HEAD_NORMS = 1 << 6, /* attn_q_norm and attn_k_norm, of one head */
    SYNTH_ROW_NORMS = 1 << 7,  /* the same, of all heads */
    SYNTH_GATE_FUSED = 1 << 8, /* no ffn_gate; ffn_up has twice the rows */
    SYNTH_NO_GATE = 1 << 9,    /* no ffn_gate */
    SYNTH_EXPERTS = 1 << 10,   /* instead of the ffn */
    SYNTH_SHARED_EXPERT = 1 << 11,
    SYNTH_POSITIONS = 1 << 12,     /* position_embd.weight */
    SYNTH_LAYER_NORM = 1 << 13,    /* the key attention.layer_norm_epsilon */
    SYNTH_SECOND_NORM = 1 << 14,   /* attn_norm_2 */
    SYNTH_OUTPUT_BIASES = 1 << 15, /* of attn_output and the ffn */
    SYNTH_POST_NAMED = 1 << 16,    /* ffn_norm is named post_attention_norm */
    SYNTH_SINKS = 1 << 17,         /* attn_sinks */
    SYNTH_EXPERT_BIASES = 1 << 18, /* of router and experts */
    SYNTH_EACH_NORMS = 1 << 19,    /* attn_q_norm and attn_k_norm, one each head */
    SYNTH_LATENT = 1 << 20,        /* attn_q_a, attn_q_b, attn_kv_a_mqa, attn_k_b, attn_v_b */
    SYNTH_SHARED_PLAIN = 1 << 21,  /* as many shared experts as routed ones are used, no gate */
    SYNTH_MERIT_BIAS = 1 << 22     /* exp_probs_b */
};

struct synth_family {
    const char *arch;
    uint32_t tensors;
    uint32_t window;         /* attention.sliding_window, or 0: no such key */
    float attention_softcap; /* attn_logit_softcapping, or 0 */
    float logit_softcap;     /* final_logit_softcapping, or 0 */
    float scales;            /* embedding_scale, residual_scale, attention.scale, or 0 */
    float logit_scale;       /* or 0 */
    uint32_t rotary_dim;     /* rope.dimension_count, or 0: that of a head */
    uint32_t leading_dense;  /* layers in front that have an ffn, if there are more */
};

extern const struct synth_family synth_family_rows[];
extern const uint32_t synth_family_count;

/* Lengths of latent attention, whose heads have head_dim values, rotary_dim of them rotated. */
enum {
    SYNTH_Q_RANK = 64,
    SYNTH_KV_RANK = 32, /* whole blocks; with the rotated values no whole registers */
    SYNTH_VALUE_DIM = 12
};

/* NULL when there is none of that name. */
const struct synth_family *synth_family_find(const char *arch);

#endif
