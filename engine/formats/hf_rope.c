/* transformers 5 writes one object, rope_parameters; before that there were rope_theta and its like
 * at the top and rope_scaling for the rest. Both are read alike: what the object does not have is
 * looked for at the top. Formulas: those of the transformers library (modeling_rope_utils), which
 * the published weights were trained with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_rope.h"

#include "configs/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FACTOR_MAX 65536.0
#define THETA_MIN  2.0
#define THETA_MAX  1e12

static const double two_pi = 6.283185307179586476925;

struct rope {
    struct hf_reading *reading;
    struct hf_config object; /* rope_parameters or rope_scaling; its object may be NULL */
    uint32_t rotary_dim;
    double theta;
    struct error *err;
};

static void set_f32(const struct rope *rope, const char *suffix, double value)
{
    gguf_builder_set_f32(rope->reading->out, hf_key_of(rope->reading, suffix).text, (float)value);
}

/* A number of the object or, under another name, of the top. */
static enum status read_either(const struct rope *rope, const char *key, const char *top_key,
                               double min, double max, double *out)
{
    enum status status =
        hf_config_f64(&rope->reading->config, top_key, false, min, max, out, rope->err);
    return status == OK && rope->object.object != NULL
               ? hf_config_f64(&rope->object, key, false, min, max, out, rope->err)
               : status;
}

static enum status read_original(const struct rope *rope, uint32_t *original)
{
    const char *key = "original_max_position_embeddings";
    *original = rope->reading->context_tokens;
    enum status status = hf_config_u32(&rope->reading->config, key, false, 1, LIMIT_MODEL_CONTEXT,
                                       original, rope->err);
    if (status == OK) {
        status =
            hf_config_u32(&rope->object, key, false, 1, LIMIT_MODEL_CONTEXT, original, rope->err);
    }
    gguf_builder_set_u32(rope->reading->out,
                         hf_key_of(rope->reading, "rope.scaling.original_context_length").text,
                         *original);
    return status;
}

static enum status read_factor(const struct rope *rope, double *factor)
{
    enum status status =
        hf_config_f64(&rope->object, "factor", true, 1.0, FACTOR_MAX, factor, rope->err);
    set_f32(rope, "rope.scaling.factor", *factor);
    return status;
}

static enum status add_factors(const struct rope *rope, const char *name, float *factors)
{
    struct tensor tensor = {
        .data = factors, .dtype = DTYPE_F32, .dim_count = 1, .shape = {rope->rotary_dim / 2}};
    gguf_builder_own(rope->reading->out, factors);
    gguf_builder_add_tensor(rope->reading->out, name, &tensor);
    return OK;
}

static float *take_factors(const struct rope *rope)
{
    float *factors = calloc(rope->rotary_dim / 2 + 1, sizeof *factors);
    if (factors == NULL) {
        error_set(rope->err, ERR_MEMORY, "%s: no memory for rotary factors", rope->reading->dir);
    }
    return factors;
}

/* Frequencies that turn often within the original context stay, slow ones are divided by the factor,
 * those between are blended. GGUF has the divisors as a tensor. */
static enum status read_llama3(const struct rope *rope)
{
    double factor = 1.0;
    double low = 1.0;
    double high = 4.0;
    uint32_t original = 0;
    enum status status =
        hf_config_f64(&rope->object, "factor", true, 1.0, FACTOR_MAX, &factor, rope->err);
    if (status == OK) {
        status = hf_config_f64(&rope->object, "low_freq_factor", true, 1e-3, FACTOR_MAX, &low,
                               rope->err);
    }
    if (status == OK) {
        status = hf_config_f64(&rope->object, "high_freq_factor", true, 1e-3, FACTOR_MAX, &high,
                               rope->err);
    }
    if (status == OK) {
        status = hf_config_u32(&rope->object, "original_max_position_embeddings", true, 1,
                               LIMIT_MODEL_CONTEXT, &original, rope->err);
    }
    if (status == OK && !(high > low)) {
        status = error_set(rope->err, ERR_FORMAT,
                           "%s: %shigh_freq_factor is %g and low_freq_factor %g; high must be "
                           "above low",
                           rope->object.path, rope->object.prefix, high, low);
    }
    float *factors = status == OK ? take_factors(rope) : NULL;
    if (factors == NULL) {
        return status == OK ? ERR_MEMORY : status;
    }
    for (uint32_t i = 0; i < rope->rotary_dim / 2; i++) {
        double wavelength = two_pi * pow(rope->theta, 2.0 * i / rope->rotary_dim);
        double blend = (original / wavelength - low) / (high - low);
        blend = fmin(fmax(blend, 0.0), 1.0);
        factors[i] = (float)(1.0 / ((1.0 - blend) / factor + blend));
    }
    return add_factors(rope, "rope_freqs.weight", factors);
}

static double magnitude(double factor, double scale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * scale * log(factor) + 1.0;
}

/* GGUF's readers multiply cos and sin by the magnitude that the factor implies; what the
 * configuration asks for instead is said relative to that. */
static enum status read_yarn(const struct rope *rope)
{
    double factor = 1.0;
    double attention = 0.0;
    double mscale = 0.0;
    double mscale_all = 0.0;
    double fast = 32.0;
    double slow = 1.0;
    bool truncate = true;
    uint32_t original = 0;
    const struct {
        const char *key;
        double max;
        double *out;
    } rows[] = {{"attention_factor", FACTOR_MAX, &attention},
                {"mscale", FACTOR_MAX, &mscale},
                {"mscale_all_dim", FACTOR_MAX, &mscale_all},
                {"beta_fast", 1e6, &fast},
                {"beta_slow", 1e6, &slow}};
    enum status status = read_factor(rope, &factor);
    if (status == OK) {
        status = read_original(rope, &original);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == OK; i++) {
        status = hf_config_f64(&rope->object, rows[i].key, false, 0.0, rows[i].max, rows[i].out,
                               rope->err);
    }
    if (status == OK) {
        status = hf_config_bool(&rope->object, "truncate", &truncate, rope->err);
    }
    if (status == OK && truncate == rope->reading->family->yarn_exact) {
        return error_set(rope->err, ERR_UNSUPPORTED, "%s: %struncate is %s; it must be %s",
                         rope->object.path, rope->object.prefix, truncate ? "true" : "false",
                         truncate ? "false" : "true");
    }
    if (attention == 0.0) {
        attention = mscale > 0.0 && mscale_all > 0.0
                        ? magnitude(factor, mscale) / magnitude(factor, mscale_all)
                        : magnitude(factor, 1.0);
    }
    set_f32(rope, "rope.scaling.yarn_beta_fast", fast);
    set_f32(rope, "rope.scaling.yarn_beta_slow", slow);
    /* DeepSeek sharpens whole scores by mscale_all_dim, of which its files hold a tenth; nothing is
     * implied of cos and sin then. */
    bool whole = rope->reading->family->latent && mscale_all > 0.0;
    if (whole) {
        set_f32(rope, "rope.scaling.yarn_log_multiplier", 0.1 * mscale_all);
    }
    set_f32(rope, "rope.scaling.attn_factor", attention / (whole ? 1.0 : magnitude(factor, 1.0)));
    return status;
}

static enum status read_list(const struct rope *rope, const char *key, const char *name)
{
    const json_t *list = NULL;
    enum status status = hf_config_array(&rope->object, key, &list, rope->err);
    if (status != OK) {
        return status;
    }
    if (json_array_size(list) != rope->rotary_dim / 2) {
        return error_set(rope->err, ERR_FORMAT, "%s: %s%s has %zu numbers for %u rotary pairs",
                         rope->object.path, rope->object.prefix, key, json_array_size(list),
                         rope->rotary_dim / 2);
    }
    float *factors = take_factors(rope);
    if (factors == NULL) {
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i)); /* 0 is refused later */
    }
    return add_factors(rope, name, factors);
}

static enum status read_longrope(const struct rope *rope)
{
    uint32_t original = 0;
    enum status status = read_original(rope, &original);
    double factor = (double)rope->reading->context_tokens / original;
    if (status == OK) {
        status = hf_config_f64(&rope->object, "factor", false, 1.0, FACTOR_MAX, &factor, rope->err);
    }
    double attention =
        factor <= 1.0 || original <= 1 ? 1.0 : sqrt(1.0 + log(factor) / log((double)original));
    if (status == OK) {
        status = hf_config_f64(&rope->object, "attention_factor", false, 0.0, FACTOR_MAX,
                               &attention, rope->err);
    }
    set_f32(rope, "rope.scaling.attn_factor", attention);
    if (status == OK) {
        status = read_list(rope, "short_factor", "rope_factors_short.weight");
    }
    return status == OK ? read_list(rope, "long_factor", "rope_factors_long.weight") : status;
}

static enum status read_scaling(const struct rope *rope)
{
    const char *type = "default";
    enum status status = hf_config_string(&rope->object, "type", false, &type, rope->err);
    if (status == OK) {
        status = hf_config_string(&rope->object, "rope_type", false, &type, rope->err);
    }
    if (status != OK) {
        return status;
    }
    struct gguf_builder *out = rope->reading->out;
    struct hf_key key = hf_key_of(rope->reading, "rope.scaling.type");
    double factor = 1.0;
    if (strcmp(type, "default") == 0) {
        return OK;
    }
    if (strcmp(type, "llama3") == 0) {
        return read_llama3(rope);
    }
    if (strcmp(type, "linear") == 0 || strcmp(type, "dynamic") == 0) {
        gguf_builder_set_string(out, key.text, type);
        return read_factor(rope, &factor);
    }
    if (strcmp(type, "yarn") == 0) {
        gguf_builder_set_string(out, key.text, type);
        return read_yarn(rope);
    }
    if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0) {
        gguf_builder_set_string(out, key.text, "longrope");
        return read_longrope(rope);
    }
    return error_set(rope->err, ERR_UNSUPPORTED,
                     "%s: %srope_type is \"%s\"; the known ones are default, linear, dynamic, "
                     "llama3, yarn, longrope",
                     rope->object.path, rope->object.prefix, hf_config_show(type).text);
}

/* The object that the keys of scaling are in: of a family with two kinds of layers, that of those
 * which see everything. The theta of the others is passed on here. */
static enum status find_object(struct rope *rope)
{
    const struct hf_config *config = &rope->reading->config;
    const char *key = hf_config_has(config, "rope_parameters") ? "rope_parameters" : "rope_scaling";
    const char *prefix = key[5] == 'p' ? "rope_parameters." : "rope_scaling.";
    enum status status = hf_config_object(config, key, prefix, &rope->object, rope->err);
    if (status != OK || !rope->reading->family->local_rope) {
        return status;
    }
    double local = 10000.0;
    status = hf_config_f64(config, "rope_local_base_freq", false, THETA_MIN, THETA_MAX, &local,
                           rope->err);
    if (status == OK && hf_config_has(&rope->object, "full_attention")) {
        struct hf_config sliding;
        struct hf_config whole = rope->object;
        status = hf_config_object(&whole, "sliding_attention", "rope_parameters.sliding_attention.",
                                  &sliding, rope->err);
        if (status == OK) {
            status = hf_config_f64(&sliding, "rope_theta", false, THETA_MIN, THETA_MAX, &local,
                                   rope->err);
        }
        if (status == OK) {
            status = hf_config_object(&whole, "full_attention", "rope_parameters.full_attention.",
                                      &rope->object, rope->err);
        }
    }
    set_f32(rope, "rope.freq_base_swa", local);
    return status;
}

static enum status read_angles(struct rope *rope)
{
    const struct hf_family *family = rope->reading->family;
    const char *theta_key = family->theta_key != NULL ? family->theta_key : "rope_theta";
    const char *partial_key =
        family->partial_key != NULL ? family->partial_key : "partial_rotary_factor";
    double partial = family->partial > 0.0 ? family->partial : 1.0;
    rope->theta = family->theta > 0.0 ? family->theta : 10000.0;
    enum status status =
        read_either(rope, "rope_theta", theta_key, THETA_MIN, THETA_MAX, &rope->theta);
    if (status == OK) {
        status = read_either(rope, "partial_rotary_factor", partial_key, 0.0, 1.0, &partial);
    }
    rope->rotary_dim = (uint32_t)(rope->reading->head_dim * partial);
    if (family->latent) {
        rope->rotary_dim = rope->reading->rotary_dim;
    }
    set_f32(rope, "rope.freq_base", rope->theta);
    gguf_builder_set_u32(rope->reading->out, hf_key_of(rope->reading, "rope.dimension_count").text,
                         rope->rotary_dim);
    return status;
}

enum status hf_rope_read(struct hf_reading *reading, struct error *err)
{
    struct rope rope = {.reading = reading, .err = err};
    if (reading->family->learned_positions) {
        return OK;
    }
    enum status status = find_object(&rope);
    if (status == OK) {
        status = read_angles(&rope);
    }
    return status == OK && rope.object.object != NULL ? read_scaling(&rope) : status;
}
