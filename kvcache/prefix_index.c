/* prefix_index.c - buckets of block ids, chained through the entries.
 *
 * XXH3 with a random secret is fast and even, but nobody promises that it resists an attacker, so
 * it only chooses where to look. Identity is by comparison: tokens of the block, and the number
 * under which its parent was published, which stands for all tokens before it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/prefix_index.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "kvcache/block_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    BLOCKS_MAX = 1 << 30 /* twice as many buckets still fit 32 bits */
};

/* splitmix64: one word of a stream that visits every state once. */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void stretch_key(struct prefix_index *index, const uint64_t key[2])
{
    uint64_t low = key[0];
    uint64_t high = key[1];
    for (size_t i = 0; i < sizeof index->secret / sizeof index->secret[0]; i++) {
        uint64_t a = next_random(&low);
        uint64_t b = next_random(&high);
        index->secret[i] = a ^ (b << 23 | b >> 41);
    }
}

static struct prefix_hash hash_bytes(const struct prefix_index *index, const void *bytes,
                                     size_t byte_count)
{
    XXH128_hash_t hash =
        XXH3_128bits_withSecret(bytes, byte_count, index->secret, sizeof index->secret);
    return (struct prefix_hash){hash.low64 & index->hash_mask, hash.high64 & index->hash_mask};
}

/* The hash of a block of tokens under a parent. */
static struct prefix_hash hash_block(const struct prefix_index *index, struct prefix_hash parent,
                                     const uint32_t *token_ids)
{
    struct {
        struct prefix_hash parent;
        uint32_t token_ids[LIMIT_BLOCK_TOKENS];
    } input;
    size_t token_bytes = index->block_tokens * sizeof *token_ids;
    assert(index->block_tokens <= LIMIT_BLOCK_TOKENS);
    assert(token_ids != NULL);
    input.parent = parent;
    memcpy(input.token_ids, token_ids, token_bytes);
    return hash_bytes(index, &input, sizeof input.parent + token_bytes);
}

static uint32_t *bucket_of(const struct prefix_index *index, struct prefix_hash hash)
{
    assert(index->bucket_count > 0);
    return &index->buckets[hash.low & (index->bucket_count - 1)];
}

static uint32_t *tokens_of(const struct prefix_index *index, uint32_t block_id)
{
    assert(block_id < index->block_count);
    return &index->token_ids[(size_t)block_id * index->block_tokens];
}

static bool same_hash(struct prefix_hash a, struct prefix_hash b)
{
    return a.low == b.low && a.high == b.high;
}

static bool same_node(const struct prefix_node *a, const struct prefix_node *b)
{
    return a->identity == b->identity && a->root == b->root;
}

static enum status take_memory(struct prefix_index *index, struct error *err)
{
    uint64_t token_count;
    if (!checked_mul_u64(index->block_count, index->block_tokens, &token_count) ||
        token_count > SIZE_MAX / sizeof *index->token_ids) {
        return error_set(err, ERR_INVALID, "prefix index of %u blocks of %u tokens is too large",
                         index->block_count, index->block_tokens);
    }
    index->entries = calloc(index->block_count, sizeof *index->entries);
    index->token_ids = calloc((size_t)token_count, sizeof *index->token_ids);
    index->buckets = calloc(index->bucket_count, sizeof *index->buckets);
    if (index->entries == NULL || index->token_ids == NULL || index->buckets == NULL) {
        prefix_index_release(index);
        return error_set(err, ERR_MEMORY, "no memory for a prefix index of %u blocks",
                         index->block_count);
    }
    for (uint32_t i = 0; i < index->bucket_count; i++) {
        index->buckets[i] = BLOCK_NONE;
    }
    return OK;
}

enum status prefix_index_init(struct prefix_index *index, uint32_t block_count,
                              uint32_t block_tokens, const uint64_t key[2], struct error *err)
{
    *index = (struct prefix_index){.block_count = block_count, .block_tokens = block_tokens};
    if (block_count == 0 || block_count > BLOCKS_MAX) {
        return error_set(err, ERR_INVALID, "prefix index of %u blocks: must be 1 to %u",
                         block_count, BLOCKS_MAX);
    }
    if (block_tokens == 0 || block_tokens > LIMIT_BLOCK_TOKENS) {
        return error_set(err, ERR_INVALID, "block of %u tokens: must be 1 to %u", block_tokens,
                         LIMIT_BLOCK_TOKENS);
    }
    /* At most half full, so that a miss mostly meets an empty bucket. */
    index->bucket_count = 1;
    while (index->bucket_count < 2 * block_count) {
        index->bucket_count *= 2;
    }
    index->hash_mask = UINT64_MAX;
    stretch_key(index, key);
    return take_memory(index, err);
}

void prefix_index_release(struct prefix_index *index)
{
    free(index->entries);
    free(index->token_ids);
    free(index->buckets);
    index->entries = NULL;
    index->token_ids = NULL;
    index->buckets = NULL;
}

struct prefix_node prefix_index_root(const struct prefix_index *index, uint64_t salt)
{
    assert(index->entries != NULL);
    return (struct prefix_node){
        .hash = hash_bytes(index, &salt, sizeof salt),
        .identity = salt,
        .root = true,
    };
}

static uint32_t find_hashed(const struct prefix_index *index, struct prefix_hash hash,
                            const struct prefix_node *parent, const uint32_t *token_ids)
{
    size_t token_bytes = index->block_tokens * sizeof *token_ids;
    uint32_t steps = 0;
    for (uint32_t i = *bucket_of(index, hash); i != BLOCK_NONE; i = index->entries[i].next) {
        const struct prefix_entry *entry = &index->entries[i];
        assert(entry->published);
        assert(steps < index->published_count); /* no cycle */
        steps++;
        if (same_hash(entry->node.hash, hash) && same_node(&entry->parent, parent) &&
            memcmp(tokens_of(index, i), token_ids, token_bytes) == 0) {
            return i;
        }
    }
    return BLOCK_NONE;
}

uint32_t prefix_index_find(const struct prefix_index *index, const struct prefix_node *parent,
                           const uint32_t *token_ids)
{
    assert(parent != NULL);
    assert(index->entries != NULL);
    return find_hashed(index, hash_block(index, parent->hash, token_ids), parent, token_ids);
}

struct prefix_node prefix_index_node(const struct prefix_index *index, uint32_t block_id)
{
    assert(block_id < index->block_count);
    assert(index->entries[block_id].published);
    return index->entries[block_id].node;
}

struct prefix_node prefix_index_publish(struct prefix_index *index, uint32_t block_id,
                                        const struct prefix_node *parent, const uint32_t *token_ids)
{
    assert(block_id < index->block_count);
    struct prefix_hash hash = hash_block(index, parent->hash, token_ids);
    uint32_t equal = find_hashed(index, hash, parent, token_ids);
    if (equal != BLOCK_NONE) {
        return index->entries[equal].node;
    }
    struct prefix_entry *entry = &index->entries[block_id];
    if (entry->published) {
        /* Shared by a fork, and what it hung under has left the tree: hang it under the equal
         * place that is there now. Its identity still stands for the same tokens. */
        assert(same_hash(entry->node.hash, hash));
        assert(memcmp(tokens_of(index, block_id), token_ids,
                      index->block_tokens * sizeof *token_ids) == 0);
        entry->parent = *parent;
        return entry->node;
    }
    uint32_t *bucket = bucket_of(index, hash);
    *entry = (struct prefix_entry){
        .node = {.hash = hash, .identity = ++index->publication_count},
        .parent = *parent,
        .next = *bucket,
        .published = true,
    };
    memcpy(tokens_of(index, block_id), token_ids, index->block_tokens * sizeof *token_ids);
    *bucket = block_id;
    index->published_count++;
    assert(index->published_count <= index->block_count);
    return entry->node;
}

bool prefix_index_published(const struct prefix_index *index, uint32_t block_id)
{
    assert(block_id < index->block_count);
    return index->entries[block_id].published;
}

void prefix_index_remove(struct prefix_index *index, uint32_t block_id)
{
    assert(block_id < index->block_count);
    struct prefix_entry *entry = &index->entries[block_id];
    if (!entry->published) {
        return;
    }
    uint32_t *link = bucket_of(index, entry->node.hash);
    while (*link != block_id) {
        assert(*link != BLOCK_NONE);
        link = &index->entries[*link].next;
    }
    *link = entry->next;
    entry->next = BLOCK_NONE;
    entry->published = false;
    assert(index->published_count > 0);
    index->published_count--;
}

void prefix_index_check(const struct prefix_index *index)
{
    uint32_t reachable = 0;
    for (uint32_t b = 0; b < index->bucket_count; b++) {
        for (uint32_t i = index->buckets[b]; i != BLOCK_NONE; i = index->entries[i].next) {
            assert(i < index->block_count);
            const struct prefix_entry *entry = &index->entries[i];
            assert(entry->published);
            assert(bucket_of(index, entry->node.hash) == &index->buckets[b]);
            assert(!entry->node.root);
            assert(entry->node.identity <= index->publication_count);
            reachable++;
            assert(reachable <= index->published_count);
        }
    }
    assert(reachable == index->published_count);
    for (uint32_t i = 0; i < index->block_count; i++) {
        reachable -= index->entries[i].published;
    }
    assert(reachable == 0);
}
