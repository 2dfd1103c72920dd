/* cpu_ops_scalar.c - the inner loops in plain C: the specification the other tables are checked
 * against, written to be read. Sums run from the first value to the last in one float.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_ops_scalar.h"

#include "configs/limits.h"
#include "kernels/quant.h"

#include <math.h>
#include <string.h>

/* ---- matmul ---- */

/* Every format's dot product: dequantise a chunk, go on adding. One function a dtype, so that the
 * table's signature need not carry it. */
static float dot_row(enum dtype dtype, const void *row, const float *x, size_t k_count)
{
    const struct quant_format *format = quant_format_get(dtype);
    const uint8_t *bytes = row;
    float sum = 0.0f;
    for (size_t k = 0; k < k_count; k += CPU_OPS_CHUNK) {
        float chunk[CPU_OPS_CHUNK];
        size_t count = k_count - k < CPU_OPS_CHUNK ? k_count - k : CPU_OPS_CHUNK;
        format->dequantize(chunk, bytes + quant_row_bytes(dtype, k), count);
        for (size_t i = 0; i < count; i++) {
            sum += chunk[i] * x[k + i];
        }
    }
    return sum;
}

#define DOT_OF(name, dtype)                                                                        \
    static void dot_##name(float *sums, const void *const *rows, const float *x, size_t k_count)   \
    {                                                                                              \
        for (int i = 0; i < CPU_OPS_TILE; i++) {                                                   \
            sums[i] = dot_row(dtype, rows[i], x, k_count);                                         \
        }                                                                                          \
    }

DOT_OF(f32, DTYPE_F32)
DOT_OF(f16, DTYPE_F16)
DOT_OF(bf16, DTYPE_BF16)
DOT_OF(q8_0, DTYPE_Q8_0)
DOT_OF(q4_0, DTYPE_Q4_0)
DOT_OF(q4_1, DTYPE_Q4_1)
DOT_OF(q5_0, DTYPE_Q5_0)
DOT_OF(q5_1, DTYPE_Q5_1)
DOT_OF(q2_k, DTYPE_Q2_K)
DOT_OF(q3_k, DTYPE_Q3_K)
DOT_OF(q4_k, DTYPE_Q4_K)
DOT_OF(q5_k, DTYPE_Q5_K)
DOT_OF(q6_k, DTYPE_Q6_K)
DOT_OF(iq4_nl, DTYPE_IQ4_NL)
DOT_OF(iq4_xs, DTYPE_IQ4_XS)
DOT_OF(mxfp4, DTYPE_MXFP4)

static void accumulate(const struct cpu_accumulate *args)
{
    for (uint32_t row = 0; row < args->row_count; row++) {
        const float *x = args->x + row * args->x_stride;
        for (uint32_t i = 0; i < CPU_OPS_TILE; i++) {
            const float *weights = args->weights + (size_t)i * CPU_OPS_CHUNK;
            float *sum = &args->lanes[row * CPU_OPS_TILE + i];
            float running = args->first ? 0.0f : *sum;
            for (uint32_t k = 0; k < args->k_count; k++) {
                running += weights[k] * x[k];
            }
            *sum = running;
        }
    }
}

static void fold(float *sums, const float *lanes)
{
    memcpy(sums, lanes, CPU_OPS_TILE * sizeof *sums);
}

/* ---- attention ---- */

static const void *token_of(const void *tokens, enum dtype dtype, uint32_t dim, uint32_t t)
{
    return (const uint8_t *)tokens + quant_row_bytes(dtype, (uint64_t)t * dim);
}

static void scores(const struct cpu_scores *args)
{
    float key[LIMIT_MODEL_HEAD_DIM];
    for (uint32_t t = 0; t < args->token_count; t++) {
        quant_format_get(args->dtype)
            ->dequantize(key, token_of(args->keys, args->dtype, args->dim, t), args->dim);
        for (uint32_t i = 0; i < args->query_count; i++) {
            const float *query = args->queries + (size_t)i * args->dim;
            float sum = 0.0f;
            for (uint32_t d = 0; d < args->dim; d++) {
                sum += query[d] * key[d];
            }
            args->out[i * args->out_stride + t] = sum;
        }
    }
}

static float softmax(float *scores_row, uint32_t first, uint32_t end, float *max)
{
    float top = -INFINITY;
    for (uint32_t t = first; t < end; t++) {
        top = scores_row[t] > top ? scores_row[t] : top;
    }
    float sum = 0.0f;
    for (uint32_t t = first; t < end; t++) {
        scores_row[t] = expf(scores_row[t] - top);
        sum += scores_row[t];
    }
    *max = top;
    return sum;
}

static void weigh(const struct cpu_weigh *args)
{
    float value[LIMIT_MODEL_HEAD_DIM];
    for (uint32_t t = 0; t < args->token_count; t++) {
        quant_format_get(args->dtype)
            ->dequantize(value, token_of(args->values, args->dtype, args->dim, t), args->dim);
        for (uint32_t i = 0; i < args->query_count; i++) {
            float *out = args->out + (size_t)i * args->dim;
            float weight = args->weights[i * args->weights_stride + t];
            for (uint32_t d = 0; d < args->dim; d++) {
                out[d] += weight * value[d];
            }
        }
    }
}

/* ---- row by row ---- */

static void rmsnorm(float *out, const float *in, const float *weight, uint32_t dim, float epsilon)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < dim; i++) {
        sum += in[i] * in[i];
    }
    float scale = 1.0f / sqrtf(sum / (float)dim + epsilon);
    for (uint32_t i = 0; i < dim; i++) {
        out[i] = in[i] * scale * weight[i];
    }
}

static void rope(float *head, const float *cos, const float *sin, uint32_t pair_count,
                 enum rope_style style)
{
    uint32_t step = style == ROPE_NEIGHBOURS ? 2 : 1;
    uint32_t partner = style == ROPE_NEIGHBOURS ? 1 : pair_count;
    for (uint32_t i = 0; i < pair_count; i++) {
        float *a = &head[(size_t)i * step];
        float *b = a + partner;
        float turned_a = *a * cos[i] - *b * sin[i];
        float turned_b = *a * sin[i] + *b * cos[i];
        *a = turned_a;
        *b = turned_b;
    }
}

static void layernorm(float *out, const float *in, const float *weight, const float *bias,
                      uint32_t dim, float epsilon)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < dim; i++) {
        sum += in[i];
    }
    float mean = sum / (float)dim;
    float squares = 0.0f;
    for (uint32_t i = 0; i < dim; i++) {
        squares += (in[i] - mean) * (in[i] - mean);
    }
    float scale = 1.0f / sqrtf(squares / (float)dim + epsilon);
    for (uint32_t i = 0; i < dim; i++) {
        float value = (in[i] - mean) * scale * weight[i];
        out[i] = bias != NULL ? value + bias[i] : value;
    }
}

static void add_scaled(float *out, const float *a, const float *b, float scale, size_t value_count)
{
    for (size_t i = 0; i < value_count; i++) {
        out[i] = a[i] + scale * b[i];
    }
}

static void scale_cap(float *x, float scale, float cap, size_t value_count)
{
    for (size_t i = 0; i < value_count; i++) {
        float scaled = x[i] * scale;
        x[i] = cap > 0.0f ? cap * tanhf(scaled / cap) : scaled;
    }
}

/* ---- activations ---- */

static float silu(float x)
{
    return x / (1.0f + expf(-x));
}

/* x/2 (1 + tanh u) = x / (1 + exp(-2u)), with u = sqrt(2/pi) (x + 0.044715 x^3). */
static float gelu_tanh(float x)
{
    float u = 0.7978845608f * x * (1.0f + 0.044715f * x * x);
    return x / (1.0f + expf(-2.0f * u));
}

/* 1 + erf(y) = erfc(-y), which keeps its digits where erf is near -1. */
static float gelu(float x)
{
    return 0.5f * x * erfcf(-0.7071067812f * x);
}

static float relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

#define ACTIVATE(name)                                                                             \
    static void activate_##name(float *x, size_t value_count)                                      \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i++) {                                                 \
            x[i] = name(x[i]);                                                                     \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static void gated_##name(float *out, const float *gate, const float *up, size_t value_count)   \
    {                                                                                              \
        for (size_t i = 0; i < value_count; i++) {                                                 \
            out[i] = name(gate[i]) * up[i];                                                        \
        }                                                                                          \
    }

ACTIVATE(silu)
ACTIVATE(gelu_tanh)
ACTIVATE(gelu)
ACTIVATE(relu)

static void gated_swiglu_clamped(float *out, const float *gate, const float *up, size_t value_count)
{
    const float limit = 7.0f;
    for (size_t i = 0; i < value_count; i++) {
        float x = gate[i] > limit ? limit : gate[i];
        float y = up[i] > limit ? limit : up[i];
        y = y < -limit ? -limit : y;
        out[i] = x / (1.0f + expf(-1.702f * x)) * (y + 1.0f);
    }
}

/* ---- the table ---- */

void cpu_ops_scalar_fill(struct cpu_ops *ops)
{
    static const cpu_ops_dot_fn DOTS[DTYPE_COUNT] = {
        [DTYPE_F32] = dot_f32,     [DTYPE_F16] = dot_f16,       [DTYPE_BF16] = dot_bf16,
        [DTYPE_Q8_0] = dot_q8_0,   [DTYPE_Q4_0] = dot_q4_0,     [DTYPE_Q4_1] = dot_q4_1,
        [DTYPE_Q5_0] = dot_q5_0,   [DTYPE_Q5_1] = dot_q5_1,     [DTYPE_Q2_K] = dot_q2_k,
        [DTYPE_Q3_K] = dot_q3_k,   [DTYPE_Q4_K] = dot_q4_k,     [DTYPE_Q5_K] = dot_q5_k,
        [DTYPE_Q6_K] = dot_q6_k,   [DTYPE_IQ4_NL] = dot_iq4_nl, [DTYPE_IQ4_XS] = dot_iq4_xs,
        [DTYPE_MXFP4] = dot_mxfp4,
    };
    *ops = (struct cpu_ops){
        .name = "scalar",
        .lane_count = 1,
        .accumulate = accumulate,
        .fold = fold,
        .scores = scores,
        .softmax = softmax,
        .weigh = weigh,
        .rmsnorm = rmsnorm,
        .rope = rope,
        .layernorm = layernorm,
        .activate = {[ACTIVATION_SILU] = activate_silu,
                     [ACTIVATION_GELU_TANH] = activate_gelu_tanh,
                     [ACTIVATION_GELU] = activate_gelu,
                     [ACTIVATION_RELU] = activate_relu},
        .gated = {[ACTIVATION_SILU] = gated_silu,
                  [ACTIVATION_GELU_TANH] = gated_gelu_tanh,
                  [ACTIVATION_GELU] = gated_gelu,
                  [ACTIVATION_RELU] = gated_relu,
                  [ACTIVATION_SWIGLU_CLAMPED] = gated_swiglu_clamped},
        .add_scaled = add_scaled,
        .scale_cap = scale_cap,
    };
    memcpy(ops->dot, DOTS, sizeof ops->dot);
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        ops->dequantize[dtype] = quant_format_get((enum dtype)dtype)->dequantize;
    }
    for (int dtype = 0; dtype < CPU_OPS_STORED; dtype++) {
        ops->store[dtype] = quant_format_get((enum dtype)dtype)->quantize;
    }
}
