/* forward_rig.h - a model with backend, KV memory and batch, to be driven without a scheduler.
 *
 * The caller decides which tokens of which sequence run in a step and where their KV lies, so that
 * every cutting, mixing and sharing can be tried. Aborts the test on failure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FORWARD_RIG_H
#define TESTS_SUPPORT_FORWARD_RIG_H

#include "engine/forward.h"

#include <stdint.h>

struct forward_rig_options {
    uint32_t thread_count;
    enum isa isa_max;
    enum precision precision;
    enum dtype kv_dtype;
    uint32_t block_tokens;
    uint32_t block_count;
    uint32_t token_count_max; /* of one step */
    uint32_t span_count_max;
};

struct forward_rig {
    struct backend *be;
    struct model model;
    struct kv_store store;
    struct batch batch; /* copies may be added before a step; a step empties it */
    struct forward *forward;
    uint32_t block_tokens;
};

/* What one sequence has in a step: tokens [start, start + token_count). */
struct forward_rig_piece {
    const uint32_t *token_ids; /* of the whole sequence */
    const uint32_t *block_ids; /* of the whole sequence */
    uint32_t start;
    uint32_t token_count;
    float *logits; /* out: [token_count, vocab], or NULL: no logits are asked for */
};

void forward_rig_open(struct forward_rig *rig, const struct gguf *file,
                      const struct forward_rig_options *options);
void forward_rig_close(struct forward_rig *rig);

void forward_rig_step(struct forward_rig *rig, const struct forward_rig_piece *pieces,
                      uint32_t piece_count);

#endif
