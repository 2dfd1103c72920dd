/* batch.c - fills the flat arrays of a step, one span behind the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/batch.h"

#include "scheduler/request.h"

#include <assert.h>
#include <stdlib.h>

enum status batch_init(struct batch *batch, uint32_t token_count_max, uint32_t span_count_max,
                       uint32_t logits_count_max, struct error *err)
{
    *batch = (struct batch){
        .token_count_max = token_count_max,
        .span_count_max = span_count_max,
        .logits_count_max = logits_count_max,
    };
    if (token_count_max == 0 || span_count_max == 0 || logits_count_max == 0) {
        return error_set(err, ERR_INVALID,
                         "batch of %u tokens, %u spans, %u rows of logits: none may be 0",
                         token_count_max, span_count_max, logits_count_max);
    }
    batch->token_ids = calloc(token_count_max, sizeof *batch->token_ids);
    batch->positions = calloc(token_count_max, sizeof *batch->positions);
    batch->slots = calloc(token_count_max, sizeof *batch->slots);
    batch->logits_rows = calloc(logits_count_max, sizeof *batch->logits_rows);
    batch->spans = calloc(span_count_max, sizeof *batch->spans);
    batch->copies = calloc(span_count_max, sizeof *batch->copies);
    if (batch->token_ids == NULL || batch->positions == NULL || batch->slots == NULL ||
        batch->logits_rows == NULL || batch->spans == NULL || batch->copies == NULL) {
        batch_release(batch);
        return error_set(err, ERR_MEMORY, "no memory for a batch of %u tokens", token_count_max);
    }
    return OK;
}

void batch_release(struct batch *batch)
{
    free(batch->token_ids);
    free(batch->positions);
    free(batch->slots);
    free(batch->logits_rows);
    free(batch->spans);
    free(batch->copies);
    *batch = (struct batch){0};
}

void batch_reset(struct batch *batch)
{
    assert(batch->token_ids != NULL);
    batch->token_count = 0;
    batch->span_count = 0;
    batch->logits_count = 0;
    batch->copy_count = 0;
}

void batch_add(struct batch *batch, struct request *request, uint32_t row_count,
               uint32_t guess_count, uint32_t logits_count, uint32_t block_tokens)
{
    uint32_t start = request->computed_tokens;
    assert(row_count > guess_count && row_count >= logits_count);
    assert(start + row_count <= request->token_count + guess_count);
    assert(batch->span_count < batch->span_count_max);
    assert(row_count <= batch->token_count_max - batch->token_count);
    assert(logits_count <= batch->logits_count_max - batch->logits_count);
    batch->spans[batch->span_count++] = (struct span){
        .request = request,
        .request_number = request->arrival_number,
        .first_row = batch->token_count,
        .row_count = row_count,
        .start = start,
        .guess_count = guess_count,
        .first_logits = batch->logits_count,
        .logits_count = logits_count,
        .block_ids = request->kv.table.block_ids,
    };
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t row = batch->token_count++;
        batch->token_ids[row] = request->spec.token_ids[start + i];
        batch->positions[row] = start + i;
        batch->slots[row] = block_table_slot(&request->kv.table, start + i, block_tokens);
        if (i >= row_count - logits_count) {
            batch->logits_rows[batch->logits_count++] = row;
        }
    }
}
