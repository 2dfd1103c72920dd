/* model.h - a transformer: hyper-parameters, flags that tell families apart, weights by layer.
 *
 * A family is a row of data (family.c), never a copy of the forward pass. Weights are borrowed
 * from the mapped file in their stored type.
 * Thread: any after open (immutable). SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "configs/error.h"
#include "configs/limits.h"
#include "engine/family.h"
#include "engine/formats/gguf.h"
#include "engine/loading.h"
#include "kernels/backend.h"

#include <stdbool.h>
#include <stdint.h>

enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LLAMA3, /* given in GGUF as the tensor rope_freqs.weight */
    ROPE_SCALING_LONG,   /* LongRoPE: rope_factors_short.weight and rope_factors_long.weight */
};

/* Which angles a layer rotates q and k by. */
enum layer_rope {
    LAYER_ROPE_NONE,
    LAYER_ROPE_SCALED, /* those the file describes */
    LAYER_ROPE_PLAIN,  /* unscaled, of a base of their own */
    LAYER_ROPE_COUNT
};

/* Multi-head latent attention: keys and values of all heads are products of one vector, which is
 * what the cache holds, with the part of the keys that is rotated (DeepSeek-V2, arXiv:2405.04434,
 * 2.1). */
struct latent_params {
    uint32_t kv_rank;   /* values of that vector; 0: attention is not latent */
    uint32_t q_rank;    /* values that queries are made of; 0: the layer's own input */
    uint32_t still_dim; /* values of a head's query and key that are not rotated; others are */
    uint32_t value_dim; /* values of a head's output */
    bool kv_up_fused;   /* what makes keys and values is one tensor */
};

struct model_params {
    const char *architecture; /* as in family.c: "llama", "qwen2moe", ... */
    uint32_t layer_count;
    uint32_t next_layer_count; /* stored behind them, and not run: they guess further tokens */
    uint32_t dim;
    uint32_t head_count;
    uint32_t kv_head_count; /* as the cache holds them, and so the next */
    uint32_t head_dim;
    struct latent_params latent;
    uint32_t ffn_dim;           /* of dense layers; 0: there are none */
    uint32_t expert_count;      /* of each layer that is not dense; 0: all are */
    uint32_t expert_used_count; /* by each row */
    uint32_t expert_ffn_dim;
    uint32_t shared_ffn_dim; /* of the expert that every row uses; 0: there is none */
    uint32_t vocab_count;
    uint32_t context_tokens; /* as trained, scaling included */
    enum norm_kind norm;
    enum norm_place norm_place;
    bool norm_bias;
    float norm_epsilon;
    bool parallel;          /* attention and ffn read the same residual stream */
    bool shared_norm;       /* when parallel: and one norm of it */
    bool second_norm;       /* a layer may have attention_norm_2 */
    bool post_named_norm;   /* a layer's ffn_norm is stored as post_attention_norm */
    bool sinks;             /* layers have attention_sinks */
    bool learned_positions; /* instead of rotary ones */
    float embedding_scale;
    float residual_scale;    /* of what attention and ffn add */
    float attention_scale;   /* of q k^T */
    float attention_softcap; /* 0: none */
    float logit_scale;
    float logit_softcap;     /* 0: none */
    uint32_t window;         /* positions that layers with a window see; 0: no layer has one */
    uint32_t window_period;  /* of so many layers all but the last have it; 1: all */
    uint32_t no_rope_period; /* of so many layers the last is not rotated; 0: all are */
    enum rope_style rope_style;
    uint32_t rotary_dim; /* 0: nothing is rotated */
    float rope_theta;
    bool window_rope_plain; /* layers with a window take LAYER_ROPE_PLAIN ... */
    float plain_rope_theta; /* ... of this base */
    enum rope_scaling rope_scaling;
    float rope_factor;             /* position scale of linear and YaRN: > 0 */
    uint32_t rope_original_tokens; /* context before scaling: YaRN */
    float rope_attention_factor;   /* on cos and sin, beside YaRN's own magnitude */
    float yarn_extrapolation;      /* weight of the ramp: 1 = YaRN, 0 = plain interpolation */
    float yarn_beta_fast;          /* turns in the original context: more are left unscaled ... */
    float yarn_beta_slow;          /* ... and fewer are fully interpolated */
    bool yarn_exact;               /* the ramp's ends are not rounded to whole pairs */
    float yarn_log_multiplier;     /* divides the magnitude (mscale_all_dim); 0 = 1 */
    bool qkv_bias;                 /* the family demands biases; others may have them */
    bool qkv_fused;                /* one tensor: rows of q, then of k, then of v */
    enum qk_norm qk_norm;
    enum ffn_kind ffn;
    enum activation activation;
    bool expert_normalize; /* the weights of a row's experts are scaled to sum 1 */
    enum expert_gating expert_gating;
    uint32_t expert_group_count; /* 0: none; else as struct experts_route_args has them */
    uint32_t expert_groups_used;
    uint32_t expert_group_best;
    float expert_scale; /* of the weights, at last; 0: none */
    bool expert_merit;  /* layers have expert_merit_bias */
    bool shared_gated;  /* a row says how much of the shared expert it takes */
    bool expert_bias;   /* of the router and of each expert's products */
    bool experts_apart; /* a tensor for each expert, as early files have it */
    uint64_t dense_layers[(LIMIT_MODEL_LAYERS + 63) / 64]; /* of a mixture, a bit a layer */
};

/* Has this layer an ffn instead of experts? */
static inline bool model_layer_is_dense(const struct model_params *params, uint32_t layer_index)
{
    return params->expert_count == 0 ||
           (params->dense_layers[layer_index / 64] >> layer_index % 64 & 1) != 0;
}

struct model_layer {
    uint32_t window; /* the last positions that are seen; 0: all */
    enum layer_rope rope;

    struct tensor attention_norm;      /* [dim] f32; norms and biases may be absent */
    struct tensor attention_norm_bias; /* [dim] f32; so the next four */
    struct tensor attention_norm_2;    /* attention's own, where the other is the ffn's */
    struct tensor attention_norm_2_bias;
    struct tensor attention_post_norm; /* of what attention adds */
    struct tensor q;                   /* [head_count * head_dim, dim] */
    struct tensor k;                   /* [kv_head_count * head_dim, dim] */
    struct tensor v;                   /* [kv_head_count * head_dim, dim] */
    struct tensor q_bias;              /* [head_count * head_dim] f32 */
    struct tensor k_bias;
    struct tensor v_bias;
    struct tensor q_norm;           /* f32: of a head, of all, or one each: enum qk_norm */
    struct tensor k_norm;           /* alike */
    struct tensor attention_sinks;  /* [head_count] f32 */
    struct tensor attention_output; /* [dim, head_count * values of a head's output] */
    struct tensor attention_output_bias;

    /* Of latent attention. q has its rows by head: still_dim, then those that are rotated. */
    struct tensor q_down;      /* [q_rank, dim], only where q_rank > 0; q then has q_rank columns */
    struct tensor q_down_norm; /* [q_rank] f32, likewise */
    struct tensor kv_down;     /* [kv_rank + rotary_dim, dim] */
    struct tensor kv_down_norm; /* [kv_rank] f32 */
    struct tensor *key_turned;  /* [head_count] tensors [kv_rank, still_dim]: what makes keys,
                                   turned so that it takes queries to the latent vector */
    struct tensor *value_up;    /* [head_count] tensors [value_dim, kv_rank] */

    struct tensor ffn_norm; /* [dim] f32 */
    struct tensor ffn_norm_bias;
    struct tensor ffn_post_norm; /* of what the ffn adds */
    struct tensor ffn_gate;      /* [ffn_dim, dim], absent in a plain ffn */
    struct tensor ffn_up;        /* [ffn_dim, dim] */
    struct tensor ffn_down;      /* [dim, ffn_dim] */
    struct tensor ffn_gate_bias; /* [ffn_dim] */
    struct tensor ffn_up_bias;   /* [ffn_dim] */
    struct tensor ffn_down_bias; /* [dim] */

    /* In a mixture of experts, instead of the ffn. The shared one only where shared_ffn_dim > 0. */
    struct tensor router;            /* [expert_count, dim] */
    struct tensor expert_merit_bias; /* [expert_count] f32, or absent: of choices, not weights */
    struct tensor router_bias;       /* [expert_count] f32, or absent; so the next three */
    struct tensor expert_gate_bias;  /* [expert_count, expert_ffn_dim] f32 */
    struct tensor expert_up_bias;    /* the same shape */
    struct tensor expert_down_bias;  /* [expert_count, dim] f32 */
    struct tensor *expert_gate;      /* [expert_count] tensors [expert_ffn_dim, dim] */
    struct tensor *expert_up;        /* the same shapes */
    struct tensor *expert_down;      /* [expert_count] tensors [dim, expert_ffn_dim] */
    struct tensor shared_gate;       /* [shared_ffn_dim, dim] */
    struct tensor shared_up;         /* [shared_ffn_dim, dim] */
    struct tensor shared_down;       /* [dim, shared_ffn_dim] */
    struct tensor shared_share;      /* [1, dim]: how much of the shared expert a row takes */
};

struct model {
    struct model_params params;
    struct tensor embedding;   /* [vocab, dim] */
    struct tensor positions;   /* [context_tokens, dim], or absent */
    struct tensor output_norm; /* [dim] f32 */
    struct tensor output_norm_bias;
    struct tensor output;             /* [vocab, dim]; the embedding again when tied */
    struct tensor rope_factors;       /* [rotary_dim / 2] f32 frequency divisors, or absent */
    struct tensor rope_factors_long;  /* of contexts beyond rope_original_tokens, or absent */
    struct tensor rope_factors_short; /* of others, or absent */
    struct model_layer *layers;       /* [layer_count] */
    struct tensor *experts;           /* those of all layers, or NULL */
    struct tensor *heads;             /* key_turned and value_up of all layers, or NULL */
    void *turned;                     /* the bytes of what had to be turned, or NULL */
    float *converted; /* norms and biases that the file stores in another type, as f32 */
    uint64_t parameter_count;
    uint64_t weight_bytes;
};

/* Do attention and ffn add to the residual stream as they are? */
static inline bool model_adds_plainly(const struct model_params *params)
{
    return params->norm_place == NORMS_BEFORE && !params->parallel &&
           params->residual_scale == 1.0f;
}

/* Reads and checks hyper-parameters alone: for --plan and messages. */
enum status model_read_params(struct model_params *params, const struct gguf *file,
                              struct error *err);

/* Binds every tensor; unknown architectures, missing, misshapen or unused tensors are refused by
 * name. NaN and Inf among weights are the engine's to handle. file is borrowed for the model's
 * life. */
enum status model_open(struct model *model, const struct gguf *file, struct backend *be,
                       struct loading *loading, struct error *err);
void model_close(struct model *model);

#endif
