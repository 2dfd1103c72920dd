/* forward.h - the transformer, top to bottom, on backend ops: a batch in, logits out.
 *
 * Thread: engine. All buffers are taken at init for the largest batch; running allocates nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "configs/error.h"
#include "engine/model.h"
#include "kernels/backend.h"
#include "kvcache/kv_store.h"
#include "scheduler/batch.h"

#include <stdint.h>

struct forward_options {
    uint32_t token_count_max; /* rows of the largest batch */
    uint32_t span_count_max;
    uint32_t logits_count_max; /* rows of logits */
    uint32_t context_tokens;   /* the longest request: LongRoPE's choice; 0: as trained */
};

struct forward; /* buffers of one step */

/* Bytes forward_open will take, for the plan. */
uint64_t forward_bytes(const struct model_params *params, const struct forward_options *options);

enum status forward_open(struct forward **out, const struct model *model, struct backend *be,
                         struct kv_store *store, const struct forward_options *options,
                         struct error *err);
void forward_close(struct forward *forward);

/* Runs the batch through all layers: its copies first, then KV for every row, then logits for
 * batch->logits_rows into *logits, [logits_count, vocab] f32 on the host, valid until the next
 * call. Returns the device's first failure, if any. */
enum status forward_run(struct forward *forward, const struct batch *batch, float **logits,
                        struct error *err);

#endif
