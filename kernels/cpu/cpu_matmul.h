/* cpu_matmul.h - matrix products of float activations with weights in any storage format.
 *
 * Takes its scratch memory at init; run allocates nothing. Each output element adds its products
 * in one order, set by k_count and the table of inner loops alone.
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_MATMUL_H
#define KERNELS_CPU_CPU_MATMUL_H

#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/threads.h"

struct cpu_matmul {
    const struct cpu_ops *ops; /* borrowed */
    struct threads *threads;   /* borrowed */
    float *scratch;            /* [thread_count, SCRATCH] */
};

enum status cpu_matmul_init(struct cpu_matmul *matmul, const struct cpu_ops *ops,
                            struct threads *threads, struct error *err);
void cpu_matmul_release(struct cpu_matmul *matmul);

void cpu_matmul_run(struct cpu_matmul *matmul, const struct matmul_args *args);

/* Workers share out heads, and the outputs of large ones. */
void cpu_matmul_run_heads(struct cpu_matmul *matmul, const struct heads_matmul_args *args);

#endif
