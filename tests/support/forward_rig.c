/* forward_rig.c - fills the batch's arrays by hand, as the scheduler would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/forward_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(enum status status, const struct error *err)
{
    if (status != OK) {
        fprintf(stderr, "forward_rig: %s\n", err->message);
        abort();
    }
}

void forward_rig_open(struct forward_rig *rig, const struct gguf *file,
                      const struct forward_rig_options *options)
{
    struct error err = {0};
    memset(rig, 0, sizeof *rig);
    rig->block_tokens = options->block_tokens;
    require(backend_open(&rig->be,
                         &(struct backend_options){.name = "cpu",
                                                   .thread_count = options->thread_count,
                                                   .isa_max = options->isa_max,
                                                   .precision = options->precision},
                         &err),
            &err);
    require(model_open(&rig->model, file, rig->be, NULL, &err), &err);
    const struct model_params *params = &rig->model.params;
    require(kv_store_init(&rig->store, rig->be,
                          &(struct kv_store_options){.layer_count = params->layer_count,
                                                     .kv_head_count = params->kv_head_count,
                                                     .head_dim = params->head_dim,
                                                     .keys_are_values = params->latent.kv_rank > 0,
                                                     .block_count = options->block_count,
                                                     .block_tokens = options->block_tokens,
                                                     .dtype = options->kv_dtype},
                          &err),
            &err);
    require(batch_init(&rig->batch, options->token_count_max, options->span_count_max,
                       options->token_count_max, &err),
            &err);
    require(forward_open(&rig->forward, &rig->model, rig->be, &rig->store,
                         &(struct forward_options){.token_count_max = options->token_count_max,
                                                   .span_count_max = options->span_count_max,
                                                   .logits_count_max = options->token_count_max},
                         &err),
            &err);
}

void forward_rig_close(struct forward_rig *rig)
{
    forward_close(rig->forward);
    batch_release(&rig->batch);
    kv_store_release(&rig->store);
    model_close(&rig->model);
    backend_close(rig->be);
}

static void add_piece(struct forward_rig *rig, const struct forward_rig_piece *piece)
{
    struct batch *batch = &rig->batch;
    struct span *span = &batch->spans[batch->span_count++];
    *span = (struct span){.first_row = batch->token_count,
                          .row_count = piece->token_count,
                          .start = piece->start,
                          .first_logits = batch->logits_count,
                          .logits_count = piece->logits != NULL ? piece->token_count : 0,
                          .block_ids = piece->block_ids};
    for (uint32_t i = 0; i < piece->token_count; i++) {
        uint32_t row = batch->token_count++;
        uint32_t position = piece->start + i;
        batch->token_ids[row] = piece->token_ids[position];
        batch->positions[row] = position;
        batch->slots[row] = piece->block_ids[position / rig->block_tokens] * rig->block_tokens +
                            position % rig->block_tokens;
        if (piece->logits != NULL) {
            batch->logits_rows[batch->logits_count++] = row;
        }
    }
}

void forward_rig_step(struct forward_rig *rig, const struct forward_rig_piece *pieces,
                      uint32_t piece_count)
{
    struct error err = {0};
    for (uint32_t i = 0; i < piece_count; i++) {
        add_piece(rig, &pieces[i]);
    }
    float *logits = NULL;
    require(forward_run(rig->forward, &rig->batch, &logits, &err), &err);
    size_t vocab_count = rig->model.params.vocab_count;
    for (uint32_t i = 0; i < piece_count; i++) {
        const struct span *span = &rig->batch.spans[i];
        if (pieces[i].logits != NULL) {
            memcpy(pieces[i].logits, logits + span->first_logits * vocab_count,
                   span->logits_count * vocab_count * sizeof(float));
        }
    }
    batch_reset(&rig->batch);
}
