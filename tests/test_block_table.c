/* test_block_table.c - positions to slots, and growth at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/block_table.h"

static void slot_is_the_block_then_the_offset(void **state)
{
    (void)state;
    struct block_table table;
    assert_int_equal(block_table_init(&table, 3, NULL), OK);
    block_table_push(&table, 7);
    block_table_push(&table, 0);
    block_table_push(&table, 2);
    assert_int_equal(block_table_slot(&table, 0, 4), 28);
    assert_int_equal(block_table_slot(&table, 3, 4), 31);
    assert_int_equal(block_table_slot(&table, 4, 4), 0);
    assert_int_equal(block_table_slot(&table, 7, 4), 3);
    assert_int_equal(block_table_slot(&table, 8, 4), 8);
    assert_int_equal(block_table_slot(&table, 11, 4), 11);
    block_table_release(&table);
}

static void slots_work_for_blocks_of_one_and_of_odd_sizes(void **state)
{
    (void)state;
    struct block_table table;
    assert_int_equal(block_table_init(&table, 2, NULL), OK);
    block_table_push(&table, 5);
    block_table_push(&table, 9);
    assert_int_equal(block_table_slot(&table, 0, 1), 5);
    assert_int_equal(block_table_slot(&table, 1, 1), 9);
    assert_int_equal(block_table_slot(&table, 2, 3), 17);
    assert_int_equal(block_table_slot(&table, 3, 3), 27);
    block_table_release(&table);
}

static void blocks_leave_in_reverse_order(void **state)
{
    (void)state;
    struct block_table table;
    assert_int_equal(block_table_init(&table, 4, NULL), OK);
    for (uint32_t i = 0; i < 4; i++) {
        block_table_push(&table, 10 + i);
    }
    assert_int_equal(table.block_count, table.block_count_max);
    for (uint32_t i = 4; i > 0; i--) {
        assert_int_equal(block_table_take_last(&table), 10 + i - 1);
        assert_int_equal(table.block_count, i - 1);
    }
    block_table_push(&table, 3);
    assert_int_equal(table.block_ids[0], 3);
    block_table_release(&table);
}

static void released_table_is_empty_and_may_be_released_again(void **state)
{
    (void)state;
    struct block_table table;
    assert_int_equal(block_table_init(&table, 4, NULL), OK);
    block_table_release(&table);
    assert_null(table.block_ids);
    assert_int_equal(table.block_count_max, 0);
    block_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slot_is_the_block_then_the_offset),
        cmocka_unit_test(slots_work_for_blocks_of_one_and_of_odd_sizes),
        cmocka_unit_test(blocks_leave_in_reverse_order),
        cmocka_unit_test(released_table_is_empty_and_may_be_released_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
