/* Matrices have standard deviation 1 / sqrt(row), so a normalised input gives outputs near one;
 * the two that write into the residual stream are divided further by sqrt(2 * layers), and made
 * large beside the embedding: otherwise a model with tied embeddings would only ever repeat the
 * token it has just read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/synth_model.h"

#include "engine/formats/gguf_types.h"
#include "kernels/quant.h"
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
    if (name_has(tensor, "norm")) {
        return 0.1f; /* around 1 */
    }
    if (name_has(tensor, ".bias")) {
        return 0.5f;
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
    bool vocabulary = name_has(tensor, "token_embd") || name_has(tensor, "output.weight");
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
    float middle = name_has(tensor, "norm") ? 1.0f : 0.0f;
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

/* One matrix an expert. */
static void add_experts(struct gguf_writer *writer, const struct synth_options *options,
                        const char *name, uint64_t rows, uint64_t row_values)
{
    gguf_writer_add_rows(writer, name, dtype_for_row(options->dtype, row_values), 3,
                         (uint64_t[3]){options->expert_count, rows, row_values}, make_row,
                         (void *)options);
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

static bool has_experts(const struct synth_options *options)
{
    return strcmp(options->arch, "qwen2moe") == 0 || strcmp(options->arch, "qwen3moe") == 0;
}

/* The first letters decide: "qwen2" has what belongs to qwen2moe too. */
static bool is_of(const struct synth_options *options, const char *family)
{
    return strncmp(options->arch, family, strlen(family)) == 0;
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
    if (is_of(o, "qwen2")) {
        add_vector(writer, o, layer_tensor(layer, "ffn_gate_inp_shexp.weight").text, o->dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_gate_shexp.weight").text, o->dtype,
                   o->shared_ffn_dim, o->dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_up_shexp.weight").text, o->dtype,
                   o->shared_ffn_dim, o->dim);
        add_matrix(writer, o, layer_tensor(layer, "ffn_down_shexp.weight").text, o->dtype, o->dim,
                   o->shared_ffn_dim);
    }
}

static void add_layer_ffn(struct gguf_writer *writer, const struct synth_options *o, uint32_t layer)
{
    add_matrix(writer, o, layer_tensor(layer, "ffn_gate.weight").text, o->dtype, o->ffn_dim,
               o->dim);
    add_matrix(writer, o, layer_tensor(layer, "ffn_up.weight").text, o->dtype, o->ffn_dim, o->dim);
    add_matrix(writer, o, layer_tensor(layer, "ffn_down.weight").text, o->dtype, o->dim,
               o->ffn_dim);
}

static void add_layer(struct gguf_writer *writer, const struct synth_options *o, uint32_t layer)
{
    uint64_t q_dim = (uint64_t)o->head_count * o->head_dim;
    uint64_t kv_dim = (uint64_t)o->kv_head_count * o->head_dim;
    const struct {
        const char *part;
        uint64_t rows; /* 0: a vector */
        uint64_t values;
        const char *family; /* NULL: all */
    } parts[] = {
        {"attn_norm.weight", 0, o->dim, NULL},
        {"attn_q.weight", q_dim, o->dim, NULL},
        {"attn_k.weight", kv_dim, o->dim, NULL},
        {"attn_v.weight", kv_dim, o->dim, NULL},
        {"attn_q.bias", 0, q_dim, "qwen2"},
        {"attn_k.bias", 0, kv_dim, "qwen2"},
        {"attn_v.bias", 0, kv_dim, "qwen2"},
        {"attn_q_norm.weight", 0, o->head_dim, "qwen3"},
        {"attn_k_norm.weight", 0, o->head_dim, "qwen3"},
        {"attn_output.weight", o->dim, q_dim, NULL},
        {"ffn_norm.weight", 0, o->dim, NULL},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct layer_name name = layer_tensor(layer, parts[i].part);
        if (parts[i].family != NULL && !is_of(o, parts[i].family)) {
            continue;
        }
        if (parts[i].rows == 0) {
            add_vector(writer, o, name.text, parts[i].values);
        } else {
            add_matrix(writer, o, name.text, o->dtype, parts[i].rows, parts[i].values);
        }
    }
    if (has_experts(o)) {
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
    add_arch_u32(writer, options, "attention.head_count_kv", options->kv_head_count);
    add_arch_u32(writer, options, "attention.key_length", options->head_dim);
    add_arch_u32(writer, options, "attention.value_length", options->head_dim);
    add_arch_f32(writer, options, "attention.layer_norm_rms_epsilon", options->norm_epsilon);
    add_arch_f32(writer, options, "rope.freq_base", options->rope_theta);
    add_arch_u32(writer, options, "rope.dimension_count", options->head_dim);
    add_arch_u32(writer, options, "vocab_size", options->vocab_count);
    if (has_experts(options)) {
        add_arch_u32(writer, options, "expert_count", options->expert_count);
        add_arch_u32(writer, options, "expert_used_count", options->expert_used_count);
        add_arch_u32(writer, options, "expert_feed_forward_length", options->expert_ffn_dim);
    }
    if (strcmp(options->arch, "qwen2moe") == 0) {
        add_arch_u32(writer, options, "expert_shared_feed_forward_length", options->shared_ffn_dim);
    }
    add_rope_scaling(writer, options);
    bool llama = strcmp(options->arch, "llama") == 0;
    synth_vocab_add(writer, options->vocab_count, options->spm, llama ? "llama-bpe" : "qwen2",
                    llama);
}

/* ---- whole models ---- */

static const struct preset {
    const char *name;
    struct synth_options options;
} presets[] = {
    {"micro",
     {.arch = "llama",
      .layer_count = 2,
      .dim = 64,
      .head_count = 4,
      .kv_head_count = 2,
      .head_dim = 16,
      .ffn_dim = 160,
      .expert_count = 6,
      .expert_used_count = 2,
      .expert_ffn_dim = 48,
      .shared_ffn_dim = 80,
      .vocab_count = SYNTH_VOCAB_MIN,
      .context = 512,
      .dtype = DTYPE_F32,
      .output_dtype = DTYPE_F32,
      .tied = true,
      .rope_theta = 10000.0f,
      .norm_epsilon = 1e-5f,
      .rope_factor = 4.0f,
      .rope_original = 128}},
    {"tiny",
     {.arch = "llama",
      .layer_count = 4,
      .dim = 256,
      .head_count = 8,
      .kv_head_count = 2,
      .head_dim = 32,
      .ffn_dim = 768,
      .vocab_count = 2048,
      .context = 2048,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .tied = true,
      .rope_theta = 10000.0f,
      .norm_epsilon = 1e-5f,
      .rope_factor = 4.0f,
      .rope_original = 512}},
    {"tiny-moe",
     {.arch = "qwen2moe",
      .layer_count = 3,
      .dim = 256,
      .head_count = 4,
      .kv_head_count = 2,
      .head_dim = 64,
      .ffn_dim = 512,
      .expert_count = 8,
      .expert_used_count = 2,
      .expert_ffn_dim = 256,
      .shared_ffn_dim = 256,
      .vocab_count = 2048,
      .context = 2048,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .tied = true,
      .rope_theta = 10000.0f,
      .norm_epsilon = 1e-5f,
      .rope_factor = 4.0f,
      .rope_original = 512}},
    {"qwen2.5-0.5b",
     {.arch = "qwen2",
      .layer_count = 24,
      .dim = 896,
      .head_count = 14,
      .kv_head_count = 2,
      .head_dim = 64,
      .ffn_dim = 4864,
      .vocab_count = 151936,
      .context = 32768,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .tied = true,
      .rope_theta = 1e6f,
      .norm_epsilon = 1e-6f,
      .rope_factor = 4.0f,
      .rope_original = 32768}},
    {"qwen3-0.6b",
     {.arch = "qwen3",
      .layer_count = 28,
      .dim = 1024,
      .head_count = 16,
      .kv_head_count = 8,
      .head_dim = 128,
      .ffn_dim = 3072,
      .vocab_count = 151936,
      .context = 40960,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .tied = true,
      .rope_theta = 1e6f,
      .norm_epsilon = 1e-6f,
      .rope_factor = 4.0f,
      .rope_original = 32768}},
    {"llama-3.2-1b",
     {.arch = "llama",
      .layer_count = 16,
      .dim = 2048,
      .head_count = 32,
      .kv_head_count = 8,
      .head_dim = 64,
      .ffn_dim = 8192,
      .vocab_count = 128256,
      .context = 131072,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .tied = true,
      .rope_theta = 500000.0f,
      .norm_epsilon = 1e-5f,
      .rope = SYNTH_ROPE_LLAMA3,
      .rope_factor = 32.0f,
      .rope_original = 8192}},
    {"qwen1.5-moe-a2.7b",
     {.arch = "qwen2moe",
      .layer_count = 24,
      .dim = 2048,
      .head_count = 16,
      .kv_head_count = 16,
      .head_dim = 128,
      .ffn_dim = 5632,
      .expert_count = 60,
      .expert_used_count = 4,
      .expert_ffn_dim = 1408,
      .shared_ffn_dim = 5632,
      .vocab_count = 151936,
      .context = 8192,
      .dtype = DTYPE_Q8_0,
      .output_dtype = DTYPE_Q8_0,
      .rope_theta = 1e6f,
      .norm_epsilon = 1e-6f,
      .rope_factor = 4.0f,
      .rope_original = 8192}},
    {"qwen3-30b-a3b",
     {.arch = "qwen3moe",
      .layer_count = 48,
      .dim = 2048,
      .head_count = 32,
      .kv_head_count = 4,
      .head_dim = 128,
      .ffn_dim = 6144,
      .expert_count = 128,
      .expert_used_count = 8,
      .expert_ffn_dim = 768,
      .vocab_count = 151936,
      .context = 40960,
      .dtype = DTYPE_Q4_K,
      .output_dtype = DTYPE_Q6_K,
      .rope_theta = 1e6f,
      .norm_epsilon = 1e-6f,
      .rope_factor = 4.0f,
      .rope_original = 40960}},
};

bool synth_model_preset(struct synth_options *options, const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            *options = presets[i].options;
            options->seed = 1;
            return true;
        }
    }
    return false;
}

/* NULL when options describe a model, else what is wrong with them. */
static const char *find_fault(const struct synth_options *options)
{
    bool known = strcmp(options->arch, "llama") == 0 || strcmp(options->arch, "qwen2") == 0 ||
                 strcmp(options->arch, "qwen3") == 0 || has_experts(options);
    if (!known) {
        return "arch must be llama, qwen2, qwen3, qwen2moe or qwen3moe";
    }
    if (has_experts(options) &&
        (options->expert_used_count == 0 || options->expert_used_count > options->expert_count)) {
        return "used experts must be 1 .. experts";
    }
    bool shared = strcmp(options->arch, "qwen2moe") == 0;
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
    if (options->rope == SYNTH_ROPE_LLAMA3) {
        add_rope_factors(writer, options);
    }
    for (uint32_t i = 0; i < options->layer_count; i++) {
        add_layer(writer, options, i);
    }
    add_vector(writer, options, "output_norm.weight", options->dim);
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
