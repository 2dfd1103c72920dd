/* test_kv_cache.c - match, reserve, fill, commit, rollback, fork, release, flush.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/kv_cache.h"

enum {
    BLOCKS = 8,
    TOKENS = 4,
    REQUESTS = 4,
    LENGTH = 32,
    SALT = 9
};

static struct kv_cache cache;
static struct kv_request requests[REQUESTS];
static uint32_t prompt[LENGTH]; /* 100, 101, 102, ... */

static int open_cache_with(uint32_t group_count, bool prefix_caching)
{
    const struct kv_cache_options options = {
        .block_count = BLOCKS,
        .block_tokens = TOKENS,
        .layer_group_count = group_count,
        .request_tokens_max = LENGTH,
        .prefix_caching = prefix_caching,
        .hash_key = {3, 4},
    };
    if (kv_cache_init(&cache, &options, NULL) != OK) {
        return -1;
    }
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (kv_request_init(&requests[i], &cache, NULL) != OK) {
            return -1;
        }
    }
    for (uint32_t i = 0; i < LENGTH; i++) {
        prompt[i] = 100 + i;
    }
    return 0;
}

static int open_cache(void **state)
{
    (void)state;
    return open_cache_with(1, true);
}

static int open_cache_of_three_groups(void **state)
{
    (void)state;
    return open_cache_with(3, true);
}

static int open_cache_without_prefixes(void **state)
{
    (void)state;
    return open_cache_with(1, false);
}

static int close_cache(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        kv_cache_check_request(&cache, &requests[i]);
        kv_cache_release(&cache, &requests[i]);
        kv_request_close(&requests[i]);
    }
    kv_cache_check(&cache);
    assert_int_equal(cache.pool.free_count, BLOCKS);
    kv_cache_close(&cache);
    return 0;
}

/* What a step does to a request: blocks, KV, final. */
static void compute(struct kv_request *request, const uint32_t *token_ids, uint32_t token_count)
{
    assert_true(kv_cache_reserve(&cache, request, token_count));
    kv_cache_fill(&cache, request, token_count);
    kv_cache_commit(&cache, request, SALT, token_ids, token_count);
    kv_cache_check_request(&cache, request);
    kv_cache_check(&cache);
}

static uint32_t match(struct kv_request *request, const uint32_t *token_ids, uint32_t token_count)
{
    return kv_cache_match(&cache, request, SALT, token_ids, token_count);
}

static void empty_cache_matches_nothing(void **state)
{
    (void)state;
    assert_int_equal(match(&requests[0], prompt, LENGTH), 0);
    assert_int_equal(cache.query_tokens, LENGTH);
    assert_int_equal(cache.hit_tokens, 0);
}

static void reserve_takes_whole_blocks_or_nothing(void **state)
{
    (void)state;
    assert_int_equal(kv_cache_needed(&cache, &requests[0], 1), 1);
    assert_int_equal(kv_cache_needed(&cache, &requests[0], TOKENS), 1);
    assert_int_equal(kv_cache_needed(&cache, &requests[0], TOKENS + 1), 2);
    assert_true(kv_cache_reserve(&cache, &requests[0], 5 * TOKENS));
    assert_int_equal(cache.pool.free_count, 3);
    assert_int_equal(kv_cache_needed(&cache, &requests[0], 5 * TOKENS), 0);
    assert_false(kv_cache_reserve(&cache, &requests[1], 4 * TOKENS));
    assert_int_equal(requests[1].table.block_count, 0);
    assert_int_equal(cache.pool.free_count, 3);
    assert_true(kv_cache_reserve(&cache, &requests[1], 3 * TOKENS));
    assert_true(kv_cache_reserve(&cache, &requests[1], 3 * TOKENS));
    assert_int_equal(cache.pool.free_count, 0);
}

static void second_request_shares_the_full_blocks_of_the_first(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 11);
    assert_int_equal(match(&requests[1], prompt, 11), 2 * TOKENS);
    assert_int_equal(requests[1].committed_tokens, 2 * TOKENS);
    assert_int_equal(kv_cache_filled(&cache, &requests[1], 0), 2 * TOKENS);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(requests[1].table.block_ids[i], requests[0].table.block_ids[i]);
        assert_int_equal(block_pool_refcount(&cache.pool, requests[0].table.block_ids[i]), 2);
    }
    assert_int_equal(cache.hit_tokens, 2 * TOKENS);
}

/* At every length around the edges of blocks. */
static void match_leaves_a_token_to_compute(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 4 * TOKENS);
    for (uint32_t token_count = 1; token_count <= 4 * TOKENS + 2; token_count++) {
        uint32_t expected = (token_count - 1) / TOKENS * TOKENS;
        assert_int_equal(match(&requests[1], prompt, token_count), expected);
        assert_true(expected < token_count);
        kv_cache_release(&cache, &requests[1]);
    }
}

static void match_ends_at_the_first_different_token(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 5 * TOKENS);
    for (uint32_t i = 0; i < 5 * TOKENS; i++) {
        uint32_t other[LENGTH];
        memcpy(other, prompt, sizeof other);
        other[i] = 7;
        assert_int_equal(match(&requests[1], other, LENGTH), i / TOKENS * TOKENS);
        kv_cache_release(&cache, &requests[1]);
    }
}

static void other_salt_matches_nothing(void **state)
{
    (void)state;
    compute(&requests[0], prompt, LENGTH - 4);
    assert_int_equal(kv_cache_match(&cache, &requests[1], SALT + 1, prompt, LENGTH), 0);
}

static void same_block_at_another_place_does_not_match(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 3 * TOKENS);
    assert_int_equal(match(&requests[1], prompt + TOKENS, 2 * TOKENS + 1), 0);
}

static void all_hashes_equal_still_give_the_right_blocks(void **state)
{
    (void)state;
    cache.index.hash_mask = 0;
    uint32_t other[LENGTH];
    memcpy(other, prompt, sizeof other);
    other[0] = 1; /* only the first block differs */
    compute(&requests[0], prompt, 3 * TOKENS);
    compute(&requests[1], other, 2 * TOKENS);
    assert_int_equal(match(&requests[2], other, LENGTH), 2 * TOKENS);
    assert_int_equal(requests[2].table.block_ids[1], requests[1].table.block_ids[1]);
    assert_int_equal(match(&requests[3], prompt, LENGTH), 3 * TOKENS);
    assert_int_equal(requests[3].table.block_ids[1], requests[0].table.block_ids[1]);
}

static void only_committed_full_blocks_are_found(void **state)
{
    (void)state;
    assert_true(kv_cache_reserve(&cache, &requests[0], 3 * TOKENS));
    kv_cache_fill(&cache, &requests[0], 3 * TOKENS);
    assert_int_equal(match(&requests[1], prompt, LENGTH), 0);
    kv_cache_commit(&cache, &requests[0], SALT, prompt, 2 * TOKENS - 1);
    assert_int_equal(match(&requests[1], prompt, LENGTH), TOKENS);
}

static void released_blocks_are_found_until_reused(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 3 * TOKENS);
    kv_cache_release(&cache, &requests[0]);
    assert_int_equal(cache.pool.free_count, BLOCKS);
    assert_int_equal(match(&requests[1], prompt, LENGTH), 3 * TOKENS);
    assert_int_equal(cache.pool.free_count, BLOCKS - 3);
    kv_cache_release(&cache, &requests[1]);
    assert_true(kv_cache_reserve(&cache, &requests[2], BLOCKS * TOKENS));
    assert_int_equal(cache.index.published_count, 0);
    assert_int_equal(match(&requests[1], prompt, LENGTH), 0);
}

static void tail_of_a_prompt_is_evicted_before_its_head(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 4 * TOKENS);
    kv_cache_release(&cache, &requests[0]);
    for (uint32_t left = 4; left > 0; left--) {
        /* The never used blocks go first, then one of the four at a time, from the end. */
        assert_true(kv_cache_reserve(&cache, &requests[1], (BLOCKS - left) * TOKENS));
        assert_int_equal(match(&requests[2], prompt, LENGTH), left * TOKENS);
        kv_cache_release(&cache, &requests[2]);
        kv_cache_release(&cache, &requests[1]);
    }
}

static void blocks_nobody_can_find_are_reused_first(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 2 * TOKENS);
    assert_true(kv_cache_reserve(&cache, &requests[1], (BLOCKS - 2) * TOKENS));
    kv_cache_release(&cache, &requests[0]); /* published, and freed first ... */
    kv_cache_release(&cache, &requests[1]); /* ... but these are worth less */
    assert_true(kv_cache_reserve(&cache, &requests[2], (BLOCKS - 2) * TOKENS));
    assert_int_equal(match(&requests[3], prompt, LENGTH), 2 * TOKENS);
}

static void blocks_held_by_somebody_are_never_evicted(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 2 * TOKENS);
    assert_int_equal(match(&requests[1], prompt, LENGTH), 2 * TOKENS);
    kv_cache_release(&cache, &requests[0]);
    assert_true(kv_cache_reserve(&cache, &requests[2], (BLOCKS - 2) * TOKENS));
    assert_false(kv_cache_reserve(&cache, &requests[2], (BLOCKS - 1) * TOKENS));
    for (uint32_t i = 0; i < requests[2].table.block_count; i++) {
        assert_int_not_equal(requests[2].table.block_ids[i], requests[1].table.block_ids[0]);
        assert_int_not_equal(requests[2].table.block_ids[i], requests[1].table.block_ids[1]);
    }
}

static void equal_prompts_computed_at_once_are_both_right(void **state)
{
    (void)state;
    compute(&requests[0], prompt, TOKENS);
    compute(&requests[1], prompt, TOKENS); /* not matched: it stays a second copy */
    compute(&requests[1], prompt, 3 * TOKENS);
    assert_int_equal(cache.index.published_count, 3);
    assert_int_equal(match(&requests[2], prompt, LENGTH), 3 * TOKENS);
    assert_int_equal(requests[2].table.block_ids[0], requests[0].table.block_ids[0]);
    assert_int_equal(requests[2].table.block_ids[1], requests[1].table.block_ids[1]);
}

static void demand_counts_free_hits_and_fresh_blocks(void **state)
{
    (void)state;
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 10, 10), 3);
    compute(&requests[0], prompt, 3 * TOKENS);
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 10, 10), 1); /* two hits in use */
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 13, 13), 1);
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 1, 13), 4); /* hits are not wanted */
    kv_cache_release(&cache, &requests[0]);
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 13, 13), 4); /* hits come off the list */
    uint32_t free_before = cache.pool.free_count;
    match(&requests[1], prompt, 13);
    assert_true(kv_cache_reserve(&cache, &requests[1], 13));
    assert_int_equal(free_before - cache.pool.free_count, 4);
}

static void rollback_lowers_fill_and_returns_whole_blocks(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 6);
    assert_true(kv_cache_reserve(&cache, &requests[0], 14));
    kv_cache_fill(&cache, &requests[0], 14);
    assert_int_equal(cache.pool.free_count, BLOCKS - 4);
    kv_cache_rollback(&cache, &requests[0], 9);
    assert_int_equal(requests[0].fill_tokens, 9);
    assert_int_equal(requests[0].table.block_count, 3);
    assert_int_equal(cache.pool.free_count, BLOCKS - 3);
    kv_cache_rollback(&cache, &requests[0], 6);
    assert_int_equal(requests[0].fill_tokens, 6);
    assert_int_equal(requests[0].committed_tokens, 6);
    assert_int_equal(requests[0].table.block_count, 2);
    compute(&requests[0], prompt, 9); /* and on with other tokens */
}

static void rolled_back_guesses_are_never_found(void **state)
{
    (void)state;
    compute(&requests[0], prompt, TOKENS + 1);
    assert_true(kv_cache_reserve(&cache, &requests[0], 3 * TOKENS));
    kv_cache_fill(&cache, &requests[0], 3 * TOKENS);
    kv_cache_rollback(&cache, &requests[0], TOKENS + 1);
    uint32_t other[LENGTH];
    memcpy(other, prompt, sizeof other);
    other[TOKENS + 1] = 55;
    compute(&requests[0], other, 2 * TOKENS);
    assert_int_equal(match(&requests[1], prompt, LENGTH), TOKENS);
    assert_int_equal(match(&requests[2], other, LENGTH), 2 * TOKENS);
}

static void fork_shares_full_blocks_and_copies_the_partial_one(void **state)
{
    (void)state;
    struct kv_copy copy;
    compute(&requests[0], prompt, 11);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[1], 10, &copy));
    assert_int_equal(copy.from_block, requests[0].table.block_ids[2]);
    assert_int_equal(copy.to_block, requests[1].table.block_ids[2]);
    assert_int_not_equal(copy.from_block, copy.to_block);
    assert_int_equal(copy.token_count, 2);
    assert_int_equal(requests[1].table.block_ids[0], requests[0].table.block_ids[0]);
    assert_int_equal(requests[1].table.block_ids[1], requests[0].table.block_ids[1]);
    assert_int_equal(requests[1].committed_tokens, 10);
    assert_true(kv_cache_writable(&cache, &requests[1], 10, 2));
    assert_false(kv_cache_writable(&cache, &requests[1], 7, 1));  /* shared */
    assert_false(kv_cache_writable(&cache, &requests[1], 10, 3)); /* not reserved */
    kv_cache_check_request(&cache, &requests[0]);
    kv_cache_check_request(&cache, &requests[1]);
}

static void fork_at_a_block_edge_copies_nothing(void **state)
{
    (void)state;
    struct kv_copy copy;
    compute(&requests[0], prompt, 2 * TOKENS + 1);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[1], 2 * TOKENS, &copy));
    assert_int_equal(copy.token_count, 0);
    assert_int_equal(requests[1].table.block_count, 2);
    assert_int_equal(cache.pool.free_count, BLOCKS - 3);
}

static void fork_fails_whole_when_no_block_is_free(void **state)
{
    (void)state;
    struct kv_copy copy;
    compute(&requests[0], prompt, 6);
    assert_true(kv_cache_reserve(&cache, &requests[1], (BLOCKS - 2) * TOKENS));
    assert_false(kv_cache_fork(&cache, &requests[0], &requests[2], 6, &copy));
    assert_int_equal(copy.token_count, 0);
    assert_int_equal(requests[2].table.block_count, 0);
    assert_int_equal(block_pool_refcount(&cache.pool, requests[0].table.block_ids[0]), 1);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[2], TOKENS, &copy));
}

static void forked_requests_go_separate_ways(void **state)
{
    (void)state;
    struct kv_copy copy;
    uint32_t left[LENGTH];
    uint32_t right[LENGTH];
    memcpy(left, prompt, sizeof left);
    memcpy(right, prompt, sizeof right);
    left[9] = 1;
    right[9] = 2;
    compute(&requests[0], left, 9);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[1], 8, &copy));
    compute(&requests[0], left, 12);
    compute(&requests[1], right, 12);
    kv_cache_release(&cache, &requests[0]);
    kv_cache_check_request(&cache, &requests[1]);
    assert_int_equal(match(&requests[2], left, LENGTH), 12);
    assert_int_equal(match(&requests[3], right, LENGTH), 12);
    assert_int_equal(requests[2].table.block_ids[1], requests[3].table.block_ids[1]);
    assert_int_not_equal(requests[2].table.block_ids[2], requests[3].table.block_ids[2]);
}

static void parent_may_leave_before_its_fork(void **state)
{
    (void)state;
    struct kv_copy copy;
    compute(&requests[0], prompt, 10);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[1], 9, &copy));
    kv_cache_release(&cache, &requests[0]);
    assert_int_equal(cache.pool.free_count, BLOCKS - 3);
    compute(&requests[1], prompt, 14);
    kv_cache_release(&cache, &requests[1]);
    assert_int_equal(cache.pool.free_count, BLOCKS);
}

static void flush_forgets_what_nobody_holds(void **state)
{
    (void)state;
    compute(&requests[0], prompt, 2 * TOKENS);
    compute(&requests[1], prompt + 8, 2 * TOKENS);
    kv_cache_release(&cache, &requests[1]);
    kv_cache_flush(&cache);
    assert_int_equal(cache.index.published_count, 2);
    assert_int_equal(match(&requests[2], prompt, LENGTH), 2 * TOKENS);
    kv_cache_release(&cache, &requests[2]);
    assert_int_equal(match(&requests[3], prompt + 8, 2 * TOKENS + 1), 0);
}

static void layers_fill_to_different_depths(void **state)
{
    (void)state;
    struct kv_request *request = &requests[0];
    assert_true(kv_cache_reserve(&cache, request, 9));
    kv_cache_fill(&cache, request, 5);
    assert_false(request->layered);
    kv_cache_fill_groups(&cache, request, 0, 2, 9);
    assert_true(request->layered);
    assert_int_equal(kv_cache_filled(&cache, request, 0), 9);
    assert_int_equal(kv_cache_filled(&cache, request, 1), 9);
    assert_int_equal(kv_cache_filled(&cache, request, 2), 5);
    assert_int_equal(request->fill_tokens, 5);
    kv_cache_check_request(&cache, request);
    kv_cache_commit(&cache, request, SALT, prompt, 5); /* no further: the last group ends there */
    kv_cache_rollback(&cache, request, 7);
    assert_int_equal(kv_cache_filled(&cache, request, 0), 7);
    assert_int_equal(kv_cache_filled(&cache, request, 2), 5);
    kv_cache_fill_groups(&cache, request, 2, 1, 7);
    assert_false(request->layered);
    assert_int_equal(request->fill_tokens, 7);
    kv_cache_commit(&cache, request, SALT, prompt, 7);
    kv_cache_rollback(&cache, request, 7);
    kv_cache_check_request(&cache, request);
}

static void without_prefix_caching_nothing_is_found_but_all_else_works(void **state)
{
    (void)state;
    struct kv_copy copy;
    compute(&requests[0], prompt, 10);
    assert_int_equal(match(&requests[1], prompt, LENGTH), 0);
    assert_int_equal(cache.query_tokens, 0);
    assert_int_equal(kv_cache_demand(&cache, SALT, prompt, 10, 10), 3);
    assert_true(kv_cache_fork(&cache, &requests[0], &requests[1], 9, &copy));
    compute(&requests[1], prompt, 12);
    kv_cache_flush(&cache);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    const struct kv_cache_options good = {
        .block_count = 4, .block_tokens = 4, .layer_group_count = 1, .request_tokens_max = 8};
    struct kv_cache none;
    struct error err = {0};
    for (uint32_t i = 0; i < 6; i++) {
        struct kv_cache_options options = good;
        options.block_count = i == 0 ? 0 : options.block_count;
        options.block_tokens = i == 1 ? 0 : options.block_tokens;
        options.block_tokens = i == 2 ? 4096 : options.block_tokens;
        options.layer_group_count = i == 3 ? 0 : options.layer_group_count;
        options.request_tokens_max = i == 4 ? 0 : options.request_tokens_max;
        options.block_count = i == 5 ? UINT32_MAX / 2 : options.block_count;
        assert_int_equal(kv_cache_init(&none, &options, &err), ERR_INVALID);
        assert_true(err.message[0] != '\0');
        kv_cache_close(&none);
    }
}

int main(void)
{
#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, open_cache, close_cache)
    const struct CMUnitTest tests[] = {
        CACHE_TEST(empty_cache_matches_nothing),
        CACHE_TEST(reserve_takes_whole_blocks_or_nothing),
        CACHE_TEST(second_request_shares_the_full_blocks_of_the_first),
        CACHE_TEST(match_leaves_a_token_to_compute),
        CACHE_TEST(match_ends_at_the_first_different_token),
        CACHE_TEST(other_salt_matches_nothing),
        CACHE_TEST(same_block_at_another_place_does_not_match),
        CACHE_TEST(all_hashes_equal_still_give_the_right_blocks),
        CACHE_TEST(only_committed_full_blocks_are_found),
        CACHE_TEST(released_blocks_are_found_until_reused),
        CACHE_TEST(tail_of_a_prompt_is_evicted_before_its_head),
        CACHE_TEST(blocks_nobody_can_find_are_reused_first),
        CACHE_TEST(blocks_held_by_somebody_are_never_evicted),
        CACHE_TEST(equal_prompts_computed_at_once_are_both_right),
        CACHE_TEST(demand_counts_free_hits_and_fresh_blocks),
        CACHE_TEST(rollback_lowers_fill_and_returns_whole_blocks),
        CACHE_TEST(rolled_back_guesses_are_never_found),
        CACHE_TEST(fork_shares_full_blocks_and_copies_the_partial_one),
        CACHE_TEST(fork_at_a_block_edge_copies_nothing),
        CACHE_TEST(fork_fails_whole_when_no_block_is_free),
        CACHE_TEST(forked_requests_go_separate_ways),
        CACHE_TEST(parent_may_leave_before_its_fork),
        CACHE_TEST(flush_forgets_what_nobody_holds),
        cmocka_unit_test_setup_teardown(layers_fill_to_different_depths, open_cache_of_three_groups,
                                        close_cache),
        cmocka_unit_test_setup_teardown(without_prefix_caching_nothing_is_found_but_all_else_works,
                                        open_cache_without_prefixes, close_cache),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
