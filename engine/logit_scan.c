/* logit_scan.c - four values a step in the compiler's generic vectors, which every processor has,
 * with four steps in flight where one waits for the last. Sums run in blocks, so that a walk need
 * add up one block only value by value.
 * The exponential: 2^n times a polynomial over half of ln 2 to either side (the constants of
 * Moshier's Cephes). SPDX-License-Identifier: Apache-2.0 */
#include "engine/logit_scan.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

enum {
    LANES = 4,
    STEPS = 4, /* vectors in flight */
    STRIDE = LANES * STEPS,
    BLOCK = 1024, /* values; a multiple of STRIDE */
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t masks __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef double sums __attribute__((vector_size(LANES * sizeof(double))));

static uint32_t smaller_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static lanes load(const float *values)
{
    lanes x;
    memcpy(&x, values, sizeof x);
    return x;
}

static lanes splat(float value)
{
    return (lanes){value, value, value, value};
}

static bool any_of(masks mask)
{
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
}

bool logit_scan_usable(const float *logits, uint32_t count)
{
    masks bad[STEPS] = {{0}};
    masks finite[STEPS] = {{0}};
    uint32_t i = 0;
    for (; i + STRIDE <= count; i += STRIDE) {
#pragma GCC unroll 4
        for (size_t step = 0; step < STEPS; step++) {
            lanes x = load(logits + i + step * LANES);
            bad[step] |= ~(masks)(x <= FLT_MAX); /* also of NaN */
            finite[step] |= (masks)(x >= -FLT_MAX);
        }
    }
    bool usable = true;
    bool any_finite = false;
    for (size_t step = 0; step < STEPS; step++) {
        usable &= !any_of(bad[step]);
        any_finite |= any_of(finite[step]);
    }
    for (; i < count; i++) {
        usable &= logits[i] <= FLT_MAX;
        any_finite |= logits[i] >= -FLT_MAX;
    }
    return usable && any_finite;
}

static lanes larger_of(lanes a, lanes b)
{
    masks above = (masks)(a > b);
    return (lanes)(((masks)a & above) | ((masks)b & ~above));
}

static float largest_of(const float *logits, uint32_t count)
{
    lanes largest[STEPS];
    uint32_t i = 0;
    for (size_t step = 0; step < STEPS; step++) {
        largest[step] = splat(-INFINITY);
    }
    for (; i + STRIDE <= count; i += STRIDE) {
#pragma GCC unroll 4
        for (size_t step = 0; step < STEPS; step++) {
            largest[step] = larger_of(load(logits + i + step * LANES), largest[step]);
        }
    }
    lanes all = larger_of(larger_of(largest[0], largest[1]), larger_of(largest[2], largest[3]));
    float best = -INFINITY;
    for (int lane = 0; lane < LANES; lane++) {
        best = all[lane] > best ? all[lane] : best;
    }
    for (; i < count; i++) {
        best = logits[i] > best ? logits[i] : best;
    }
    return best;
}

uint32_t logit_scan_argmax(const float *logits, uint32_t count)
{
    float best = -INFINITY;
    uint32_t first = 0; /* of the first block that has it */
    for (uint32_t i = 0; i < count; i += BLOCK) {
        float largest = largest_of(logits + i, smaller_of(BLOCK, count - i));
        if (largest > best) {
            best = largest;
            first = i;
        }
    }
    while (first < count && logits[first] != best) {
        first++;
    }
    return first < count ? first : 0;
}

/* ---- weights ---- */

static const float log2_e = 1.44269504088896341f;
static const float ln2_high = 0.693359375f; /* few bits: its product with n is exact */
static const float ln2_low = -2.12194440e-4f;
static const float round_to_integer = 12582912.0f; /* 1.5 * 2^23: adding it leaves no fraction */
static const float smallest = -87.0f;

/* exp of values <= 0. */
static lanes exponential_of(lanes x)
{
    masks kept = (masks)(x >= smallest);
    lanes in = (lanes)((masks)x & kept); /* 0 for the others, which end as 0 */
    lanes shifted = in * log2_e + round_to_integer;
    lanes n = shifted - round_to_integer;
    lanes r = in - n * ln2_high;
    r = r - n * ln2_low;
    lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    masks exponent = ((masks)shifted - (masks)splat(round_to_integer) + 127) << 23;
    return (lanes)((masks)(p * (lanes)exponent) & kept);
}

float logit_scan_weight(float logit, float logit_max, float temperature)
{
    return exponential_of(splat((logit - logit_max) / temperature))[0];
}

/* The weights of up to a block, and zeros up to a whole stride. */
static void weigh_block(float weights[BLOCK], const float *logits, uint32_t count, float logit_max,
                        float temperature, float weight_min)
{
    float tail[STRIDE];
    for (uint32_t i = 0; i < count; i += STRIDE) {
        const float *from = logits + i;
        if (count - i < STRIDE) {
            for (uint32_t j = 0; j < STRIDE; j++) {
                tail[j] = i + j < count ? from[j] : -INFINITY;
            }
            from = tail;
        }
#pragma GCC unroll 4
        for (size_t step = 0; step < STEPS; step++) {
            lanes x = load(from + step * LANES);
            x = exponential_of((x - logit_max) / temperature);
            x = (lanes)((masks)x & (masks)(x >= weight_min));
            memcpy(weights + i + step * LANES, &x, sizeof x);
        }
    }
}

/* Of up to a block; lane by lane, so that every caller gets the same bits. */
static double sum_block(const float *weights, uint32_t count)
{
    sums total[STEPS] = {{0}};
    uint32_t i = 0;
    for (; i + STRIDE <= count; i += STRIDE) {
#pragma GCC unroll 4
        for (size_t step = 0; step < STEPS; step++) {
            const float *x = weights + i + step * LANES;
            total[step] += (sums){x[0], x[1], x[2], x[3]};
        }
    }
    sums all = (total[0] + total[1]) + (total[2] + total[3]);
    double sum = (all[0] + all[1]) + (all[2] + all[3]);
    for (; i < count; i++) {
        sum += (double)weights[i];
    }
    return sum;
}

double logit_scan_weights(float *out, const float *logits, uint32_t count, float logit_max,
                          float temperature, float weight_min)
{
    float weights[BLOCK];
    double total = 0;
    for (uint32_t i = 0; i < count; i += BLOCK) {
        uint32_t block = smaller_of(BLOCK, count - i);
        weigh_block(weights, logits + i, block, logit_max, temperature, weight_min);
        total += sum_block(weights, block);
        if (out != NULL) {
            memcpy(out + i, weights, block * sizeof *out);
        }
    }
    return total;
}

uint32_t logit_scan_walk(const float *weights, uint32_t count, double target, uint32_t fallback)
{
    double passed = 0;
    uint32_t last = fallback;
    for (uint32_t i = 0; i < count; i += BLOCK) {
        uint32_t block = smaller_of(BLOCK, count - i);
        double block_sum = sum_block(weights + i, block);
        if (target >= passed + block_sum) {
            passed += block_sum;
            continue;
        }
        for (uint32_t j = 0; j < block; j++) {
            passed += (double)weights[i + j];
            if (target < passed) {
                return i + j;
            }
            last = weights[i + j] > 0.0f ? i + j : last;
        }
        return last; /* the two orders of adding differ in the last bits */
    }
    return last;
}
