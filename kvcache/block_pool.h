/* block_pool.h - which KV blocks are in use, and by how many requests.
 *
 * Thread: engine; nothing here locks.
 * Invariants (block_pool_check):
 *   - a block is on the free list exactly when its refcount is 0;
 *   - a free block keeps its contents, so a cached prefix can be revived until reuse;
 *   - the free list is the eviction order: first the blocks with nothing worth keeping, then the
 *     others from least to most recently freed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_BLOCK_POOL_H
#define KVCACHE_BLOCK_POOL_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

#define BLOCK_NONE UINT32_MAX

struct block {
    uint32_t refcount;
    uint32_t next_free; /* block id, or BLOCK_NONE */
    uint32_t prev_free;
};

struct block_pool {
    struct block *blocks; /* [block_count] */
    uint32_t block_count;
    uint32_t free_count;
    uint32_t free_head; /* the next to be reused */
    uint32_t free_tail; /* most recently freed */
};

enum status block_pool_init(struct block_pool *pool, uint32_t block_count, struct error *err);
void block_pool_release(struct block_pool *pool);

/* The first of the free list, with one reference; BLOCK_NONE when none is free. */
uint32_t block_pool_alloc(struct block_pool *pool);

/* Adds a reference; a free block leaves the free list, its contents intact. */
void block_pool_get(struct block_pool *pool, uint32_t block_id);

/* Drops a reference; the last one puts the block at the young end of the free list. */
void block_pool_put(struct block_pool *pool, uint32_t block_id);

/* As block_pool_put, but the last reference puts the block at the old end: its contents are of no
 * use to anybody, so it is reused before any cached one. */
void block_pool_put_worthless(struct block_pool *pool, uint32_t block_id);

uint32_t block_pool_refcount(const struct block_pool *pool, uint32_t block_id);

void block_pool_check(const struct block_pool *pool);

#endif
