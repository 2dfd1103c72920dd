/* quant_write_k.c - scales by search. A group's scale (and minimum) is fitted to the codes that each
 * of a row of candidate scales would give, by weighted least squares; the fit with the least weighted
 * squared error wins. Scales and minimums are then rounded to the few bits that a block has for them,
 * and, since neighbours make up for each other's rounding, every pair next to the nearest is tried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/quant_write_k.h"

#include "kernels/quant.h"
#include "kernels/quant_k.h"

#include <math.h>

enum {
    BLOCK = 256,
    Q4_GROUP = 32, /* of q4_K and q5_K: scale and minimum */
    Q4_GROUPS = BLOCK / Q4_GROUP,
    Q6_GROUP = 16, /* of q6_K: scale */
    Q6_GROUPS = BLOCK / Q6_GROUP,
    CANDIDATES = 21, /* a tenth of a code apart, around the one that the extremes name */
    LANES = 24,      /* CANDIDATES and what makes them whole registers */
};

/* Below this a group is zero: its scale would vanish in f16 many times over. */
static const float vanishing = 1e-20f;

static float candidate_shift(int candidate)
{
    const int middle = CANDIDATES / 2;
    return 0.1f * (float)(candidate - middle);
}

/* weights: [count] */
static void weigh(float *weights, const float *x, int count)
{
    float square_sum = 0.0f;
    for (int i = 0; i < count; i++) {
        square_sum += x[i] * x[i];
    }
    float mean = sqrtf(square_sum / (float)count);
    for (int i = 0; i < count; i++) {
        weights[i] = mean + fabsf(x[i]);
    }
}

/* Nearest whole number in low..high, which lie within a few hundred of zero; low for no number. */
static int nearest(float value, int low, int high)
{
    if (!(value > (float)low)) {
        return low;
    }
    if (value >= (float)high) {
        return high;
    }
    return (int)(value - (float)low + 0.5f) + low;
}

static float inverse_of(float step)
{
    float inverse = 1.0f / step;
    return isfinite(inverse) ? inverse : 0.0f;
}

/* ---- q4_K and q5_K: value = step * code - offset, offset >= 0 ---- */

/* A group's values with their weights, and sums that every candidate needs. */
struct offset_group {
    const float *x;
    float weights[Q4_GROUP];
    float weight_sum;
    float x_sum; /* weighted */
    int top;     /* the largest code */
};

struct offset_fit {
    float step;
    float offset;
    float error;
};

/* The codes a step and offset give, and what they cost. codes may be NULL. */
static float encode_offset(const struct offset_group *group, float step, float offset,
                           uint8_t *codes)
{
    float inverse = inverse_of(step);
    float error = 0.0f;
    for (int i = 0; i < Q4_GROUP; i++) {
        int code = nearest((group->x[i] + offset) * inverse, 0, group->top);
        float miss = step * (float)code - offset - group->x[i];
        error += group->weights[i] * miss * miss;
        if (codes != NULL) {
            codes[i] = (uint8_t)code;
        }
    }
    return error;
}

/* What least squares need of each candidate. All candidates go through the values side by side: each
 * has its own sums, in the order of the values, so a compiler may take several at once. */
struct offset_sums {
    float inverse[LANES];
    float code[LANES];
    float square[LANES];
    float product[LANES];
    float step[LANES];
    float offset[LANES];
    float step_inverse[LANES];
    float error[LANES];
};

static void sum_codes(struct offset_sums *sums, const struct offset_group *group, float low)
{
    float top = (float)group->top;
    for (int i = 0; i < Q4_GROUP; i++) {
        float x = group->x[i];
        float weight = group->weights[i];
        for (int c = 0; c < LANES; c++) {
            float value = (x - low) * sums->inverse[c];
            value = value > 0.0f ? value : 0.0f;
            value = value < top ? value : top;
            float code = (float)(int)(value + 0.5f);
            float weighted = weight * code;
            sums->code[c] += weighted;
            sums->square[c] += weighted * code;
            sums->product[c] += weighted * x;
        }
    }
}

static void sum_errors(struct offset_sums *sums, const struct offset_group *group)
{
    float top = (float)group->top;
    for (int i = 0; i < Q4_GROUP; i++) {
        float x = group->x[i];
        float weight = group->weights[i];
        for (int c = 0; c < LANES; c++) {
            float value = (x + sums->offset[c]) * sums->step_inverse[c];
            value = value > 0.0f ? value : 0.0f;
            value = value < top ? value : top;
            float code = (float)(int)(value + 0.5f);
            float miss = sums->step[c] * code - sums->offset[c] - x;
            sums->error[c] += weight * miss * miss;
        }
    }
}

/* The best step and offset for the codes that each candidate's inverse, and -low, give. */
static void fit_codes(struct offset_sums *sums, const struct offset_group *group, float low)
{
    sum_codes(sums, group, low);
    for (int c = 0; c < LANES; c++) {
        float determinant = group->weight_sum * sums->square[c] - sums->code[c] * sums->code[c];
        float step = 0.0f;
        float offset = 0.0f;
        if (determinant > 0.0f) {
            step =
                (group->weight_sum * sums->product[c] - group->x_sum * sums->code[c]) / determinant;
            offset =
                (sums->code[c] * sums->product[c] - sums->square[c] * group->x_sum) / determinant;
        }
        /* No block can hold a negative offset: the line then goes through zero. */
        if (!(offset > 0.0f)) {
            offset = 0.0f;
            step = sums->square[c] > 0.0f ? sums->product[c] / sums->square[c] : 0.0f;
        }
        sums->step[c] = step > 0.0f ? step : 0.0f;
        sums->offset[c] = offset;
        sums->step_inverse[c] = inverse_of(sums->step[c]);
    }
    sum_errors(sums, group);
}

static struct offset_fit fit_offset_group(struct offset_group *group)
{
    float low = 0.0f;
    float high = group->x[0];
    weigh(group->weights, group->x, Q4_GROUP);
    group->weight_sum = 0.0f;
    group->x_sum = 0.0f;
    for (int i = 0; i < Q4_GROUP; i++) {
        low = group->x[i] < low ? group->x[i] : low;
        high = group->x[i] > high ? group->x[i] : high;
        group->weight_sum += group->weights[i];
        group->x_sum += group->weights[i] * group->x[i];
    }
    struct offset_fit best = {.step = (high - low) / (float)group->top, .offset = -low};
    if (!(high - low > vanishing)) {
        best.step = 0.0f;
        return best; /* one value for all */
    }
    best.error = encode_offset(group, best.step, best.offset, NULL);
    struct offset_sums sums = {0};
    for (int c = 0; c < CANDIDATES; c++) {
        sums.inverse[c] = ((float)group->top + candidate_shift(c)) / (high - low);
    }
    fit_codes(&sums, group, low);
    for (int c = 0; c < CANDIDATES; c++) {
        if (sums.error[c] < best.error) {
            best = (struct offset_fit){sums.step[c], sums.offset[c], sums.error[c]};
        }
    }
    return best;
}

/* Of the whole-numbered scales and minimums around the fit, those that cost least. */
static void round_offset_group(struct quant_k_parts *parts, int g, const struct offset_group *group,
                               const struct offset_fit *fit)
{
    float d = quant_f16_to_f32(parts->d);
    float dmin = quant_f16_to_f32(parts->dmin);
    int scale = nearest(fit->step * inverse_of(d), 0, 63);
    int minimum = nearest(fit->offset * inverse_of(dmin), 0, 63);
    int best_scale = scale;
    int best_minimum = minimum;
    float best = INFINITY;
    for (int s = scale > 0 ? scale - 1 : 0; s <= scale + 1 && s <= 63; s++) {
        for (int m = minimum > 0 ? minimum - 1 : 0; m <= minimum + 1 && m <= 63; m++) {
            float error = encode_offset(group, d * (float)s, dmin * (float)m, NULL);
            if (error < best) {
                best = error;
                best_scale = s;
                best_minimum = m;
            }
        }
    }
    parts->scales[g] = (int8_t)best_scale;
    parts->minimums[g] = (uint8_t)best_minimum;
    encode_offset(group, d * (float)best_scale, dmin * (float)best_minimum,
                  parts->codes + (size_t)g * Q4_GROUP);
}

static void fit_offset_block(struct quant_k_parts *parts, const float *x, int top)
{
    struct offset_group groups[Q4_GROUPS];
    struct offset_fit fits[Q4_GROUPS];
    float step_max = 0.0f;
    float offset_max = 0.0f;
    for (int g = 0; g < Q4_GROUPS; g++) {
        groups[g].x = x + (size_t)g * Q4_GROUP;
        groups[g].top = top;
        fits[g] = fit_offset_group(&groups[g]);
        step_max = fits[g].step > step_max ? fits[g].step : step_max;
        offset_max = fits[g].offset > offset_max ? fits[g].offset : offset_max;
    }
    parts->d = quant_f32_to_f16(step_max / 63.0f);
    parts->dmin = quant_f32_to_f16(offset_max / 63.0f);
    for (int g = 0; g < Q4_GROUPS; g++) {
        round_offset_group(parts, g, &groups[g], &fits[g]);
    }
}

void quant_write_k_q4(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    uint32_t block_bytes = quant_format_get(DTYPE_Q4_K)->block_bytes;
    for (size_t at = 0; at < value_count; at += BLOCK, out += block_bytes) {
        struct quant_k_parts parts;
        fit_offset_block(&parts, in + at, 15);
        quant_k_pack_q4(out, &parts);
    }
}

void quant_write_k_q5(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    uint32_t block_bytes = quant_format_get(DTYPE_Q5_K)->block_bytes;
    for (size_t at = 0; at < value_count; at += BLOCK, out += block_bytes) {
        struct quant_k_parts parts;
        fit_offset_block(&parts, in + at, 31);
        quant_k_pack_q5(out, &parts);
    }
}

/* ---- q6_K: value = step * code, code -32..31, step of either sign ---- */

struct plain_group {
    const float *x;
    float weights[Q6_GROUP];
};

/* codes: + 32; may be NULL. */
static float encode_plain(const struct plain_group *group, float step, uint8_t *codes)
{
    float inverse = inverse_of(step);
    float error = 0.0f;
    for (int i = 0; i < Q6_GROUP; i++) {
        int code = nearest(group->x[i] * inverse, -32, 31);
        float miss = step * (float)code - group->x[i];
        error += group->weights[i] * miss * miss;
        if (codes != NULL) {
            codes[i] = (uint8_t)(code + 32);
        }
    }
    return error;
}

/* The best step for the codes that 1 / inverse gives. */
static float fit_plain_codes(const struct plain_group *group, float inverse)
{
    float square_sum = 0.0f;
    float product_sum = 0.0f;
    for (int i = 0; i < Q6_GROUP; i++) {
        float code = (float)nearest(group->x[i] * inverse, -32, 31);
        square_sum += group->weights[i] * code * code;
        product_sum += group->weights[i] * code * group->x[i];
    }
    return square_sum > 0.0f ? product_sum / square_sum : 0.0f;
}

static float fit_plain_group(struct plain_group *group)
{
    float extreme = 0.0f;
    weigh(group->weights, group->x, Q6_GROUP);
    for (int i = 0; i < Q6_GROUP; i++) {
        extreme = fabsf(group->x[i]) > fabsf(extreme) ? group->x[i] : extreme;
    }
    if (!(fabsf(extreme) > vanishing)) {
        return 0.0f;
    }
    /* The extreme takes the code that has no counterpart, -32. */
    float best = extreme / -32.0f;
    float best_error = encode_plain(group, best, NULL);
    for (int candidate = 0; candidate < CANDIDATES; candidate++) {
        float step = fit_plain_codes(group, -(32.0f + candidate_shift(candidate)) / extreme);
        float error = encode_plain(group, step, NULL);
        if (error < best_error) {
            best_error = error;
            best = step;
        }
    }
    return best;
}

static void round_plain_group(struct quant_k_parts *parts, int g, const struct plain_group *group,
                              float step)
{
    float d = quant_f16_to_f32(parts->d);
    int scale = nearest(step * inverse_of(d), -128, 127);
    int best_scale = scale;
    float best = INFINITY;
    for (int s = scale > -128 ? scale - 1 : -128; s <= scale + 1 && s <= 127; s++) {
        float error = encode_plain(group, d * (float)s, NULL);
        if (error < best) {
            best = error;
            best_scale = s;
        }
    }
    parts->scales[g] = (int8_t)best_scale;
    encode_plain(group, d * (float)best_scale, parts->codes + (size_t)g * Q6_GROUP);
}

void quant_write_k_q6(void *blocks, const float *in, size_t value_count)
{
    uint8_t *out = blocks;
    uint32_t block_bytes = quant_format_get(DTYPE_Q6_K)->block_bytes;
    for (size_t at = 0; at < value_count; at += BLOCK, out += block_bytes) {
        struct quant_k_parts parts = {0};
        struct plain_group groups[Q6_GROUPS];
        float steps[Q6_GROUPS];
        float extreme = 0.0f;
        for (int g = 0; g < Q6_GROUPS; g++) {
            groups[g].x = in + at + (size_t)g * Q6_GROUP;
            steps[g] = fit_plain_group(&groups[g]);
            extreme = fabsf(steps[g]) > fabsf(extreme) ? steps[g] : extreme;
        }
        parts.d = quant_f32_to_f16(extreme / -128.0f);
        for (int g = 0; g < Q6_GROUPS; g++) {
            round_plain_group(&parts, g, &groups[g], steps[g]);
        }
        quant_k_pack_q6(out, &parts);
    }
}
