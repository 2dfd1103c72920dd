/* test_workspace.c - the step's bump allocator.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "tests/support/kernel_rig.h"

#include "kernels/workspace.h"

static void pieces_are_aligned_and_do_not_overlap(void **state)
{
    struct workspace workspace;
    struct error err = {0};
    (void)state;
    assert_int_equal(workspace_init(&workspace, kernel_rig_backend(ISA_AUTO, 1), 1024, &err), OK);
    unsigned char *a = workspace_take(&workspace, 1);
    unsigned char *b = workspace_take(&workspace, 65);
    unsigned char *c = workspace_take(&workspace, 64);
    assert_int_equal((uintptr_t)a % WORKSPACE_ALIGNMENT, 0);
    assert_true(b - a == 64 && c - b == 128);
    assert_int_equal(workspace.used_bytes, 64 + 128 + 64);
    workspace_release(&workspace);
}

static void reset_gives_the_same_memory_again(void **state)
{
    struct workspace workspace;
    struct error err = {0};
    (void)state;
    assert_int_equal(workspace_init(&workspace, kernel_rig_backend(ISA_AUTO, 1), 256, &err), OK);
    void *first = workspace_take(&workspace, 256);
    workspace_reset(&workspace);
    assert_ptr_equal(workspace_take(&workspace, 100), first);
    workspace_release(&workspace);
    workspace_release(&workspace); /* an empty one is accepted */
}

static void plan_counts_what_take_uses(void **state)
{
    static const size_t SIZES[] = {0, 1, 63, 64, 65, 1000};
    struct workspace workspace;
    struct error err = {0};
    size_t planned = 0;
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        planned += workspace_piece_bytes(SIZES[i]);
    }
    assert_int_equal(workspace_init(&workspace, kernel_rig_backend(ISA_AUTO, 1), planned, &err),
                     OK);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        assert_non_null(workspace_take(&workspace, SIZES[i]));
    }
    assert_int_equal(workspace.used_bytes, planned);
    workspace_release(&workspace);
}

static void workspace_larger_than_memory_is_refused(void **state)
{
    struct workspace workspace;
    struct error err = {0};
    (void)state;
    assert_int_equal(workspace_init(&workspace, kernel_rig_backend(ISA_AUTO, 1), SIZE_MAX, &err),
                     ERR_MEMORY);
    workspace_release(&workspace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(reset_gives_the_same_memory_again),
        cmocka_unit_test(plan_counts_what_take_uses),
        cmocka_unit_test(workspace_larger_than_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, kernel_rig_close);
}
