/* test_loading.c - what those who wait for a model are told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/engine_rig.h"

#include "engine/loading.h"

static void nothing_is_known_at_first(void **state)
{
    struct loading loading = {0};
    struct loading_state seen = loading_read(&loading);
    (void)state;
    assert_string_equal(seen.phase_name, "opening");
    assert_int_equal(seen.percent, 0);
    assert_int_equal(seen.total_bytes, 0);
}

static void percent_is_of_the_weights_and_rounded_down(void **state)
{
    struct loading loading = {0};
    (void)state;
    loading_expect(&loading, UINT64_C(3) << 40);
    loading_enter(&loading, LOADING_WEIGHTS);
    loading_add(&loading, UINT64_C(1) << 40);
    loading_add(&loading, UINT64_C(1) << 40);
    struct loading_state seen = loading_read(&loading);
    assert_string_equal(seen.phase_name, "weights");
    assert_int_equal(seen.percent, 66);
    assert_true(seen.bytes == UINT64_C(2) << 40 && seen.total_bytes == UINT64_C(3) << 40);
}

static void never_more_than_all_of_them(void **state)
{
    struct loading loading = {0};
    (void)state;
    loading_expect(&loading, 10);
    loading_enter(&loading, LOADING_WEIGHTS);
    loading_add(&loading, 25);
    assert_int_equal(loading_read(&loading).bytes, 10);
    assert_int_equal(loading_read(&loading).percent, 100);
}

static void later_phases_have_all_weights(void **state)
{
    struct loading loading = {0};
    (void)state;
    loading_expect(&loading, 10);
    for (int phase = LOADING_TOKENIZER; phase < LOADING_PHASE_COUNT; phase++) {
        loading_enter(&loading, (enum loading_phase)phase);
        assert_int_equal(loading_read(&loading).bytes, 10);
        assert_int_equal(loading_read(&loading).percent, 100);
        assert_true(strlen(loading_read(&loading).phase_name) > 0);
    }
}

static void nobody_need_listen(void **state)
{
    (void)state;
    loading_enter(NULL, LOADING_MEMORY);
    loading_expect(NULL, 1);
    loading_add(NULL, 1);
}

static void an_engine_that_opens_tells_of_every_byte(void **state)
{
    static const char *const flags[] = {NULL};
    struct engine_rig rig;
    struct loading loading = {0};
    struct error err = {0};
    (void)state;
    engine_rig_prepare(&rig, flags);
    assert_int_equal(engine_open(&rig.engine, &rig.config, &loading, &err), OK);
    assert_int_equal(loading_read(&loading).phase, LOADING_MEMORY);
    assert_int_equal(loading.total_bytes, engine_info(rig.engine)->weight_bytes);
    assert_int_equal(loading.bytes, loading.total_bytes);
    engine_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(percent_is_of_the_weights_and_rounded_down),
        cmocka_unit_test(never_more_than_all_of_them),
        cmocka_unit_test(later_phases_have_all_weights),
        cmocka_unit_test(nobody_need_listen),
        cmocka_unit_test(an_engine_that_opens_tells_of_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
