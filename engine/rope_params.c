/* rope_params.c - the keys of rotary embedding, each within the range that keeps angles finite, and
 * the frequencies of its pairs under every scaling. Defaults are those of llama.cpp, whose files
 * these are. SPDX-License-Identifier: Apache-2.0 */
#include "engine/rope_params.h"

#include "configs/limits.h"
#include "engine/family.h"

#include <math.h>
#include <string.h>

/* Ranges of real-valued keys. They keep angles finite; published models are far inside. */
static const float rope_theta_min = 2.0f; /* 1 would make YaRN divide by log 1 */
static const float rope_theta_max = 1e12f;
static const float rope_factor_max = 65536.0f;
static const float yarn_turns_max = 1e6f;

static const double two_pi = 6.283185307179586476925;

static enum status read_rotation(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    params->rotary_dim = params->head_dim;
    enum status status = params_reader_u32(reader, "rope.dimension_count", false, 2,
                                           params->head_dim, &params->rotary_dim, err);
    if (status == OK && (params->rotary_dim % 2 != 0)) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.rope.dimension_count is %u (default: the head's length); it must "
                         "be even",
                         reader->file->path, reader->architecture, params->rotary_dim);
    }
    params->rope_theta = 10000.0f;
    if (status == OK) {
        status = params_reader_f32(reader, "rope.freq_base", rope_theta_min, rope_theta_max,
                                   &params->rope_theta, err);
    }
    return status;
}

static enum status read_scaling_type(const struct params_reader *reader,
                                     struct model_params *params, struct error *err)
{
    static const struct {
        const char *name;
        enum rope_scaling scaling;
    } known[] = {
        {"none", ROPE_SCALING_NONE},
        {"linear", ROPE_SCALING_LINEAR},
        {"yarn", ROPE_SCALING_YARN},
    };
    char key[PARAMS_KEY_BYTES];
    params_reader_key(reader, "rope.scaling.type", key);
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
    char text[PARAMS_KEY_BYTES];
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: %s is \"%s\"; the known ones are none, linear, yarn", reader->file->path,
                     key, family_printable(text, sizeof text, type));
}

static enum status read_yarn(const struct params_reader *reader, struct model_params *params,
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
        enum status status =
            params_reader_f32(reader, rows[i].suffix, 0.0f, rows[i].max, rows[i].out, err);
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
    enum status status = params_reader_f32(reader, "rope.scaling.yarn_attn_factor", 0.0f,
                                           rope_factor_max, &attention_factor, err);
    params->rope_attention_factor *= attention_factor;
    return status;
}

static enum status read_scaling_factor(const struct params_reader *reader,
                                       struct model_params *params, struct error *err)
{
    params->rope_factor = 0.0f;
    /* The older key first, so that the newer one wins. */
    enum status status = params_reader_f32(reader, "rope.scale_linear", 0.0f, rope_factor_max,
                                           &params->rope_factor, err);
    if (status == OK) {
        status = params_reader_f32(reader, "rope.scaling.factor", 0.0f, rope_factor_max,
                                   &params->rope_factor, err);
    }
    if (params->rope_factor == 0.0f) {
        params->rope_factor = 1.0f; /* converters write 0 for none */
    }
    return status;
}

static enum status read_rope_scaling(const struct params_reader *reader,
                                     struct model_params *params, struct error *err)
{
    enum status status = read_scaling_type(reader, params, err);
    if (status == OK) {
        status = read_scaling_factor(reader, params, err);
    }
    params->rope_attention_factor = 1.0f;
    if (status == OK) {
        status = params_reader_f32(reader, "rope.scaling.attn_factor", 0.0f, rope_factor_max,
                                   &params->rope_attention_factor, err);
    }
    params->rope_original_tokens = 0;
    if (status == OK) {
        status = params_reader_u32(reader, "rope.scaling.original_context_length", false, 1,
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

enum status rope_params_read(const struct params_reader *reader, struct model_params *params,
                             struct error *err)
{
    enum status status = read_rotation(reader, params, err);
    return status == OK ? read_rope_scaling(reader, params, err) : status;
}

/* Divisors that are not positive numbers would make every position's angle infinite or NaN. */
enum status rope_params_check_factors(const struct model *model, const struct gguf *file,
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

void rope_params_frequencies(const struct model *model, double *out, double *magnitude)
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
