/* kv_store.c - one device allocation, cut into two equal, 64-byte aligned regions a layer, or one
 * where keys are values too.
 *
 * In a block, a head's tokens lie together (backend.h, struct kv_layer), so the first tokens of a
 * block are one run a head: a partial copy is kv_head_count copies for keys and for values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/kv_store.h"

#include "configs/checked.h"
#include "configs/limits.h"

#include <assert.h>
#include <stdlib.h>

enum {
    REGION_ALIGNMENT = 64 /* a cache line, and the widest vector */
};

static uint32_t value_bytes(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_F32:
        return 4;
    case DTYPE_F16:
    case DTYPE_BF16:
        return 2;
    default:
        return 0;
    }
}

static uint64_t regions_of_layer(const struct kv_store_options *options)
{
    return options->keys_are_values ? 1 : 2;
}

/* Bytes of the keys (or the values) of one block in one layer. */
static bool region_block_bytes(const struct kv_store_options *options, uint64_t *out)
{
    return checked_mul_u64(options->kv_head_count, options->block_tokens, out) &&
           checked_mul_u64(*out, options->head_dim, out) &&
           checked_mul_u64(*out, value_bytes(options->dtype), out) && *out > 0;
}

uint64_t kv_store_block_bytes(const struct kv_store_options *options)
{
    uint64_t bytes;
    if (!region_block_bytes(options, &bytes) ||
        !checked_mul_u64(bytes, regions_of_layer(options), &bytes) ||
        !checked_mul_u64(bytes, options->layer_count, &bytes)) {
        return 0;
    }
    return bytes;
}

static enum status check_options(const struct kv_store_options *options, struct error *err)
{
    if (value_bytes(options->dtype) == 0) {
        return error_set(err, ERR_INVALID, "KV cache dtype %d: must be f32, f16 or bf16",
                         (int)options->dtype);
    }
    if (options->layer_count == 0 || options->layer_count > LIMIT_MODEL_LAYERS) {
        return error_set(err, ERR_INVALID, "KV cache of %u layers: must be 1 to %u",
                         options->layer_count, LIMIT_MODEL_LAYERS);
    }
    if (options->block_tokens == 0 || options->block_tokens > LIMIT_BLOCK_TOKENS) {
        return error_set(err, ERR_INVALID, "KV block of %u tokens: must be 1 to %u",
                         options->block_tokens, LIMIT_BLOCK_TOKENS);
    }
    if (options->kv_head_count == 0 || options->head_dim == 0 || options->block_count == 0) {
        return error_set(err, ERR_INVALID, "KV cache of %u heads, %u values, %u blocks: none is 0",
                         options->kv_head_count, options->head_dim, options->block_count);
    }
    return OK;
}

static void place_layers(struct kv_store *store, uint64_t region_bytes)
{
    const struct kv_store_options *options = &store->options;
    unsigned char *next = store->memory;
    for (uint32_t i = 0; i < options->layer_count; i++) {
        store->layers[i] = (struct kv_layer){
            .keys = next,
            .values = options->keys_are_values ? next : next + region_bytes,
            .dtype = options->dtype,
            .block_count = options->block_count,
            .block_tokens = options->block_tokens,
            .kv_head_count = options->kv_head_count,
            .head_dim = options->head_dim,
        };
        next += regions_of_layer(options) * region_bytes;
    }
    assert(next == (unsigned char *)store->memory + store->memory_bytes);
}

enum status kv_store_init(struct kv_store *store, struct backend *be,
                          const struct kv_store_options *options, struct error *err)
{
    assert(be != NULL);
    *store = (struct kv_store){.be = be, .options = *options};
    enum status status = check_options(options, err);
    if (status != OK) {
        return status;
    }
    uint64_t region_bytes;
    uint64_t memory_bytes;
    if (!region_block_bytes(options, &region_bytes) ||
        !checked_mul_u64(region_bytes, options->block_count, &region_bytes) ||
        !checked_align_u64(region_bytes, REGION_ALIGNMENT, &region_bytes) ||
        !checked_mul_u64(region_bytes, regions_of_layer(options) * options->layer_count,
                         &memory_bytes) ||
        memory_bytes > SIZE_MAX / 2) {
        return error_set(err, ERR_INVALID, "KV cache of %u blocks is too large to address",
                         options->block_count);
    }
    store->layers = calloc(options->layer_count, sizeof *store->layers);
    store->memory = store->layers == NULL ? NULL : be->ops->alloc(be, (size_t)memory_bytes);
    if (store->memory == NULL) {
        kv_store_release(store);
        return error_set(err, ERR_MEMORY, "no memory for a KV cache of %llu bytes",
                         (unsigned long long)memory_bytes);
    }
    store->memory_bytes = memory_bytes;
    place_layers(store, region_bytes);
    return OK;
}

void kv_store_release(struct kv_store *store)
{
    if (store->memory != NULL) {
        store->be->ops->free(store->be, store->memory, (size_t)store->memory_bytes);
    }
    free(store->layers);
    *store = (struct kv_store){0};
}

/* The first token_count tokens of each head of one block, within one region. */
static void copy_region(struct kv_store *store, void *region, uint32_t from_block,
                        uint32_t to_block, uint32_t token_count)
{
    const struct kv_store_options *options = &store->options;
    size_t token_bytes = (size_t)options->head_dim * value_bytes(options->dtype);
    size_t head_bytes = options->block_tokens * token_bytes;
    unsigned char *base = region;
    for (uint32_t head = 0; head < options->kv_head_count; head++) {
        size_t from = ((size_t)from_block * options->kv_head_count + head) * head_bytes;
        size_t to = ((size_t)to_block * options->kv_head_count + head) * head_bytes;
        store->be->ops->copy(store->be, base + to, base + from, token_count * token_bytes);
    }
}

void kv_store_copy(struct kv_store *store, uint32_t from_block, uint32_t to_block,
                   uint32_t token_count)
{
    assert(from_block < store->options.block_count);
    assert(to_block < store->options.block_count);
    assert(from_block != to_block);
    assert(token_count <= store->options.block_tokens);
    for (uint32_t i = 0; i < store->options.layer_count; i++) {
        copy_region(store, store->layers[i].keys, from_block, to_block, token_count);
        if (!store->options.keys_are_values) {
            copy_region(store, store->layers[i].values, from_block, to_block, token_count);
        }
    }
}
