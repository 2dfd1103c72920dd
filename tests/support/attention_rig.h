/* attention_rig.h - sequences with their queries, keys and values, and a paged cache that holds
 * them: what checks of attention share. Unused slots hold NaN; blocks that no row of a call sees
 * for the window have ids that lead out of memory. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_ATTENTION_RIG_H
#define TESTS_SUPPORT_ATTENTION_RIG_H

#include "kernels/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATTENTION_RIG_SEQUENCES = 3, /* in one call: some sums write them out */
    ATTENTION_RIG_LENGTH_MAX = 540,
    ATTENTION_RIG_BLOCKS = 256
};

struct attention_rig_shape {
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_dim;
    uint32_t window;
    uint32_t block_tokens;
    enum dtype dtype;
    float softcap;
    bool sinks;
};

/* A few sequences with all their queries, keys and values, and what attention made of them. */
struct attention_rig_world {
    struct attention_rig_shape shape;
    uint32_t lengths[ATTENTION_RIG_SEQUENCES];
    float *q[ATTENTION_RIG_SEQUENCES];
    float *keys[ATTENTION_RIG_SEQUENCES];
    float *values[ATTENTION_RIG_SEQUENCES];
    float *out[ATTENTION_RIG_SEQUENCES]; /* of the baseline run */
    float *lse[ATTENTION_RIG_SEQUENCES];
    float *sinks; /* [head_count], or NULL */
};

/* The cache of one run: where each sequence's blocks lie is shuffled by its seed. */
struct attention_rig_pool {
    struct kv_layer kv;
    size_t byte_count; /* of keys, of values */
    uint32_t block_ids[ATTENTION_RIG_SEQUENCES][ATTENTION_RIG_LENGTH_MAX];
};

void attention_rig_open_world(struct attention_rig_world *world,
                              const struct attention_rig_shape *shape, const uint32_t *lengths);
void attention_rig_close_world(struct attention_rig_world *world);

void attention_rig_open_pool(struct attention_rig_pool *pool, struct backend *be,
                             const struct attention_rig_world *world, uint64_t seed);
void attention_rig_close_pool(struct attention_rig_pool *pool);

/* Attention of rows [starts[s], starts[s] + counts[s]) of each sequence in one call; the results
 * go to out and lse, one sequence after the other. */
void attention_rig_run(struct backend *be, const struct attention_rig_pool *pool,
                       const struct attention_rig_world *world, const uint32_t *starts,
                       const uint32_t *counts, float *out, float *lse);

/* The score of a key as the softmax has it, in float64. */
double attention_rig_score(const struct attention_rig_world *world, uint32_t s, uint32_t row,
                           uint32_t head, uint32_t position);

/* Fails unless a head of the baseline is what float64 arithmetic gives. */
void attention_rig_check_head(const struct attention_rig_world *world, uint32_t s, uint32_t row,
                              uint32_t head);

/* The whole check of one shape: values, then bits however the sequences are cut, batched, placed
 * and spread over threads. */
void attention_rig_check_shape(enum isa isa, const struct attention_rig_shape *shape,
                               const uint32_t *lengths);

#endif
