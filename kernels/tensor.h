/* tensor.h - what a block of numbers is: type, shape, and where it lies.
 *
 * A tensor owns nothing: data is borrowed from the mapping or buffer it lies in. Rows are
 * contiguous; shape runs from the outermost dimension to the innermost, so shape[dim_count - 1]
 * is the row's length. (GGUF lists dimensions the other way round; the reader turns them.)
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_TENSOR_H
#define KERNELS_TENSOR_H

#include <stdint.h>

/* Storage types. The quantised ones are GGUF's block formats (quant.h). */
enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q2_K,
    DTYPE_Q3_K,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_IQ4_NL,
    DTYPE_IQ4_XS,
    DTYPE_MXFP4,
    DTYPE_COUNT,
};

enum {
    TENSOR_DIMS_MAX = 4
};

/* What a weight is for, which decides how a backend keeps it. */
enum tensor_use {
    TENSOR_PRODUCT,      /* the weight of a matmul */
    TENSOR_PRODUCT_FINE, /* one whose inputs deserve more bits */
    TENSOR_TABLE,        /* read row by row, as it is stored */
};

struct tensor {
    const void *data;   /* NULL: the tensor is absent */
    const void *packed; /* what weight_import made of it for products, or NULL: the backend's */
    enum dtype dtype;
    enum tensor_use use;
    uint32_t dim_count;              /* 1..TENSOR_DIMS_MAX */
    uint64_t shape[TENSOR_DIMS_MAX]; /* outermost first */
};

/* Values in one row: the innermost dimension. */
static inline uint64_t tensor_row_values(const struct tensor *tensor)
{
    return tensor->shape[tensor->dim_count - 1];
}

/* Rows: the product of all dimensions but the innermost. */
static inline uint64_t tensor_row_count(const struct tensor *tensor)
{
    uint64_t row_count = 1;
    for (uint32_t i = 0; i + 1 < tensor->dim_count; i++) {
        row_count *= tensor->shape[i];
    }
    return row_count;
}

#endif
