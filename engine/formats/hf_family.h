/* hf_family.h - what tells Hugging Face model types apart: one row of data each.
 *
 * A row leads from the keys of config.json and the names of tensors to those that a public GGUF
 * file of the same model has. What a row does not know is refused by name.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_FAMILY_H
#define ENGINE_FORMATS_HF_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

enum hf_key_kind {
    HF_KEY_END,   /* behind the last row */
    HF_KEY_COUNT, /* an integer from 1 to `limit` */
    HF_KEY_REAL,  /* a number from 0 to `limit` */
    HF_KEY_FLAG,
    /* Nothing of these is passed on: anything else than what they say is refused. */
    HF_KEY_FALSE, /* false, or absent */
    HF_KEY_TRUE,  /* true, or absent */
    HF_KEY_NONE,  /* null, or absent */
    HF_KEY_ONE,   /* 1, or absent */
    HF_KEY_EMPTY, /* an empty array, or absent */
    HF_KEY_EXACT, /* the number `limit`, or absent */
};

struct hf_key_row {
    const char *key;    /* of config.json */
    const char *suffix; /* of GGUF, behind the architecture */
    enum hf_key_kind kind;
    bool required;
    double limit;
    double missing; /* what an absent key means; 0: nothing is passed on */
};

enum hf_change {
    HF_KEEP,
    HF_OPTIONAL,    /* kept; not every model has it */
    HF_IGNORE,      /* holds nothing that the configuration does not say */
    HF_ADD_ONE,     /* Gemma's norms: the weight is 1 + the stored value */
    HF_TRANSPOSE,   /* stored [in, out] */
    HF_HEADS_APART, /* rows q, k, v of one head after the other -> all q, all k, all v */
    HF_GATE_UP,     /* [experts, 2 * ffn, dim]: of each expert its gate, then its up */
    HF_EXPERTS,     /* [experts, rows, values]: cut by expert */
    HF_STACK,       /* a vector a head: the rows of one matrix */
    /* gpt-oss, whose gates and ups alternate: */
    HF_TURN_EXPERTS,  /* [experts, in, out] -> [experts, out, in] */
    HF_PART_GATE_UP,  /* [experts, in, 2 * ffn] -> likewise, of gates and of ups */
    HF_PART_GATE_BIAS /* [experts, 2 * ffn] -> of gates and of ups */
};

/* One tensor. In both names '*' stands for an expert's number. */
struct hf_tensor_row {
    const char *name; /* behind the layer's number, or of the model; NULL behind the last row */
    const char *gguf; /* likewise */
    enum hf_change change;
};

enum hf_windows {
    HF_WINDOWS_NONE,      /* sliding_window is not this type's; it must be absent */
    HF_WINDOWS_ALL,       /* every layer has it */
    HF_WINDOWS_LATE,      /* with use_sliding_window: layers from max_window_layers on */
    HF_WINDOWS_ALTERNATE, /* of every `window_period` layers all but the last */
};

/* Which layers of a mixture of experts are dense. */
enum hf_dense {
    HF_DENSE_NONE,
    HF_DENSE_LISTED,  /* those of mlp_only_layers, and all but every decoder_sparse_step-th */
    HF_DENSE_LEADING, /* the first first_k_dense_replace */
};

struct hf_family {
    const char *model_type;    /* of config.json */
    const char *architecture;  /* of GGUF */
    const char *base;          /* in front of tensor names; may be missing in all of them */
    const char *layers;        /* behind it, in front of a layer's number */
    const char *other_base;    /* another spelling of it, or NULL */
    const char *config_object; /* the key of config.json whose object has the keys; NULL: the top */
    const char *const *ignored; /* starts of names of tensors of no concern, up to NULL, or NULL */
    const struct hf_key_row *const *keys; /* lists, up to NULL */
    const struct hf_tensor_row *model_tensors;
    const struct hf_tensor_row *const *layer_tensors; /* lists, up to NULL */
    const struct hf_tensor_row *const
        *sparse_tensors; /* beside those, where there are experts ... */
    const struct hf_tensor_row *const *dense_tensors; /* ... and where not; NULL: none */
    const struct hf_tensor_row *next_tensors; /* beside those, of layers that guess further tokens,
                                                 num_nextn_predict_layers behind the others */
    const struct hf_tensor_row *qk_norm_tensors; /* beside those, where qk_norm_key is true */
    const char *qk_norm_key;
    const char *embedding;      /* the row of token_embd.weight, as a whole name */
    const char *head;           /* that of output.weight */
    const char *activation_key; /* of config.json */
    const char *activations[3]; /* its accepted values */
    const char *positions_key;  /* the trained context: max_position_embeddings if NULL */
    const char *theta_key;      /* rope_theta if NULL */
    double theta;               /* where that is absent; 0: 10000 */
    const char *partial_key;    /* partial_rotary_factor if NULL */
    double partial;             /* where that is absent; 0: 1 */
    bool halves;                /* public GGUF files permute q and k; here they stay */
    bool learned_positions;     /* nothing is rotated */
    bool local_rope;            /* layers with a window have a theta of their own */
    bool scalar_scale;          /* attention is scaled by query_pre_attn_scalar ^ -0.5 */
    bool unrotated_fourth;      /* of four layers the last is not rotated */
    bool falcon;                /* heads and fused rows by multi_query and its like */
    bool yarn_exact;            /* rope_scaling.truncate is false, and must be */
    uint32_t head_dim;          /* where the key is absent; 0: the width by the heads */
    uint32_t positions;   /* the trained context where its key is absent; 0: it must be there */
    double scalar;        /* query_pre_attn_scalar where absent; 0: likewise */
    bool own_activation;  /* no other will do */
    bool latent;          /* qk_nope_head_dim and its like: DeepSeek's attention ... */
    bool sigmoid_routing; /* ... and the routing of its third version */
    enum hf_dense dense;
    enum hf_windows windows;
    uint32_t window_period;
};

/* NULL: no row. */
const struct hf_family *hf_family_find(const char *model_type);

/* The known ones, separated by commas; out_bytes is enough for a message. Returns out. */
const char *hf_family_list(char *out, uint32_t out_bytes);

#endif
