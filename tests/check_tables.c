/* check_tables.c - which inner loops a cap and a processor give.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kernels/cpu/cpu_ops.h"

static bool has_vnni(void)
{
    return strcmp(backend_isa_name(ISA_AUTO), "avx512") == 0 &&
           __builtin_cpu_supports("avx512vnni");
}

static void assert_integer_loops_of(const struct cpu_ops *ops, const struct cpu_ops *expected)
{
    assert_ptr_equal(ops->panel_quantize_wide, expected->panel_quantize_wide);
    assert_ptr_equal(ops->panel_quantize_bytes, expected->panel_quantize_bytes);
    for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
        assert_ptr_equal(ops->panel_dot_wide[kind], expected->panel_dot_wide[kind]);
        assert_ptr_equal(ops->panel_dot_bytes[kind], expected->panel_dot_bytes[kind]);
    }
}

static void avx512_without_vnni_multiplies_integers_as_avx2_does(void **state)
{
    struct cpu_ops avx2;
    struct cpu_ops old;
    struct cpu_ops best;
    (void)state;
    cpu_ops_select(&avx2, ISA_AVX2);
    cpu_ops_select(&old, ISA_AVX512_OLD);
    cpu_ops_select(&best, ISA_AVX512);
    assert_string_equal(backend_isa_name(ISA_AVX512_OLD), backend_isa_name(ISA_AVX512));
    assert_integer_loops_of(&old, &avx2);
    assert_string_equal(old.name, best.name);
    assert_ptr_equal(old.scores, best.scores);
    assert_ptr_equal(old.rmsnorm, best.rmsnorm);
    if (has_vnni()) {
        assert_ptr_not_equal(best.panel_quantize_wide, avx2.panel_quantize_wide);
        assert_non_null(best.panel_quantize_bytes);
        for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
            assert_non_null(best.panel_dot_bytes[kind]);
            assert_ptr_not_equal(best.panel_dot_wide[kind], avx2.panel_dot_wide[kind]);
        }
    } else {
        assert_integer_loops_of(&best, &avx2);
    }
}

static void every_table_is_whole(void **state)
{
    (void)state;
    for (int isa = ISA_SCALAR; isa <= ISA_AUTO; isa++) {
        struct cpu_ops ops;
        cpu_ops_select(&ops, (enum isa)isa);
        for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
            assert_non_null(ops.dequantize[dtype]);
            assert_non_null(ops.dot[dtype]);
        }
        for (int dtype = 0; dtype < CPU_OPS_STORED; dtype++) {
            assert_non_null(ops.store[dtype]);
        }
        for (int kind = 0; kind < PANEL_KIND_COUNT; kind++) {
            assert_non_null(ops.panel_dot_wide[kind]);
        }
        for (int activation = 0; activation < ACTIVATION_COUNT; activation++) {
            assert_non_null(ops.gated[activation]);
            assert_true((ops.activate[activation] == NULL) ==
                        (activation == ACTIVATION_SWIGLU_CLAMPED));
        }
        assert_true(ops.accumulate != NULL && ops.fold != NULL && ops.scores != NULL);
        assert_true(ops.softmax != NULL && ops.weigh != NULL && ops.rmsnorm != NULL);
        assert_true(ops.layernorm != NULL && ops.rope != NULL && ops.add_scaled != NULL);
        assert_true(ops.scale_cap != NULL && ops.panel_quantize_wide != NULL);
        assert_true(ops.lane_count > 0 && ops.lane_count <= CPU_OPS_LANES_MAX);
    }
}

static void a_cap_is_never_exceeded(void **state)
{
    (void)state;
    for (int isa = ISA_SCALAR; isa < ISA_AUTO; isa++) {
        assert_true(cpu_ops_isa((enum isa)isa) <= (enum isa)isa);
    }
    assert_true(cpu_ops_isa(ISA_AUTO) == cpu_ops_isa(ISA_AVX512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx512_without_vnni_multiplies_integers_as_avx2_does),
        cmocka_unit_test(every_table_is_whole),
        cmocka_unit_test(a_cap_is_never_exceeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
