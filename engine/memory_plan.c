/* memory_plan.c - the KV pool takes what the settings say; the rest follows from their limits.
 *
 * Without a setting the pool has room for max_num_seqs requests of full length, but at most a
 * quarter of the machine, so that starting a large model on a small machine does not fail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/memory_plan.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "engine/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    POOL_SHARE = 4,       /* the default pool is at most one part in so many */
    LOGITS_ROWS_MIN = 32, /* so that prompt log-probabilities come in useful chunks */
    POOL_BLOCKS_MAX = 1 << 30
};

static enum status read_kv_dtype(const char *name, enum dtype *out, struct error *err)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } dtypes[] = {{"f16", DTYPE_F16}, {"bf16", DTYPE_BF16}, {"f32", DTYPE_F32}};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *out = dtypes[i].dtype;
            return OK;
        }
    }
    return error_set(err, ERR_INVALID, "kv-cache-dtype is %s: must be f16, bf16 or f32", name);
}

/* What the settings and the file allow one request, before the pool has its say. */
static enum status choose_context(const struct config *config, const struct model_params *params,
                                  uint32_t *out, struct error *err)
{
    if (config->max_model_len > params->context_tokens) {
        return error_set(err, ERR_INVALID,
                         "max-model-len is %llu: the model was trained for %u tokens",
                         (unsigned long long)config->max_model_len, params->context_tokens);
    }
    *out = config->max_model_len != 0 ? (uint32_t)config->max_model_len : params->context_tokens;
    if (*out < 2) {
        return error_set(err, ERR_INVALID, "max-model-len is %u: a request needs at least 2 tokens",
                         *out);
    }
    return OK;
}

static enum status choose_block_count(struct memory_plan *plan, const struct config *config,
                                      uint32_t context_tokens, uint64_t machine_bytes,
                                      struct error *err)
{
    uint64_t block_bytes = kv_store_block_bytes(&plan->store);
    if (block_bytes == 0) {
        return error_set(err, ERR_INVALID, "block-size is %llu: one block exceeds every memory",
                         (unsigned long long)config->block_size);
    }
    uint32_t block_tokens = plan->store.block_tokens;
    uint64_t slots_max = UINT32_MAX / block_tokens; /* a slot's number fits 32 bits */
    uint64_t block_count = config->kv_cache_memory_bytes / block_bytes;
    if (config->kv_cache_memory_bytes == 0) {
        uint64_t wanted =
            config->max_num_seqs * (((uint64_t)context_tokens + block_tokens - 1) / block_tokens);
        uint64_t affordable = machine_bytes / POOL_SHARE / block_bytes;
        block_count = wanted < affordable ? wanted : affordable;
    }
    block_count = block_count < slots_max ? block_count : slots_max;
    block_count = block_count < POOL_BLOCKS_MAX ? block_count : POOL_BLOCKS_MAX;
    if (block_count == 0 || block_count * block_tokens < 2) {
        return error_set(err, ERR_INVALID,
                         "kv-cache-memory-bytes is %llu: one block of %u tokens takes %llu, and a "
                         "request needs room for 2 tokens",
                         (unsigned long long)(config->kv_cache_memory_bytes != 0
                                                  ? config->kv_cache_memory_bytes
                                                  : machine_bytes / POOL_SHARE),
                         block_tokens, (unsigned long long)block_bytes);
    }
    plan->store.block_count = (uint32_t)block_count;
    plan->totals.block_bytes = block_bytes;
    plan->totals.kv_bytes = block_count * block_bytes;
    return OK;
}

/* Every request that can be accepted has its struct and block table; every block its entries in
 * pool and prefix index (whose buckets are at most half full, so up to four a block). */
static uint64_t bookkeeping_bytes(const struct memory_plan *plan)
{
    const struct scheduler_options *scheduler = &plan->scheduler;
    uint64_t block_count = plan->cache.block_count;
    uint64_t block_tokens = plan->cache.block_tokens;
    uint64_t table_entries = (plan->cache.request_tokens_max + block_tokens - 1) / block_tokens;
    uint64_t request_count = (uint64_t)scheduler->running_max + scheduler->waiting_max;
    uint64_t per_block = sizeof(struct block) + sizeof(struct prefix_entry) +
                         block_tokens * sizeof(uint32_t) + 4 * sizeof(uint32_t);
    return request_count * (sizeof(struct request) + table_entries * sizeof(uint32_t)) +
           block_count * per_block + (uint64_t)scheduler->batch_tokens_max * 3 * sizeof(uint32_t) +
           (uint64_t)scheduler->logits_rows_max * sizeof(uint32_t) +
           (uint64_t)scheduler->running_max *
               (sizeof(struct span) + sizeof(struct kv_copy) + sizeof(struct span_outcome));
}

static enum status choose_scheduler(struct memory_plan *plan, const struct config *config,
                                    struct error *err)
{
    const struct policy *policy = policy_find(config->scheduling_policy);
    if (policy == NULL) {
        return error_set(err, ERR_INVALID, "scheduling-policy is %s: must be fcfs or priority",
                         config->scheduling_policy);
    }
    uint32_t running_max = (uint32_t)config->max_num_seqs;
    plan->scheduler = (struct scheduler_options){
        .running_max = running_max,
        /* A burst that finds the engine idle waits as a whole until the first step admits it. */
        .waiting_max = running_max + (uint32_t)config->max_waiting,
        .batch_tokens_max = (uint32_t)config->max_num_batched_tokens,
        .chunk_tokens_max = (uint32_t)config->max_chunk_tokens,
        .logits_rows_max = running_max > LOGITS_ROWS_MIN ? running_max : LOGITS_ROWS_MIN,
        .preempt_max = (uint32_t)config->max_preemptions,
        .policy = policy,
    };
    return OK;
}

static void add_totals(struct memory_plan *plan, const struct model_params *params,
                       uint64_t weight_bytes, const struct weights_memory *weights)
{
    struct engine_plan *totals = &plan->totals;
    totals->weight_bytes = weight_bytes;
    totals->packed_bytes = weights->packed_bytes;
    totals->workspace_bytes = forward_bytes(params, &plan->forward) +
                              sampler_bytes(params->vocab_count) + weights->input_bytes;
    totals->request_bytes = bookkeeping_bytes(plan);
    totals->total_bytes = totals->weight_bytes + totals->packed_bytes + totals->kv_bytes +
                          totals->workspace_bytes + totals->request_bytes;
    totals->block_count = plan->cache.block_count;
    totals->block_tokens = plan->cache.block_tokens;
    totals->context_tokens = plan->cache.request_tokens_max;
}

enum status memory_plan_make(struct memory_plan *plan, const struct config *config,
                             const struct model_params *params, uint64_t weight_bytes,
                             const struct weights_memory *weights, uint64_t machine_bytes,
                             struct error *err)
{
    uint32_t context_tokens = 0;
    *plan = (struct memory_plan){
        .store = {.layer_count = params->layer_count,
                  .kv_head_count = params->kv_head_count,
                  .head_dim = params->head_dim,
                  .keys_are_values = params->latent.kv_rank > 0,
                  .block_tokens = (uint32_t)config->block_size},
    };
    enum status status = read_kv_dtype(config->kv_cache_dtype, &plan->store.dtype, err);
    if (status == OK) {
        status = choose_context(config, params, &context_tokens, err);
    }
    if (status == OK) {
        status = choose_block_count(plan, config, context_tokens, machine_bytes, err);
    }
    if (status == OK) {
        status = choose_scheduler(plan, config, err);
    }
    if (status != OK) {
        return status;
    }
    uint64_t pool_tokens = (uint64_t)plan->store.block_count * plan->store.block_tokens;
    plan->cache = (struct kv_cache_options){
        .block_count = plan->store.block_count,
        .block_tokens = plan->store.block_tokens,
        .layer_group_count = 1,
        .request_tokens_max = context_tokens < pool_tokens ? context_tokens : (uint32_t)pool_tokens,
        .prefix_caching = config->enable_prefix_caching,
    };
    plan->forward = (struct forward_options){
        .token_count_max = plan->scheduler.batch_tokens_max,
        .span_count_max = plan->scheduler.running_max,
        .logits_count_max = plan->scheduler.logits_rows_max,
        .context_tokens = context_tokens,
    };
    add_totals(plan, params, weight_bytes, weights);
    return OK;
}

/* "max" or a file that is not there means no limit. */
static uint64_t read_limit(const char *path)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return UINT64_MAX;
    }
    if (fgets(text, sizeof text, file) == NULL) {
        text[0] = '\0';
    }
    fclose(file);
    char *end = text;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || value == 0 ? UINT64_MAX : value;
}

uint64_t memory_plan_machine_bytes(void)
{
    uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = read_limit("/sys/fs/cgroup/memory.max");
    return physical < limit ? physical : limit;
}
