/* batch.h - what one step runs: flat arrays of tokens, and the span of each request in them.
 *
 * Ragged: spans lie one behind the other, no padding. Row r of the batch is token_ids[r] at
 * positions[r], its KV goes to slots[r]. logits_rows lists the rows whose logits are wanted, in
 * ascending order; each span's are contiguous in it.
 * Thread: engine. All arrays are taken at init. SPDX-License-Identifier: Apache-2.0 */
#ifndef SCHEDULER_BATCH_H
#define SCHEDULER_BATCH_H

#include "kvcache/kv_cache.h"

#include <stdint.h>

struct request;

struct span {
    struct request *request;
    uint64_t request_number; /* its arrival_number: the struct may be reused before apply */
    uint32_t first_row;
    uint32_t row_count;        /* new tokens; 1 + guesses when a draft is verified */
    uint32_t start;            /* position of the first row */
    uint32_t guess_count;      /* how many rows at the end are guesses */
    uint32_t first_logits;     /* index into logits_rows */
    uint32_t logits_count;     /* 0 while a prompt's chunk does not reach its end */
    const uint32_t *block_ids; /* [..] covers all positions of the span and before */
};

struct batch {
    uint32_t token_count;
    uint32_t span_count;
    uint32_t logits_count;
    uint32_t copy_count;
    uint32_t *token_ids;    /* [token_count_max] */
    uint32_t *positions;    /* [token_count_max] */
    uint32_t *slots;        /* [token_count_max] */
    uint32_t *logits_rows;  /* [logits_count_max] */
    struct span *spans;     /* [span_count_max] */
    struct kv_copy *copies; /* [span_count_max], to be done before the forward pass */
    uint32_t token_count_max;
    uint32_t span_count_max;
    uint32_t logits_count_max;
};

enum status batch_init(struct batch *batch, uint32_t token_count_max, uint32_t span_count_max,
                       uint32_t logits_count_max, struct error *err);
void batch_release(struct batch *batch);
void batch_reset(struct batch *batch);

/* Appends a request's rows [start, start + row_count); the last logits_count of them want logits.
 * The request's table covers them. */
void batch_add(struct batch *batch, struct request *request, uint32_t row_count,
               uint32_t guess_count, uint32_t logits_count, uint32_t block_tokens);

#endif
