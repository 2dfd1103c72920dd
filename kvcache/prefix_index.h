/* prefix_index.h - chained keyed hash of full blocks -> block id.
 *
 * The published blocks form a tree: under a root per salt (tenant, adapter, ...), each hangs under
 * the block before it. The hash of a block covers its tokens and its parent's hash, and finds the
 * bucket; what decides is the comparison of the stored token ids and of the parent's identity, so
 * a collision is a miss, never another prompt's KV. A block taken out takes its identity with it:
 * what hung under it can no longer be reached.
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

/* A place in the tree: where the next block of a request is looked up or hung. */
struct prefix_node {
    struct prefix_hash hash;
    uint64_t identity; /* a root's salt, or the number of a block's publication: never reused */
    bool root;
};

struct prefix_entry {
    struct prefix_node node;   /* this block */
    struct prefix_node parent; /* what it hangs under */
    uint32_t next;             /* block id in the same bucket, or BLOCK_NONE */
    bool published;
};

enum {
    PREFIX_SECRET_BYTES = 192
};

struct prefix_index {
    struct prefix_entry *entries; /* [block_count], by block id */
    uint32_t *token_ids;          /* [block_count, block_tokens]: what each published block holds */
    uint32_t *buckets;            /* [bucket_count] block id or BLOCK_NONE */
    uint32_t block_count;
    uint32_t block_tokens;
    uint32_t bucket_count; /* a power of two */
    uint32_t published_count;
    uint64_t publication_count; /* ever: the source of identities */
    uint64_t hash_mask;         /* all ones; tests narrow it to force collisions */
    uint64_t secret[PREFIX_SECRET_BYTES / sizeof(uint64_t)]; /* stretched from the key */
};

enum status prefix_index_init(struct prefix_index *index, uint32_t block_count,
                              uint32_t block_tokens, const uint64_t key[2], struct error *err);
void prefix_index_release(struct prefix_index *index);

/* The place in front of a request's first block. */
struct prefix_node prefix_index_root(const struct prefix_index *index, uint64_t salt);

/* The published block with these block_tokens tokens under this parent, or BLOCK_NONE. */
uint32_t prefix_index_find(const struct prefix_index *index, const struct prefix_node *parent,
                           const uint32_t *token_ids);

/* The place behind a published block. */
struct prefix_node prefix_index_node(const struct prefix_index *index, uint32_t block_id);

/* Publishes a block and returns the place behind it. If an equal one is published already, this
 * one stays as it is, and the place is behind the other. */
struct prefix_node prefix_index_publish(struct prefix_index *index, uint32_t block_id,
                                        const struct prefix_node *parent,
                                        const uint32_t *token_ids);

bool prefix_index_published(const struct prefix_index *index, uint32_t block_id);

/* Takes a block out, before its contents change; does nothing if it is not published. */
void prefix_index_remove(struct prefix_index *index, uint32_t block_id);

void prefix_index_check(const struct prefix_index *index);

#endif
