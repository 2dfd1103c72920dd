/* kv_store.h - the bytes of the KV cache: layout per layer, allocated through the backend.
 *
 * Thread: engine. The only file of kvcache/ that knows the backend.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KVCACHE_KV_STORE_H
#define KVCACHE_KV_STORE_H

#include "configs/error.h"
#include "kernels/backend.h"

#include <stdbool.h>
#include <stdint.h>

struct kv_store_options {
    uint32_t layer_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    bool keys_are_values; /* one region a layer instead of two: latent attention */
    uint32_t block_count;
    uint32_t block_tokens;
    enum dtype dtype; /* DTYPE_F32, DTYPE_F16 or DTYPE_BF16 */
};

struct kv_store {
    struct backend *be; /* borrowed */
    struct kv_store_options options;
    struct kv_layer *layers; /* [layer_count] */
    void *memory;            /* one allocation, layer-major: keys, then values, of each layer */
    uint64_t memory_bytes;
};

/* Bytes of one block over all layers, keys and values; 0 when the product does not fit. */
uint64_t kv_store_block_bytes(const struct kv_store_options *options);

enum status kv_store_init(struct kv_store *store, struct backend *be,
                          const struct kv_store_options *options, struct error *err);
void kv_store_release(struct kv_store *store);

/* Copies the first token_count tokens of a block, in every layer, keys and values. */
void kv_store_copy(struct kv_store *store, uint32_t from_block, uint32_t to_block,
                   uint32_t token_count);

#endif
