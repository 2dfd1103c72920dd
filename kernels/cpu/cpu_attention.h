/* cpu_attention.h - causal grouped-query attention over a paged cache, and the merge of partials.
 *
 * Takes its scratch memory at init; run allocates nothing. A query's result depends on its own
 * keys and values alone: ranges of ATTENTION_RANGE_TOKENS absolute positions are reduced apart
 * and merged in ascending order, whatever the tile, span or thread.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_ATTENTION_H
#define KERNELS_CPU_CPU_ATTENTION_H

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/threads.h"

struct cpu_attention_piece;

struct cpu_attention {
    const struct cpu_ops *ops;          /* borrowed */
    struct threads *threads;            /* borrowed */
    float *scratch;                     /* one piece a worker, and the partials of split ranges */
    uint32_t *first_units;              /* [LIMIT_SPANS + 1]: where each span's work units begin */
    struct cpu_attention_piece *pieces; /* split ranges in work */
};

enum status cpu_attention_init(struct cpu_attention *attention, const struct cpu_ops *ops,
                               struct threads *threads, struct error *err);
void cpu_attention_release(struct cpu_attention *attention);

void cpu_attention_run(struct cpu_attention *attention, const struct attention_args *args);

/* Row by row, no scratch. */
void cpu_attention_merge(const struct attention_merge_args *args);

#endif
