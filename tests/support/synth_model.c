/* Matrices have standard deviation 1 / sqrt(row), so a normalised input gives outputs near one;
 * the two that write into the residual stream are divided further by sqrt(2 * layers), and made
 * large beside the embedding: otherwise a model with tied embeddings would only ever repeat the
 * token it has just read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/synth_model.h"

#include "engine/formats/gguf_types.h"
#include "kernels/quant.h"
#include "tests/support/synth_family.h"
#include "tests/support/synth_vocab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Nearly normal with standard deviation 1: four uniform numbers of 16 bits, summed. */
static float normal_number(uint64_t bits)
{
    int32_t sum = (int32_t)(bits & 0xffff) + (int32_t)(bits >> 16 & 0xffff) +
                  (int32_t)(bits >> 32 & 0xffff) + (int32_t)(bits >> 48) - 2 * 0xffff;
    return (float)sum * (1.7320508f / 65536.0f);
}

static bool name_has(const struct gguf_writer_tensor *tensor, const char *part)
{
    return memmem(tensor->name, tensor->name_bytes, part, strlen(part)) != NULL;
}

/* Standard deviation of a tensor's values. */
static float spread_of(const struct synth_options *options, const struct gguf_writer_tensor *tensor)
{
    if (name_has(tensor, "attn_sinks")) {
        return 1.0f;
    }
    if (name_has(tensor, ".bias")) {
        return name_has(tensor, "norm") ? 0.2f : 0.5f;
    }
    if (name_has(tensor, "norm")) {
        return 0.1f; /* around 1 */
    }
    if (name_has(tensor, "ffn_gate_inp.") && options->router == SYNTH_ROUTER_EQUAL) {
        return 0.0f;
    }
    float spread = 1.0f / sqrtf((float)tensor->dims[0]);
    float residual_gain = 4.0f / sqrtf(2.0f * (float)options->layer_count);
    if (name_has(tensor, "attn_output")) {
        return spread * residual_gain;
    }
    if (name_has(tensor, "ffn_down")) {
        return 2.0f * spread * residual_gain; /* its input is a product of two, so smaller */
    }
    bool vocabulary = name_has(tensor, "_embd") || name_has(tensor, "output.weight");
    return vocabulary ? 3.0f * spread : spread;
}

static enum dtype dtype_of_type(uint32_t ggml_type)
{
    return gguf_types_find(ggml_type)->dtype;
}

static void make_row(void *context, const struct gguf_writer_tensor *tensor, uint64_t row,
                     void *out)
{
    const struct synth_options *options = context;
    uint64_t value_count = tensor->dims[0];
    float *values = malloc(value_count * sizeof *values);
    if (values == NULL) {
        abort();
    }
    uint64_t state = mix(options->seed);
    for (uint64_t i = 0; i < tensor->name_bytes; i++) {
        state = mix(state ^ (unsigned char)tensor->name[i]);
    }
    bool router = name_has(tensor, "ffn_gate_inp.");
    state = mix(state ^ (router && options->router == SYNTH_ROUTER_PAIRS ? row / 2 : row));
    float spread = spread_of(options, tensor);
    bool scales = name_has(tensor, "norm") && !name_has(tensor, ".bias");
    float middle = scales ? 1.0f : 0.0f;
    for (uint64_t i = 0; i < value_count; i++) {
        values[i] = middle + spread * normal_number(mix(state + i));
    }
    quant_format_get(dtype_of_type(tensor->ggml_type))->quantize(out, values, value_count);
    free(values);
}

/* ---- tensors ---- */

/* What llama.cpp falls back to when a row is not whole blocks of 256. */
static enum dtype fallback(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
    case DTYPE_IQ4_XS:
        return DTYPE_IQ4_NL;
    case DTYPE_Q4_K:
        return DTYPE_Q5_0;
    case DTYPE_Q5_K:
        return DTYPE_Q5_1;
    case DTYPE_Q6_K:
        return DTYPE_Q8_0;
    default:
        return DTYPE_F16;
    }
}

static enum dtype dtype_for_row(enum dtype wanted, uint64_t row_values)
{
    while (row_values % quant_format_get(wanted)->block_values != 0) {
        wanted = fallback(wanted);
    }
    return wanted;
}

static void add_matrix(struct gguf_writer *writer, const struct synth_options *options,
                       const char *name, enum dtype wanted, uint64_t rows, uint64_t row_values)
{
    gguf_writer_add_rows(writer, name, dtype_for_row(wanted, row_values), 2,
                         (uint64_t[2]){rows, row_values}, make_row, (void *)options);
}

/* One matrix an expert, or a head. */
static void add_matrices(struct gguf_writer *writer, const struct synth_options *options,
                         const char *name, uint64_t count, uint64_t rows, uint64_t row_values)
{
    gguf_writer_add_rows(writer, name, dtype_for_row(options->dtype, row_values), 3,
                         (uint64_t[3]){count, rows, row_values}, make_row, (void *)options);
}

static void add_experts(struct gguf_writer *writer, const struct synth_options *options,
                        const char *name, uint64_t rows, uint64_t row_values)
{
    add_matrices(writer, options, name, options->expert_count, rows, row_values);
}

static void add_vector(struct gguf_writer *writer, const struct synth_options *options,
                       const char *name, uint64_t values)
{
    gguf_writer_add_rows(writer, name, DTYPE_F32, 1, &values, make_row, (void *)options);
}

/* "blk.3.attn_q.weight" */
struct layer_name {
    char text[64];
};

static struct layer_name layer_tensor(uint32_t layer, const char *part)
{
    struct layer_name name;
    snprintf(name.text, sizeof name.text, "blk.%u.%s", layer, part);
    return name;
}

/* Has the options' family these tensors (SYNTH_...)? */
static bool has(const struct synth_options *options, uint32_t tensors)
{
    return (synth_family_find(options->arch)->tensors & tensors) != 0;
}

static bool has_experts(const struct synth_options *options)
{
    return has(options, SYNTH_EXPERTS);
}

/* How many layers in front have an ffn though the others have experts. */
static uint32_t leading_dense(const struct synth_options *o)
{
    uint32_t count = synth_family_find(o->arch)->leading_dense;
    return count < o->layer_count ? count : 0;
}

static void add_layer_experts(struct gguf_writer *writer, const struct synth_options *o,
                              uint32_t layer)
{
    add_matrix(writer, o, layer_tensor(layer, "ffn_gate_inp.weight").text, DTYPE_F32,
               o->expert_count, o->dim);
    add_experts(writer, o, layer_tensor(layer, "ffn_gate_exps.weight").text, o->expert_ffn_dim,
                o->dim);
    add_experts(writer, o, layer_tensor(layer, "ffn_up_exps.weight").text, o->expert_ffn_dim,
                o->dim);
    add_experts(writer, o, layer_tensor(layer, "ffn_down_exps.weight").text, o->dim,
                o->expert_ffn_dim);
    if (has(o, SYNTH_EXPERT_BIASES)) {
        add_vector(writer, o, layer_tensor(layer, "ffn_gate_inp.bias").text, o->expert_count);
        add_matrix(writer, o, layer_tensor(layer, "ffn_gate_exps.bias").text, DTYPE_F32,
                   o->expert_count, o->expert_ffn_dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_up_exps.bias").text, DTYPE_F32,
                   o->expert_count, o->expert_ffn_dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_down_exps.bias").text, DTYPE_F32,
                   o->expert_count, o->dim);
    }
    if (has(o, SYNTH_MERIT_BIAS)) {
        add_vector(writer, o, layer_tensor(layer, "exp_probs_b.bias").text, o->expert_count);
    }
    if (has(o, SYNTH_SHARED_EXPERT)) {
        add_vector(writer, o, layer_tensor(layer, "ffn_gate_inp_shexp.weight").text, o->dim);
    }
    if (has(o, SYNTH_SHARED_EXPERT | SYNTH_SHARED_PLAIN)) {
        uint64_t ffn_dim = has(o, SYNTH_SHARED_PLAIN)
                               ? (uint64_t)o->expert_used_count * o->expert_ffn_dim
                               : o->shared_ffn_dim;
        add_matrix(writer, o, layer_tensor(layer, "ffn_gate_shexp.weight").text, o->dtype, ffn_dim,
                   o->dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_up_shexp.weight").text, o->dtype, ffn_dim,
                   o->dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_down_shexp.weight").text, o->dtype, o->dim,
                   ffn_dim);
    }
}

/* A tensor of a layer; of the families that have it. */
struct part {
    const char *name;
    uint64_t rows; /* 0: a vector */
    uint64_t values;
    bool present;
};

static void add_parts(struct gguf_writer *writer, const struct synth_options *o, uint32_t layer,
                      const struct part *parts, size_t part_count)
{
    for (size_t i = 0; i < part_count; i++) {
        struct layer_name name = layer_tensor(layer, parts[i].name);
        if (parts[i].present && parts[i].rows == 0) {
            add_vector(writer, o, name.text, parts[i].values);
        } else if (parts[i].present) {
            bool norm = strstr(parts[i].name, "norm") != NULL;
            add_matrix(writer, o, name.text, norm ? DTYPE_F32 : o->dtype, parts[i].rows,
                       parts[i].values);
        }
    }
}

static void add_layer_ffn(struct gguf_writer *writer, const struct synth_options *o, uint32_t layer)
{
    bool gate = !has(o, SYNTH_GATE_FUSED | SYNTH_NO_GATE);
    bool biases = has(o, SYNTH_OUTPUT_BIASES);
    uint64_t up_rows = has(o, SYNTH_GATE_FUSED) ? 2 * (uint64_t)o->ffn_dim : o->ffn_dim;
    const struct part parts[] = {
        {"ffn_gate.weight", o->ffn_dim, o->dim, gate}, {"ffn_up.weight", up_rows, o->dim, true},
        {"ffn_down.weight", o->dim, o->ffn_dim, true}, {"ffn_up.bias", 0, up_rows, biases},
        {"ffn_down.bias", 0, o->dim, biases},
    };
    add_parts(writer, o, layer, parts, sizeof parts / sizeof parts[0]);
}

static void add_layer_norms(struct gguf_writer *writer, const struct synth_options *o,
                            uint32_t layer)
{
    bool norms = has(o, SYNTH_NORMS);
    bool ffn_norm = norms && !has(o, SYNTH_ONE_NORM);
    const char *ffn_norm_name =
        has(o, SYNTH_POST_NAMED) ? "post_attention_norm.weight" : "ffn_norm.weight";
    bool biases = has(o, SYNTH_NORM_BIASES);
    bool second = has(o, SYNTH_SECOND_NORM);
    bool post = has(o, SYNTH_POST_NORMS);
    const struct part parts[] = {
        {"attn_norm.weight", 0, o->dim, norms},
        {"attn_norm.bias", 0, o->dim, norms && biases},
        {"attn_norm_2.weight", 0, o->dim, second},
        {"attn_norm_2.bias", 0, o->dim, second && biases},
        {ffn_norm_name, 0, o->dim, ffn_norm},
        {"ffn_norm.bias", 0, o->dim, ffn_norm && biases},
        {"post_attention_norm.weight", 0, o->dim, post},
        {"post_ffw_norm.weight", 0, o->dim, post},
    };
    add_parts(writer, o, layer, parts, sizeof parts / sizeof parts[0]);
}

static void add_layer_attention(struct gguf_writer *writer, const struct synth_options *o,
                                uint32_t layer)
{
    uint64_t q_dim = (uint64_t)o->head_count * o->head_dim;
    uint64_t kv_dim = (uint64_t)o->kv_head_count * o->head_dim;
    bool by_row = has(o, SYNTH_ROW_NORMS);
    bool qk_norms = by_row || has(o, SYNTH_HEAD_NORMS);
    bool each_norms = has(o, SYNTH_EACH_NORMS);
    bool fused = has(o, SYNTH_QKV_FUSED);
    bool biases = has(o, SYNTH_QKV_BIASES);
    const struct part parts[] = {
        {"attn_q.weight", q_dim, o->dim, !fused},
        {"attn_k.weight", kv_dim, o->dim, !fused},
        {"attn_v.weight", kv_dim, o->dim, !fused},
        {"attn_q.bias", 0, q_dim, !fused && biases},
        {"attn_k.bias", 0, kv_dim, !fused && biases},
        {"attn_v.bias", 0, kv_dim, !fused && biases},
        {"attn_qkv.weight", q_dim + 2 * kv_dim, o->dim, fused},
        {"attn_qkv.bias", 0, q_dim + 2 * kv_dim, fused && biases},
        {"attn_q_norm.weight", 0, by_row ? q_dim : o->head_dim, qk_norms},
        {"attn_k_norm.weight", 0, by_row ? kv_dim : o->head_dim, qk_norms},
        {"attn_q_norm.weight", o->head_count, o->head_dim, each_norms},
        {"attn_k_norm.weight", o->kv_head_count, o->head_dim, each_norms},
        {"attn_sinks.weight", 0, o->head_count, has(o, SYNTH_SINKS)},
        {"attn_output.weight", o->dim, q_dim, true},
        {"attn_output.bias", 0, o->dim, has(o, SYNTH_OUTPUT_BIASES)},
    };
    add_parts(writer, o, layer, parts, sizeof parts / sizeof parts[0]);
}

static void add_layer_latent(struct gguf_writer *writer, const struct synth_options *o,
                             uint32_t layer)
{
    uint64_t heads = o->head_count;
    uint32_t rotary_dim = synth_family_find(o->arch)->rotary_dim;
    const struct part parts[] = {
        {"attn_q_a.weight", SYNTH_Q_RANK, o->dim, true},
        {"attn_q_a_norm.weight", 0, SYNTH_Q_RANK, true},
        {"attn_q_b.weight", heads * o->head_dim, SYNTH_Q_RANK, true},
        {"attn_kv_a_mqa.weight", SYNTH_KV_RANK + rotary_dim, o->dim, true},
        {"attn_kv_a_norm.weight", 0, SYNTH_KV_RANK, true},
        {"attn_output.weight", o->dim, heads * SYNTH_VALUE_DIM, true},
    };
    add_parts(writer, o, layer, parts, sizeof parts / sizeof parts[0]);
    add_matrices(writer, o, layer_tensor(layer, "attn_k_b.weight").text, o->head_count,
                 SYNTH_KV_RANK, o->head_dim - rotary_dim);
    add_matrices(writer, o, layer_tensor(layer, "attn_v_b.weight").text, o->head_count,
                 SYNTH_VALUE_DIM, SYNTH_KV_RANK);
}

static void add_layer(struct gguf_writer *writer, const struct synth_options *o, uint32_t layer)
{
    add_layer_norms(writer, o, layer);
    if (has(o, SYNTH_LATENT)) {
        add_layer_latent(writer, o, layer);
    } else {
        add_layer_attention(writer, o, layer);
    }
    if (has_experts(o) && layer >= leading_dense(o)) {
        add_layer_experts(writer, o, layer);
    } else {
        add_layer_ffn(writer, o, layer);
    }
}

/* Divisors of the rotary frequencies as Llama 3.1 scales them: waves much shorter than the old
 * context stay, much longer ones are stretched by the factor, those between in proportion. */
static void add_rope_factors(struct gguf_writer *writer, const struct synth_options *options)
{
    const double low = 1.0;
    const double high = 4.0;
    uint64_t pair_count = options->head_dim / 2;
    float *factors = calloc(pair_count, sizeof *factors);
    if (factors == NULL) {
        abort();
    }
    for (uint64_t i = 0; i < pair_count; i++) {
        double wave = 2.0 * 3.14159265358979323846 *
                      pow((double)options->rope_theta, 2.0 * (double)i / options->head_dim);
        double turns = (double)options->rope_original / wave;
        double kept = fmin(fmax((turns - low) / (high - low), 0.0), 1.0);
        factors[i] = (float)(1.0 / ((1.0 - kept) / (double)options->rope_factor + kept));
    }
    gguf_writer_add_tensor(writer, "rope_freqs.weight", DTYPE_F32, 1, &pair_count, factors);
    free(factors);
}

/* ---- metadata ---- */

static void add_arch_u32(struct gguf_writer *writer, const struct synth_options *options,
                         const char *part, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", options->arch, part);
    gguf_writer_add_u32(writer, key, value);
}

static void add_arch_f32(struct gguf_writer *writer, const struct synth_options *options,
                         const char *part, float value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", options->arch, part);
    gguf_writer_add_f32(writer, key, value);
}

static void add_rope_scaling(struct gguf_writer *writer, const struct synth_options *options)
{
    if (options->rope != SYNTH_ROPE_LINEAR && options->rope != SYNTH_ROPE_YARN) {
        return;
    }
    char key[96];
    snprintf(key, sizeof key, "%s.rope.scaling.type", options->arch);
    gguf_writer_add_string(writer, key, options->rope == SYNTH_ROPE_YARN ? "yarn" : "linear");
    add_arch_f32(writer, options, "rope.scaling.factor", options->rope_factor);
    if (options->rope == SYNTH_ROPE_YARN) {
        add_arch_u32(writer, options, "rope.scaling.original_context_length",
                     options->rope_original);
    }
}

static void add_family_keys(struct gguf_writer *writer, const struct synth_options *options)
{
    const struct synth_family *family = synth_family_find(options->arch);
    const struct {
        const char *part;
        float value;
    } reals[] = {
        {"attn_logit_softcapping", family->attention_softcap},
        {"final_logit_softcapping", family->logit_softcap},
        {"embedding_scale", family->scales},
        {"residual_scale", family->scales},
        {"attention.scale", family->scales},
        {"logit_scale", family->logit_scale},
    };
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        if (reals[i].value > 0.0f) {
            add_arch_f32(writer, options, reals[i].part, reals[i].value);
        }
    }
    if (family->window > 0) {
        add_arch_u32(writer, options, "attention.sliding_window", family->window);
    }
    add_arch_u32(writer, options, "rope.dimension_count",
                 family->rotary_dim > 0 ? family->rotary_dim : options->head_dim);
}

/* As files of today have them: one head of what the cache holds. */
static void add_latent_keys(struct gguf_writer *writer, const struct synth_options *options)
{
    uint32_t rotary_dim = synth_family_find(options->arch)->rotary_dim;
    add_arch_u32(writer, options, "attention.head_count_kv", 1);
    add_arch_u32(writer, options, "attention.q_lora_rank", SYNTH_Q_RANK);
    add_arch_u32(writer, options, "attention.kv_lora_rank", SYNTH_KV_RANK);
    add_arch_u32(writer, options, "attention.key_length", SYNTH_KV_RANK + rotary_dim);
    add_arch_u32(writer, options, "attention.value_length", SYNTH_KV_RANK);
    add_arch_u32(writer, options, "attention.key_length_mla", options->head_dim);
    add_arch_u32(writer, options, "attention.value_length_mla", SYNTH_VALUE_DIM);
}

/* The routing of DeepSeek-V3, with groups of two where that goes. */
static void add_routing_keys(struct gguf_writer *writer, const struct synth_options *options)
{
    char key[96];
    bool groups = options->expert_count % 2 == 0 && options->expert_used_count <= 4 &&
                  options->expert_count >= 4;
    add_arch_u32(writer, options, "leading_dense_block_count", leading_dense(options));
    add_arch_u32(writer, options, "expert_shared_count", options->expert_used_count);
    add_arch_u32(writer, options, "expert_gating_func", 2);
    add_arch_u32(writer, options, "expert_group_count", groups ? options->expert_count / 2 : 1);
    add_arch_u32(writer, options, "expert_group_used_count", groups ? 2 : 1);
    add_arch_f32(writer, options, "expert_weights_scale", 1.5f);
    snprintf(key, sizeof key, "%s.expert_weights_norm", options->arch);
    gguf_writer_add_bool(writer, key, true);
}

static void add_metadata(struct gguf_writer *writer, const struct synth_options *options)
{
    gguf_writer_add_string(writer, "general.architecture", options->arch);
    gguf_writer_add_string(writer, "general.type", "model");
    gguf_writer_add_string(writer, "general.name", "synthetic");
    gguf_writer_add_u32(writer, "general.quantization_version", 2);
    add_arch_u32(writer, options, "block_count", options->layer_count);
    add_arch_u32(writer, options, "context_length", options->context);
    add_arch_u32(writer, options, "embedding_length", options->dim);
    add_arch_u32(writer, options, "feed_forward_length", options->ffn_dim);
    add_arch_u32(writer, options, "attention.head_count", options->head_count);
    if (has(options, SYNTH_LATENT)) {
        add_latent_keys(writer, options);
    } else {
        add_arch_u32(writer, options, "attention.head_count_kv", options->kv_head_count);
        add_arch_u32(writer, options, "attention.key_length", options->head_dim);
        add_arch_u32(writer, options, "attention.value_length", options->head_dim);
    }
    add_arch_f32(writer, options,
                 has(options, SYNTH_LAYER_NORM) ? "attention.layer_norm_epsilon"
                                                : "attention.layer_norm_rms_epsilon",
                 options->norm_epsilon);
    add_arch_f32(writer, options, "rope.freq_base", options->rope_theta);
    add_arch_u32(writer, options, "vocab_size", options->vocab_count);
    if (has_experts(options)) {
        add_arch_u32(writer, options, "expert_count", options->expert_count);
        add_arch_u32(writer, options, "expert_used_count", options->expert_used_count);
        add_arch_u32(writer, options, "expert_feed_forward_length", options->expert_ffn_dim);
    }
    if (has(options, SYNTH_SHARED_EXPERT)) {
        add_arch_u32(writer, options, "expert_shared_feed_forward_length", options->shared_ffn_dim);
    }
    if (has(options, SYNTH_SHARED_PLAIN)) {
        add_routing_keys(writer, options);
    }
    add_family_keys(writer, options);
    add_rope_scaling(writer, options);
    bool llama = strcmp(options->arch, "llama") == 0;
    synth_vocab_add(writer, options->vocab_count, options->spm, llama ? "llama-bpe" : "qwen2",
                    llama);
}

/* ---- whole models ---- */

/* NULL when options describe a model, else what is wrong with them. */
static const char *find_fault(const struct synth_options *options)
{
    if (synth_family_find(options->arch) == NULL) {
        return "arch must be one of synth_family.c";
    }
    if (has_experts(options) &&
        (options->expert_used_count == 0 || options->expert_used_count > options->expert_count)) {
        return "used experts must be 1 .. experts";
    }
    bool shared = has(options, SYNTH_SHARED_EXPERT);
    if ((has_experts(options) && options->expert_ffn_dim == 0) ||
        (shared && options->shared_ffn_dim == 0)) {
        return "no size of an expert may be 0";
    }
    if (options->layer_count == 0 || options->dim == 0 || options->ffn_dim == 0 ||
        options->context == 0 || options->kv_head_count == 0 || options->head_dim == 0) {
        return "no size may be 0";
    }
    if (options->head_count == 0 || options->head_count % options->kv_head_count != 0) {
        return "heads must be a multiple of kv heads";
    }
    if (options->head_dim % 2 != 0) {
        return "head_dim must be even";
    }
    return options->vocab_count < SYNTH_VOCAB_MIN ? "the vocabulary is too small" : NULL;
}

bool synth_model_build(struct gguf_writer *writer, const struct synth_options *options)
{
    const char *fault = find_fault(options);
    if (fault != NULL) {
        fprintf(stderr, "synthetic model: %s\n", fault);
        return false;
    }
    add_metadata(writer, options);
    add_matrix(writer, options, "token_embd.weight", options->output_dtype, options->vocab_count,
               options->dim);
    if (has(options, SYNTH_POSITIONS)) {
        add_matrix(writer, options, "position_embd.weight", options->output_dtype, options->context,
                   options->dim);
    }
    if (options->rope == SYNTH_ROPE_LLAMA3) {
        add_rope_factors(writer, options);
    }
    for (uint32_t i = 0; i < options->layer_count; i++) {
        add_layer(writer, options, i);
    }
    add_vector(writer, options, "output_norm.weight", options->dim);
    if (has(options, SYNTH_NORM_BIASES)) {
        add_vector(writer, options, "output_norm.bias", options->dim);
    }
    if (!options->tied) {
        add_matrix(writer, options, "output.weight", options->output_dtype, options->vocab_count,
                   options->dim);
    }
    return true;
}

bool synth_model_write(const struct synth_options *options, FILE *out)
{
    struct gguf_writer writer;
    gguf_writer_init(&writer);
    bool good = synth_model_build(&writer, options) && gguf_writer_save(&writer, out);
    gguf_writer_release(&writer);
    return good;
}

uint8_t *synth_model_bytes(const struct synth_options *options, uint64_t *byte_count)
{
    struct gguf_writer writer;
    gguf_writer_init(&writer);
    uint8_t *bytes =
        synth_model_build(&writer, options) ? gguf_writer_finish(&writer, byte_count) : NULL;
    gguf_writer_release(&writer);
    return bytes;
}
