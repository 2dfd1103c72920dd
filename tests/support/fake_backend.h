/* fake_backend.h - a backend whose arithmetic is trivial, exact and different for every input.
 *
 * All numbers are whole, 0 .. FAKE_BACKEND_MODULUS - 1, so that every KV type holds them exactly
 * and two results are equal or plainly not. Attention folds keys and values in order of position:
 * the result of a row depends on every token before it and on where each stands. Weights are not
 * read, only their shapes are. KV memory is real.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_FAKE_BACKEND_H
#define TESTS_SUPPORT_FAKE_BACKEND_H

#include "kernels/backend.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FAKE_BACKEND_MODULUS = 251 /* prime, and below 2^8: exact even as bf16 */
};

struct fake_backend {
    struct backend be; /* first: the ops get a pointer to it */
    uint64_t allocated_bytes;
    uint32_t allocation_count; /* memory that is out now */
    uint32_t op_count;
    uint32_t copy_count;
    bool out_of_memory; /* alloc returns NULL */
    bool broken;        /* synchronize fails, until it is set back */
};

void fake_backend_init(struct fake_backend *fake);

#endif
