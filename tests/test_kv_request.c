/* test_kv_request.c - memory of one request, empty and full.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/kv_cache.h"

static struct kv_cache cache;

static void open_cache(uint32_t block_count, uint32_t request_tokens_max)
{
    const struct kv_cache_options options = {
        .block_count = block_count,
        .block_tokens = 4,
        .layer_group_count = 2,
        .request_tokens_max = request_tokens_max,
        .prefix_caching = true,
    };
    assert_int_equal(kv_cache_init(&cache, &options, NULL), OK);
}

static void table_has_room_for_the_longest_request(void **state)
{
    (void)state;
    const uint32_t lengths[] = {1, 4, 5, 8, 9};
    const uint32_t blocks[] = {1, 1, 2, 2, 3};
    for (uint32_t i = 0; i < 5; i++) {
        struct kv_request request;
        open_cache(100, lengths[i]);
        assert_int_equal(kv_request_init(&request, &cache, NULL), OK);
        assert_int_equal(request.table.block_count_max, blocks[i]);
        kv_request_close(&request);
        kv_cache_close(&cache);
    }
}

static void table_never_needs_more_blocks_than_there_are(void **state)
{
    (void)state;
    struct kv_request request;
    open_cache(3, 1000000);
    assert_int_equal(kv_request_init(&request, &cache, NULL), OK);
    assert_int_equal(request.table.block_count_max, 3);
    assert_true(kv_cache_reserve(&cache, &request, 12));
    kv_cache_release(&cache, &request);
    kv_request_close(&request);
    kv_cache_close(&cache);
}

static void request_is_empty_until_it_holds_a_block_and_after_release(void **state)
{
    (void)state;
    const uint32_t token_ids[] = {1, 2, 3, 4, 5};
    struct kv_request request;
    open_cache(3, 12);
    assert_int_equal(kv_request_init(&request, &cache, NULL), OK);
    assert_true(kv_request_empty(&request));
    assert_true(kv_cache_reserve(&cache, &request, 5));
    assert_false(kv_request_empty(&request));
    kv_cache_fill(&cache, &request, 5);
    kv_cache_commit(&cache, &request, 0, token_ids, 5);
    kv_cache_release(&cache, &request);
    assert_true(kv_request_empty(&request));
    assert_int_equal(kv_cache_filled(&cache, &request, 1), 0);
    kv_request_close(&request);
    kv_request_close(&request); /* accepts a closed one */
    kv_cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_has_room_for_the_longest_request),
        cmocka_unit_test(table_never_needs_more_blocks_than_there_are),
        cmocka_unit_test(request_is_empty_until_it_holds_a_block_and_after_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
