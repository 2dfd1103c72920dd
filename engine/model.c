/* model.c - hyper-parameters come from the file's metadata through one table of keys, each with
 * the range that keeps every later product small; what a file leaves out gets the default that
 * llama.cpp, whose files these are, would take. Tensors are weights.c's business.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/model.h"

#include "configs/limits.h"
#include "engine/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_BYTES = 96
};

/* Ranges of real-valued keys. They keep angles finite; published models are far inside. */
static const float rope_theta_min = 2.0f; /* 1 would make YaRN divide by log 1 */
static const float rope_theta_max = 1e12f;
static const float rope_factor_max = 65536.0f;
static const float yarn_turns_max = 1e6f;

static const double two_pi = 6.283185307179586476925;

/* A file and the prefix of its keys. */
struct reader {
    const struct gguf *file;
    const char *architecture;
};

typedef enum status (*read_fn)(const struct reader *reader, struct model_params *params,
                               struct error *err);

static const char *key_of(const struct reader *reader, const char *suffix, char *key)
{
    snprintf(key, KEY_BYTES, "%s.%s", reader->architecture, suffix);
    return key;
}

static enum status read_u32(const struct reader *reader, const char *suffix, bool required,
                            uint32_t min, uint32_t max, uint32_t *out, struct error *err)
{
    char key[KEY_BYTES];
    return gguf_get_u32(reader->file, key_of(reader, suffix, key), required, min, max, out, err);
}

static enum status read_f32(const struct reader *reader, const char *suffix, float min, float max,
                            float *out, struct error *err)
{
    char key[KEY_BYTES];
    return gguf_get_f32(reader->file, key_of(reader, suffix, key), false, min, max, out, err);
}

static enum status read_sizes(const struct reader *reader, struct model_params *params,
                              struct error *err)
{
    const struct {
        const char *suffix;
        uint32_t max;
        uint32_t *out;
    } rows[] = {
        {"block_count", LIMIT_MODEL_LAYERS, &params->layer_count},
        {"embedding_length", LIMIT_MODEL_DIM, &params->dim},
        {"context_length", LIMIT_MODEL_CONTEXT, &params->context_tokens},
        {"attention.head_count", LIMIT_MODEL_HEADS, &params->head_count},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum status status =
            read_u32(reader, rows[i].suffix, true, 1, rows[i].max, rows[i].out, err);
        if (status != OK) {
            return status;
        }
    }
    char key[KEY_BYTES];
    return gguf_get_f32(reader->file, key_of(reader, "attention.layer_norm_rms_epsilon", key), true,
                        0.0f, 1.0f, &params->norm_epsilon, err);
}

static enum status read_head_dim(const struct reader *reader, struct model_params *params,
                                 struct error *err)
{
    uint32_t key_length = 0;
    enum status status =
        read_u32(reader, "attention.key_length", false, 1, LIMIT_MODEL_HEAD_DIM, &key_length, err);
    if (status != OK) {
        return status;
    }
    const char *path = reader->file->path;
    const char *arch = reader->architecture;
    if (key_length == 0) {
        if (params->dim % params->head_count != 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: %s.embedding_length %u is not a multiple of "
                             "%s.attention.head_count %u, and there is no %s.attention.key_length",
                             path, arch, params->dim, arch, params->head_count, arch);
        }
        key_length = params->dim / params->head_count;
        if (key_length > LIMIT_MODEL_HEAD_DIM) {
            return error_set(err, ERR_FORMAT,
                             "%s: %s.embedding_length / attention.head_count is %u; the limit of "
                             "a head is %u",
                             path, arch, key_length, LIMIT_MODEL_HEAD_DIM);
        }
    }
    uint32_t value_length = key_length;
    status = read_u32(reader, "attention.value_length", false, 1, LIMIT_MODEL_HEAD_DIM,
                      &value_length, err);
    if (status == OK && value_length != key_length) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: %s.attention.value_length is %u but keys have %u; they must be equal",
                         path, arch, value_length, key_length);
    }
    params->head_dim = key_length;
    return status;
}

static enum status read_heads(const struct reader *reader, struct model_params *params,
                              struct error *err)
{
    params->kv_head_count = params->head_count;
    enum status status = read_u32(reader, "attention.head_count_kv", false, 1, params->head_count,
                                  &params->kv_head_count, err);
    if (status == OK && params->head_count % params->kv_head_count != 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.attention.head_count_kv is %u, which does not divide "
                         "attention.head_count %u",
                         reader->file->path, reader->architecture, params->kv_head_count,
                         params->head_count);
    }
    return status == OK ? read_head_dim(reader, params, err) : status;
}

static enum status read_dense_ffn(const struct reader *reader, struct model_params *params,
                                  struct error *err)
{
    uint32_t expert_count = 0;
    uint32_t used_count = 0;
    enum status status = read_u32(reader, "expert_count", false, 0, UINT32_MAX, &expert_count, err);
    if (status == OK) {
        status = read_u32(reader, "expert_used_count", false, 0, expert_count, &used_count, err);
    }
    if (status == OK && expert_count > 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: %s.expert_count is %u; mixtures of experts are not supported",
                         reader->file->path, reader->architecture, expert_count);
    }
    if (status == OK) {
        status = read_u32(reader, "feed_forward_length", true, 1, LIMIT_MODEL_DIM, &params->ffn_dim,
                          err);
    }
    return status;
}

/* A file without lengths of its own for the experts has cut one dense ffn into those a row uses. */
static enum status read_experts(const struct reader *reader, struct model_params *params,
                                struct error *err)
{
    enum status status =
        read_u32(reader, "expert_count", true, 1, LIMIT_MODEL_EXPERTS, &params->expert_count, err);
    uint32_t used_max = params->expert_count < LIMIT_MODEL_EXPERTS_USED ? params->expert_count
                                                                        : LIMIT_MODEL_EXPERTS_USED;
    if (status == OK) {
        status = read_u32(reader, "expert_used_count", true, 1, used_max,
                          &params->expert_used_count, err);
    }
    uint32_t dense_dim = 0;
    if (status == OK) {
        status =
            read_u32(reader, "feed_forward_length", false, 1, LIMIT_MODEL_DIM, &dense_dim, err);
    }
    if (status != OK) {
        return status;
    }
    params->expert_ffn_dim = dense_dim / params->expert_used_count;
    return read_u32(reader, "expert_feed_forward_length", params->expert_ffn_dim == 0, 1,
                    LIMIT_MODEL_DIM, &params->expert_ffn_dim, err);
}

/* Keys by which other families route otherwise: whoever writes them here means it. */
static enum status refuse_other_routing(const struct reader *reader, struct error *err)
{
    static const struct {
        const char *suffix;
        uint32_t max;
    } rows[] = {
        {"expert_gating_func", 1}, /* 1: softmax */
        {"expert_group_count", 1},
        {"leading_dense_block_count", 0},
    };
    enum status status = OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == OK; i++) {
        uint32_t ignored = 0;
        status = read_u32(reader, rows[i].suffix, false, 0, rows[i].max, &ignored, err);
    }
    float scale = 1.0f;
    return status == OK ? read_f32(reader, "expert_weights_scale", 1.0f, 1.0f, &scale, err)
                        : status;
}

static enum status read_shared_expert(const struct reader *reader, struct model_params *params,
                                      struct error *err)
{
    uint32_t dense_dim = 0;
    enum status status =
        read_u32(reader, "feed_forward_length", false, 1, LIMIT_MODEL_DIM, &dense_dim, err);
    params->shared_ffn_dim = dense_dim;
    if (status == OK) {
        status = read_u32(reader, "expert_shared_feed_forward_length", dense_dim == 0, 1,
                          LIMIT_MODEL_DIM, &params->shared_ffn_dim, err);
    }
    return status;
}

/* The embedding says how many tokens there are; whatever else counts them has to agree. */
static enum status read_vocab(const struct reader *reader, struct model_params *params,
                              struct error *err)
{
    const struct gguf *file = reader->file;
    const struct gguf_tensor *embedding = gguf_find_tensor(file, "token_embd.weight");
    if (embedding == NULL) {
        return error_set(err, ERR_FORMAT, "%s: tensor token_embd.weight is missing", file->path);
    }
    uint64_t row_count = tensor_row_count(&embedding->tensor);
    if (row_count < 1 || row_count > LIMIT_MODEL_VOCAB) {
        return error_set(err, ERR_FORMAT,
                         "%s: tensor token_embd.weight has %llu rows; allowed are 1 to %u",
                         file->path, (unsigned long long)row_count, LIMIT_MODEL_VOCAB);
    }
    params->vocab_count = (uint32_t)row_count;
    struct gguf_array tokens = {.element_count = row_count};
    enum status status =
        gguf_get_array(file, "tokenizer.ggml.tokens", false, GGUF_STRING, &tokens, err);
    if (status == OK && tokens.element_count != row_count) {
        return error_set(err, ERR_FORMAT,
                         "%s: tokenizer.ggml.tokens has %llu tokens but token_embd.weight has %llu "
                         "rows",
                         file->path, (unsigned long long)tokens.element_count,
                         (unsigned long long)row_count);
    }
    uint32_t vocab_size = params->vocab_count;
    if (status == OK) {
        status = read_u32(reader, "vocab_size", false, 1, LIMIT_MODEL_VOCAB, &vocab_size, err);
    }
    if (status == OK && vocab_size != params->vocab_count) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.vocab_size is %u but token_embd.weight has %llu rows", file->path,
                         reader->architecture, vocab_size, (unsigned long long)row_count);
    }
    return status;
}

static enum status read_rope(const struct reader *reader, struct model_params *params,
                             struct error *err)
{
    params->rotary_dim = params->head_dim;
    enum status status = read_u32(reader, "rope.dimension_count", false, 2, params->head_dim,
                                  &params->rotary_dim, err);
    if (status == OK && (params->rotary_dim % 2 != 0)) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.rope.dimension_count is %u (default: the head's length); it must "
                         "be even",
                         reader->file->path, reader->architecture, params->rotary_dim);
    }
    params->rope_theta = 10000.0f;
    if (status == OK) {
        status = read_f32(reader, "rope.freq_base", rope_theta_min, rope_theta_max,
                          &params->rope_theta, err);
    }
    return status;
}

static enum status read_scaling_type(const struct reader *reader, struct model_params *params,
                                     struct error *err)
{
    static const struct {
        const char *name;
        enum rope_scaling scaling;
    } known[] = {
        {"none", ROPE_SCALING_NONE},
        {"linear", ROPE_SCALING_LINEAR},
        {"yarn", ROPE_SCALING_YARN},
    };
    char key[KEY_BYTES];
    key_of(reader, "rope.scaling.type", key);
    struct gguf_string type = {"linear", strlen("linear")};
    enum status status = gguf_get_string(reader->file, key, false, &type, err);
    if (status != OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gguf_string_equal(type, known[i].name)) {
            params->rope_scaling = known[i].scaling;
            return OK;
        }
    }
    char text[KEY_BYTES];
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: %s is \"%s\"; the known ones are none, linear, yarn", reader->file->path,
                     key, weights_printable(text, sizeof text, type));
}

static enum status read_yarn(const struct reader *reader, struct model_params *params,
                             struct error *err)
{
    const struct {
        const char *suffix;
        float max;
        float *out;
    } rows[] = {
        {"rope.scaling.yarn_ext_factor", 1.0f, &params->yarn_extrapolation},
        {"rope.scaling.yarn_beta_fast", yarn_turns_max, &params->yarn_beta_fast},
        {"rope.scaling.yarn_beta_slow", yarn_turns_max, &params->yarn_beta_slow},
        {"rope.scaling.yarn_log_multiplier", rope_factor_max, &params->yarn_log_multiplier},
    };
    params->yarn_extrapolation = 1.0f;
    params->yarn_beta_fast = 32.0f;
    params->yarn_beta_slow = 1.0f;
    params->yarn_log_multiplier = 0.0f;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum status status = read_f32(reader, rows[i].suffix, 0.0f, rows[i].max, rows[i].out, err);
        if (status != OK) {
            return status;
        }
    }
    if (!(params->yarn_beta_slow > 0.0f && params->yarn_beta_fast > params->yarn_beta_slow)) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.rope.scaling.yarn_beta_fast is %g and yarn_beta_slow %g; fast "
                         "must be above slow, and slow above 0",
                         reader->file->path, reader->architecture, (double)params->yarn_beta_fast,
                         (double)params->yarn_beta_slow);
    }
    float attention_factor = 1.0f;
    enum status status = read_f32(reader, "rope.scaling.yarn_attn_factor", 0.0f, rope_factor_max,
                                  &attention_factor, err);
    params->rope_attention_factor *= attention_factor;
    return status;
}

static enum status read_scaling_factor(const struct reader *reader, struct model_params *params,
                                       struct error *err)
{
    params->rope_factor = 0.0f;
    /* The older key first, so that the newer one wins. */
    enum status status =
        read_f32(reader, "rope.scale_linear", 0.0f, rope_factor_max, &params->rope_factor, err);
    if (status == OK) {
        status = read_f32(reader, "rope.scaling.factor", 0.0f, rope_factor_max,
                          &params->rope_factor, err);
    }
    if (params->rope_factor == 0.0f) {
        params->rope_factor = 1.0f; /* converters write 0 for none */
    }
    return status;
}

static enum status read_rope_scaling(const struct reader *reader, struct model_params *params,
                                     struct error *err)
{
    enum status status = read_scaling_type(reader, params, err);
    if (status == OK) {
        status = read_scaling_factor(reader, params, err);
    }
    params->rope_attention_factor = 1.0f;
    if (status == OK) {
        status = read_f32(reader, "rope.scaling.attn_factor", 0.0f, rope_factor_max,
                          &params->rope_attention_factor, err);
    }
    params->rope_original_tokens = 0;
    if (status == OK) {
        status = read_u32(reader, "rope.scaling.original_context_length", false, 1,
                          LIMIT_MODEL_CONTEXT, &params->rope_original_tokens, err);
    }
    if (status != OK) {
        return status;
    }
    if (params->rope_scaling == ROPE_SCALING_LINEAR && params->rope_factor == 1.0f) {
        params->rope_scaling = ROPE_SCALING_NONE;
    }
    if (params->rope_scaling != ROPE_SCALING_YARN) {
        return OK;
    }
    /* context_length is that before scaling in some files, that after it in others. */
    double scaled = (double)params->rope_original_tokens * (double)params->rope_factor;
    if (scaled > params->context_tokens) {
        params->context_tokens = (uint32_t)fmin(scaled, LIMIT_MODEL_CONTEXT);
    }
    if (params->rope_original_tokens == 0) {
        params->rope_original_tokens = params->context_tokens;
    }
    return read_yarn(reader, params, err);
}

/* A part of a model lacks tensors, and all parts but the first lack the hyper-parameters too: it
 * is refused for what it is before either is missed. */
static enum status refuse_parts(const struct gguf *file, struct error *err)
{
    uint32_t part_count = 1;
    enum status status = gguf_get_u32(file, "split.count", false, 0, UINT32_MAX, &part_count, err);
    if (status == OK && part_count > 1) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: split.count is %u; a model in several files must be merged into one",
                         file->path, part_count);
    }
    return status;
}

enum status model_read_params(struct model_params *params, const struct gguf *file,
                              struct error *err)
{
    *params = (struct model_params){0};
    const struct weights_family *family;
    enum status status = refuse_parts(file, err);
    if (status == OK) {
        status = weights_find_family(&family, file, err);
    }
    if (status != OK) {
        return status;
    }
    params->architecture = family->architecture;
    params->rope_style = family->rope_style;
    params->activation = family->activation;
    params->qkv_bias = family->qkv_bias;
    params->qk_norm = family->qk_norm;
    params->expert_normalize = family->expert_normalize;

    const struct reader reader = {file, family->architecture};
    static const read_fn steps[] = {
        read_sizes, read_heads, read_vocab, read_rope, read_rope_scaling,
    };
    status =
        family->experts ? read_experts(&reader, params, err) : read_dense_ffn(&reader, params, err);
    if (status == OK && family->experts) {
        status = refuse_other_routing(&reader, err);
    }
    if (status == OK && family->shared_expert) {
        status = read_shared_expert(&reader, params, err);
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == OK; i++) {
        status = steps[i](&reader, params, err);
    }
    return status;
}

/* Divisors that are not positive numbers would make every position's angle infinite or NaN. */
static enum status check_rope_factors(const struct model *model, const struct gguf *file,
                                      struct error *err)
{
    const float *factors = model->rope_factors.data;
    for (uint32_t i = 0; factors != NULL && i < model->params.rotary_dim / 2; i++) {
        if (!isfinite(factors[i]) || factors[i] <= 0.0f) {
            return error_set(err, ERR_FORMAT,
                             "%s: tensor rope_freqs.weight holds %g at index %u; divisors must be "
                             "finite and above 0",
                             file->path, (double)factors[i], i);
        }
    }
    return OK;
}

static bool take_layers(struct model *model)
{
    const struct model_params *params = &model->params;
    size_t expert_count = params->expert_count;
    size_t each_layer = 3 * expert_count;
    model->layers = calloc(params->layer_count, sizeof *model->layers);
    if (model->layers == NULL || expert_count == 0) {
        return model->layers != NULL;
    }
    model->experts = calloc(params->layer_count * each_layer, sizeof *model->experts);
    for (uint32_t i = 0; model->experts != NULL && i < params->layer_count; i++) {
        struct model_layer *layer = &model->layers[i];
        layer->expert_gate = model->experts + i * each_layer;
        layer->expert_up = layer->expert_gate + expert_count;
        layer->expert_down = layer->expert_up + expert_count;
    }
    return model->experts != NULL;
}

enum status model_open(struct model *model, const struct gguf *file, struct backend *be,
                       struct error *err)
{
    *model = (struct model){0};
    enum status status = model_read_params(&model->params, file, err);
    if (status != OK) {
        return status;
    }
    if (!take_layers(model)) {
        status = error_set(err, ERR_MEMORY, "no memory for the tensors of %u layers",
                           model->params.layer_count);
        model_close(model);
        return status;
    }
    status = weights_bind(model, file, be, err);
    if (status == OK) {
        status = check_rope_factors(model, file, err);
    }
    if (status != OK) {
        model_close(model);
        return status;
    }
    if (model->rope_factors.data != NULL && model->params.rope_scaling == ROPE_SCALING_NONE) {
        model->params.rope_scaling = ROPE_SCALING_LLAMA3;
    }
    return OK;
}

void model_close(struct model *model)
{
    free(model->layers);
    free(model->experts);
    free(model->converted);
    *model = (struct model){0};
}

/* The index of the pair that makes `turns` full turns within the original context. */
static double yarn_pair_of_turns(const struct model_params *params, double turns)
{
    double wavelength = (double)params->rope_original_tokens / (turns * two_pi);
    return params->rotary_dim * log(wavelength) / (2.0 * log((double)params->rope_theta));
}

/* Share of the unscaled frequency that each pair keeps: 1 for the fast ones, 0 for the slow. */
static double yarn_ramp(const struct model_params *params, uint32_t pair)
{
    double low = floor(yarn_pair_of_turns(params, (double)params->yarn_beta_fast));
    double high = ceil(yarn_pair_of_turns(params, (double)params->yarn_beta_slow));
    low = fmax(low, 0.0);
    high = fmin(high, params->rotary_dim - 1.0);
    double along = (pair - low) / fmax(high - low, 0.001);
    return 1.0 - fmin(fmax(along, 0.0), 1.0);
}

/* Longer contexts flatten the softmax; YaRN sharpens it again by lengthening q and k. */
static double yarn_magnitude(double factor, double multiplier)
{
    return factor <= 1.0 ? 1.0 : 1.0 + 0.1 * multiplier * log(factor);
}

void model_rope_frequencies(const struct model *model, double *out, double *magnitude)
{
    const struct model_params *params = &model->params;
    const float *divisors = model->rope_factors.data;
    double factor = (double)params->rope_factor;
    bool yarn = params->rope_scaling == ROPE_SCALING_YARN && params->yarn_extrapolation > 0.0f;
    bool scaled = yarn || params->rope_scaling == ROPE_SCALING_LINEAR ||
                  params->rope_scaling == ROPE_SCALING_YARN;
    for (uint32_t i = 0; i < params->rotary_dim / 2; i++) {
        double frequency = pow((double)params->rope_theta, -2.0 * i / params->rotary_dim);
        if (divisors != NULL) {
            frequency /= (double)divisors[i];
        }
        double kept = yarn ? yarn_ramp(params, i) * (double)params->yarn_extrapolation : 0.0;
        out[i] = scaled ? frequency / factor * (1.0 - kept) + frequency * kept : frequency;
    }
    *magnitude = (double)params->rope_attention_factor;
    if (yarn) {
        *magnitude *= yarn_magnitude(factor, 1.0);
        *magnitude /= yarn_magnitude(factor, (double)params->yarn_log_multiplier);
    }
}
