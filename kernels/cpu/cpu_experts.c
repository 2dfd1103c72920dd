/* cpu_experts.c - selection by repeated search (a row uses few experts), a counting sort over all
 * choices, and a weighted sum in order of rank. Beside the experts' matrix products all of it is
 * nothing: plain loops. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu_experts.h"

#include "configs/limits.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* A set of experts. */
struct taken {
    uint64_t bits[LIMIT_MODEL_EXPERTS / 64];
};

static bool is_taken(const struct taken *taken, uint32_t expert)
{
    return (taken->bits[expert / 64] >> (expert % 64) & 1) != 0;
}

/* The highest score not taken yet, the first among equals. With NaN about, still a valid one. */
static uint32_t best_left(const float *scores, uint32_t expert_count, const struct taken *taken)
{
    uint32_t best = expert_count;
    for (uint32_t i = 0; i < expert_count; i++) {
        if (!is_taken(taken, i) && (best == expert_count || scores[i] > scores[best])) {
            best = i;
        }
    }
    return best;
}

/* Weights from scores, in place. One NaN or infinity among a row's scores spoils all of them. */
static void weigh_choices(float *chosen, uint32_t used_count, const float *scores,
                          uint32_t expert_count, bool normalize)
{
    float top = chosen[0];
    float all = 0.0f;
    for (uint32_t i = 0; i < expert_count; i++) {
        all += expf(scores[i] - top);
    }
    float used = 0.0f;
    for (uint32_t rank = 0; rank < used_count; rank++) {
        chosen[rank] = expf(chosen[rank] - top) / all;
        used += chosen[rank];
    }
    for (uint32_t rank = 0; normalize && rank < used_count; rank++) {
        chosen[rank] /= used;
    }
}

void cpu_experts_choose(const struct experts_route_args *args, uint32_t row)
{
    const struct expert_routes *routes = args->routes;
    const float *scores = args->scores + (size_t)row * routes->expert_count;
    size_t first = (size_t)row * routes->used_count;
    struct taken taken = {{0}};
    assert(routes->expert_count <= LIMIT_MODEL_EXPERTS);
    for (uint32_t rank = 0; rank < routes->used_count; rank++) {
        uint32_t best = best_left(scores, routes->expert_count, &taken);
        assert(best < routes->expert_count);
        taken.bits[best / 64] |= UINT64_C(1) << (best % 64);
        routes->places[first + rank] = best;
        routes->weights[first + rank] = scores[best];
    }
    weigh_choices(routes->weights + first, routes->used_count, scores, routes->expert_count,
                  args->normalize);
}

/* Until the end, `ends` holds where each expert's next place is: first its start, at last its
 * end, which is what shall be left there. */
void cpu_experts_sort(const struct expert_routes *routes)
{
    size_t choice_count = (size_t)routes->row_count * routes->used_count;
    memset(routes->ends, 0, routes->expert_count * sizeof *routes->ends);
    for (size_t i = 0; i < choice_count; i++) {
        routes->ends[routes->places[i]]++;
    }
    uint32_t start = 0;
    for (uint32_t expert = 0; expert < routes->expert_count; expert++) {
        uint32_t count = routes->ends[expert];
        routes->ends[expert] = start;
        start += count;
    }
    for (size_t i = 0; i < choice_count; i++) {
        uint32_t place = routes->ends[routes->places[i]]++;
        routes->places[i] = place;
        routes->rows[place] = (uint32_t)(i / routes->used_count);
    }
}

void cpu_experts_combine(const struct experts_combine_args *args, uint32_t row)
{
    enum {
        PIECE = 256 /* values whose sum stays on the stack: out may be residual */
    };
    const struct expert_routes *routes = args->routes;
    size_t first = (size_t)row * routes->used_count;
    size_t base = (size_t)row * args->dim;
    float gate = args->shared != NULL ? 1.0f / (1.0f + expf(-args->shared_gate[row])) : 0.0f;
    for (uint32_t begin = 0; begin < args->dim; begin += PIECE) {
        uint32_t count = args->dim - begin < PIECE ? args->dim - begin : PIECE;
        float sum[PIECE] = {0};
        for (uint32_t rank = 0; rank < routes->used_count; rank++) {
            const float *in = args->in + (size_t)routes->places[first + rank] * args->dim + begin;
            float weight = routes->weights[first + rank];
            for (uint32_t i = 0; i < count; i++) {
                sum[i] += weight * in[i];
            }
        }
        for (uint32_t i = 0; args->shared != NULL && i < count; i++) {
            sum[i] += gate * args->shared[base + begin + i];
        }
        for (uint32_t i = 0; i < count; i++) {
            args->out[base + begin + i] = args->residual[base + begin + i] + sum[i];
        }
    }
}
