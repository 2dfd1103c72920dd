/* kv_request.c - the memory of one request's table and fill.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kvcache/kv_request.h"

#include "kvcache/kv_cache.h"

#include <assert.h>
#include <stdlib.h>

enum status kv_request_init(struct kv_request *request, const struct kv_cache *cache,
                            struct error *err)
{
    *request = (struct kv_request){0};
    const struct kv_cache_options *options = &cache->options;
    uint32_t block_count_max = kv_cache_blocks(cache, options->request_tokens_max);
    if (block_count_max > options->block_count) {
        block_count_max = options->block_count; /* no request can hold more than there are */
    }
    enum status status = block_table_init(&request->table, block_count_max, err);
    if (status != OK) {
        return status;
    }
    request->fill_by_group = calloc(options->layer_group_count, sizeof *request->fill_by_group);
    if (request->fill_by_group == NULL) {
        kv_request_close(request);
        return error_set(err, ERR_MEMORY, "no memory for a request's fill of %u layer groups",
                         options->layer_group_count);
    }
    return OK;
}

void kv_request_close(struct kv_request *request)
{
    block_table_release(&request->table);
    free(request->fill_by_group);
    request->fill_by_group = NULL;
}

bool kv_request_empty(const struct kv_request *request)
{
    assert(request->committed_tokens >= request->published_blocks);
    return request->table.block_count == 0 && request->committed_tokens == 0 &&
           request->fill_tokens == 0 && request->published_blocks == 0;
}
