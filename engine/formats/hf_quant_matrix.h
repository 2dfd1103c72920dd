/* hf_quant_matrix.h - one quantised matrix as a directory stores it, and as the engine holds it.
 *
 * Every layout means value = scale * (code - zero), with a scale (and zero) for a piece of a row. A
 * matrix becomes the narrowest of q4_0, q5_0 and q8_0 that holds these values exactly: rows are
 * whole blocks of 32, none of which crosses two pieces, scales are f16 and code - zero fits. What
 * none of them holds is a float: bf16 where every value is one, else the f32 nearest to it.
 * Thread: any. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_FORMATS_HF_QUANT_MATRIX_H
#define ENGINE_FORMATS_HF_QUANT_MATRIX_H

#include "engine/formats/safetensors.h"

enum hf_quant_layout {
    HF_QUANT_COLUMNS,     /* GPTQ: i32 [values / per word, rows]; zeros [groups, rows / per word] */
    HF_QUANT_INTERLEAVED, /* AWQ: i32 [values, rows / 8], nibbles in the order 0 2 4 6 1 3 5 7 */
    HF_QUANT_ROWS,        /* compressed-tensors: i32 [rows, values / per word]; zeros
                             [rows / per word, groups] */
    HF_QUANT_BYTES,       /* i8 [rows, values]; zeros i8 */
    HF_QUANT_E4M3,        /* f8 [rows, values]; no zeros */
};

struct hf_quant_matrix {
    enum hf_quant_layout layout;
    uint32_t bits; /* of a code */
    uint64_t row_count;
    uint64_t value_count; /* of a row */
    const struct safetensors_tensor *codes;
    const struct safetensors_tensor *scales;
    const struct safetensors_tensor *zeros; /* NULL: the middle of the codes' range */
    const uint8_t *groups;                  /* i32 [value_count]; NULL: consecutive */
    uint64_t group_values;                  /* of one group, where they are consecutive */
    uint64_t group_count;                   /* of a row */
    uint64_t scale_rows;                    /* rows that share scales */
    bool zeros_less_one;
};

/* The type that holds all values exactly, or DTYPE_F32. All that is read was checked before. */
enum dtype hf_quant_matrix_type(const struct hf_quant_matrix *matrix);

/* Writes all rows as dtype, which is that of hf_quant_matrix_type or one behind it in the order
 * q4_0, q5_0, q8_0, bf16, f32. False: no memory for a row. */
bool hf_quant_matrix_convert(const struct hf_quant_matrix *matrix, enum dtype dtype, void *out);

#endif
