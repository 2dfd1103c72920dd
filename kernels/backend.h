/* backend.h - a device: its memory, and the arithmetic of a transformer step.
 *
 * Batch invariance: the numbers an op writes for one row depend on that row's inputs alone, bit
 * for bit on the CPU: not on row_count, nor on the other rows, the thread count, or where KV
 * blocks lie. Each output element has one fixed order of additions.
 * Ops return nothing: device work is asynchronous. A backend keeps its first failure and
 * `synchronize` returns it. No member of backend_ops is NULL. All rows are dense, row-major.
 * Ownership: every pointer in an args struct is borrowed until the next `synchronize`.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "configs/error.h"
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;

/* How many instructions the CPU backend may use; a cap, so that every table runs on one machine. */
enum isa {
    ISA_SCALAR,
    ISA_AVX2,
    ISA_AVX512_OLD, /* as processors without VNNI have it: integer products are AVX2's */
    ISA_AVX512,
    ISA_AUTO, /* the best this processor has */
};

/* How the inputs of products with quantised weights are represented. */
enum precision {
    PRECISION_AUTO, /* 16 bits for TENSOR_PRODUCT_FINE, 8 for the others */
    PRECISION_F32,  /* as they are; weights are used where they lie */
    PRECISION_A16,  /* integers of 16 bits and a scale for every 32 values */
    PRECISION_A8,   /* integers of 8 bits alike */
};

struct backend_options {
    const char *name;      /* "cpu" */
    uint32_t thread_count; /* workers, the caller's thread included; 1..LIMIT_THREADS */
    enum isa isa_max;
    enum precision precision;
};

/* Embedding rows: out[i] = table[token_ids[i]] * scale. */
struct embed_args {
    float *out;                 /* [row_count, dim] f32 */
    const struct tensor *table; /* [vocab, dim] any dtype */
    const uint32_t *token_ids;  /* [row_count], each < vocab */
    uint32_t row_count;
    float scale; /* 1 for most families */
};

/* out = in / sqrt(mean(in^2) + epsilon) * weight, row by row. out may be in. Also used for q/k
 * norm, where a row is one head. */
struct rmsnorm_args {
    float *out;          /* [row_count, dim] f32 */
    const float *in;     /* [row_count, dim] f32 */
    const float *weight; /* [dim] f32 */
    uint32_t row_count;
    uint32_t dim;
    uint32_t stride; /* values from one row to the next, of both; 0 = dim */
    float epsilon;
};

/* out = (in - mean) / sqrt(variance + epsilon) * weight (+ bias), row by row, with the variance of
 * the whole row: the mean square of in - mean. out may be in. */
struct layernorm_args {
    float *out;           /* [row_count, dim] f32 */
    const float *in;      /* [row_count, dim] f32 */
    const float *weight;  /* [weight_rows, dim] f32 */
    const float *bias;    /* [dim] f32, or NULL */
    uint32_t weight_rows; /* row i has weight row i % weight_rows; 0 = 1. Heads have their own */
    uint32_t row_count;
    uint32_t dim;
    float epsilon;
};

/* out = in x weight^T (+ bias) (+ residual). f32 accumulation. out may be residual, not in. A weight
 * that was not imported is used in its stored form, with f32 inputs. */
struct matmul_args {
    float *out;                  /* [row_count, out_dim] f32 */
    const float *in;             /* [row_count, in_dim] f32 */
    const struct tensor *weight; /* [out_dim, in_dim] any dtype */
    const float *bias;           /* [out_dim] f32, or NULL */
    const float *residual;       /* [row_count, out_dim] f32, or NULL */
    uint32_t row_count;
};

/* out[row, h] = in[row, h] x weights[h]^T: of every head its own product. What lies behind a head's
 * inputs may be passed on behind its outputs. Sums as matmul makes them of weights that were not
 * imported, whatever the number of rows; out is not in. */
struct heads_matmul_args {
    float *out;                   /* [row_count, head_count] heads, out_stride values apart */
    const float *in;              /* [row_count, head_count] heads, in_stride values apart */
    const struct tensor *weights; /* [head_count] tensors [out_dim, in_dim] of one dtype */
    uint32_t row_count;
    uint32_t head_count;
    uint32_t in_stride;    /* >= in_dim + passed_count */
    uint32_t out_stride;   /* >= out_dim + passed_count */
    uint32_t passed_count; /* values that are passed on */
};

/* How the pairs that rotary embedding turns are laid out in a head. */
enum rope_style {
    ROPE_NEIGHBOURS, /* (2i, 2i + 1): Llama in GGUF */
    ROPE_HALVES,     /* (i, i + rotary_dim / 2): NeoX, Qwen, Hugging Face checkpoints */
};

/* Rotates x in place. The angles are made once a step, for all layers, from the positions. */
struct rope_args {
    float *x;         /* [row_count, head_count, head_dim] f32 */
    const float *cos; /* [row_count, rotary_dim / 2] f32 */
    const float *sin; /* [row_count, rotary_dim / 2] f32 */
    uint32_t row_count;
    uint32_t head_count;
    uint32_t head_dim;
    uint32_t rotary_dim; /* even, <= head_dim; values beyond pass through */
    enum rope_style style;
};

/* One layer of the paged cache, as every kernel sees it. Block b, head h, token t of the block
 * start at keys + ((b * kv_head_count + h) * block_tokens + t) * head_dim values; values alike.
 * Where keys are values too (latent attention), both pointers are one. */
struct kv_layer {
    void *keys;       /* [block_count, kv_head_count, block_tokens, head_dim] */
    void *values;     /* the same shape, or keys */
    enum dtype dtype; /* DTYPE_F32, DTYPE_F16 or DTYPE_BF16 */
    uint32_t block_count;
    uint32_t block_tokens;
    uint32_t kv_head_count;
    uint32_t head_dim;
};

/* Stores new keys and values. slot = block_id * block_tokens + offset; slots are distinct. */
struct kv_write_args {
    const struct kv_layer *kv;
    const float *keys;     /* [row_count, kv_head_count, head_dim] f32 */
    const float *values;   /* the same shape; unused where keys are values too */
    const uint32_t *slots; /* [row_count] */
    uint32_t row_count;
};

/* One request's stretch of the batch: rows first_row .. first_row + row_count - 1 stand at
 * positions start, start + 1, ... and row i sees the keys of positions 0 .. start + i. */
struct attention_span {
    uint32_t first_row;
    uint32_t row_count;
    uint32_t start;
    const uint32_t *block_ids; /* covers positions 0 .. start + row_count - 1 */
};

/* Causal grouped-query attention through block tables. Keys are reduced over ranges of fixed
 * absolute position (ATTENTION_RANGE_TOKENS), each giving (output, log-sum-exp), and the ranges
 * are merged in ascending order, whatever the split among threads. What no query of a span sees
 * for the window is not read, nor are its block ids.
 *
 * A sink is one more key that every query of a head sees, whose value is zero: it takes weight
 * and gives nothing. It enters once, when all ranges are merged, and `lse` counts it: of calls
 * whose results attention_merge will join, one only may have sinks. */
struct attention_args {
    float *out;     /* [row_count, head_count, head_dim] f32 */
    float *lse;     /* [row_count, head_count] f32 log-sum-exp of the scores as the softmax has
                       them: scaled, capped, with the sink. Or NULL */
    const float *q; /* [row_count, head_count, head_dim] f32 */
    const struct kv_layer *kv;
    const struct attention_span *spans; /* [span_count], disjoint row ranges */
    uint32_t span_count;
    uint32_t head_count; /* a multiple of kv->kv_head_count */
    float scale;         /* usually 1 / sqrt(head_dim) */
    uint32_t window;     /* only the last `window` positions are seen; 0 = all */
    float softcap;       /* a scaled score s becomes softcap * tanh(s / softcap); 0 = it stays */
    const float *sinks;  /* [head_count] f32 score of each head's sink, neither scaled nor capped,
                            or NULL */
};

enum {
    ATTENTION_RANGE_TOKENS = 256
};

/* Merges two partial attentions over disjoint key sets into a; either may be empty (lse -inf). */
struct attention_merge_args {
    float *out_a;       /* [row_count, head_count, head_dim] f32, in and out */
    float *lse_a;       /* [row_count, head_count] f32, in and out */
    const float *out_b; /* [row_count, head_count, head_dim] f32 */
    const float *lse_b; /* [row_count, head_count] f32 */
    uint32_t row_count;
    uint32_t head_count;
    uint32_t head_dim;
};

enum activation {
    ACTIVATION_SILU,      /* x / (1 + exp(-x)) */
    ACTIVATION_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    ACTIVATION_GELU,      /* x/2 (1 + erf(x / sqrt(2))) */
    ACTIVATION_RELU,      /* max(x, 0) */
    /* Gated only, gpt-oss: with the gate g at most 7 and `up` in -7 .. 7,
     * g / (1 + exp(-1.702 g)) * (up + 1). */
    ACTIVATION_SWIGLU_CLAMPED,
    ACTIVATION_COUNT
};

/* x = activation(x), element by element. */
struct activate_args {
    float *x; /* [row_count, dim] f32 */
    uint32_t row_count;
    uint32_t dim;
    enum activation activation; /* but ACTIVATION_SWIGLU_CLAMPED */
};

/* out = activation(gate) * up, element by element. out may be gate. */
struct gated_activation_args {
    float *out;        /* [row_count, dim] f32 */
    const float *gate; /* [row_count, dim] f32 */
    const float *up;   /* [row_count, dim] f32 */
    uint32_t row_count;
    uint32_t dim;
    enum activation activation;
};

/* out = a + scale * b, element by element. out may be a or b. */
struct add_scaled_args {
    float *out;     /* [row_count, dim] f32 */
    const float *a; /* [row_count, dim] f32 */
    const float *b; /* [row_count, dim] f32 */
    uint32_t row_count;
    uint32_t dim;
    float scale;
};

/* x = scale * x, then, with a cap, x = cap * tanh(x / cap): what logits go through. */
struct scale_cap_args {
    float *x; /* [row_count, dim] f32 */
    uint32_t row_count;
    uint32_t dim;
    float scale;
    float cap; /* 0 = none */
};

/* out[i] = in[rows[i]]: the rows whose logits are wanted. */
struct gather_rows_args {
    float *out;           /* [row_count, dim] f32 */
    const float *in;      /* [any, dim] f32 */
    const uint32_t *rows; /* [row_count] */
    uint32_t row_count;
    uint32_t dim;
};

/* ---- mixtures of experts: route, gather, one matmul per expert, combine ---- */

/* Which expert each row chose, and the same choices sorted by expert: a choice's position in that
 * order is its place. An expert's places are a run, in it ascending by row. All in device memory,
 * so that no device need tell the host how many rows an expert got. */
struct expert_routes {
    uint32_t *ends;   /* [expert_count] expert e has the places from ends[e - 1] (0) to ends[e] */
    uint32_t *rows;   /* [row_count * used_count] the row that each place is computed for */
    uint32_t *places; /* [row_count, used_count] of each row's choices, best first */
    float *weights;   /* [row_count, used_count] of the same choices */
    uint32_t row_count;
    uint32_t used_count; /* 1 .. expert_count */
    uint32_t expert_count;
};

/* What weights are made of. */
enum expert_gating {
    EXPERT_GATING_SOFTMAX, /* the softmax over all experts' scores */
    EXPERT_GATING_SIGMOID, /* each score's 1 / (1 + exp(-score)): DeepSeek-V3 */
    EXPERT_GATING_CHOSEN,  /* the softmax over the scores of those chosen: gpt-oss */
};

/* Chooses, for each row, the used_count experts of the highest merit, the lower index among equals.
 * Merit is the score; with a bias or groups it is the gating's value of the score (of CHOSEN the
 * score itself) + the bias, which has no part in the weights.
 * With groups, experts lie in group_count runs of equal length; a group is worth the sum of its
 * group_best best merits, and choices are from the groups_used most worthy groups alone.
 * All in f32. A score that is NaN or infinite makes all weights of its row NaN, of some valid
 * choice. Methods: DeepSeek-V2 (arXiv:2405.04434, 2.2.2), DeepSeek-V3 (arXiv:2412.19437, 2.1.2). */
struct experts_route_args {
    const struct expert_routes *routes; /* its arrays are the output */
    const float *scores;                /* [row_count, expert_count] f32 */
    enum expert_gating gating;
    const float *bias;    /* [expert_count] f32, or NULL */
    uint32_t group_count; /* divides expert_count; 0 = no groups */
    uint32_t groups_used; /* 1 .. group_count; together they have used_count experts */
    uint32_t group_best;  /* 1 .. expert_count / group_count */
    bool normalize;       /* divide a row's weights by their sum */
    float weight_scale;   /* multiplies the weights at last; 0 = they stay */
};

/* out[place] = in[rows[place]]: every expert's inputs behind one another. */
struct experts_gather_args {
    float *out;      /* [row_count * used_count, dim] f32 */
    const float *in; /* [row_count, dim] f32 */
    const struct expert_routes *routes;
    uint32_t dim;
};

/* out[place] = in[place] x weights[expert of the place]^T (+ its bias), as matmul does it. out is
 * not in. */
struct experts_matmul_args {
    float *out;                   /* [row_count * used_count, out_dim] f32 */
    const float *in;              /* [row_count * used_count, in_dim] f32 */
    const struct tensor *weights; /* [expert_count] tensors [out_dim, in_dim] of one dtype */
    const float *bias;            /* [expert_count, out_dim] f32, or NULL */
    const struct expert_routes *routes;
};

/* out = residual + (sum over ranks, best first, of weight * in[place] + sigmoid(gate) * shared);
 * without a gate, + shared. */
struct experts_combine_args {
    float *out;               /* [row_count, dim] f32; may be residual */
    const float *in;          /* [row_count * used_count, dim] f32 */
    const float *residual;    /* [row_count, dim] f32 */
    const float *shared;      /* [row_count, dim] f32 of the expert that all rows use, or NULL */
    const float *shared_gate; /* [row_count] f32, or NULL */
    const struct expert_routes *routes;
    uint32_t dim;
};

struct backend_ops {
    const char *name;
    void (*close)(struct backend *be);

    /* Device memory, 64-byte aligned, zeroed; NULL when there is none. */
    void *(*alloc)(struct backend *be, size_t byte_count);
    void (*free)(struct backend *be, void *memory, size_t byte_count);
    void (*upload)(struct backend *be, void *device, const void *host, size_t byte_count);
    void (*download)(struct backend *be, void *host, const void *device, size_t byte_count);
    void (*copy)(struct backend *be, void *out, const void *in, size_t byte_count);
    enum status (*synchronize)(struct backend *be, struct error *err);

    /* Makes a host tensor usable as a weight; its bytes must outlive the backend. The CPU uses
     * them where they are, but for quantised weights of products: those it copies into a form of
     * its own, and sets weight->packed, unless the precision is f32 or weight->use is a table. */
    enum status (*weight_import)(struct backend *be, struct tensor *weight, struct error *err);

    void (*embed)(struct backend *be, const struct embed_args *args);
    void (*rmsnorm)(struct backend *be, const struct rmsnorm_args *args);
    void (*layernorm)(struct backend *be, const struct layernorm_args *args);
    void (*matmul)(struct backend *be, const struct matmul_args *args);
    void (*heads_matmul)(struct backend *be, const struct heads_matmul_args *args);
    void (*rope)(struct backend *be, const struct rope_args *args);
    void (*kv_write)(struct backend *be, const struct kv_write_args *args);
    void (*attention)(struct backend *be, const struct attention_args *args);
    void (*attention_merge)(struct backend *be, const struct attention_merge_args *args);
    void (*activate)(struct backend *be, const struct activate_args *args);
    void (*gated_activation)(struct backend *be, const struct gated_activation_args *args);
    void (*add_scaled)(struct backend *be, const struct add_scaled_args *args);
    void (*scale_cap)(struct backend *be, const struct scale_cap_args *args);
    void (*gather_rows)(struct backend *be, const struct gather_rows_args *args);
    void (*experts_route)(struct backend *be, const struct experts_route_args *args);
    void (*experts_gather)(struct backend *be, const struct experts_gather_args *args);
    void (*experts_matmul)(struct backend *be, const struct experts_matmul_args *args);
    void (*experts_combine)(struct backend *be, const struct experts_combine_args *args);
};

/* A backend embeds this as its first member. */
struct backend {
    const struct backend_ops *ops;
};

/* Opens a device by name and takes all scratch memory its ops will ever need: no op allocates.
 * Fails with the list of known names when there is no such device. */
enum status backend_open(struct backend **out, const struct backend_options *options,
                         struct error *err);
void backend_close(struct backend *be);

/* Memory that weight_import would take for a weight of this type, shape and use. */
uint64_t backend_packed_bytes(const struct tensor *weight, enum precision precision);

/* Memory that the inputs of its products need once the weight is imported. All weights share it:
 * a backend takes as much as the largest of them asks for. */
uint64_t backend_input_bytes(const struct tensor *weight, enum precision precision);

/* The instruction set this processor has and the cap allows: "avx512", "avx2", "scalar". */
const char *backend_isa_name(enum isa isa_max);

#endif
