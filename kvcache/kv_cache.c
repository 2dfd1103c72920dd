/* kv_cache.c - joins pool, table and index: every change of a request's blocks goes through here.
 *
 * Two rules keep KV right, and are asserted where they could break: a block leaves the index before
 * its contents change (take_block), and only a block that is held once and unpublished is written
 * (kv_cache_writable). Tables only grow and shrink at the end, so equal blocks that two requests
 * computed at the same time are not merged. SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/kv_cache.h"

#include "configs/limits.h"

#include <assert.h>
#include <stddef.h>

/* A fresh block that nobody can find any more, or BLOCK_NONE. */
static uint32_t take_block(struct kv_cache *cache)
{
    uint32_t block_id = block_pool_alloc(&cache->pool);
    if (block_id != BLOCK_NONE && cache->options.prefix_caching) {
        prefix_index_remove(&cache->index, block_id);
    }
    assert(block_id == BLOCK_NONE || block_pool_refcount(&cache->pool, block_id) == 1);
    return block_id;
}

static bool is_published(const struct kv_cache *cache, uint32_t block_id)
{
    return cache->options.prefix_caching && prefix_index_published(&cache->index, block_id);
}

static void put_last_block(struct kv_cache *cache, struct kv_request *request)
{
    assert(request->table.block_count > 0);
    uint32_t block_id = block_table_take_last(&request->table);
    if (is_published(cache, block_id)) {
        block_pool_put(&cache->pool, block_id);
    } else {
        block_pool_put_worthless(&cache->pool, block_id);
    }
}

static void set_fill(struct kv_request *request, const struct kv_cache *cache, uint32_t token_count)
{
    request->fill_tokens = token_count;
    request->layered = false;
    assert(request->fill_by_group != NULL);
    for (uint32_t group = 0; group < cache->options.layer_group_count; group++) {
        request->fill_by_group[group] = token_count;
    }
}

/* One number for all again, once every group has caught up. */
static void sum_up_fill(struct kv_request *request, const struct kv_cache *cache)
{
    request->fill_tokens = request->fill_by_group[0];
    request->layered = false;
    for (uint32_t group = 1; group < cache->options.layer_group_count; group++) {
        uint32_t fill = request->fill_by_group[group];
        request->layered = request->layered || fill != request->fill_by_group[0];
        request->fill_tokens = fill < request->fill_tokens ? fill : request->fill_tokens;
    }
}

enum status kv_cache_init(struct kv_cache *cache, const struct kv_cache_options *options,
                          struct error *err)
{
    *cache = (struct kv_cache){.options = *options};
    if (options->block_tokens == 0 || options->block_tokens > LIMIT_BLOCK_TOKENS) {
        return error_set(err, ERR_INVALID, "block_tokens is %u: must be 1 to %u",
                         options->block_tokens, LIMIT_BLOCK_TOKENS);
    }
    if (options->block_count > UINT32_MAX / options->block_tokens) {
        return error_set(err, ERR_INVALID, "%u blocks of %u tokens: slots must be below 2^32",
                         options->block_count, options->block_tokens);
    }
    if (options->layer_group_count == 0 || options->layer_group_count > LIMIT_MODEL_LAYERS) {
        return error_set(err, ERR_INVALID, "layer_group_count is %u: must be 1 to %u",
                         options->layer_group_count, LIMIT_MODEL_LAYERS);
    }
    if (options->request_tokens_max == 0) {
        return error_set(err, ERR_INVALID, "request_tokens_max is 0: must be at least 1");
    }
    enum status status = block_pool_init(&cache->pool, options->block_count, err);
    if (status == OK && options->prefix_caching) {
        status = prefix_index_init(&cache->index, options->block_count, options->block_tokens,
                                   options->hash_key, err);
    }
    if (status != OK) {
        kv_cache_close(cache);
    }
    return status;
}

void kv_cache_close(struct kv_cache *cache)
{
    block_pool_release(&cache->pool);
    prefix_index_release(&cache->index);
}

uint32_t kv_cache_blocks(const struct kv_cache *cache, uint32_t token_count)
{
    uint32_t block_tokens = cache->options.block_tokens;
    assert(block_tokens > 0);
    return token_count / block_tokens + (token_count % block_tokens != 0);
}

uint32_t kv_cache_match(struct kv_cache *cache, struct kv_request *request, uint64_t salt,
                        const uint32_t *token_ids, uint32_t token_count)
{
    assert(kv_request_empty(request));
    assert(token_count > 0);
    if (!cache->options.prefix_caching) {
        return 0;
    }
    uint32_t block_tokens = cache->options.block_tokens;
    /* The last token is always computed: its logits are what the request came for. */
    uint32_t block_count_max = (token_count - 1) / block_tokens;
    struct prefix_node place = prefix_index_root(&cache->index, salt);
    while (request->table.block_count < block_count_max) {
        uint32_t block_id = prefix_index_find(
            &cache->index, &place, token_ids + (size_t)request->table.block_count * block_tokens);
        if (block_id == BLOCK_NONE) {
            break;
        }
        block_pool_get(&cache->pool, block_id);
        block_table_push(&request->table, block_id);
        place = prefix_index_node(&cache->index, block_id);
    }
    request->place = place;
    request->published_blocks = request->table.block_count;
    request->committed_tokens = request->table.block_count * block_tokens;
    set_fill(request, cache, request->committed_tokens);
    cache->query_tokens += token_count;
    cache->hit_tokens += request->committed_tokens;
    assert(request->committed_tokens < token_count);
    return request->committed_tokens;
}

uint32_t kv_cache_demand(const struct kv_cache *cache, uint64_t salt, const uint32_t *token_ids,
                         uint32_t match_tokens, uint32_t token_count)
{
    assert(match_tokens > 0);
    assert(match_tokens <= token_count);
    uint32_t demand = kv_cache_blocks(cache, token_count);
    if (!cache->options.prefix_caching) {
        return demand;
    }
    uint32_t block_tokens = cache->options.block_tokens;
    uint32_t block_count_max = (match_tokens - 1) / block_tokens;
    struct prefix_node place = prefix_index_root(&cache->index, salt);
    for (uint32_t i = 0; i < block_count_max; i++) {
        uint32_t block_id =
            prefix_index_find(&cache->index, &place, token_ids + (size_t)i * block_tokens);
        if (block_id == BLOCK_NONE) {
            break;
        }
        /* A hit in use costs nothing; a hit on the free list still comes off that list. */
        if (block_pool_refcount(&cache->pool, block_id) > 0) {
            demand--;
        }
        place = prefix_index_node(&cache->index, block_id);
    }
    return demand;
}

uint32_t kv_cache_needed(const struct kv_cache *cache, const struct kv_request *request,
                         uint32_t token_count)
{
    uint32_t block_count = kv_cache_blocks(cache, token_count);
    if (block_count <= request->table.block_count) {
        return 0;
    }
    return block_count - request->table.block_count;
}

bool kv_cache_reserve(struct kv_cache *cache, struct kv_request *request, uint32_t token_count)
{
    uint32_t needed = kv_cache_needed(cache, request, token_count);
    assert(needed <= request->table.block_count_max - request->table.block_count);
    if (needed > cache->pool.free_count) {
        return false;
    }
    for (uint32_t i = 0; i < needed; i++) {
        uint32_t block_id = take_block(cache);
        assert(block_id != BLOCK_NONE);
        block_table_push(&request->table, block_id);
    }
    return true;
}

bool kv_cache_writable(const struct kv_cache *cache, const struct kv_request *request,
                       uint32_t start, uint32_t token_count)
{
    uint32_t block_tokens = cache->options.block_tokens;
    uint32_t block_end = kv_cache_blocks(cache, start + token_count);
    if (block_end > request->table.block_count) {
        return false;
    }
    for (uint32_t i = start / block_tokens; i < block_end; i++) {
        uint32_t block_id = request->table.block_ids[i];
        if (block_pool_refcount(&cache->pool, block_id) != 1 || is_published(cache, block_id)) {
            return false;
        }
    }
    return true;
}

void kv_cache_fill(struct kv_cache *cache, struct kv_request *request, uint32_t token_count)
{
    kv_cache_fill_groups(cache, request, 0, cache->options.layer_group_count, token_count);
    assert(!request->layered);
}

void kv_cache_fill_groups(struct kv_cache *cache, struct kv_request *request, uint32_t group_first,
                          uint32_t group_count, uint32_t token_count)
{
    assert(group_count > 0);
    assert(group_count <= cache->options.layer_group_count);
    assert(group_first <= cache->options.layer_group_count - group_count);
    for (uint32_t group = group_first; group < group_first + group_count; group++) {
        uint32_t before = request->fill_by_group[group];
        assert(token_count >= before);
        assert(token_count == before ||
               kv_cache_writable(cache, request, before, token_count - before));
        request->fill_by_group[group] = token_count;
    }
    sum_up_fill(request, cache);
}

uint32_t kv_cache_filled(const struct kv_cache *cache, const struct kv_request *request,
                         uint32_t group)
{
    assert(group < cache->options.layer_group_count);
    assert(request->fill_by_group[group] >= request->fill_tokens);
    return request->fill_by_group[group];
}

static void publish_full_blocks(struct kv_cache *cache, struct kv_request *request, uint64_t salt,
                                const uint32_t *token_ids)
{
    uint32_t block_tokens = cache->options.block_tokens;
    uint32_t full_blocks = request->committed_tokens / block_tokens;
    if (request->published_blocks == 0 && full_blocks > 0) {
        request->place = prefix_index_root(&cache->index, salt);
    }
    while (request->published_blocks < full_blocks) {
        uint32_t i = request->published_blocks;
        assert(i < request->table.block_count);
        request->place =
            prefix_index_publish(&cache->index, request->table.block_ids[i], &request->place,
                                 token_ids + (size_t)i * block_tokens);
        request->published_blocks++;
    }
}

void kv_cache_commit(struct kv_cache *cache, struct kv_request *request, uint64_t salt,
                     const uint32_t *token_ids, uint32_t token_count)
{
    assert(token_count >= request->committed_tokens);
    assert(token_count <= request->fill_tokens);
    request->committed_tokens = token_count;
    if (cache->options.prefix_caching) {
        publish_full_blocks(cache, request, salt, token_ids);
    }
}

void kv_cache_rollback(struct kv_cache *cache, struct kv_request *request, uint32_t token_count)
{
    assert(token_count >= request->committed_tokens);
    uint32_t kept_blocks = kv_cache_blocks(cache, token_count);
    assert(kept_blocks >= request->published_blocks);
    while (request->table.block_count > kept_blocks) {
        put_last_block(cache, request);
    }
    for (uint32_t group = 0; group < cache->options.layer_group_count; group++) {
        if (request->fill_by_group[group] > token_count) {
            request->fill_by_group[group] = token_count;
        }
    }
    sum_up_fill(request, cache);
}

bool kv_cache_fork(struct kv_cache *cache, const struct kv_request *parent,
                   struct kv_request *child, uint32_t token_count, struct kv_copy *copy)
{
    assert(kv_request_empty(child));
    assert(token_count <= parent->committed_tokens);
    uint32_t full_blocks = token_count / cache->options.block_tokens;
    *copy = (struct kv_copy){BLOCK_NONE, BLOCK_NONE, token_count % cache->options.block_tokens};
    if (copy->token_count > 0) {
        copy->to_block = take_block(cache);
        if (copy->to_block == BLOCK_NONE) {
            copy->token_count = 0;
            return false;
        }
        copy->from_block = parent->table.block_ids[full_blocks];
        assert(copy->from_block != copy->to_block);
    }
    for (uint32_t i = 0; i < full_blocks; i++) {
        block_pool_get(&cache->pool, parent->table.block_ids[i]);
        block_table_push(&child->table, parent->table.block_ids[i]);
    }
    if (copy->token_count > 0) {
        block_table_push(&child->table, copy->to_block);
    }
    child->committed_tokens = token_count;
    set_fill(child, cache, token_count);
    return true;
}

void kv_cache_release(struct kv_cache *cache, struct kv_request *request)
{
    while (request->table.block_count > 0) {
        put_last_block(cache, request);
    }
    request->committed_tokens = 0;
    request->published_blocks = 0;
    request->place = (struct prefix_node){0};
    set_fill(request, cache, 0);
    assert(kv_request_empty(request));
}

void kv_cache_flush(struct kv_cache *cache)
{
    if (!cache->options.prefix_caching) {
        return;
    }
    for (uint32_t i = 0; i < cache->options.block_count; i++) {
        if (block_pool_refcount(&cache->pool, i) == 0) {
            prefix_index_remove(&cache->index, i);
        }
    }
}

void kv_cache_check(const struct kv_cache *cache)
{
    block_pool_check(&cache->pool);
    assert(cache->pool.block_count == cache->options.block_count);
    assert(cache->hit_tokens <= cache->query_tokens);
    if (cache->options.prefix_caching) {
        prefix_index_check(&cache->index);
    }
}

void kv_cache_check_request(const struct kv_cache *cache, const struct kv_request *request)
{
    uint32_t block_tokens = cache->options.block_tokens;
    uint32_t fill_min = UINT32_MAX;
    for (uint32_t group = 0; group < cache->options.layer_group_count; group++) {
        uint32_t fill = request->fill_by_group[group];
        assert(kv_cache_blocks(cache, fill) <= request->table.block_count);
        assert(request->layered || fill == request->fill_tokens);
        fill_min = fill < fill_min ? fill : fill_min;
    }
    assert(request->fill_tokens == fill_min);
    assert(request->committed_tokens <= fill_min);
    assert(request->published_blocks <= request->committed_tokens / block_tokens);
    for (uint32_t i = 0; i < request->table.block_count; i++) {
        uint32_t block_id = request->table.block_ids[i];
        uint32_t refcount = block_pool_refcount(&cache->pool, block_id);
        assert(refcount > 0);
        /* Only full final blocks are shared or published: what is still written is exclusive. */
        if (i >= request->committed_tokens / block_tokens) {
            assert(refcount == 1);
            assert(!is_published(cache, block_id));
        }
    }
}
