/* test_block_pool.c - references, and the order in which free blocks are reused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/block_pool.h"

enum {
    BLOCKS = 6
};

static struct block_pool pool;

static int open_pool(void **state)
{
    (void)state;
    return block_pool_init(&pool, BLOCKS, NULL) == OK ? 0 : -1;
}

static int close_pool(void **state)
{
    (void)state;
    block_pool_check(&pool);
    block_pool_release(&pool);
    return 0;
}

static void take_all(void)
{
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_not_equal(block_pool_alloc(&pool), BLOCK_NONE);
    }
    assert_int_equal(pool.free_count, 0);
}

static void fresh_pool_gives_each_block_once(void **state)
{
    (void)state;
    bool seen[BLOCKS] = {false};
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uint32_t block_id = block_pool_alloc(&pool);
        assert_true(block_id < BLOCKS);
        assert_false(seen[block_id]);
        assert_int_equal(block_pool_refcount(&pool, block_id), 1);
        seen[block_id] = true;
        block_pool_check(&pool);
    }
    assert_int_equal(block_pool_alloc(&pool), BLOCK_NONE);
}

static void shared_block_is_free_after_last_put(void **state)
{
    (void)state;
    uint32_t block_id = block_pool_alloc(&pool);
    block_pool_get(&pool, block_id);
    block_pool_get(&pool, block_id);
    assert_int_equal(block_pool_refcount(&pool, block_id), 3);
    block_pool_put(&pool, block_id);
    block_pool_put(&pool, block_id);
    assert_int_equal(pool.free_count, BLOCKS - 1);
    block_pool_put(&pool, block_id);
    assert_int_equal(pool.free_count, BLOCKS);
    assert_int_equal(block_pool_refcount(&pool, block_id), 0);
}

static void blocks_are_reused_least_recently_freed_first(void **state)
{
    (void)state;
    take_all();
    const uint32_t order[BLOCKS] = {4, 0, 5, 2, 1, 3};
    for (uint32_t i = 0; i < BLOCKS; i++) {
        block_pool_put(&pool, order[i]);
        block_pool_check(&pool);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(block_pool_alloc(&pool), order[i]);
    }
}

static void worthless_blocks_are_reused_before_all_others(void **state)
{
    (void)state;
    take_all();
    block_pool_put(&pool, 3);
    block_pool_put_worthless(&pool, 1);
    block_pool_put(&pool, 4);
    block_pool_put_worthless(&pool, 0);
    block_pool_check(&pool);
    const uint32_t order[] = {0, 1, 3, 4};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(block_pool_alloc(&pool), order[i]);
    }
}

static void worthless_put_of_a_shared_block_only_drops_a_reference(void **state)
{
    (void)state;
    uint32_t block_id = block_pool_alloc(&pool);
    block_pool_get(&pool, block_id);
    block_pool_put_worthless(&pool, block_id);
    assert_int_equal(block_pool_refcount(&pool, block_id), 1);
    assert_int_equal(pool.free_count, BLOCKS - 1);
    block_pool_put_worthless(&pool, block_id);
    assert_int_equal(block_pool_alloc(&pool), block_id);
}

/* A prefix hit on a free block: it leaves the list wherever it stands in it. */
static void free_block_is_revived_from_head_middle_and_tail(void **state)
{
    (void)state;
    const uint32_t revived[] = {0, 3, BLOCKS - 1}; /* a fresh pool lists 0, 1, 2, ... */
    for (uint32_t i = 0; i < 3; i++) {
        block_pool_get(&pool, revived[i]);
        assert_int_equal(block_pool_refcount(&pool, revived[i]), 1);
        assert_int_equal(pool.free_count, BLOCKS - 1 - i);
        block_pool_check(&pool);
    }
    assert_int_equal(block_pool_alloc(&pool), 1);
    assert_int_equal(block_pool_alloc(&pool), 2);
    assert_int_equal(block_pool_alloc(&pool), 4);
    assert_int_equal(block_pool_alloc(&pool), BLOCK_NONE);
}

static void revived_block_is_young_again(void **state)
{
    (void)state;
    block_pool_get(&pool, 0);
    block_pool_put(&pool, 0);
    for (uint32_t i = 1; i < BLOCKS; i++) {
        assert_int_equal(block_pool_alloc(&pool), i);
    }
    assert_int_equal(block_pool_alloc(&pool), 0);
}

static void pool_of_one_block_works(void **state)
{
    (void)state;
    struct block_pool small;
    assert_int_equal(block_pool_init(&small, 1, NULL), OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(block_pool_alloc(&small), 0);
        assert_int_equal(block_pool_alloc(&small), BLOCK_NONE);
        block_pool_check(&small);
        block_pool_put(&small, 0);
        block_pool_check(&small);
    }
    block_pool_release(&small);
}

static void pool_without_blocks_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct block_pool none;
    assert_int_equal(block_pool_init(&none, 0, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "0 blocks"));
    block_pool_release(&none); /* accepts what init left */
    assert_int_equal(block_pool_init(&none, BLOCK_NONE, &err), ERR_INVALID);
    block_pool_release(&none);
}

/* Against the simplest thing that could work: an array in eviction order. */
static void million_random_operations_match_an_array(void **state)
{
    (void)state;
    uint32_t order[BLOCKS];
    uint32_t free_count = BLOCKS;
    uint32_t refcount[BLOCKS] = {0};
    uint64_t random = 1;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        order[i] = i;
    }
    for (uint32_t step = 0; step < 1000000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t block_id = (uint32_t)(random >> 33) % BLOCKS;
        uint32_t action = (uint32_t)(random >> 50) % 4;
        if (action == 0) {
            uint32_t expected = free_count == 0 ? BLOCK_NONE : order[0];
            assert_int_equal(block_pool_alloc(&pool), expected);
            block_id = expected;
        } else if (action == 1) {
            block_pool_get(&pool, block_id);
        } else if (refcount[block_id] > 0) {
            refcount[block_id]--;
            uint32_t at = action == 2 ? free_count : 0;
            if (refcount[block_id] == 0) {
                memmove(&order[at + 1], &order[at], (free_count - at) * sizeof order[0]);
                order[at] = block_id;
                free_count++;
            }
            action == 2 ? block_pool_put(&pool, block_id)
                        : block_pool_put_worthless(&pool, block_id);
        }
        if (action < 2 && block_id != BLOCK_NONE) {
            for (uint32_t i = 0; i < free_count; i++) {
                if (order[i] == block_id) {
                    free_count--;
                    memmove(&order[i], &order[i + 1], (free_count - i) * sizeof order[0]);
                }
            }
            refcount[block_id]++;
        }
        assert_int_equal(pool.free_count, free_count);
        if (step % 16 == 0) {
            block_pool_check(&pool);
        }
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(block_pool_refcount(&pool, i), refcount[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fresh_pool_gives_each_block_once, open_pool, close_pool),
        cmocka_unit_test_setup_teardown(shared_block_is_free_after_last_put, open_pool, close_pool),
        cmocka_unit_test_setup_teardown(blocks_are_reused_least_recently_freed_first, open_pool,
                                        close_pool),
        cmocka_unit_test_setup_teardown(worthless_blocks_are_reused_before_all_others, open_pool,
                                        close_pool),
        cmocka_unit_test_setup_teardown(worthless_put_of_a_shared_block_only_drops_a_reference,
                                        open_pool, close_pool),
        cmocka_unit_test_setup_teardown(free_block_is_revived_from_head_middle_and_tail, open_pool,
                                        close_pool),
        cmocka_unit_test_setup_teardown(revived_block_is_young_again, open_pool, close_pool),
        cmocka_unit_test(pool_of_one_block_works),
        cmocka_unit_test(pool_without_blocks_is_refused),
        cmocka_unit_test_setup_teardown(million_random_operations_match_an_array, open_pool,
                                        close_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
