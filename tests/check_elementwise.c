/* check_elementwise.c - what is done value by value: activations, sums with a factor, capped
 * logits. Every table this machine can run, through the backend: against float64 arithmetic, and
 * against itself bit for bit wherever in memory, in whatever company and on whatever thread a
 * value is worked out. SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/backend.h"

#include <math.h>

enum {
    ROWS = 33
};

static const uint32_t DIMS[] = {1, 7, 16, 31, 33, 64, 172, 2051};

enum {
    DIM_COUNT = sizeof DIMS / sizeof DIMS[0]
};

/* Runs the check on every table and row length, for cases 0 .. case_count - 1. */
static void for_all(void (*check)(enum isa isa, uint32_t dim, int which), int case_count)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    for (uint32_t i = 0; i < isa_count; i++) {
        for (size_t d = 0; d < DIM_COUNT; d++) {
            for (int which = 0; which < case_count; which++) {
                check(isas[i], DIMS[d], which);
            }
        }
    }
}

/* Values of which every third is far from zero, every fifth close to it. */
static float *open_values(uint64_t *random, size_t count)
{
    float *values = kernel_rig_floats(random, count);
    for (size_t i = 0; i < count; i++) {
        values[i] *= i % 3 == 0 ? 40.0f : 1.0f;
        values[i] *= i % 5 == 0 ? 1e-4f : 1.0f;
    }
    return values;
}

static float *copy_of(const float *values, size_t count)
{
    float *copy = kernel_rig_alloc(count * sizeof *copy);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

/* ---- activations ---- */

static double activation_of(double x, enum activation activation)
{
    switch (activation) {
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ACTIVATION_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    default:
        return fmax(x, 0);
    }
}

/* Far below zero the result is tiny and only its absolute size matters; ReLU is exact. */
static void check_activation(double expected, float value, double magnitude,
                             enum activation activation, const char *what)
{
    if (activation == ACTIVATION_RELU) {
        assert_true((float)expected == value);
    } else {
        kernel_rig_near(expected, value, fabs(expected) + 0.02 * magnitude, 4e-6, what);
    }
}

static double gated_of(double gate, double up, enum activation activation)
{
    if (activation == ACTIVATION_SWIGLU_CLAMPED) {
        gate = fmin(gate, 7);
        return gate / (1 + exp(-1.702 * gate)) * (fmax(fmin(up, 7), -7) + 1);
    }
    return activation_of(gate, activation) * up;
}

static void check_gated(enum isa isa, uint32_t dim, int which)
{
    enum activation activation = (enum activation)which;
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *gate = open_values(&random, count);
    float *up = open_values(&random, count);
    float *out = kernel_rig_alloc(count * sizeof *out);
    float *single = kernel_rig_alloc(dim * sizeof *single);
    struct backend *be = kernel_rig_backend(isa, 2);
    struct gated_activation_args args = {.out = out,
                                         .gate = gate,
                                         .up = up,
                                         .row_count = ROWS,
                                         .dim = dim,
                                         .activation = activation};
    be->ops->gated_activation(be, &args);
    for (size_t i = 0; i < count; i++) {
        double expected = gated_of((double)gate[i], (double)up[i], activation);
        double magnitude = fabs((double)gate[i]) * (fabs((double)up[i]) + 1);
        check_activation(expected, out[i], magnitude, activation, "gated activation");
    }
    for (size_t m = 0; m < ROWS; m++) {
        struct gated_activation_args alone = args;
        alone.gate = gate + m * dim;
        alone.up = up + m * dim;
        alone.out = single;
        alone.row_count = 1;
        be->ops->gated_activation(be, &alone);
        kernel_rig_same_bits(out + m * dim, single, dim, "gated activation of one row");
    }
    args.out = gate;
    be = kernel_rig_backend(isa, 1);
    be->ops->gated_activation(be, &args);
    kernel_rig_same_bits(out, gate, count, "gated activation in place, by one thread");
    kernel_rig_free(gate);
    kernel_rig_free(up);
    kernel_rig_free(out);
    kernel_rig_free(single);
}

static void gated_activation_is_right_and_row_invariant(void **state)
{
    (void)state;
    for_all(check_gated, ACTIVATION_COUNT);
}

static void check_ungated(enum isa isa, uint32_t dim, int which)
{
    enum activation activation = (enum activation)which;
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *in = open_values(&random, count);
    float *x = copy_of(in, count);
    struct backend *be = kernel_rig_backend(isa, 2);
    struct activate_args args = {.x = x, .row_count = ROWS, .dim = dim, .activation = activation};
    be->ops->activate(be, &args);
    for (size_t i = 0; i < count; i++) {
        double expected = activation_of((double)in[i], activation);
        check_activation(expected, x[i], fabs((double)in[i]), activation, "activation");
    }
    for (size_t m = 0; m < ROWS; m++) {
        float *single = copy_of(in + m * dim, dim);
        be->ops->activate(be,
                          &(struct activate_args){
                              .x = single, .row_count = 1, .dim = dim, .activation = activation});
        kernel_rig_same_bits(x + m * dim, single, dim, "activation of one row");
        kernel_rig_free(single);
    }
    args.x = in;
    be = kernel_rig_backend(isa, 1);
    be->ops->activate(be, &args);
    kernel_rig_same_bits(x, in, count, "activation by one thread");
    kernel_rig_free(in);
    kernel_rig_free(x);
}

static void activation_is_right_and_row_invariant(void **state)
{
    (void)state;
    for_all(check_ungated, ACTIVATION_SWIGLU_CLAMPED);
}

/* GELU keeps its digits where it is tiny, and where 1 + erf would be a difference of near ones. */
static void gelu_is_right_to_its_last_digits_on_both_sides(void **state)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        enum {
            HALF = 2000, /* steps to each side of zero */
            STEPS = 2 * HALF + 1
        };
        struct backend *be = kernel_rig_backend(isas[i], 1);
        float *x = kernel_rig_alloc(STEPS * sizeof *x);
        for (int s = 0; s < STEPS; s++) {
            x[s] = (float)(s - HALF) * 0.0025f;
        }
        be->ops->activate(be,
                          &(struct activate_args){
                              .x = x, .row_count = 1, .dim = STEPS, .activation = ACTIVATION_GELU});
        for (int s = 0; s < STEPS; s++) {
            double in = (double)((float)(s - HALF) * 0.0025f);
            double expected = activation_of(in, ACTIVATION_GELU);
            assert_true(fabs(expected - (double)x[s]) <= 3e-6 * fabs(expected));
        }
        kernel_rig_free(x);
    }
}

static void activations_keep_nan_and_survive_extremes(void **state)
{
    enum {
        COUNT = 6
    };
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (int which = 0; which < (int)isa_count * ACTIVATION_SWIGLU_CLAMPED; which++) {
        struct backend *be = kernel_rig_backend(isas[which / ACTIVATION_SWIGLU_CLAMPED], 1);
        enum activation activation = (enum activation)(which % ACTIVATION_SWIGLU_CLAMPED);
        const float gate[COUNT] = {NAN, 1e4f, -1e4f, 0.0f, -90.0f, INFINITY};
        const float up[COUNT] = {1, 1, 1, 1, 1, 1};
        float outs[2][COUNT];
        be->ops->gated_activation(be, &(struct gated_activation_args){.out = outs[0],
                                                                      .gate = gate,
                                                                      .up = up,
                                                                      .row_count = 1,
                                                                      .dim = COUNT,
                                                                      .activation = activation});
        memcpy(outs[1], gate, sizeof gate);
        be->ops->activate(
            be, &(struct activate_args){
                    .x = outs[1], .row_count = 1, .dim = COUNT, .activation = activation});
        for (int o = 0; o < 2; o++) {
            assert_true(isnan(outs[o][0]));
            assert_true(outs[o][1] == 1e4f);
            assert_true(fabsf(outs[o][2]) < 1e-30f && fabsf(outs[o][4]) < 1e-30f);
            assert_true(outs[o][3] == 0.0f);
            assert_true(outs[o][5] == INFINITY);
        }
    }
}

static void clamped_swiglu_keeps_nan_and_stays_in_its_bounds(void **state)
{
    enum {
        COUNT = 5
    };
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct backend *be = kernel_rig_backend(isas[i], 1);
        const float gate[COUNT] = {NAN, 2.0f, INFINITY, 1e4f, -1e4f};
        const float up[COUNT] = {1.0f, NAN, INFINITY, -INFINITY, 3.0f};
        float out[COUNT];
        be->ops->gated_activation(
            be, &(struct gated_activation_args){.out = out,
                                                .gate = gate,
                                                .up = up,
                                                .row_count = 1,
                                                .dim = COUNT,
                                                .activation = ACTIVATION_SWIGLU_CLAMPED});
        assert_true(isnan(out[0]) && isnan(out[1]));
        kernel_rig_near(gated_of(7, 7, ACTIVATION_SWIGLU_CLAMPED), out[2], 56, 1e-6, "high");
        kernel_rig_near(gated_of(7, -7, ACTIVATION_SWIGLU_CLAMPED), out[3], 42, 1e-6, "low");
        assert_true(fabsf(out[4]) < 1e-30f);
    }
}

/* ---- sums ---- */

static void check_add_scaled(enum isa isa, uint32_t dim, int which)
{
    static const float SCALES[] = {1.0f, 0.22f, -3.0f};
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *a = open_values(&random, count);
    float *b = open_values(&random, count);
    float *out = kernel_rig_alloc(count * sizeof *out);
    float *single = kernel_rig_alloc(dim * sizeof *single);
    struct backend *be = kernel_rig_backend(isa, 2);
    struct add_scaled_args args = {
        .out = out, .a = a, .b = b, .row_count = ROWS, .dim = dim, .scale = SCALES[which]};
    be->ops->add_scaled(be, &args);
    for (size_t i = 0; i < count; i++) {
        double term = (double)args.scale * (double)b[i];
        double scale = fabs((double)a[i]) + fabs(term);
        kernel_rig_near((double)a[i] + term, out[i], scale, 2e-7, "add_scaled");
        assert_true(args.scale != 1.0f || out[i] == a[i] + b[i]);
    }
    for (size_t m = 0; m < ROWS; m++) {
        struct add_scaled_args alone = args;
        alone.out = single;
        alone.a += m * dim;
        alone.b += m * dim;
        alone.row_count = 1;
        be->ops->add_scaled(be, &alone);
        kernel_rig_same_bits(out + m * dim, single, dim, "add_scaled of one row");
    }
    float *a_copy = copy_of(a, count);
    struct add_scaled_args in_place = args;
    in_place.out = a;
    be = kernel_rig_backend(isa, 1);
    be->ops->add_scaled(be, &in_place);
    kernel_rig_same_bits(out, a, count, "add_scaled onto a, by one thread");
    in_place.a = a_copy;
    in_place.out = b;
    be->ops->add_scaled(be, &in_place);
    kernel_rig_same_bits(out, b, count, "add_scaled onto b");
    kernel_rig_free(a);
    kernel_rig_free(a_copy);
    kernel_rig_free(b);
    kernel_rig_free(out);
    kernel_rig_free(single);
}

static void add_scaled_is_right_and_row_invariant(void **state)
{
    (void)state;
    for_all(check_add_scaled, 3);
}

/* ---- logits ---- */

static void check_scale_cap(enum isa isa, uint32_t dim, int which)
{
    static const float SCALES[] = {1.0f, 0.0625f, 1.0f, 2.5f};
    static const float CAPS[] = {0.0f, 0.0f, 30.0f, 50.0f};
    uint64_t random = dim;
    size_t count = (size_t)ROWS * dim;
    float *in = open_values(&random, count);
    float *x = copy_of(in, count);
    struct backend *be = kernel_rig_backend(isa, 2);
    struct scale_cap_args args = {
        .x = x, .row_count = ROWS, .dim = dim, .scale = SCALES[which], .cap = CAPS[which]};
    be->ops->scale_cap(be, &args);
    for (size_t i = 0; i < count; i++) {
        if (args.cap > 0) {
            double cap = (double)args.cap;
            double expected = cap * tanh((double)in[i] * (double)args.scale / cap);
            /* small values keep their digits */
            assert_true(fabs(expected - (double)x[i]) <= 1e-6 * fabs(expected));
            assert_true(fabsf(x[i]) <= args.cap);
        } else {
            assert_true(x[i] == in[i] * args.scale);
        }
    }
    for (size_t m = 0; m < ROWS; m++) {
        float *single = copy_of(in + m * dim, dim);
        struct scale_cap_args alone = args;
        alone.x = single;
        alone.row_count = 1;
        be->ops->scale_cap(be, &alone);
        kernel_rig_same_bits(x + m * dim, single, dim, "scale_cap of one row");
        kernel_rig_free(single);
    }
    args.x = in;
    be = kernel_rig_backend(isa, 1);
    be->ops->scale_cap(be, &args);
    kernel_rig_same_bits(x, in, count, "scale_cap by one thread");
    kernel_rig_free(in);
    kernel_rig_free(x);
}

static void scale_cap_is_right_and_row_invariant(void **state)
{
    (void)state;
    for_all(check_scale_cap, 4);
}

static void capped_logits_keep_nan_and_reach_the_cap(void **state)
{
    enum isa isas[3];
    uint32_t isa_count = kernel_rig_isas(isas);
    (void)state;
    for (uint32_t i = 0; i < isa_count; i++) {
        struct backend *be = kernel_rig_backend(isas[i], 1);
        float x[6] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0.0f};
        be->ops->scale_cap(be, &(struct scale_cap_args){
                                   .x = x, .row_count = 2, .dim = 3, .scale = 1.0f, .cap = 30.0f});
        assert_true(isnan(x[0]));
        assert_true(x[1] == 30.0f && x[2] == -30.0f && x[3] == 30.0f && x[4] == -30.0f);
        assert_true(x[5] == 0.0f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gated_activation_is_right_and_row_invariant),
        cmocka_unit_test(activation_is_right_and_row_invariant),
        cmocka_unit_test(gelu_is_right_to_its_last_digits_on_both_sides),
        cmocka_unit_test(activations_keep_nan_and_survive_extremes),
        cmocka_unit_test(clamped_swiglu_keeps_nan_and_stays_in_its_bounds),
        cmocka_unit_test(add_scaled_is_right_and_row_invariant),
        cmocka_unit_test(scale_cap_is_right_and_row_invariant),
        cmocka_unit_test(capped_logits_keep_nan_and_reach_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
