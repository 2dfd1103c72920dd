/* kv_request.h - what one request holds of the KV cache: its blocks, and how far they are filled.
 *
 * Changed by the verbs of kv_cache.h alone. Invariants: kv_cache_check_request.
 * Thread: engine. All memory is taken at init. SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_KV_REQUEST_H
#define KVCACHE_KV_REQUEST_H

#include "configs/error.h"
#include "kvcache/block_table.h"
#include "kvcache/prefix_index.h"

#include <stdbool.h>
#include <stdint.h>

struct kv_cache;

struct kv_request {
    struct block_table table;
    uint32_t committed_tokens;
    uint32_t fill_tokens;    /* tokens with valid KV in every layer group ... */
    uint32_t *fill_by_group; /* ... or, when layered, per group [layer_group_count] */
    bool layered;
    uint32_t published_blocks; /* leading blocks already offered to the prefix index */
    struct prefix_node place;  /* where the next full block will hang in the prefix index */
};

/* Takes memory for the longest request the cache's options allow. It holds nothing yet. */
enum status kv_request_init(struct kv_request *request, const struct kv_cache *cache,
                            struct error *err);

/* Memory only: the blocks must have gone by kv_cache_release. Accepts a zeroed one. */
void kv_request_close(struct kv_request *request);

bool kv_request_empty(const struct kv_request *request);

#endif
