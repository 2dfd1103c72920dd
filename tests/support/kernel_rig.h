/* kernel_rig.h - what kernel checks share: random values, guarded memory, the tables to try.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_KERNEL_RIG_H
#define TESTS_SUPPORT_KERNEL_RIG_H

#include "kernels/backend.h"

#include <stddef.h>
#include <stdint.h>

/* The tables this machine can run, from scalar upwards; returns how many. */
uint32_t kernel_rig_isas(enum isa isas[3]);

enum {
    KERNEL_RIG_PANEL_ISAS_MAX = 4
};

/* The same for what may run integer products: also AVX-512 without VNNI, where there is any. */
uint32_t kernel_rig_panel_isas(enum isa isas[KERNEL_RIG_PANEL_ISAS_MAX]);

enum {
    KERNEL_RIG_THREADS_MAX = 3
};

/* A CPU backend, opened at the first call and kept: starting threads is the slow part of a case.
 * Fails the test when it cannot be opened. */
struct backend *kernel_rig_backend(enum isa isa, uint32_t thread_count);

/* Closes them all: the teardown of a group of tests. */
int kernel_rig_close(void **state);

/* Roughly normal values of unit variance. */
float kernel_rig_random(uint64_t *state);
uint32_t kernel_rig_random_below(uint64_t *state, uint32_t bound);
void kernel_rig_fill(uint64_t *state, float *out, size_t count);

/* Memory between two fences of NaN bytes: a read past the end spoils the result, a write past the
 * end is found at free. Under AddressSanitizer the fences are the sanitizer's own. */
void *kernel_rig_alloc(size_t byte_count);
void kernel_rig_free(void *memory);

/* Random floats in guarded memory. */
float *kernel_rig_floats(uint64_t *state, size_t count);

/* Random weights of a dtype in guarded memory: quantised from random floats, so that every code
 * and scale of the format appears. */
void *kernel_rig_weights(uint64_t *state, enum dtype dtype, size_t value_count);

/* Fails unless the value is near to the expected one, to float rounding: `scale` is the sum of
 * magnitudes that went into it. */
void kernel_rig_near(double expected, float value, double scale, double tolerance,
                     const char *what);
void kernel_rig_same_bits(const float *a, const float *b, size_t count, const char *what);

#endif
