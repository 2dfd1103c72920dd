/* kv_cache.h - where each token's keys and values live: the verbs on one request's blocks.
 *
 * A request's tokens lie in the blocks of its table, token i in block i / block_tokens. Tokens
 * below committed_tokens are final; above it they are guesses (or not yet computed) and can be
 * rolled back without copying. Layers may be filled to different depths (self-speculation fills
 * lower layers first): kv_fill keeps one number until a caller asks for more.
 * Full committed blocks are published in the prefix index under a chained keyed hash, salt
 * included, and compared token by token on a hit. A published block is never written again.
 * Thread: engine. Pure: no I/O, no clock, no device. Nothing allocates after init.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_KV_CACHE_H
#define KVCACHE_KV_CACHE_H

#include "configs/error.h"
#include "kvcache/block_pool.h"
#include "kvcache/kv_request.h"
#include "kvcache/prefix_index.h"

#include <stdbool.h>
#include <stdint.h>

struct kv_cache_options {
    uint32_t block_count;
    uint32_t block_tokens;       /* 1..LIMIT_BLOCK_TOKENS */
    uint32_t layer_group_count;  /* >= 1; layers of a group always share one fill */
    uint32_t request_tokens_max; /* the longest request: sizes each block table */
    bool prefix_caching;
    uint64_t hash_key[2]; /* random per process: clients cannot aim collisions */
};

struct kv_cache {
    struct kv_cache_options options;
    struct block_pool pool;
    struct prefix_index index;
    uint64_t query_tokens; /* prompt tokens looked up, and found: for the hit rate */
    uint64_t hit_tokens;
};

/* A block whose first token_count tokens must be copied before the next step writes to it. */
struct kv_copy {
    uint32_t from_block;
    uint32_t to_block;
    uint32_t token_count;
};

enum status kv_cache_init(struct kv_cache *cache, const struct kv_cache_options *options,
                          struct error *err);
void kv_cache_close(struct kv_cache *cache);

/* Attaches the longest cached prefix of whole blocks, shorter than token_count (at least one token
 * is always left to compute), to a request that holds nothing. Returns the tokens found. */
uint32_t kv_cache_match(struct kv_cache *cache, struct kv_request *request, uint64_t salt,
                        const uint32_t *token_ids, uint32_t token_count);

/* Free blocks that kv_cache_match over the first match_tokens tokens and then kv_cache_reserve of
 * token_count would take, for a request that holds nothing. Changes nothing. */
uint32_t kv_cache_demand(const struct kv_cache *cache, uint64_t salt, const uint32_t *token_ids,
                         uint32_t match_tokens, uint32_t token_count);

/* Blocks that token_count tokens lie in. */
uint32_t kv_cache_blocks(const struct kv_cache *cache, uint32_t token_count);

/* Blocks that kv_cache_reserve would have to take for token_count tokens in all. */
uint32_t kv_cache_needed(const struct kv_cache *cache, const struct kv_request *request,
                         uint32_t token_count);

/* Extends the table to cover token_count tokens: all of it, or nothing and false. */
bool kv_cache_reserve(struct kv_cache *cache, struct kv_request *request, uint32_t token_count);

/* Notes that a step wrote KV for tokens up to token_count in the given layer groups. */
void kv_cache_fill(struct kv_cache *cache, struct kv_request *request, uint32_t token_count);
void kv_cache_fill_groups(struct kv_cache *cache, struct kv_request *request, uint32_t group_first,
                          uint32_t group_count, uint32_t token_count);
uint32_t kv_cache_filled(const struct kv_cache *cache, const struct kv_request *request,
                         uint32_t group);

/* Makes tokens below token_count final (filled in every group) and publishes blocks that became
 * full. token_ids are the request's tokens from 0. */
void kv_cache_commit(struct kv_cache *cache, struct kv_request *request, uint64_t salt,
                     const uint32_t *token_ids, uint32_t token_count);

/* Lowers every fill to token_count (>= committed) and puts back whole blocks above it. */
void kv_cache_rollback(struct kv_cache *cache, struct kv_request *request, uint32_t token_count);

/* Gives child (holding nothing) the first token_count committed tokens of parent: full blocks are
 * shared; a partial last one gets a fresh block, and *copy says what to copy (token_count 0: no
 * copy). False, with child empty, when no block is free. */
bool kv_cache_fork(struct kv_cache *cache, const struct kv_request *parent,
                   struct kv_request *child, uint32_t token_count, struct kv_copy *copy);

/* Whether a step may write KV at these positions: reserved, held by nobody else, unpublished. */
bool kv_cache_writable(const struct kv_cache *cache, const struct kv_request *request,
                       uint32_t start, uint32_t token_count);

/* Puts every block back, last first, so that heads of prompts stay cached longest. Blocks that
 * nobody can find again are the first to be reused. */
void kv_cache_release(struct kv_cache *cache, struct kv_request *request);

/* Forgets every cached prefix that no request holds. */
void kv_cache_flush(struct kv_cache *cache);

/* Asserts the invariants of pool and index, and those of one request. Linear in their sizes. */
void kv_cache_check(const struct kv_cache *cache);
void kv_cache_check_request(const struct kv_cache *cache, const struct kv_request *request);

#endif
