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

/* `sluice.rope.halves` says that q and k lie as in the checkpoint, whatever files of the family
 * usually do. */
static enum status read_rotation(const struct params_reader *reader, struct model_params *params,
                                 struct error *err)
{
    if (params->learned_positions) {
        return OK;
    }
    if (!reader->family->latent) { /* which has told its sizes */
        params->rotary_dim = params->head_dim;
    }
    enum status status = params_reader_u32(reader, "rope.dimension_count", false, 2,
                                           params->head_dim, &params->rotary_dim, err);
    if (status == OK && (params->rotary_dim % 2 != 0)) {
        return error_set(err, ERR_FORMAT,
                         "%s: %s.rope.dimension_count is %u (default: the head's length); it must "
                         "be even",
                         reader->file->path, reader->family->architecture, params->rotary_dim);
    }
    params->rope_theta = 10000.0f;
    if (status == OK) {
        status = params_reader_f32(reader, "rope.freq_base", rope_theta_min, rope_theta_max,
                                   &params->rope_theta, err);
    }
    if (status == OK) {
        status = params_reader_f32(reader, "rope.freq_base_swa", rope_theta_min, rope_theta_max,
                                   &params->plain_rope_theta, err);
    }
    if (params->plain_rope_theta == 0.0f) {
        params->plain_rope_theta = params->rope_theta;
    }
    params->rope_style = reader->family->rope_style;
    bool halves = params->rope_style == ROPE_HALVES;
    if (status == OK) {
        status = gguf_get_bool(reader->file, "sluice.rope.halves", false, &halves, err);
    }
    params->rope_style = halves ? ROPE_HALVES : ROPE_NEIGHBOURS;
    uint32_t window_rotary_dim = params->rotary_dim;
    return status == OK
               ? params_reader_u32(reader, "rope.dimension_count_swa", false, params->rotary_dim,
                                   params->rotary_dim, &window_rotary_dim, err)
               : status;
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
        {"longrope", ROPE_SCALING_LONG},
        /* NTK by length changes nothing up to the trained context, and no request is longer. */
        {"dynamic", ROPE_SCALING_NONE},
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
                     "%s: %s is \"%s\"; the known ones are none, linear, yarn, longrope, dynamic",
                     reader->file->path, key, family_printable(text, sizeof text, type));
}

/* Longer contexts flatten the softmax; YaRN sharpens it again by lengthening q and k. */
static double yarn_magnitude(double factor, double multiplier)
{
    return factor <= 1.0 ? 1.0 : 1.0 + 0.1 * multiplier * log(factor);
}

/* DeepSeek sharpens all of a head's scores, not the rotated part alone, by mscale_all_dim, of which
 * its files hold a tenth; cos and sin then have no magnitude. */
static void sharpen_latent(struct model_params *params)
{
    double factor = (double)params->rope_factor;
    double magnitude = yarn_magnitude(factor, 10.0 * (double)params->yarn_log_multiplier);
    params->attention_scale = (float)((double)params->attention_scale * magnitude * magnitude);
    params->rope_attention_factor /= (float)yarn_magnitude(factor, 1.0);
    params->yarn_log_multiplier = 0.0f;
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
    params->yarn_exact = reader->family->yarn_exact;
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
                         reader->file->path, reader->family->architecture,
                         (double)params->yarn_beta_fast, (double)params->yarn_beta_slow);
    }
    float attention_factor = 1.0f;
    enum status status = params_reader_f32(reader, "rope.scaling.yarn_attn_factor", 0.0f,
                                           rope_factor_max, &attention_factor, err);
    params->rope_attention_factor *= attention_factor;
    if (status == OK && reader->family->latent && params->yarn_log_multiplier > 0.0f) {
        sharpen_latent(params);
    }
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
static enum status check_factors(const struct tensor *tensor, const char *name, uint32_t pair_count,
                                 const struct gguf *file, struct error *err)
{
    const float *factors = tensor->data;
    for (uint32_t i = 0; factors != NULL && i < pair_count; i++) {
        if (!isfinite(factors[i]) || factors[i] <= 0.0f) {
            return error_set(err, ERR_FORMAT,
                             "%s: tensor %s holds %g at index %u; divisors must be finite and "
                             "above 0",
                             file->path, name, (double)factors[i], i);
        }
    }
    return OK;
}

static enum status check_long_rope(const struct model *model, const struct gguf *file,
                                   struct error *err)
{
    bool has_long = model->rope_factors_long.data != NULL;
    bool has_short = model->rope_factors_short.data != NULL;
    if (has_long != has_short || (model->params.rope_scaling == ROPE_SCALING_LONG && !has_long)) {
        return error_set(err, ERR_FORMAT,
                         "%s: tensor %s is missing; LongRoPE needs factors for short and for long "
                         "contexts",
                         file->path,
                         has_short ? "rope_factors_long.weight" : "rope_factors_short.weight");
    }
    if (has_long && model->params.rope_original_tokens == 0) {
        return error_set(err, ERR_FORMAT,
                         "%s: key %s.rope.scaling.original_context_length is missing; LongRoPE "
                         "needs it",
                         file->path, model->params.architecture);
    }
    return OK;
}

enum status rope_params_finish(struct model *model, const struct gguf *file, struct error *err)
{
    const struct {
        const struct tensor *tensor;
        const char *name;
    } rows[] = {
        {&model->rope_factors, "rope_freqs.weight"},
        {&model->rope_factors_long, "rope_factors_long.weight"},
        {&model->rope_factors_short, "rope_factors_short.weight"},
    };
    enum status status = check_long_rope(model, file, err);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == OK; i++) {
        status =
            check_factors(rows[i].tensor, rows[i].name, model->params.rotary_dim / 2, file, err);
    }
    if (model->rope_factors_long.data != NULL) {
        model->params.rope_scaling = ROPE_SCALING_LONG;
    } else if (model->rope_factors.data != NULL &&
               model->params.rope_scaling == ROPE_SCALING_NONE) {
        model->params.rope_scaling = ROPE_SCALING_LLAMA3;
    }
    return status;
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
    double low = yarn_pair_of_turns(params, (double)params->yarn_beta_fast);
    double high = yarn_pair_of_turns(params, (double)params->yarn_beta_slow);
    if (!params->yarn_exact) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, params->rotary_dim - 1.0);
    double along = (pair - low) / fmax(high - low, 0.001);
    return 1.0 - fmin(fmax(along, 0.0), 1.0);
}

static const float *divisors_of(const struct model *model, uint32_t context_tokens)
{
    if (model->params.rope_scaling != ROPE_SCALING_LONG) {
        return model->rope_factors.data;
    }
    bool beyond = context_tokens > model->params.rope_original_tokens;
    return beyond ? model->rope_factors_long.data : model->rope_factors_short.data;
}

static double unscaled_frequency(const struct model_params *params, float theta, uint32_t pair)
{
    return pow((double)theta, -2.0 * pair / params->rotary_dim);
}

static void scaled_frequencies(const struct model *model, uint32_t context_tokens, double *out,
                               double *magnitude)
{
    const struct model_params *params = &model->params;
    const float *divisors = divisors_of(model, context_tokens);
    double factor = (double)params->rope_factor;
    bool yarn = params->rope_scaling == ROPE_SCALING_YARN && params->yarn_extrapolation > 0.0f;
    bool scaled = yarn || params->rope_scaling == ROPE_SCALING_LINEAR ||
                  params->rope_scaling == ROPE_SCALING_YARN;
    for (uint32_t i = 0; i < params->rotary_dim / 2; i++) {
        double frequency = unscaled_frequency(params, params->rope_theta, i);
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

void rope_params_frequencies(const struct model *model, enum layer_rope rope,
                             uint32_t context_tokens, double *out, double *magnitude)
{
    if (rope == LAYER_ROPE_SCALED) {
        scaled_frequencies(model, context_tokens, out, magnitude);
        return;
    }
    for (uint32_t i = 0; i < model->params.rotary_dim / 2; i++) {
        out[i] = unscaled_frequency(&model->params, model->params.plain_rope_theta, i);
    }
    *magnitude = 1.0;
}
