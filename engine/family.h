/* family.h - what tells the model families apart: one row of data each.
 *
 * A row says what the architecture's name implies; what files may choose, they say by keys.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FAMILY_H
#define ENGINE_FAMILY_H

#include "configs/error.h"
#include "engine/formats/gguf.h"
#include "kernels/backend.h"

#include <stdbool.h>

enum norm_kind {
    NORM_RMS,
    NORM_LAYER, /* LayerNorm: the mean is taken out first */
};

/* Where a layer normalises what attention and ffn read, and what they add to the residual stream. */
enum norm_place {
    NORMS_BEFORE,
    NORMS_AFTER,
    NORMS_AROUND,
};

enum qk_norm {
    QK_NORM_NONE,
    QK_NORM_HEAD, /* each head of q and k by itself, with one weight for all */
    QK_NORM_ROW,  /* all heads of a row together */
    QK_NORM_EACH, /* each head by itself, with a weight of its own */
};

enum ffn_kind {
    FFN_GATED,       /* down(activation(gate) * up) */
    FFN_GATED_FUSED, /* the same, gate and up being one tensor: rows of gate, then of up */
    FFN_PLAIN,       /* down(activation(up)) */
};

enum family_experts {
    EXPERTS_NEVER,
    EXPERTS_MAYBE, /* where the file counts some */
    EXPERTS_ALWAYS,
};

struct family {
    const char *architecture; /* general.architecture, and the prefix of the family's keys */
    enum rope_style rope_style;
    enum norm_kind norm;
    enum norm_place norm_place;
    enum qk_norm qk_norm;
    enum ffn_kind ffn;
    enum activation activation;
    enum family_experts experts;  /* a layer's ffn is a mixture of experts, routed by softmax */
    uint32_t window_period;       /* of so many layers all but the last have the window; 1: all
                                        have it; 0: the family knows no windows */
    uint32_t window_default;      /* where the file names none */
    uint32_t no_rope_period;      /* of so many layers the last is not rotated; 0: all are */
    uint32_t scale_by_dim_layers; /* models of so many layers scale by dim / head_count */
    float window_rope_theta;      /* of plain angles, unless the file names one; 0: the others' */
    float attention_softcap_default; /* where the file names none */
    float logit_softcap_default;     /* alike */

    bool window_rope_plain; /* layers with a window rotate by unscaled angles */
    bool norm_bias;         /* LayerNorm has biases */
    bool qkv_bias;          /* q, k and v biases are part of the architecture */
    bool parallel;          /* attention and ffn read the same residual stream ... */
    bool parallel_by_file;  /* ... unless use_parallel_residual says otherwise */
    bool shared_norm;       /* when parallel, one norm serves both */
    bool second_norm;       /* attn_norm_2, where it is, serves attention; attn_norm the ffn */
    bool learned_positions; /* added to the embedding; nothing is rotated */
    bool embedding_root;    /* the embedding is scaled by sqrt(dim) */
    bool logit_divided;     /* logit_scale divides */
    bool expert_normalize;  /* the weights of those used are scaled to sum 1 */
    bool expert_whole;      /* feed_forward_length is that of each expert, not of all used */
    bool expert_bias;       /* the router and the experts have biases */
    bool qk_norm_each;      /* a model may have QK_NORM_EACH: its tensors tell */
    bool sinks;             /* each head's softmax has one more logit */
    bool post_named_norm;   /* ffn_norm is named post_attention_norm */
    bool yarn_exact;        /* YaRN's ramp begins and ends between whole pairs */
    bool shared_expert;     /* beside them one that all rows use, through a sigmoid */
    bool shared_plain;      /* beside them one that all rows use as it is, if the file counts any */
    bool routed_by_file;    /* the file may choose gating, groups, a bias and a factor */
    bool leading_dense;     /* a file's first layers may have an ffn instead of experts */
    bool latent;            /* keys and values are made of one short vector a token: MLA */
    bool next_layers;       /* the last layers may guess further tokens: they are not run */
};

/* The family that general.architecture names; an unknown one is refused with the list of known. */
enum status family_find(const struct family **out, const struct gguf *file, struct error *err);

/* Text from a file as a message can show it: cut to out_bytes, one line, printable. Returns out. */
const char *family_printable(char *out, size_t out_bytes, struct gguf_string text);

#endif
