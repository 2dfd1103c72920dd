/* prefix_index.h - chained keyed hash of full blocks -> block id.
 *
 * The hash of a block covers its tokens and, through its parent's hash, all tokens before it and
 * the salt (tenant, adapter, ...). A hit compares the stored token ids and parent as well, so a
 * collision is a miss, never another prompt's KV.
 * Thread: engine. All memory is taken at init. SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_PREFIX_INDEX_H
#define KVCACHE_PREFIX_INDEX_H

#include "configs/error.h"

#include <stdbool.h>
#include <stdint.h>

struct prefix_hash {
    uint64_t low;
    uint64_t high;
};

struct prefix_entry {
    struct prefix_hash hash;   /* of this block */
    struct prefix_hash parent; /* of the block before it, or of the salt */
    uint32_t next;             /* block id in the same bucket, or BLOCK_NONE */
    bool published;
};

struct prefix_index {
    struct prefix_entry *entries; /* [block_count], by block id */
    uint32_t *token_ids;          /* [block_count, block_tokens]: what each published block holds */
    uint32_t *buckets;            /* [bucket_count] block id or BLOCK_NONE */
    uint32_t block_count;
    uint32_t block_tokens;
    uint32_t bucket_count; /* a power of two */
    uint32_t published_count;
    uint64_t key[2];
    uint64_t hash_mask; /* all ones; tests narrow it to force collisions */
};

enum status prefix_index_init(struct prefix_index *index, uint32_t block_count,
                              uint32_t block_tokens, const uint64_t key[2], struct error *err);
void prefix_index_release(struct prefix_index *index);

/* The chain value in front of a request's first block. */
struct prefix_hash prefix_index_root(const struct prefix_index *index, uint64_t salt);

/* The chain value after a block of block_tokens tokens. */
struct prefix_hash prefix_index_chain(const struct prefix_index *index, struct prefix_hash parent,
                                      const uint32_t *token_ids);

/* The published block with these tokens after this parent, or BLOCK_NONE. */
uint32_t prefix_index_find(const struct prefix_index *index, struct prefix_hash parent,
                           const uint32_t *token_ids);

/* Publishes a block. If an equal one is published already, this one stays unpublished. */
void prefix_index_publish(struct prefix_index *index, uint32_t block_id, struct prefix_hash parent,
                          const uint32_t *token_ids);

/* Takes a block out, before its contents change; does nothing if it is not published. */
void prefix_index_remove(struct prefix_index *index, uint32_t block_id);

void prefix_index_check(const struct prefix_index *index);

#endif
