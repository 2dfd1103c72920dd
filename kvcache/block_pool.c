/* block_pool.c - reference counts, and a doubly linked free list threaded through the blocks.
 *
 * Links are block ids in the array itself, so that a hit on a free block unlinks it in O(1) and
 * nothing is ever allocated after init. SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/block_pool.h"

#include <assert.h>
#include <stdlib.h>

static void free_list_remove(struct block_pool *pool, uint32_t block_id)
{
    struct block *block = &pool->blocks[block_id];
    assert(block->refcount == 0);
    assert(pool->free_count > 0);
    if (block->prev_free == BLOCK_NONE) {
        pool->free_head = block->next_free;
    } else {
        pool->blocks[block->prev_free].next_free = block->next_free;
    }
    if (block->next_free == BLOCK_NONE) {
        pool->free_tail = block->prev_free;
    } else {
        pool->blocks[block->next_free].prev_free = block->prev_free;
    }
    block->next_free = BLOCK_NONE;
    block->prev_free = BLOCK_NONE;
    pool->free_count--;
}

/* Links the block between two neighbours, of which either may be BLOCK_NONE: an end. */
static void free_list_insert(struct block_pool *pool, uint32_t block_id, uint32_t prev,
                             uint32_t next)
{
    struct block *block = &pool->blocks[block_id];
    assert(block->refcount == 0);
    assert(pool->free_count < pool->block_count);
    block->prev_free = prev;
    block->next_free = next;
    if (prev == BLOCK_NONE) {
        pool->free_head = block_id;
    } else {
        pool->blocks[prev].next_free = block_id;
    }
    if (next == BLOCK_NONE) {
        pool->free_tail = block_id;
    } else {
        pool->blocks[next].prev_free = block_id;
    }
    pool->free_count++;
}

enum status block_pool_init(struct block_pool *pool, uint32_t block_count, struct error *err)
{
    *pool = (struct block_pool){.free_head = BLOCK_NONE, .free_tail = BLOCK_NONE};
    if (block_count == 0 || block_count == BLOCK_NONE) {
        return error_set(err, ERR_INVALID, "KV cache of %u blocks: must be 1 to %u", block_count,
                         BLOCK_NONE - 1);
    }
    pool->blocks = calloc(block_count, sizeof *pool->blocks);
    if (pool->blocks == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the counters of %u KV blocks",
                         block_count);
    }
    pool->block_count = block_count;
    for (uint32_t i = 0; i < block_count; i++) {
        free_list_insert(pool, i, pool->free_tail, BLOCK_NONE);
    }
    return OK;
}

void block_pool_release(struct block_pool *pool)
{
    free(pool->blocks);
    *pool = (struct block_pool){0};
}

uint32_t block_pool_alloc(struct block_pool *pool)
{
    uint32_t block_id = pool->free_head;
    if (block_id == BLOCK_NONE) {
        assert(pool->free_count == 0);
        return BLOCK_NONE;
    }
    assert(block_id < pool->block_count);
    free_list_remove(pool, block_id);
    pool->blocks[block_id].refcount = 1;
    return block_id;
}

void block_pool_get(struct block_pool *pool, uint32_t block_id)
{
    assert(block_id < pool->block_count);
    struct block *block = &pool->blocks[block_id];
    assert(block->refcount < UINT32_MAX);
    if (block->refcount == 0) {
        free_list_remove(pool, block_id);
    }
    block->refcount++;
}

/* Whether that was the last reference. */
static bool drop_reference(struct block_pool *pool, uint32_t block_id)
{
    assert(block_id < pool->block_count);
    assert(pool->blocks[block_id].refcount > 0);
    pool->blocks[block_id].refcount--;
    return pool->blocks[block_id].refcount == 0;
}

void block_pool_put(struct block_pool *pool, uint32_t block_id)
{
    if (drop_reference(pool, block_id)) {
        free_list_insert(pool, block_id, pool->free_tail, BLOCK_NONE);
    }
}

void block_pool_put_worthless(struct block_pool *pool, uint32_t block_id)
{
    if (drop_reference(pool, block_id)) {
        free_list_insert(pool, block_id, BLOCK_NONE, pool->free_head);
    }
}

uint32_t block_pool_refcount(const struct block_pool *pool, uint32_t block_id)
{
    assert(block_id < pool->block_count);
    return pool->blocks[block_id].refcount;
}

void block_pool_check(const struct block_pool *pool)
{
    uint32_t unreferenced = 0;
    for (uint32_t i = 0; i < pool->block_count; i++) {
        unreferenced += pool->blocks[i].refcount == 0;
    }
    assert(unreferenced == pool->free_count);

    uint32_t listed = 0;
    uint32_t prev = BLOCK_NONE;
    for (uint32_t i = pool->free_head; i != BLOCK_NONE; i = pool->blocks[i].next_free) {
        assert(i < pool->block_count);
        assert(pool->blocks[i].refcount == 0);
        assert(pool->blocks[i].prev_free == prev);
        listed++;
        assert(listed <= pool->block_count); /* no cycle */
        prev = i;
    }
    assert(pool->free_tail == prev);
    assert(listed == pool->free_count);
}
