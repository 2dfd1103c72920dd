/* layer_params.c - what the family implies, then what the file's keys say instead. A key whose
 * meaning is known but not computed here is refused unless it asks for nothing: a model would
 * load and then talk nonsense. SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer_params.h"

#include "configs/limits.h"

#include <math.h>
#include <stdio.h>

static const float scale_max = 1e6f;
static const float norm_epsilon_max = 1.0f;
static const char *const layer_windows_key = "sluice.layer_windows";
static const char *const unrotated_layers_key = "sluice.unrotated_layers";
static const char *const activation_key = "sluice.activation";
static const char *const pattern_suffix = "attention.sliding_window_pattern";

static enum status read_norms(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    const struct family *family = reader->family;
    params->norm = family->norm;
    params->norm_place = family->norm_place;
    params->norm_bias = family->norm_bias;
    params->qk_norm = family->qk_norm;
    if (family->qk_norm_each &&
        gguf_find_tensor(reader->file, "blk.0.attn_q_norm.weight") != NULL) {
        params->qk_norm = QK_NORM_EACH;
    }
    params->second_norm = family->second_norm;
    params->post_named_norm = family->post_named_norm;
    const char *suffix = family->norm == NORM_LAYER ? "attention.layer_norm_epsilon"
                                                    : "attention.layer_norm_rms_epsilon";
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, suffix, key);
    return gguf_get_f32(reader->file, key, true, 0.0f, norm_epsilon_max, &params->norm_epsilon,
                        err);
}

static enum status read_residual(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    const struct family *family = reader->family;
    bool parallel = family->parallel;
    enum status status = params_reader_bool(reader, "use_parallel_residual", &parallel, err);
    if (status == OK && parallel != family->parallel && !family->parallel_by_file) {
        return error_set(err, ERR_UNSUPPORTED, "%s: %s.use_parallel_residual is %s; no %s model is",
                         reader->file->path, family->architecture, parallel ? "true" : "false",
                         family->architecture);
    }
    params->parallel = parallel;
    params->shared_norm = parallel && family->shared_norm;
    return status;
}

static enum status read_scales(const struct params_reader *reader, struct model_params *params,
                               struct error *err)
{
    const struct family *family = reader->family;
    bool latent = params->latent.kv_rank > 0;
    double head_dim = latent ? params->latent.still_dim + params->rotary_dim : params->head_dim;
    double width = family->scale_by_dim_layers == params->layer_count
                       ? (double)params->dim / params->head_count
                       : head_dim;
    params->embedding_scale = family->embedding_root ? sqrtf((float)params->dim) : 1.0f;
    params->residual_scale = 1.0f;
    params->attention_scale = 0.0f;
    params->logit_scale = 0.0f;
    params->attention_softcap = family->attention_softcap_default;
    params->logit_softcap = family->logit_softcap_default;
    const struct {
        const char *suffix;
        float *out;
    } rows[] = {
        {"embedding_scale", &params->embedding_scale},
        {"residual_scale", &params->residual_scale},
        {"attention.scale", &params->attention_scale},
        {"logit_scale", &params->logit_scale},
        {"attn_logit_softcapping", &params->attention_softcap},
        {"final_logit_softcapping", &params->logit_softcap},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum status status =
            params_reader_f32(reader, rows[i].suffix, 0.0f, scale_max, rows[i].out, err);
        if (status != OK) {
            return status;
        }
    }
    /* Converters write 0 for what a model does not have. */
    if (params->attention_scale == 0.0f) {
        params->attention_scale = (float)(1.0 / sqrt(width));
    }
    if (params->logit_scale == 0.0f) {
        params->logit_scale = 1.0f;
    } else if (family->logit_divided) {
        params->logit_scale = 1.0f / params->logit_scale;
    }
    return OK;
}

static enum status read_windows(const struct params_reader *reader, struct model_params *params,
                                struct error *err)
{
    const struct family *family = reader->family;
    bool by_layer = gguf_find(reader->file, layer_windows_key) != NULL;
    uint32_t max = family->window_period > 0 || by_layer ? UINT32_MAX : 0;
    params->window = family->window_default;
    params->window_period = family->window_period;
    params->no_rope_period = family->no_rope_period;
    enum status status =
        params_reader_u32(reader, "attention.sliding_window", false, 0, max, &params->window, err);
    params->window_rope_plain = family->window_rope_plain && (params->window > 0 || by_layer);
    params->plain_rope_theta = family->window_rope_theta;
    return status;
}

/* Models that have the form of a family, but another function in their ffn. */
static enum status read_activation(const struct params_reader *reader, struct model_params *params,
                                   struct error *err)
{
    static const struct {
        const char *name;
        enum activation activation;
    } rows[] = {{"silu", ACTIVATION_SILU},
                {"gelu", ACTIVATION_GELU},
                {"gelu_tanh", ACTIVATION_GELU_TANH},
                {"relu", ACTIVATION_RELU}};
    struct gguf_string name = {NULL, 0};
    params->ffn = reader->family->ffn;
    params->activation = reader->family->activation;
    enum status status = gguf_get_string(reader->file, activation_key, false, &name, err);
    if (status != OK || name.bytes == NULL) {
        return status;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (gguf_string_equal(name, rows[i].name)) {
            params->activation = rows[i].activation;
            return OK;
        }
    }
    char text[PARAMS_KEY_BYTES];
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: %s is \"%s\"; the known ones are silu, gelu, gelu_tanh, relu",
                     reader->file->path, activation_key, family_printable(text, sizeof text, name));
}

/* Each suffix with the largest value that asks for nothing. */
static enum status refuse_others(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    const struct family *family = reader->family;
    uint32_t latent_max = family->latent ? UINT32_MAX : 0;
    const struct {
        const char *suffix;
        uint32_t min;
        uint32_t max;
    } counts[] = {
        {"leading_dense_block_count", 0, family->leading_dense ? UINT32_MAX : 0},
        {"interleave_moe_layer_step", 0, 1},
        {"moe_every_n_layers", 0, 1},
        {"full_attention_interval", 0, 1},
        {"nextn_predict_layers", 0, family->next_layers ? UINT32_MAX : 0},
        {"embedding_length_per_layer_input", 0, 0},
        {"attention.shared_kv_layers", 0, 0},
        {"attention.q_lora_rank", 0, latent_max},
        {"attention.kv_lora_rank", 0, latent_max},
        {"attention.temperature_length", 0, 0},
        {"attention.key_length_swa", params->head_dim, params->head_dim},
        {"attention.value_length_swa", params->head_dim, params->head_dim},
    };
    enum status status = OK;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0] && status == OK; i++) {
        uint32_t ignored = 0;
        status = params_reader_u32(reader, counts[i].suffix, false, counts[i].min, counts[i].max,
                                   &ignored, err);
    }
    static const char *const reals[] = {"attention.clamp_kqv", "attention.max_alibi_bias",
                                        "attention.temperature_scale", "router_logit_softcapping"};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0] && status == OK; i++) {
        float ignored = 0.0f;
        status = params_reader_f32(reader, reals[i], 0.0f, 0.0f, &ignored, err);
    }
    bool causal = true;
    if (status == OK) {
        status = params_reader_bool(reader, "attention.causal", &causal, err);
    }
    return status != OK || causal ? status
                                  : error_set(err, ERR_UNSUPPORTED,
                                              "%s: %s.attention.causal is false; it must be true",
                                              reader->file->path, reader->family->architecture);
}

enum status layer_params_read(const struct params_reader *reader, struct model_params *params,
                              struct error *err)
{
    typedef enum status (*step_fn)(const struct params_reader *, struct model_params *,
                                   struct error *);
    static const step_fn steps[] = {read_norms,   read_residual,   read_scales,
                                    read_windows, read_activation, refuse_others};
    enum status status = OK;
    params->qkv_bias = reader->family->qkv_bias;
    params->qkv_fused = gguf_find_tensor(reader->file, "blk.0.attn_qkv.weight") != NULL;
    params->sinks = reader->family->sinks;
    params->learned_positions = reader->family->learned_positions;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == OK; i++) {
        status = steps[i](reader, params, err);
    }
    if (status == OK && params->expert_count > 0 && !model_adds_plainly(params)) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: %s.residual_scale is %g; of experts it must be 1", reader->file->path,
                         reader->family->architecture, (double)params->residual_scale);
    }
    return status;
}

/* Is layer `index` the last of a period? */
static bool ends_period(uint32_t index, uint32_t period)
{
    return period > 0 && (index + 1) % period == 0;
}

static void assign_by_period(struct model *model)
{
    const struct model_params *params = &model->params;
    for (uint32_t i = 0; i < params->layer_count; i++) {
        bool all_have_it = params->window_period == 1;
        bool seen = all_have_it || !ends_period(i, params->window_period);
        model->layers[i].window = seen ? params->window : 0;
    }
}

/* An array with a value for every layer. */
static enum status find_array(const struct model *model, const struct gguf *file, const char *key,
                              enum gguf_type type, struct gguf_array *values, struct error *err)
{
    enum status status = gguf_get_array(file, key, true, type, values, err);
    return status != OK || values->element_count == model->params.layer_count
               ? status
               : error_set(err, ERR_FORMAT, "%s: %s has %llu values for %u layers", file->path, key,
                           (unsigned long long)values->element_count, model->params.layer_count);
}

/* By such an array: a layer's window, or whether it has the model's. */
static enum status assign_by_array(struct model *model, const struct gguf *file, const char *key,
                                   enum gguf_type type, struct error *err)
{
    struct gguf_array values = {.element_count = 0};
    enum status status = find_array(model, file, key, type, &values, err);
    if (status != OK) {
        return status;
    }
    for (uint32_t i = 0; i < model->params.layer_count; i++) {
        uint32_t value = (uint32_t)gguf_array_u64(&values, i);
        uint32_t window = value != 0 ? model->params.window : 0;
        model->layers[i].window = type == GGUF_BOOL ? window : value;
    }
    return OK;
}

static enum status assign_windows(struct model *model, const struct gguf *file, struct error *err)
{
    char key[PARAMS_KEY_BYTES];
    snprintf(key, sizeof key, "%s.%s", model->params.architecture, pattern_suffix);
    if (gguf_find(file, layer_windows_key) != NULL) {
        return assign_by_array(model, file, layer_windows_key, GGUF_UINT32, err);
    }
    const struct gguf_entry *pattern = gguf_find(file, key);
    if (pattern != NULL && pattern->type == GGUF_ARRAY) {
        return assign_by_array(model, file, key, GGUF_BOOL, err);
    }
    enum status status =
        gguf_get_u32(file, key, false, 1, LIMIT_MODEL_LAYERS, &model->params.window_period, err);
    assign_by_period(model);
    return status;
}

enum status layer_params_assign(struct model *model, const struct gguf *file, struct error *err)
{
    const struct model_params *params = &model->params;
    struct gguf_array unrotated = {.element_count = 0};
    enum status status = assign_windows(model, file, err);
    bool by_layer = gguf_find(file, unrotated_layers_key) != NULL;
    if (status == OK && by_layer) {
        status = find_array(model, file, unrotated_layers_key, GGUF_UINT32, &unrotated, err);
    }
    if (status != OK) {
        return status;
    }
    for (uint32_t i = 0; i < params->layer_count; i++) {
        struct model_layer *layer = &model->layers[i];
        bool plain = params->window_rope_plain && layer->window > 0;
        layer->rope = plain ? LAYER_ROPE_PLAIN : LAYER_ROPE_SCALED;
        bool still =
            by_layer ? gguf_array_u64(&unrotated, i) != 0 : ends_period(i, params->no_rope_period);
        if (params->learned_positions || still) {
            layer->rope = LAYER_ROPE_NONE;
        }
    }
    return status;
}
