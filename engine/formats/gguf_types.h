/* gguf_types.h - the tensor types a GGUF file may name: ggml's numbers, names and block sizes.
 *
 * Types nothing here computes with are listed too, so that a file using them is checked as
 * strictly as any other and refused by name, not by number.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_GGUF_TYPES_H
#define ENGINE_FORMATS_GGUF_TYPES_H

#include "kernels/tensor.h"

#include <stdbool.h>
#include <stdint.h>

struct gguf_tensor_type {
    uint32_t ggml_type; /* as stored */
    const char *name;
    uint32_t block_values;
    uint32_t block_bytes;
    bool supported;
    enum dtype dtype; /* valid only if supported */
};

/* NULL when the number is none of ggml's, or one it has withdrawn. */
const struct gguf_tensor_type *gguf_types_find(uint32_t ggml_type);

/* The stored type of a dtype; never NULL for dtype < DTYPE_COUNT. */
const struct gguf_tensor_type *gguf_types_from_dtype(enum dtype dtype);

#endif
