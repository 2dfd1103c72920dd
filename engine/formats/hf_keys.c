/* The family's rows first; then what several keys say together: heads, the head's length, the trained
 * context. SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_keys.h"

#include "configs/limits.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static enum status pass_count(const struct hf_reading *reading, const struct hf_key_row *row,
                              struct error *err)
{
    uint32_t value = 0;
    enum status status = hf_config_u32(&reading->config, row->key, row->required, 1,
                                       (uint32_t)row->limit, &value, err);
    value = value > 0 ? value : (uint32_t)row->missing;
    if (status == OK && value > 0) {
        gguf_builder_set_u32(reading->out, hf_key_of(reading, row->suffix).text, value);
    }
    return status;
}

static enum status pass_real(const struct hf_reading *reading, const struct hf_key_row *row,
                             struct error *err)
{
    double value = row->missing > 0.0 ? row->missing : -1.0;
    enum status status =
        hf_config_f64(&reading->config, row->key, row->required, 0.0, row->limit, &value, err);
    if (status == OK && value >= 0.0) {
        gguf_builder_set_f32(reading->out, hf_key_of(reading, row->suffix).text, (float)value);
    }
    return status;
}

static enum status pass_flag(const struct hf_reading *reading, const struct hf_key_row *row,
                             struct error *err)
{
    bool value = row->missing != 0.0;
    enum status status = hf_config_bool(&reading->config, row->key, &value, err);
    if (status == OK) {
        gguf_builder_set_bool(reading->out, hf_key_of(reading, row->suffix).text, value);
    }
    return status;
}

/* A key that has to say what the engine does anyway. */
static enum status check_fixed(const struct hf_reading *reading, const struct hf_key_row *row,
                               struct error *err)
{
    const json_t *value = json_object_get(reading->config.object, row->key);
    if (value == NULL || json_is_null(value)) {
        return OK;
    }
    static const char *const wanted[] = {[HF_KEY_FALSE] = "false",
                                         [HF_KEY_TRUE] = "true",
                                         [HF_KEY_NONE] = "null",
                                         [HF_KEY_ONE] = "1",
                                         [HF_KEY_EMPTY] = "an empty list"};
    bool fine =
        (row->kind == HF_KEY_FALSE && json_is_false(value)) ||
        (row->kind == HF_KEY_TRUE && json_is_true(value)) ||
        (row->kind == HF_KEY_ONE && json_is_integer(value) && json_integer_value(value) == 1) ||
        (row->kind == HF_KEY_EMPTY && json_is_array(value) && json_array_size(value) == 0);
    return fine ? OK
                : error_set(err, ERR_UNSUPPORTED, "%s: %s of a %s model must be %s, or absent",
                            reading->config.path, row->key, reading->family->model_type,
                            wanted[row->kind]);
}

static enum status check_exact(const struct hf_reading *reading, const struct hf_key_row *row,
                               struct error *err)
{
    double value = row->limit;
    enum status status = hf_config_f64(&reading->config, row->key, false, -1e9, 1e9, &value, err);
    return status != OK || value == row->limit
               ? status
               : error_set(err, ERR_UNSUPPORTED, "%s: %s%s is %g; of a %s model it must be %g",
                           reading->config.path, reading->config.prefix, row->key, value,
                           reading->family->model_type, row->limit);
}

static enum status pass_row(const struct hf_reading *reading, const struct hf_key_row *row,
                            struct error *err)
{
    switch (row->kind) {
    case HF_KEY_COUNT:
        return pass_count(reading, row, err);
    case HF_KEY_REAL:
        return pass_real(reading, row, err);
    case HF_KEY_FLAG:
        return pass_flag(reading, row, err);
    case HF_KEY_EXACT:
        return check_exact(reading, row, err);
    default:
        return check_fixed(reading, row, err);
    }
}

static enum status pass_rows(const struct hf_reading *reading, struct error *err)
{
    enum status status = OK;
    for (const struct hf_key_row *const *list = reading->family->keys; *list != NULL; list++) {
        for (const struct hf_key_row *row = *list; row->key != NULL && status == OK; row++) {
            status = pass_row(reading, row, err);
        }
    }
    return status;
}

static enum status check_activation(const struct hf_reading *reading, struct error *err)
{
    static const struct {
        const char *name;
        const char *said; /* by sluice.activation */
    } others[] = {{"silu", "silu"},          {"swish", "silu"},
                  {"gelu", "gelu"},          {"gelu_pytorch_tanh", "gelu_tanh"},
                  {"gelu_new", "gelu_tanh"}, {"relu", "relu"}};
    const struct hf_family *family = reading->family;
    const char *name = family->activations[0];
    enum status status =
        hf_config_string(&reading->config, family->activation_key, false, &name, err);
    for (size_t i = 0; status == OK && i < 3 && family->activations[i] != NULL; i++) {
        if (strcmp(name, family->activations[i]) == 0) {
            return OK;
        }
    }
    for (size_t i = 0; status == OK && i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(name, others[i].name) == 0 && !family->own_activation) {
            gguf_builder_set_string(reading->out, "sluice.activation", others[i].said);
            return OK;
        }
    }
    return status != OK
               ? status
               : error_set(err, ERR_UNSUPPORTED,
                           "%s: %s is \"%s\"; of a %s model it must "
                           "be %s",
                           reading->config.path, family->activation_key, hf_config_show(name).text,
                           family->model_type, family->activations[0]);
}

/* What an earlier row has set, or 0. */
static uint32_t value_of(const struct hf_reading *reading, const char *suffix)
{
    const struct gguf_entry *entry =
        gguf_builder_find(reading->out, hf_key_of(reading, suffix).text);
    return entry != NULL ? (uint32_t)entry->value.u : 0;
}

/* Falcon's ways of counting the heads of keys and values, and its ffn. */
static enum status read_falcon(struct hf_reading *reading, struct error *err)
{
    bool multi_query = true;
    bool grouped = false;
    bool parallel = true;
    uint32_t kv_heads = reading->head_count;
    uint32_t ffn = 4 * reading->dim;
    const struct hf_config *config = &reading->config;
    enum status status = hf_config_bool(config, "multi_query", &multi_query, err);
    if (status == OK) {
        status = hf_config_bool(config, "new_decoder_architecture", &grouped, err);
    }
    if (status == OK) {
        status = hf_config_bool(config, "parallel_attn", &parallel, err);
    }
    if (status == OK) {
        status =
            hf_config_u32(config, "num_kv_heads", false, 1, reading->head_count, &kv_heads, err);
    }
    if (status == OK) {
        status = hf_config_u32(config, "ffn_hidden_size", false, 1, LIMIT_MODEL_DIM, &ffn, err);
    }
    if (!grouped) {
        kv_heads = multi_query ? 1 : reading->head_count;
    }
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.head_count_kv").text,
                         kv_heads);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "feed_forward_length").text, ffn);
    gguf_builder_set_bool(reading->out, hf_key_of(reading, "use_parallel_residual").text,
                          parallel || grouped);
    return status;
}

static enum status read_gpt2(struct hf_reading *reading, struct error *err)
{
    uint32_t ffn = 4 * reading->dim;
    enum status status =
        hf_config_u32(&reading->config, "n_inner", false, 1, LIMIT_MODEL_DIM, &ffn, err);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "feed_forward_length").text, ffn);
    return status;
}

/* A key that has one meaning here, or none at all. */
static enum status demand_text(const struct hf_reading *reading, const char *key,
                               const char *wanted, struct error *err)
{
    const char *text = wanted;
    enum status status = hf_config_string(&reading->config, key, false, &text, err);
    return status != OK || strcmp(text, wanted) == 0
               ? status
               : error_set(err, ERR_UNSUPPORTED, "%s: %s is \"%s\"; of a %s model it must be %s",
                           reading->config.path, key, hf_config_show(text).text,
                           reading->family->model_type, wanted);
}

/* The second version may choose among groups of experts, the third always does. */
static enum status read_groups(const struct hf_reading *reading, struct error *err)
{
    static const struct {
        const char *key;
        const char *suffix;
    } rows[] = {{"n_group", "expert_group_count"}, {"topk_group", "expert_group_used_count"}};
    const char *method = "greedy";
    enum status status = hf_config_string(&reading->config, "topk_method", false, &method, err);
    if (status != OK || strcmp(method, "group_limited_greedy") != 0) {
        return status != OK ? status : demand_text(reading, "topk_method", "greedy", err);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == OK; i++) {
        uint32_t value = 0;
        status =
            hf_config_u32(&reading->config, rows[i].key, true, 1, LIMIT_MODEL_EXPERTS, &value, err);
        gguf_builder_set_u32(reading->out, hf_key_of(reading, rows[i].suffix).text, value);
    }
    return status;
}

static enum status read_routing(const struct hf_reading *reading, struct error *err)
{
    bool sigmoid = reading->family->sigmoid_routing;
    enum status status = demand_text(reading, "scoring_func", sigmoid ? "sigmoid" : "softmax", err);
    if (status == OK) {
        status = sigmoid ? demand_text(reading, "topk_method", "noaux_tc", err)
                         : read_groups(reading, err);
    }
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "expert_gating_func").text,
                         sigmoid ? 2 : 1);
    return status;
}

/* Heads of latent attention, as files of the first age count them. */
static enum status read_latent(struct hf_reading *reading, struct error *err)
{
    uint32_t still_dim = 0;
    uint32_t value_dim = 0;
    bool neighbours = true;
    const struct hf_config *config = &reading->config;
    enum status status =
        hf_config_u32(config, "qk_nope_head_dim", true, 1, LIMIT_MODEL_HEAD_DIM, &still_dim, err);
    if (status == OK) {
        status = hf_config_u32(config, "qk_rope_head_dim", true, 2, LIMIT_MODEL_HEAD_DIM,
                               &reading->rotary_dim, err);
    }
    if (status == OK) {
        status =
            hf_config_u32(config, "v_head_dim", true, 1, LIMIT_MODEL_HEAD_DIM, &value_dim, err);
    }
    if (status == OK) {
        status = hf_config_bool(config, "rope_interleave", &neighbours, err);
    }
    reading->kv_head_count = reading->head_count;
    reading->head_dim = still_dim + reading->rotary_dim;
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.head_count_kv").text,
                         reading->kv_head_count);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.key_length").text,
                         reading->head_dim);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.value_length").text,
                         value_dim);
    if (!neighbours) {
        gguf_builder_set_bool(reading->out, "sluice.rope.halves", true);
    }
    return status == OK ? read_routing(reading, err) : status;
}

static enum status read_heads(struct hf_reading *reading, struct error *err)
{
    reading->kv_head_count = value_of(reading, "attention.head_count_kv");
    if (reading->kv_head_count == 0) {
        reading->kv_head_count = reading->head_count;
        gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.head_count_kv").text,
                             reading->kv_head_count);
    }
    enum status status = hf_config_u32(&reading->config, "head_dim", false, 1, LIMIT_MODEL_HEAD_DIM,
                                       &reading->head_dim, err);
    reading->head_dim = reading->head_dim > 0 ? reading->head_dim : reading->family->head_dim;
    if (status == OK && reading->head_dim == 0) {
        assert(reading->head_count > 0); /* its row is required, from 1 */
        if (reading->dim % reading->head_count != 0) {
            return error_set(err, ERR_FORMAT,
                             "%s: the model's width %u is not a multiple of its %u heads, and "
                             "head_dim is missing",
                             reading->config.path, reading->dim, reading->head_count);
        }
        reading->head_dim = reading->dim / reading->head_count;
    }
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.key_length").text,
                         reading->head_dim);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "attention.value_length").text,
                         reading->head_dim);
    return status;
}

static enum status read_context(struct hf_reading *reading, struct error *err)
{
    const char *key = reading->family->positions_key;
    key = key != NULL ? key : "max_position_embeddings";
    reading->context_tokens = reading->family->positions;
    bool required = reading->context_tokens == 0;
    enum status status = hf_config_u32(&reading->config, key, required, 1, LIMIT_MODEL_CONTEXT,
                                       &reading->context_tokens, err);
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "context_length").text,
                         reading->context_tokens);
    return status;
}

static enum status read_scalar_scale(const struct hf_reading *reading, struct error *err)
{
    double scalar = reading->family->scalar;
    enum status status = hf_config_f64(&reading->config, "query_pre_attn_scalar", scalar == 0.0,
                                       1e-6, 1e6, &scalar, err);
    if (status == OK) {
        gguf_builder_set_f32(reading->out, hf_key_of(reading, "attention.scale").text,
                             (float)(1.0 / sqrt(scalar)));
    }
    return status;
}

/* Norms of queries and keys, by head, of families that may have them. */
static enum status read_qk_norm(struct hf_reading *reading, struct error *err)
{
    const char *key = reading->family->qk_norm_key;
    return key != NULL ? hf_config_bool(&reading->config, key, &reading->qk_norm, err) : OK;
}

enum status hf_keys_read(struct hf_reading *reading, struct error *err)
{
    gguf_builder_set_string(reading->out, "general.architecture", reading->family->architecture);
    enum status status = pass_rows(reading, err);
    if (status == OK) {
        status = check_activation(reading, err);
    }
    if (status != OK) {
        return status;
    }
    reading->layer_count = value_of(reading, "block_count");
    reading->dim = value_of(reading, "embedding_length");
    reading->head_count = value_of(reading, "attention.head_count");
    reading->expert_count = value_of(reading, "expert_count");
    if (reading->family->falcon) {
        status = read_falcon(reading, err);
    } else if (reading->family->learned_positions) {
        status = read_gpt2(reading, err);
    }
    if (status == OK) {
        status = reading->family->latent ? read_latent(reading, err) : read_heads(reading, err);
    }
    if (status == OK) {
        status = read_context(reading, err);
    }
    if (status == OK) {
        status = read_qk_norm(reading, err);
    }
    if (status == OK && reading->family->scalar_scale) {
        status = read_scalar_scale(reading, err);
    }
    if (reading->family->halves) {
        gguf_builder_set_bool(reading->out, "sluice.rope.halves", true);
    }
    return status;
}
