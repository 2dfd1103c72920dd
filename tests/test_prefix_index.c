/* test_prefix_index.c - finding published blocks, and never a wrong one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include "kvcache/block_pool.h"
#include "kvcache/prefix_index.h"

enum {
    BLOCKS = 64,
    TOKENS = 4
};

static struct prefix_index tree;
static const uint64_t key[2] = {1234567, 89};
static const uint32_t tokens_a[TOKENS] = {1, 2, 3, 4};
static const uint32_t tokens_b[TOKENS] = {5, 6, 7, 8};
static const uint32_t tokens_c[TOKENS] = {1, 2, 3, 5};

static int open_index(void **state)
{
    (void)state;
    return prefix_index_init(&tree, BLOCKS, TOKENS, key, NULL) == OK ? 0 : -1;
}

static int close_index(void **state)
{
    (void)state;
    prefix_index_check(&tree);
    prefix_index_release(&tree);
    return 0;
}

static void published_block_is_found_by_its_tokens(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_a), BLOCK_NONE);
    prefix_index_publish(&tree, 3, &root, tokens_a);
    assert_true(prefix_index_published(&tree, 3));
    assert_int_equal(prefix_index_find(&tree, &root, tokens_a), 3);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_b), BLOCK_NONE);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_c), BLOCK_NONE);
}

static void same_tokens_behind_another_block_are_another_block(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    struct prefix_node after_a = prefix_index_publish(&tree, 0, &root, tokens_a);
    struct prefix_node after_b = prefix_index_publish(&tree, 1, &root, tokens_b);
    prefix_index_publish(&tree, 2, &after_a, tokens_c);
    assert_int_equal(prefix_index_find(&tree, &after_a, tokens_c), 2);
    assert_int_equal(prefix_index_find(&tree, &after_b, tokens_c), BLOCK_NONE);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_c), BLOCK_NONE);
    prefix_index_publish(&tree, 3, &after_b, tokens_c);
    assert_int_equal(prefix_index_find(&tree, &after_a, tokens_c), 2);
    assert_int_equal(prefix_index_find(&tree, &after_b, tokens_c), 3);
}

static void salts_do_not_share_blocks(void **state)
{
    (void)state;
    struct prefix_node mine = prefix_index_root(&tree, 1);
    struct prefix_node yours = prefix_index_root(&tree, 2);
    prefix_index_publish(&tree, 0, &mine, tokens_a);
    assert_int_equal(prefix_index_find(&tree, &mine, tokens_a), 0);
    assert_int_equal(prefix_index_find(&tree, &yours, tokens_a), BLOCK_NONE);
}

static void equal_block_stays_unpublished_and_leads_behind_the_first(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    struct prefix_node first = prefix_index_publish(&tree, 0, &root, tokens_a);
    struct prefix_node second = prefix_index_publish(&tree, 1, &root, tokens_a);
    assert_false(prefix_index_published(&tree, 1));
    assert_int_equal(tree.published_count, 1);
    assert_int_equal(first.identity, second.identity);
    prefix_index_publish(&tree, 2, &second, tokens_b);
    assert_int_equal(prefix_index_find(&tree, &first, tokens_b), 2);
}

static void publishing_a_block_again_changes_nothing(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    struct prefix_node once = prefix_index_publish(&tree, 0, &root, tokens_a);
    struct prefix_node twice = prefix_index_publish(&tree, 0, &root, tokens_a);
    assert_int_equal(once.identity, twice.identity);
    assert_int_equal(tree.published_count, 1);
}

static void removed_block_is_not_found_and_neither_is_what_hung_under_it(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    struct prefix_node after_a = prefix_index_publish(&tree, 0, &root, tokens_a);
    prefix_index_publish(&tree, 1, &after_a, tokens_b);
    prefix_index_remove(&tree, 0);
    prefix_index_remove(&tree, 0); /* once more: nothing happens */
    assert_int_equal(prefix_index_find(&tree, &root, tokens_a), BLOCK_NONE);
    assert_int_equal(tree.published_count, 1);
    /* The block comes back with other contents in front of the same bucket chain. */
    struct prefix_node after_c = prefix_index_publish(&tree, 0, &root, tokens_c);
    assert_int_equal(prefix_index_find(&tree, &after_c, tokens_b), BLOCK_NONE);
    /* And even with the same contents it is a new place: what it leads to must be published anew. */
    struct prefix_node again = prefix_index_publish(&tree, 2, &root, tokens_a);
    assert_int_not_equal(again.identity, after_a.identity);
    assert_int_equal(prefix_index_find(&tree, &again, tokens_b), BLOCK_NONE);
}

/* A forked request walks its shared blocks again; one that lost its parent is hung up anew. */
static void shared_block_is_hung_under_the_new_equal_parent(void **state)
{
    (void)state;
    struct prefix_node root = prefix_index_root(&tree, 0);
    struct prefix_node after_a = prefix_index_publish(&tree, 0, &root, tokens_a);
    struct prefix_node after_ab = prefix_index_publish(&tree, 1, &after_a, tokens_b);
    prefix_index_publish(&tree, 2, &after_ab, tokens_c);
    prefix_index_remove(&tree, 0);
    struct prefix_node again = prefix_index_publish(&tree, 5, &root, tokens_a);
    struct prefix_node behind = prefix_index_publish(&tree, 1, &again, tokens_b);
    assert_int_equal(prefix_index_find(&tree, &again, tokens_b), 1);
    assert_int_equal(prefix_index_find(&tree, &behind, tokens_c), 2);
    prefix_index_check(&tree);
}

/* All hashes equal: only the comparisons are left, and they must be enough. */
static void collision_is_a_miss(void **state)
{
    (void)state;
    tree.hash_mask = 0;
    struct prefix_node root = prefix_index_root(&tree, 1);
    struct prefix_node other = prefix_index_root(&tree, 2);
    struct prefix_node after_a = prefix_index_publish(&tree, 0, &root, tokens_a);
    struct prefix_node after_b = prefix_index_publish(&tree, 1, &root, tokens_b);
    prefix_index_publish(&tree, 2, &after_a, tokens_c);
    prefix_index_publish(&tree, 3, &other, tokens_b);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_a), 0);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_b), 1);
    assert_int_equal(prefix_index_find(&tree, &root, tokens_c), BLOCK_NONE);
    assert_int_equal(prefix_index_find(&tree, &after_a, tokens_c), 2);
    assert_int_equal(prefix_index_find(&tree, &after_b, tokens_c), BLOCK_NONE);
    assert_int_equal(prefix_index_find(&tree, &other, tokens_a), BLOCK_NONE);
    assert_int_equal(prefix_index_find(&tree, &other, tokens_b), 3);
}

static void salt_never_passes_for_a_publication(void **state)
{
    (void)state;
    tree.hash_mask = 0;
    struct prefix_node root = prefix_index_root(&tree, 7);
    struct prefix_node after_a = prefix_index_publish(&tree, 0, &root, tokens_a);
    prefix_index_publish(&tree, 1, &after_a, tokens_b);
    struct prefix_node forged = prefix_index_root(&tree, after_a.identity);
    assert_int_equal(prefix_index_find(&tree, &forged, tokens_b), BLOCK_NONE);
}

static void full_index_with_few_hash_bits_finds_every_block(void **state)
{
    (void)state;
    tree.hash_mask = 3;
    struct prefix_node place[BLOCKS + 1];
    place[0] = prefix_index_root(&tree, 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        const uint32_t tokens[TOKENS] = {i / 2, 0, 0, i};
        place[i + 1] = prefix_index_publish(&tree, i, &place[i / 3], tokens);
    }
    prefix_index_check(&tree);
    assert_int_equal(tree.published_count, BLOCKS);
    for (uint32_t i = 0; i < BLOCKS; i += 2) {
        prefix_index_remove(&tree, i);
        prefix_index_check(&tree);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        const uint32_t tokens[TOKENS] = {i / 2, 0, 0, i};
        assert_int_equal(prefix_index_find(&tree, &place[i / 3], tokens),
                         i % 2 == 0 ? BLOCK_NONE : i);
    }
}

static void hash_depends_on_key_parent_and_every_token(void **state)
{
    (void)state;
    struct prefix_index other;
    const uint64_t other_key[2] = {key[0], key[1] + 1};
    assert_int_equal(prefix_index_init(&other, BLOCKS, TOKENS, other_key, NULL), OK);
    struct prefix_node here = prefix_index_root(&tree, 5);
    struct prefix_node there = prefix_index_root(&other, 5);
    assert_true(here.hash.low != there.hash.low && here.hash.high != there.hash.high);
    uint64_t base = prefix_index_publish(&tree, 0, &here, tokens_a).hash.low;
    for (uint32_t i = 0; i < TOKENS; i++) {
        uint32_t tokens[TOKENS];
        memcpy(tokens, tokens_a, sizeof tokens);
        tokens[i] ^= 0x80000000u;
        assert_true(prefix_index_publish(&tree, i + 1, &here, tokens).hash.low != base);
    }
    struct prefix_node deeper = prefix_index_node(&tree, 0);
    assert_true(prefix_index_publish(&tree, TOKENS + 1, &deeper, tokens_a).hash.low != base);
    prefix_index_release(&other);
}

static void impossible_sizes_are_refused_with_value_and_limit(void **state)
{
    (void)state;
    struct prefix_index none;
    struct error err = {0};
    assert_int_equal(prefix_index_init(&none, 0, TOKENS, key, &err), ERR_INVALID);
    prefix_index_release(&none);
    assert_int_equal(prefix_index_init(&none, UINT32_MAX, TOKENS, key, &err), ERR_INVALID);
    prefix_index_release(&none);
    assert_int_equal(prefix_index_init(&none, 1, 0, key, &err), ERR_INVALID);
    prefix_index_release(&none);
    assert_int_equal(prefix_index_init(&none, 1, 1025, key, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "1025"));
    assert_non_null(strstr(err.message, "1024"));
    prefix_index_release(&none);
}

int main(void)
{
#define INDEX_TEST(name) cmocka_unit_test_setup_teardown(name, open_index, close_index)
    const struct CMUnitTest tests[] = {
        INDEX_TEST(published_block_is_found_by_its_tokens),
        INDEX_TEST(same_tokens_behind_another_block_are_another_block),
        INDEX_TEST(salts_do_not_share_blocks),
        INDEX_TEST(equal_block_stays_unpublished_and_leads_behind_the_first),
        INDEX_TEST(publishing_a_block_again_changes_nothing),
        INDEX_TEST(removed_block_is_not_found_and_neither_is_what_hung_under_it),
        INDEX_TEST(shared_block_is_hung_under_the_new_equal_parent),
        INDEX_TEST(collision_is_a_miss),
        INDEX_TEST(salt_never_passes_for_a_publication),
        INDEX_TEST(full_index_with_few_hash_bits_finds_every_block),
        INDEX_TEST(hash_depends_on_key_parent_and_every_token),
        cmocka_unit_test(impossible_sizes_are_refused_with_value_and_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
