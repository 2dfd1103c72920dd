/* check_expert_routing.c - the ways to choose and weigh experts that models have beside the plain
 * softmax: sigmoids, a bias that only chooses, groups, a softmax over the chosen. Against float64
 * arithmetic, and bit for bit against the same rows one by one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/experts_rig.h"
#include "tests/support/kernel_rig.h"

#include "configs/limits.h"

#include <math.h>

enum {
    ROWS = 37
};

struct routing {
    uint32_t expert_count;
    uint32_t used_count;
    enum expert_gating gating;
    uint32_t group_count;
    uint32_t groups_used;
    uint32_t group_best;
    float weight_scale;
    bool biased;
    bool normalize;
};

static const struct routing ROUTINGS[] = {
    {256, 8, EXPERT_GATING_SIGMOID, 8, 4, 2, 2.5f, true, true},    /* DeepSeek-V3 */
    {160, 6, EXPERT_GATING_SOFTMAX, 8, 3, 1, 16.0f, false, false}, /* DeepSeek-V2 */
    {64, 6, EXPERT_GATING_SOFTMAX, 0, 0, 0, 1.0f, false, false},   /* DeepSeek-V2-Lite */
    {128, 4, EXPERT_GATING_CHOSEN, 0, 0, 0, 0, false, false},      /* gpt-oss */
    {12, 5, EXPERT_GATING_SIGMOID, 0, 0, 0, 0, false, false},
    {12, 5, EXPERT_GATING_SIGMOID, 0, 0, 0, 0, false, true},
    {33, 4, EXPERT_GATING_SOFTMAX, 0, 0, 0, 0, true, true},
    {33, 4, EXPERT_GATING_CHOSEN, 0, 0, 0, 3.0f, true, false},
    {12, 4, EXPERT_GATING_SOFTMAX, 6, 2, 2, 0, true, false}, /* all experts of both groups */
    {9, 3, EXPERT_GATING_CHOSEN, 3, 1, 3, 0, false, true},
    {5, 5, EXPERT_GATING_SIGMOID, 5, 5, 1, 0, true, true},
    {4, 2, EXPERT_GATING_SOFTMAX, 1, 1, 4, 0, true, true},
};

enum {
    ROUTING_COUNT = sizeof ROUTINGS / sizeof ROUTINGS[0]
};

static void route(struct backend *be, const struct expert_routes *routes,
                  const struct routing *routing, const float *scores, const float *bias)
{
    be->ops->experts_route(be, &(struct experts_route_args){
                                   .routes = routes,
                                   .scores = scores,
                                   .gating = routing->gating,
                                   .bias = routing->biased ? bias : NULL,
                                   .group_count = routing->group_count,
                                   .groups_used = routing->groups_used,
                                   .group_best = routing->group_best,
                                   .normalize = routing->normalize,
                                   .weight_scale = routing->weight_scale,
                               });
}

/* ---- what must come out ---- */

struct row_reference {
    double gated[LIMIT_MODEL_EXPERTS];  /* of CHOSEN: exp(score) */
    double merits[LIMIT_MODEL_EXPERTS]; /* -inf for experts of groups that are out */
};

static void rate(const struct routing *routing, const float *scores, const float *bias,
                 struct row_reference *row)
{
    double all = 0;
    for (uint32_t i = 0; i < routing->expert_count; i++) {
        all += exp((double)scores[i]);
    }
    for (uint32_t i = 0; i < routing->expert_count; i++) {
        double score = (double)scores[i];
        row->gated[i] = exp(score) / all;
        row->merits[i] = row->gated[i];
        if (routing->gating == EXPERT_GATING_SIGMOID) {
            row->gated[i] = 1 / (1 + exp(-score));
            row->merits[i] = row->gated[i];
        } else if (routing->gating == EXPERT_GATING_CHOSEN) {
            row->gated[i] = exp(score);
            row->merits[i] = score;
        }
        row->merits[i] += routing->biased ? (double)bias[i] : 0;
    }
}

static int descending(const void *a, const void *b)
{
    double first = *(const double *)a;
    double second = *(const double *)b;
    return first < second ? 1 : -(first > second);
}

/* Sorts everything, where the kernel searches. False when two groups are too near to say. */
static bool leave_groups(const struct routing *routing, struct row_reference *row)
{
    double worths[LIMIT_MODEL_EXPERTS] = {0};
    double ranked[LIMIT_MODEL_EXPERTS];
    if (routing->group_count == 0) {
        return true;
    }
    uint32_t size = routing->expert_count / routing->group_count;
    for (uint32_t group = 0; group < routing->group_count; group++) {
        double sorted[LIMIT_MODEL_EXPERTS];
        memcpy(sorted, row->merits + (size_t)group * size, size * sizeof *sorted);
        qsort(sorted, size, sizeof *sorted, descending);
        for (uint32_t i = 0; i < routing->group_best; i++) {
            worths[group] += sorted[i];
        }
    }
    memcpy(ranked, worths, sizeof ranked);
    qsort(ranked, routing->group_count, sizeof *ranked, descending);
    double last = ranked[routing->groups_used - 1];
    for (uint32_t i = 0; i < routing->expert_count; i++) {
        row->merits[i] = worths[i / size] >= last ? row->merits[i] : -INFINITY;
    }
    return routing->groups_used == routing->group_count ||
           last - ranked[routing->groups_used] > 1e-5;
}

static void check_choices(const struct routing *routing, const struct row_reference *row,
                          const struct expert_routes *routes, uint32_t index)
{
    double left[LIMIT_MODEL_EXPERTS];
    memcpy(left, row->merits, sizeof left);
    for (uint32_t rank = 0; rank < routing->used_count; rank++) {
        uint32_t choice = experts_rig_choice(routes, index, rank);
        double best = -INFINITY;
        for (uint32_t i = 0; i < routing->expert_count; i++) {
            best = fmax(best, left[i]);
        }
        assert_true(left[choice] > -INFINITY && left[choice] >= best - 1e-6);
        left[choice] = -INFINITY;
    }
}

static void check_weights(const struct routing *routing, const struct row_reference *row,
                          const struct expert_routes *routes, uint32_t index)
{
    double used = 0;
    bool shared_out = routing->normalize || routing->gating == EXPERT_GATING_CHOSEN;
    for (uint32_t rank = 0; rank < routing->used_count; rank++) {
        used += row->gated[experts_rig_choice(routes, index, rank)];
    }
    for (uint32_t rank = 0; rank < routing->used_count; rank++) {
        double expected = row->gated[experts_rig_choice(routes, index, rank)];
        expected /= shared_out ? used : 1;
        expected *= routing->weight_scale != 0 ? (double)routing->weight_scale : 1;
        double weight = (double)routes->weights[(size_t)index * routing->used_count + rank];
        assert_true(fabs(weight - expected) < 2e-6 * expected);
    }
}

/* A row that is routed alone chooses and weighs the same. */
static void check_alone(struct backend *be, const struct expert_routes *routes,
                        const struct routing *routing, const float *scores, const float *bias)
{
    struct expert_routes alone = experts_rig_open(1, routing->expert_count, routing->used_count);
    for (uint32_t row = 0; row < ROWS; row++) {
        route(be, &alone, routing, scores + (size_t)row * routing->expert_count, bias);
        for (uint32_t rank = 0; rank < routing->used_count; rank++) {
            assert_int_equal(experts_rig_choice(&alone, 0, rank),
                             experts_rig_choice(routes, row, rank));
        }
        kernel_rig_same_bits(alone.weights, routes->weights + (size_t)row * routing->used_count,
                             routing->used_count, "weights of a row alone");
    }
    experts_rig_close(&alone);
}

static void check_routing(struct backend *be, const struct routing *routing)
{
    uint64_t random = routing->expert_count;
    uint32_t clear_rows = 0;
    struct expert_routes routes =
        experts_rig_open(ROWS, routing->expert_count, routing->used_count);
    float *scores = kernel_rig_floats(&random, (size_t)ROWS * routing->expert_count);
    float *bias = kernel_rig_floats(&random, routing->expert_count);
    route(be, &routes, routing, scores, bias);
    experts_rig_check_sorted(&routes);
    for (uint32_t index = 0; index < ROWS; index++) {
        struct row_reference row;
        rate(routing, scores + (size_t)index * routing->expert_count, bias, &row);
        if (leave_groups(routing, &row)) {
            check_choices(routing, &row, &routes, index);
            check_weights(routing, &row, &routes, index);
            clear_rows++;
        }
    }
    assert_true(clear_rows >= ROWS - 2);
    check_alone(be, &routes, routing, scores, bias);
    experts_rig_close(&routes);
    kernel_rig_free(scores);
    kernel_rig_free(bias);
}

static void every_routing_chooses_and_weighs_as_its_paper_says(void **state)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (size_t r = 0; r < (size_t)ROUTING_COUNT * isa_count; r++) {
        check_routing(kernel_rig_backend(isas[r / ROUTING_COUNT], 1 + (uint32_t)r % 3),
                      &ROUTINGS[r % ROUTING_COUNT]);
    }
}

/* ---- by hand ---- */

static void a_bias_chooses_and_does_not_weigh(void **state)
{
    const struct routing routing = {
        .expert_count = 4, .used_count = 2, .gating = EXPERT_GATING_SIGMOID, .biased = true};
    const float scores[4] = {0.0f, 1.0f, 2.0f, -1.0f};
    const float bias[4] = {0.0f, 0.0f, -5.0f, 5.0f};
    struct expert_routes routes = experts_rig_open(1, 4, 2);
    (void)state;
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, scores, bias);
    assert_int_equal(experts_rig_choice(&routes, 0, 0), 3);
    assert_int_equal(experts_rig_choice(&routes, 0, 1), 1);
    kernel_rig_near(1 / (1 + exp(1)), routes.weights[0], 1, 1e-6, "weight of the biased");
    kernel_rig_near(1 / (1 + exp(-1)), routes.weights[1], 1, 1e-6, "weight of the other");
    experts_rig_close(&routes);
}

/* The best expert of all stands in a group that two good ones of another outweigh. Merits below
 * zero are still better than experts of closed groups. */
static void a_closed_group_gives_no_expert_however_good(void **state)
{
    const struct routing routing = {.expert_count = 6,
                                    .used_count = 2,
                                    .gating = EXPERT_GATING_SIGMOID,
                                    .group_count = 3,
                                    .groups_used = 1,
                                    .group_best = 2,
                                    .biased = true};
    const float scores[6] = {0, 0, 0, 0, 0, 0};
    const float bias[2][6] = {{1.0f, -3.0f, 0.5f, 0.5f, -2.0f, 0.0f},
                              {-9.0f, -9.0f, -8.0f, -8.0f, -7.0f, -7.5f}};
    const uint32_t expected[2][2] = {{2, 3}, {4, 5}};
    struct expert_routes routes = experts_rig_open(1, 6, 2);
    (void)state;
    for (int c = 0; c < 2; c++) {
        route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, scores, bias[c]);
        assert_int_equal(experts_rig_choice(&routes, 0, 0), expected[c][0]);
        assert_int_equal(experts_rig_choice(&routes, 0, 1), expected[c][1]);
        assert_true(routes.weights[0] == 0.5f && routes.weights[1] == 0.5f);
    }
    experts_rig_close(&routes);
}

static void equal_groups_and_experts_are_taken_from_the_first(void **state)
{
    const struct routing routing = {.expert_count = 8,
                                    .used_count = 3,
                                    .gating = EXPERT_GATING_SOFTMAX,
                                    .group_count = 4,
                                    .groups_used = 2,
                                    .group_best = 1,
                                    .normalize = true};
    const float scores[8] = {0};
    struct expert_routes routes = experts_rig_open(1, 8, 3);
    (void)state;
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, scores, NULL);
    for (uint32_t rank = 0; rank < 3; rank++) {
        assert_int_equal(experts_rig_choice(&routes, 0, rank), rank);
    }
    experts_rig_close(&routes);
}

/* ---- at the ends ---- */

static void scores_that_are_no_numbers_spoil_their_row_alone(void **state)
{
    enum {
        EXPERTS = 12,
        BAD = 4
    };
    const float bad[BAD] = {NAN, INFINITY, -INFINITY, -NAN};
    float scores[(BAD + 1) * EXPERTS] = {0};
    float bias[EXPERTS] = {0};
    (void)state;
    for (int row = 0; row < BAD; row++) { /* the last expert, which no row would choose */
        scores[row * EXPERTS + EXPERTS - 1] = bad[row];
    }
    for (int r = 0; r < ROUTING_COUNT; r++) {
        struct routing routing = ROUTINGS[r];
        if (routing.expert_count != EXPERTS) {
            continue;
        }
        struct expert_routes routes = experts_rig_open(BAD + 1, EXPERTS, routing.used_count);
        route(kernel_rig_backend(ISA_AUTO, 2), &routes, &routing, scores, bias);
        experts_rig_check_sorted(&routes);
        for (uint32_t i = 0; i < (BAD + 1) * routing.used_count; i++) {
            assert_true((isnan(routes.weights[i]) != 0) == (i < BAD * routing.used_count));
        }
        experts_rig_close(&routes);
    }
}

/* Exponentials of such scores are infinite or zero: only their differences count. */
static void scores_far_from_zero_weigh_by_their_differences(void **state)
{
    static const float SCORES[2][4] = {{200, 201, 199, -200}, {-200, -199, -201, -400}};
    static const enum expert_gating GATINGS[] = {EXPERT_GATING_SOFTMAX, EXPERT_GATING_CHOSEN};
    static const uint32_t ORDER[3] = {1, 0, 2};
    const float bias[4] = {0};
    struct expert_routes routes = experts_rig_open(1, 4, 3);
    (void)state;
    for (int c = 0; c < 8; c++) {
        const struct routing routing = {
            .expert_count = 4, .used_count = 3, .gating = GATINGS[c / 4], .biased = c % 2 != 0};
        route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, SCORES[c / 2 % 2], bias);
        for (uint32_t rank = 0; rank < 3; rank++) {
            double expected = exp(-(double)rank) / (1 + exp(-1) + exp(-2));
            kernel_rig_near(expected, routes.weights[rank], expected, 1e-6, "weight");
            assert_int_equal(experts_rig_choice(&routes, 0, rank), ORDER[rank]);
        }
    }
    experts_rig_close(&routes);
}

/* Sigmoids that are all zero have no sum to be divided by. */
static void hopeless_sigmoids_weigh_nothing(void **state)
{
    const struct routing routing = {
        .expert_count = 3, .used_count = 2, .gating = EXPERT_GATING_SIGMOID, .normalize = true};
    const float scores[3] = {-200.0f, -200.0f, -200.0f};
    struct expert_routes routes = experts_rig_open(1, 3, 2);
    (void)state;
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, scores, NULL);
    assert_true(routes.weights[0] == 0.0f && routes.weights[1] == 0.0f);
    experts_rig_close(&routes);
}

static void the_most_experts_and_groups_that_may_be_are_routed(void **state)
{
    const struct routing routing = {.expert_count = LIMIT_MODEL_EXPERTS,
                                    .used_count = 2,
                                    .gating = EXPERT_GATING_SIGMOID,
                                    .group_count = LIMIT_MODEL_EXPERTS,
                                    .groups_used = 2,
                                    .group_best = 1};
    float scores[LIMIT_MODEL_EXPERTS] = {0};
    struct expert_routes routes = experts_rig_open(1, LIMIT_MODEL_EXPERTS, 2);
    (void)state;
    scores[LIMIT_MODEL_EXPERTS - 1] = 2.0f;
    scores[7] = 1.0f;
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, &routing, scores, NULL);
    assert_int_equal(experts_rig_choice(&routes, 0, 0), LIMIT_MODEL_EXPERTS - 1);
    assert_int_equal(experts_rig_choice(&routes, 0, 1), 7);
    experts_rig_close(&routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_routing_chooses_and_weighs_as_its_paper_says),
        cmocka_unit_test(a_bias_chooses_and_does_not_weigh),
        cmocka_unit_test(a_closed_group_gives_no_expert_however_good),
        cmocka_unit_test(equal_groups_and_experts_are_taken_from_the_first),
        cmocka_unit_test(scores_that_are_no_numbers_spoil_their_row_alone),
        cmocka_unit_test(scores_far_from_zero_weigh_by_their_differences),
        cmocka_unit_test(hopeless_sigmoids_weigh_nothing),
        cmocka_unit_test(the_most_experts_and_groups_that_may_be_are_routed),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
