/* check_experts.c - the ops of mixtures of experts, through the backend: against float64
 * arithmetic, and bit for bit against the same rows one by one, on every instruction set.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/experts_rig.h"
#include "tests/support/kernel_rig.h"

#include "configs/limits.h"
#include "kernels/quant.h"

#include <math.h>

enum {
    ROWS_MAX = 70, /* with few experts one of them gets more rows than share a chunk of weights */
    USED_MAX = 8
};

static const struct shape {
    uint32_t row_count;
    uint32_t expert_count;
    uint32_t used_count;
    uint32_t dim;
} shapes[] = {
    {1, 1, 1, 16},        {1, 60, 4, 64},    {7, 8, 2, 33},
    {ROWS_MAX, 3, 3, 64}, {33, 128, 8, 300}, {ROWS_MAX, 2, 1, 40},
};

enum {
    SHAPE_COUNT = sizeof shapes / sizeof shapes[0]
};

static struct expert_routes open_routes(const struct shape *shape)
{
    return experts_rig_open(shape->row_count, shape->expert_count, shape->used_count);
}

static void route(struct backend *be, const struct expert_routes *routes, const float *scores,
                  bool normalize)
{
    be->ops->experts_route(be, &(struct experts_route_args){
                                   .routes = routes, .scores = scores, .normalize = normalize});
}

/* What a row must have chosen, worked out by counting who is better. */
static void assert_choices(const struct expert_routes *routes, const float *scores, uint32_t row,
                           bool normalize)
{
    const float *own = scores + (size_t)row * routes->expert_count;
    double all = 0.0;
    double used = 0.0;
    for (uint32_t i = 0; i < routes->expert_count; i++) {
        all += exp((double)own[i]);
    }
    for (uint32_t rank = 0; rank < routes->used_count; rank++) {
        uint32_t expert = experts_rig_choice(routes, row, rank);
        uint32_t better = 0;
        for (uint32_t i = 0; i < routes->expert_count; i++) {
            better += own[i] > own[expert] || (i < expert && own[i] == own[expert]) ? 1 : 0;
        }
        assert_int_equal(better, rank);
        used += exp((double)own[expert]) / all;
    }
    for (uint32_t rank = 0; rank < routes->used_count; rank++) {
        double expected = exp((double)own[experts_rig_choice(routes, row, rank)]) / all;
        expected /= normalize ? used : 1.0;
        double weight = (double)routes->weights[(size_t)row * routes->used_count + rank];
        assert_true(fabs(weight - expected) < 2e-6 * expected);
    }
}

/* A row that is routed alone chooses and weighs the same. */
static void assert_same_alone(struct backend *be, const struct expert_routes *routes,
                              const float *scores, bool normalize)
{
    struct shape one = {1, routes->expert_count, routes->used_count, 0};
    struct expert_routes alone = open_routes(&one);
    for (uint32_t row = 0; row < routes->row_count; row++) {
        route(be, &alone, scores + (size_t)row * routes->expert_count, normalize);
        for (uint32_t rank = 0; rank < routes->used_count; rank++) {
            assert_int_equal(experts_rig_choice(&alone, 0, rank),
                             experts_rig_choice(routes, row, rank));
        }
        assert_memory_equal(alone.weights, routes->weights + (size_t)row * routes->used_count,
                            routes->used_count * sizeof(float));
    }
    experts_rig_close(&alone);
}

static void rows_go_to_the_experts_of_their_highest_scores(void **state)
{
    (void)state;
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (size_t s = 0; s < (size_t)SHAPE_COUNT * 2; s++) {
        const struct shape *shape = &shapes[s / 2];
        uint64_t random = s;
        float *scores = kernel_rig_floats(&random, (size_t)shape->row_count * shape->expert_count);
        for (uint32_t i = 0; i < isa_count; i++) {
            struct backend *be = kernel_rig_backend(isas[i], 1 + (uint32_t)s % 3);
            struct expert_routes routes = open_routes(shape);
            route(be, &routes, scores, s % 2 != 0);
            experts_rig_check_sorted(&routes);
            for (uint32_t row = 0; row < shape->row_count; row++) {
                assert_choices(&routes, scores, row, s % 2 != 0);
            }
            assert_same_alone(be, &routes, scores, s % 2 != 0);
            experts_rig_close(&routes);
        }
        kernel_rig_free(scores);
    }
}

static void among_equal_scores_the_lower_index_wins(void **state)
{
    (void)state;
    static const struct {
        float scores[6];
        uint32_t expected[3];
    } rows[] = {
        {{0, 0, 0, 0, 0, 0}, {0, 1, 2}},
        {{1, 2, 2, 1, 2, 2}, {1, 2, 4}},
        {{-1, -3, -1, 5, -1, -1}, {3, 0, 2}},
        {{0.0f, -0.0f, 0.0f, -0.0f, 1, 1}, {4, 5, 0}},
        {{100, 100, -100, -100, 100, -100}, {0, 1, 4}},
    };
    struct shape shape = {sizeof rows / sizeof rows[0], 6, 3, 0};
    struct expert_routes routes = open_routes(&shape);
    float scores[6 * sizeof rows / sizeof rows[0]];
    for (uint32_t row = 0; row < shape.row_count; row++) {
        memcpy(scores + (size_t)row * 6, rows[row].scores, sizeof rows[row].scores);
    }
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, scores, false);
    experts_rig_check_sorted(&routes);
    for (uint32_t row = 0; row < shape.row_count; row++) {
        for (uint32_t rank = 0; rank < 3; rank++) {
            assert_int_equal(experts_rig_choice(&routes, row, rank), rows[row].expected[rank]);
        }
    }
    assert_true(routes.weights[0] == 1.0f / 6.0f);
    experts_rig_close(&routes);
}

/* The engine finds NaN in the logits: it has to get there, and to leave other rows alone. */
static void scores_that_are_no_numbers_spoil_their_row_alone(void **state)
{
    (void)state;
    enum {
        EXPERTS = 5,
        BAD = 6
    };
    const float bad[BAD][EXPERTS] = {
        {NAN, NAN, NAN, NAN, NAN},
        {1, 2, NAN, 4, 5},
        {NAN, 1, 2, 3, 4},
        {1, INFINITY, 2, 3, 4},
        {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {INFINITY, INFINITY, INFINITY, INFINITY, INFINITY},
    };
    struct shape shape = {BAD + 1, EXPERTS, 3, 0};
    struct expert_routes routes = open_routes(&shape);
    float scores[(BAD + 1) * EXPERTS] = {0};
    const float good[EXPERTS] = {3, 1, 4, 1, 5};
    memcpy(scores, bad, sizeof bad);
    memcpy(scores + sizeof bad / sizeof(float), good, sizeof good);
    for (int normalize = 0; normalize < 2; normalize++) {
        route(kernel_rig_backend(ISA_AUTO, 2), &routes, scores, normalize != 0);
        experts_rig_check_sorted(&routes);
        for (uint32_t row = 0; row < BAD; row++) {
            assert_true(isnan(routes.weights[(size_t)row * 3]));
        }
        assert_choices(&routes, scores, BAD, normalize != 0);
    }
    experts_rig_close(&routes);
}

static void the_most_experts_that_may_be_are_routed(void **state)
{
    (void)state;
    struct shape shape = {2, LIMIT_MODEL_EXPERTS, LIMIT_MODEL_EXPERTS_USED, 0};
    uint64_t random = 11;
    float *scores = kernel_rig_floats(&random, (size_t)2 * LIMIT_MODEL_EXPERTS);
    scores[LIMIT_MODEL_EXPERTS - 1] = 9.0f;
    struct expert_routes routes = open_routes(&shape);
    route(kernel_rig_backend(ISA_AUTO, 1), &routes, scores, true);
    experts_rig_check_sorted(&routes);
    assert_int_equal(experts_rig_choice(&routes, 0, 0), LIMIT_MODEL_EXPERTS - 1);
    assert_choices(&routes, scores, 0, true);
    assert_choices(&routes, scores, 1, true);
    experts_rig_close(&routes);
    kernel_rig_free(scores);
}

/* ---- products ---- */

/* An expert that no row chose has no bytes at all: to read them would crash. */
static void open_experts(uint64_t *random, const struct expert_routes *routes, enum dtype dtype,
                         uint32_t out_dim, uint32_t in_dim, struct tensor *weights)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < routes->expert_count; i++) {
        bool used = routes->ends[i] > first;
        weights[i] = (struct tensor){
            .data = used ? kernel_rig_weights(random, dtype, (size_t)out_dim * in_dim) : NULL,
            .dtype = dtype,
            .dim_count = 2,
            .shape = {out_dim, in_dim},
        };
        first = routes->ends[i];
    }
}

static void close_experts(const struct expert_routes *routes, const struct tensor *weights)
{
    for (uint32_t i = 0; i < routes->expert_count; i++) {
        if (weights[i].data != NULL) {
            kernel_rig_free((void *)weights[i].data);
        }
    }
}

/* Each place is what matmul makes of that row alone with the weights and bias of its expert. */
static void check_products(enum isa isa, const struct shape *shape, enum dtype dtype, bool biased)
{
    uint64_t random = shape->expert_count;
    uint32_t block = quant_format_get(dtype)->block_values;
    uint32_t in_dim = block > 1 ? block : shape->dim;
    uint32_t out_dim = 21;
    size_t choice_count = (size_t)shape->row_count * shape->used_count;
    struct backend *be = kernel_rig_backend(isa, 2);
    struct expert_routes routes = open_routes(shape);
    float *scores = kernel_rig_floats(&random, (size_t)shape->row_count * shape->expert_count);
    float *in = kernel_rig_floats(&random, (size_t)shape->row_count * in_dim);
    float *gathered = kernel_rig_alloc(choice_count * in_dim * sizeof *gathered);
    float *out = kernel_rig_alloc(choice_count * out_dim * sizeof *out);
    float *alone = kernel_rig_alloc(out_dim * sizeof *alone);
    float *bias = kernel_rig_floats(&random, (size_t)shape->expert_count * out_dim);
    struct tensor *weights = calloc(shape->expert_count, sizeof *weights);
    assert_non_null(weights);
    route(be, &routes, scores, false);
    open_experts(&random, &routes, dtype, out_dim, in_dim, weights);
    be->ops->experts_gather(be, &(struct experts_gather_args){
                                    .out = gathered, .in = in, .routes = &routes, .dim = in_dim});
    be->ops->experts_matmul(be, &(struct experts_matmul_args){.out = out,
                                                              .in = gathered,
                                                              .weights = weights,
                                                              .bias = biased ? bias : NULL,
                                                              .routes = &routes});
    for (uint32_t i = 0; i < choice_count; i++) {
        uint32_t place = routes.places[i];
        const float *row = in + (size_t)(i / shape->used_count) * in_dim;
        assert_memory_equal(gathered + (size_t)place * in_dim, row, in_dim * sizeof *row);
        uint32_t expert = experts_rig_expert_at(&routes, place);
        be->ops->matmul(be, &(struct matmul_args){
                                .out = alone,
                                .in = row,
                                .weight = &weights[expert],
                                .bias = biased ? bias + (size_t)expert * out_dim : NULL,
                                .row_count = 1,
                            });
        assert_memory_equal(out + (size_t)place * out_dim, alone, out_dim * sizeof *alone);
    }
    close_experts(&routes, weights);
    experts_rig_close(&routes);
    free(weights);
    kernel_rig_free(scores);
    kernel_rig_free(in);
    kernel_rig_free(gathered);
    kernel_rig_free(out);
    kernel_rig_free(alone);
    kernel_rig_free(bias);
}

static void each_choice_is_multiplied_by_its_expert_as_if_alone(void **state)
{
    (void)state;
    static const enum dtype dtypes[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_Q8_0,
                                        DTYPE_Q4_0, DTYPE_Q4_K, DTYPE_MXFP4};
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
            for (size_t s = 0; s < SHAPE_COUNT; s++) {
                check_products(isas[i], &shapes[s], dtypes[d], false);
                check_products(isas[i], &shapes[s], dtypes[d], true);
            }
        }
    }
}

/* ---- the sum ---- */

/* All inputs of a combine and where they came from. */
struct sum_case {
    const struct shape *shape;
    struct expert_routes routes;
    float *in;
    float *residual;
    float *shared;
    float *gate;
    float *out;
};

static void open_sum(struct sum_case *c, const struct shape *shape)
{
    uint64_t random = shape->dim;
    size_t choice_count = (size_t)shape->row_count * shape->used_count;
    *c = (struct sum_case){.shape = shape, .routes = open_routes(shape)};
    float *scores = kernel_rig_floats(&random, (size_t)shape->row_count * shape->expert_count);
    route(kernel_rig_backend(ISA_AUTO, 1), &c->routes, scores, false);
    kernel_rig_free(scores);
    c->in = kernel_rig_floats(&random, choice_count * shape->dim);
    c->residual = kernel_rig_floats(&random, (size_t)shape->row_count * shape->dim);
    c->shared = kernel_rig_floats(&random, (size_t)shape->row_count * shape->dim);
    c->gate = kernel_rig_floats(&random, shape->row_count);
    c->out = kernel_rig_alloc((size_t)shape->row_count * shape->dim * sizeof(float));
}

static void close_sum(const struct sum_case *c)
{
    experts_rig_close(&c->routes);
    kernel_rig_free(c->in);
    kernel_rig_free(c->residual);
    kernel_rig_free(c->shared);
    kernel_rig_free(c->gate);
    kernel_rig_free(c->out);
}

static void combine(struct backend *be, const struct sum_case *c, float *out, const float *residual,
                    bool shared)
{
    be->ops->experts_combine(be, &(struct experts_combine_args){
                                     .out = out,
                                     .in = c->in,
                                     .residual = residual,
                                     .shared = shared ? c->shared : NULL,
                                     .shared_gate = shared ? c->gate : NULL,
                                     .routes = &c->routes,
                                     .dim = c->shape->dim,
                                 });
}

static void assert_sums(const struct sum_case *c, bool shared)
{
    uint32_t dim = c->shape->dim;
    uint32_t used_count = c->shape->used_count;
    for (size_t i = 0; i < (size_t)c->shape->row_count * dim; i++) {
        size_t row = i / dim;
        double sum = (double)c->residual[i];
        double scale = fabs(sum);
        for (uint32_t rank = 0; rank < used_count; rank++) {
            size_t choice = row * used_count + rank;
            size_t place = c->routes.places[choice];
            double term = (double)c->routes.weights[choice] * (double)c->in[place * dim + i % dim];
            sum += term;
            scale += fabs(term);
        }
        if (shared) {
            double share = c->gate != NULL ? 1.0 / (1.0 + exp(-(double)c->gate[row])) : 1.0;
            double term = (double)c->shared[i] * share;
            sum += term;
            scale += fabs(term);
        }
        assert_true(fabs(sum - (double)c->out[i]) <= 1e-6 * scale);
    }
}

/* The same row's choices as a step of their own. */
static void assert_sum_alone(struct backend *be, const struct sum_case *c, uint32_t row)
{
    struct shape shape = {1, c->shape->expert_count, c->shape->used_count, c->shape->dim};
    size_t row_bytes = shape.dim * sizeof(float);
    struct sum_case one = {
        .shape = &shape,
        .routes = open_routes(&shape),
        .in = kernel_rig_alloc(shape.used_count * row_bytes),
        .shared = c->shared + (size_t)row * shape.dim,
        .gate = c->gate + row,
        .out = kernel_rig_alloc(row_bytes),
    };
    for (uint32_t rank = 0; rank < shape.used_count; rank++) {
        size_t choice = (size_t)row * shape.used_count + rank;
        one.routes.places[rank] = shape.used_count - 1 - rank;
        one.routes.weights[rank] = c->routes.weights[choice];
        memcpy(one.in + (size_t)one.routes.places[rank] * shape.dim,
               c->in + (size_t)c->routes.places[choice] * shape.dim, row_bytes);
    }
    combine(be, &one, one.out, c->residual + (size_t)row * shape.dim, true);
    assert_memory_equal(one.out, c->out + (size_t)row * shape.dim, row_bytes);
    experts_rig_close(&one.routes);
    kernel_rig_free(one.in);
    kernel_rig_free(one.out);
}

static void a_row_sums_its_experts_whatever_the_other_rows_do(void **state)
{
    (void)state;
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (size_t s = 0; s < (size_t)SHAPE_COUNT * isa_count; s++) {
        struct sum_case c;
        open_sum(&c, &shapes[s / isa_count]);
        struct backend *be = kernel_rig_backend(isas[s % isa_count], 1 + (uint32_t)s % 3);
        combine(be, &c, c.out, c.residual, false);
        assert_sums(&c, false);
        struct sum_case ungated = c;
        ungated.gate = NULL;
        combine(be, &ungated, c.out, c.residual, true);
        assert_sums(&ungated, true);
        combine(be, &c, c.out, c.residual, true);
        assert_sums(&c, true);
        for (uint32_t row = 0; row < c.shape->row_count; row++) {
            assert_sum_alone(be, &c, row);
        }
        combine(be, &c, c.residual, c.residual, true); /* in place */
        assert_memory_equal(c.residual, c.out,
                            (size_t)c.shape->row_count * c.shape->dim * sizeof(float));
        close_sum(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_to_the_experts_of_their_highest_scores),
        cmocka_unit_test(among_equal_scores_the_lower_index_wins),
        cmocka_unit_test(scores_that_are_no_numbers_spoil_their_row_alone),
        cmocka_unit_test(the_most_experts_that_may_be_are_routed),
        cmocka_unit_test(each_choice_is_multiplied_by_its_expert_as_if_alone),
        cmocka_unit_test(a_row_sums_its_experts_whatever_the_other_rows_do),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
