/* model.h - a transformer: hyper-parameters, flags that tell families apart, weights by layer.
 *
 * A family is a row of data (family.c), never a copy of the forward pass. Weights are borrowed
 * from the mapped file in their stored type.
 * Thread: any after open (immutable). SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "kernels/backend.h"

#include <stdbool.h>
#include <stdint.h>

enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LLAMA3, /* given in GGUF as the tensor rope_freqs.weight */
};

struct model_params {
    const char *architecture; /* as in family.c: "llama", "qwen2moe", ... */
    uint32_t layer_count;
    uint32_t dim;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t ffn_dim;           /* 0 in a mixture of experts: no layer is dense */
    uint32_t expert_count;      /* of each layer; 0: the model is dense */
    uint32_t expert_used_count; /* by each row */
    uint32_t expert_ffn_dim;
    uint32_t shared_ffn_dim; /* of the expert that every row uses; 0: there is none */
    uint32_t vocab_count;
    uint32_t context_tokens; /* as trained, scaling included */
    float norm_epsilon;
    enum rope_style rope_style;
    uint32_t rotary_dim;
    float rope_theta;
    enum rope_scaling rope_scaling;
    float rope_factor;             /* position scale of linear and YaRN: > 0 */
    uint32_t rope_original_tokens; /* context before scaling: YaRN */
    float rope_attention_factor;   /* on cos and sin, beside YaRN's own magnitude */
    float yarn_extrapolation;      /* weight of the ramp: 1 = YaRN, 0 = plain interpolation */
    float yarn_beta_fast;          /* turns in the original context: more are left unscaled ... */
    float yarn_beta_slow;          /* ... and fewer are fully interpolated */
    float yarn_log_multiplier;     /* divides the magnitude (mscale_all_dim); 0 = 1 */
    bool qkv_bias;                 /* the family demands biases; others may have them */
    bool qk_norm;                  /* RMSNorm over each head's q and k */
    bool expert_normalize;         /* the weights of a row's experts are scaled to sum 1 */
    enum activation activation;
};

struct model_layer {
    struct tensor attention_norm; /* [dim] f32 */
    struct tensor q;              /* [head_count * head_dim, dim] */
    struct tensor k;              /* [kv_head_count * head_dim, dim] */
    struct tensor v;              /* [kv_head_count * head_dim, dim] */
    struct tensor q_bias;         /* [head_count * head_dim] f32, or absent */
    struct tensor k_bias;
    struct tensor v_bias;
    struct tensor q_norm;                /* [head_dim] f32, or absent */
    struct tensor k_norm;                /* [head_dim] f32, or absent */
    struct tensor attention_output;      /* [dim, head_count * head_dim] */
    struct tensor ffn_norm;              /* [dim] f32 */
    struct tensor ffn_gate;              /* [ffn_dim, dim] */
    struct tensor ffn_up;                /* [ffn_dim, dim] */
    struct tensor ffn_down;              /* [dim, ffn_dim] */
    struct tensor attention_output_bias; /* [dim] f32, or absent; so the next three */
    struct tensor ffn_gate_bias;         /* [ffn_dim] */
    struct tensor ffn_up_bias;           /* [ffn_dim] */
    struct tensor ffn_down_bias;         /* [dim] */

    /* In a mixture of experts, instead of the ffn. The shared one only where shared_ffn_dim > 0. */
    struct tensor router;       /* [expert_count, dim] */
    struct tensor *expert_gate; /* [expert_count] tensors [expert_ffn_dim, dim] */
    struct tensor *expert_up;   /* the same shapes */
    struct tensor *expert_down; /* [expert_count] tensors [dim, expert_ffn_dim] */
    struct tensor shared_gate;  /* [shared_ffn_dim, dim] */
    struct tensor shared_up;    /* [shared_ffn_dim, dim] */
    struct tensor shared_down;  /* [dim, shared_ffn_dim] */
    struct tensor shared_share; /* [1, dim]: how much of the shared expert a row takes */
};

struct model {
    struct model_params params;
    struct tensor embedding;    /* [vocab, dim] */
    struct tensor output_norm;  /* [dim] f32 */
    struct tensor output;       /* [vocab, dim]; the embedding again when tied */
    struct tensor rope_factors; /* [rotary_dim / 2] f32 frequency divisors, or absent */
    struct model_layer *layers; /* [layer_count] */
    struct tensor *experts;     /* those of all layers, or NULL */
    float *converted;           /* norms and biases that the file stores in another type, as f32 */
    uint64_t parameter_count;
    uint64_t weight_bytes;
};

/* Reads and checks hyper-parameters alone: for --plan and messages. */
enum status model_read_params(struct model_params *params, const struct gguf *file,
                              struct error *err);

/* Binds every tensor; unknown architectures, missing, misshapen or unused tensors are refused by
 * name. NaN and Inf among weights are the engine's to handle. file is borrowed for the model's
 * life. */
enum status model_open(struct model *model, const struct gguf *file, struct backend *be,
                       struct error *err);
void model_close(struct model *model);

#endif
