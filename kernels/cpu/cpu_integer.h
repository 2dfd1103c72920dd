/* cpu_integer.h - matrix products in integers: quantised inputs with weights packed into panels.
 *
 * Weights are packed when they are imported, by all workers, each writing the panels it will read.
 * Inputs are quantised once a product. Packing also takes the memory that products need: run
 * allocates nothing. The order of every output's additions is fixed by the panels (cpu_panel.h).
 * Thread: engine. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_INTEGER_H
#define KERNELS_CPU_CPU_INTEGER_H

#include "kernels/backend.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/threads.h"

struct cpu_integer {
    const struct cpu_ops *ops; /* borrowed */
    struct threads *threads;   /* borrowed */
    enum precision precision;
    struct arena weights;
    uint8_t *inputs; /* a block of quantised rows */
    size_t inputs_bytes;
    float *sums; /* [thread_count, CPU_PANEL_SUMS] */
};

enum status cpu_integer_init(struct cpu_integer *integer, const struct cpu_ops *ops,
                             struct threads *threads, enum precision precision, struct error *err);
void cpu_integer_release(struct cpu_integer *integer);

/* Packs the weight if its type, shape and use allow it, and sets weight->packed; else leaves it. */
enum status cpu_integer_import(struct cpu_integer *integer, struct tensor *weight,
                               struct error *err);

/* args->weight is packed. */
void cpu_integer_run(struct cpu_integer *integer, const struct matmul_args *args);

/* Bytes that importing a weight of this type, shape and use takes; 0: it stays as it is. */
uint64_t cpu_integer_packed_bytes(const struct tensor *weight, enum precision precision);

/* Bytes of quantised inputs that its products need; of all weights, the most is taken. */
uint64_t cpu_integer_input_bytes(const struct tensor *weight, enum precision precision);

#endif
