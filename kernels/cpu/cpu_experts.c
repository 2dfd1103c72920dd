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

static void take(struct taken *taken, uint32_t expert)
{
    taken->bits[expert / 64] |= UINT64_C(1) << (expert % 64);
}

/* The highest merit of first .. end - 1 that is not taken yet, the first among equals. With NaN
 * about, still a valid one; `end` when all are taken. */
static uint32_t best_left(const float *merits, uint32_t first, uint32_t end,
                          const struct taken *taken)
{
    uint32_t best = end;
    for (uint32_t i = first; i < end; i++) {
        if (!is_taken(taken, i) && (best == end || merits[i] > merits[best])) {
            best = i;
        }
    }
    return best;
}

/* ---- merits ---- */

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float highest(const float *scores, uint32_t count)
{
    float top = scores[0];
    for (uint32_t i = 1; i < count; i++) {
        top = scores[i] > top ? scores[i] : top;
    }
    return top;
}

/* What experts are chosen by where it is not the bare score. */
static void rate_experts(const struct experts_route_args *args, const float *scores, float *merits)
{
    uint32_t expert_count = args->routes->expert_count;
    float top = highest(scores, expert_count);
    float all = 0.0f;
    for (uint32_t i = 0; i < expert_count; i++) {
        switch (args->gating) {
        case EXPERT_GATING_SOFTMAX:
            merits[i] = expf(scores[i] - top);
            break;
        case EXPERT_GATING_SIGMOID:
            merits[i] = sigmoid(scores[i]);
            break;
        case EXPERT_GATING_CHOSEN:
            merits[i] = scores[i];
            break;
        }
        all += merits[i];
    }
    for (uint32_t i = 0; i < expert_count; i++) {
        merits[i] = args->gating == EXPERT_GATING_SOFTMAX ? merits[i] / all : merits[i];
        merits[i] += args->bias != NULL ? args->bias[i] : 0.0f;
    }
}

/* The sum of the best merits of one group. */
static float group_worth(const float *merits, uint32_t first, uint32_t end, uint32_t best_count)
{
    struct taken counted = {{0}};
    float worth = 0.0f;
    for (uint32_t rank = 0; rank < best_count; rank++) {
        uint32_t best = best_left(merits, first, end, &counted);
        assert(best < end);
        take(&counted, best);
        worth += merits[best];
    }
    return worth;
}

/* Takes every expert of the groups that a row may not choose from. */
static void close_groups(const struct experts_route_args *args, const float *merits,
                         struct taken *taken)
{
    uint32_t size = args->routes->expert_count / args->group_count;
    float worths[LIMIT_MODEL_EXPERTS] = {0};
    struct taken open = {{0}};
    assert(size * args->group_count == args->routes->expert_count);
    assert(args->group_best > 0 && args->group_best <= size);
    assert(args->groups_used > 0 && args->groups_used <= args->group_count);
    for (uint32_t group = 0; group < args->group_count; group++) {
        worths[group] = group_worth(merits, group * size, (group + 1) * size, args->group_best);
    }
    for (uint32_t rank = 0; rank < args->groups_used; rank++) {
        take(&open, best_left(worths, 0, args->group_count, &open));
    }
    for (uint32_t expert = 0; expert < args->routes->expert_count; expert++) {
        if (!is_taken(&open, expert / size)) {
            take(taken, expert);
        }
    }
}

/* ---- weights ---- */

/* Zero, or NaN where one score is no finite number. */
static float spoil_of(const float *scores, uint32_t expert_count)
{
    float sum = 0.0f;
    for (uint32_t i = 0; i < expert_count; i++) {
        sum += scores[i] * 0.0f;
    }
    return sum;
}

/* Turns the chosen scores into their gating's values, in place. */
static void gate_choices(const struct experts_route_args *args, float *chosen, const float *scores)
{
    uint32_t used_count = args->routes->used_count;
    uint32_t expert_count = args->routes->expert_count;
    bool all_count = args->gating == EXPERT_GATING_SOFTMAX;
    const float *counted = all_count ? scores : chosen;
    float top = highest(counted, all_count ? expert_count : used_count);
    float all = 0.0f;
    for (uint32_t i = 0; i < (all_count ? expert_count : used_count); i++) {
        all += expf(counted[i] - top);
    }
    for (uint32_t rank = 0; rank < used_count; rank++) {
        chosen[rank] = args->gating == EXPERT_GATING_SIGMOID ? sigmoid(chosen[rank])
                                                             : expf(chosen[rank] - top) / all;
    }
}

/* Weights from the chosen scores, in place. */
static void weigh_choices(const struct experts_route_args *args, float *chosen, const float *scores)
{
    const float least = 1e-20f; /* sigmoids may all be zero */
    uint32_t used_count = args->routes->used_count;
    float spoil = spoil_of(scores, args->routes->expert_count);
    float used = least;
    gate_choices(args, chosen, scores);
    for (uint32_t rank = 0; rank < used_count; rank++) {
        used += chosen[rank];
    }
    for (uint32_t rank = 0; rank < used_count; rank++) {
        chosen[rank] = args->normalize ? chosen[rank] / used : chosen[rank];
        chosen[rank] =
            args->weight_scale != 0.0f ? chosen[rank] * args->weight_scale : chosen[rank];
        chosen[rank] += spoil;
    }
}

/* Chooses by merit from the experts that are not taken. */
static void choose(const struct experts_route_args *args, uint32_t row, const float *merits,
                   struct taken *taken)
{
    const struct expert_routes *routes = args->routes;
    const float *scores = args->scores + (size_t)row * routes->expert_count;
    size_t first = (size_t)row * routes->used_count;
    for (uint32_t rank = 0; rank < routes->used_count; rank++) {
        uint32_t best = best_left(merits, 0, routes->expert_count, taken);
        assert(best < routes->expert_count);
        take(taken, best);
        routes->places[first + rank] = best;
        routes->weights[first + rank] = scores[best];
    }
    weigh_choices(args, routes->weights + first, scores);
}

void cpu_experts_choose(const struct experts_route_args *args, uint32_t row)
{
    const float *scores = args->scores + (size_t)row * args->routes->expert_count;
    struct taken taken = {{0}};
    assert(args->routes->expert_count <= LIMIT_MODEL_EXPERTS);
    if (args->bias == NULL && args->group_count == 0) {
        choose(args, row, scores, &taken);
        return;
    }
    float merits[LIMIT_MODEL_EXPERTS] = {0};
    rate_experts(args, scores, merits);
    if (args->group_count > 0) {
        close_groups(args, merits, &taken);
    }
    choose(args, row, merits, &taken);
}

/* ---- places and sums ---- */

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
    float gate = args->shared_gate != NULL ? sigmoid(args->shared_gate[row]) : 1.0f;
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
