/* cpu_ops.h - the inner loops of the CPU backend, one table an instruction set.
 *
 * Tables may differ in the last bits from one another. Within one table a result depends on the
 * values alone: `dot` and `accumulate` + `fold` add the products of one output in the same order,
 * whatever the number of rows. `dequantize` equals quant.h's bit for bit in every table.
 * Thread: any; the tables are constant. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CPU_CPU_OPS_H
#define KERNELS_CPU_CPU_OPS_H

#include "kernels/backend.h"
#include "kernels/cpu/cpu_panel.h"
#include "kernels/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CPU_OPS_CHUNK = 256,    /* values of k that are dequantised at a time; one K-quant block */
    CPU_OPS_TILE = 4,       /* weight rows (or keys) that share one pass over the inputs */
    CPU_OPS_LANES_MAX = 16, /* floats in the widest register; scratch rows are padded to it */
    CPU_OPS_STORED = DTYPE_BF16 + 1, /* dtypes that keys and values may be stored in */
};

typedef void (*cpu_ops_dequantize_fn)(float *out, const void *blocks, size_t value_count);

/* sums[i] = rows[i] . x for CPU_OPS_TILE rows of weights. */
typedef void (*cpu_ops_dot_fn)(float *sums, const void *const *rows, const float *x,
                               size_t k_count);

typedef void (*cpu_ops_store_fn)(void *out, const float *in, size_t value_count);

typedef void (*cpu_ops_activate_fn)(float *x, size_t value_count);

/* out = activation(gate) * up; out may be gate. */
typedef void (*cpu_ops_gated_fn)(float *out, const float *gate, const float *up,
                                 size_t value_count);

/* Adds a chunk of products to the running sums of CPU_OPS_TILE weight rows x row_count inputs. */
struct cpu_accumulate {
    float *lanes; /* [row_count, CPU_OPS_TILE, lane_count]: each output's sum, not yet folded */
    const float *weights; /* [CPU_OPS_TILE, CPU_OPS_CHUNK]; beyond k_count zeros up to the lanes */
    const float *x;       /* [row_count] rows, x_stride values apart */
    size_t x_stride;
    uint32_t row_count;
    uint32_t k_count; /* <= CPU_OPS_CHUNK; a multiple of the lanes but in the last chunk */
    bool first;       /* start from zero */
};

/* out[i, t] = queries[i] . keys[t]. Rows of both have `dim` values, a multiple of
 * CPU_OPS_LANES_MAX. Up to CPU_OPS_TILE - 1 keys after the last may be read and scored: there is
 * room in keys and out for a multiple of CPU_OPS_TILE tokens. */
struct cpu_scores {
    float *out; /* [query_count] rows, out_stride apart */
    size_t out_stride;
    const float *queries; /* [query_count, dim] */
    const void *keys;     /* [token_count, dim] of `dtype`: F32, F16 or BF16 */
    const void *ahead;    /* as many bytes, to be fetched meanwhile; never read. Or NULL */
    enum dtype dtype;
    uint32_t query_count;
    uint32_t token_count;
    uint32_t dim;
};

/* out[i] += sum over t, ascending, of weights[i, t] * values[t]. Not a token more is read. */
struct cpu_weigh {
    float *out;           /* [query_count, dim] */
    const float *weights; /* [query_count] rows, weights_stride apart */
    size_t weights_stride;
    const void *values; /* [token_count, dim] of `dtype`; dim a multiple of CPU_OPS_LANES_MAX */
    const void *ahead;  /* as in cpu_scores */
    enum dtype dtype;
    uint32_t query_count;
    uint32_t token_count;
    uint32_t dim;
};

struct cpu_ops {
    const char *name;
    uint32_t lane_count; /* partial sums of one output: the floats of a register */
    cpu_ops_dequantize_fn dequantize[DTYPE_COUNT];
    cpu_ops_store_fn store[CPU_OPS_STORED];
    cpu_ops_dot_fn dot[DTYPE_COUNT];
    void (*accumulate)(const struct cpu_accumulate *args);
    void (*fold)(float *sums, const float *lanes); /* CPU_OPS_TILE sums of lane_count lanes each */

    /* Integer products (cpu_panel.h). Those with byte codes are NULL in tables that have no
     * instruction for them. */
    cpu_panel_quantize_fn panel_quantize_wide;
    cpu_panel_quantize_fn panel_quantize_bytes;
    cpu_panel_dot_fn panel_dot_wide[PANEL_KIND_COUNT];
    cpu_panel_dot_fn panel_dot_bytes[PANEL_KIND_COUNT];
    /* Every table writes the bytes that panel_pack writes. */
    cpu_panel_pack_fn panel_pack[DTYPE_COUNT];

    void (*scores)(const struct cpu_scores *args);
    /* scores[first .. end) become exp(score - max); returns their sum. */
    float (*softmax)(float *scores, uint32_t first, uint32_t end, float *max);
    void (*weigh)(const struct cpu_weigh *args);

    void (*rmsnorm)(float *out, const float *in, const float *weight, uint32_t dim, float epsilon);
    void (*rope)(float *head, const float *cos, const float *sin, uint32_t pair_count,
                 enum rope_style style);
    /* bias may be NULL; in all of these out may be an input */
    void (*layernorm)(float *out, const float *in, const float *weight, const float *bias,
                      uint32_t dim, float epsilon);
    cpu_ops_activate_fn activate[ACTIVATION_COUNT]; /* NULL for those that are gated only */
    cpu_ops_gated_fn gated[ACTIVATION_COUNT];
    void (*add_scaled)(float *out, const float *a, const float *b, float scale, size_t value_count);
    /* A value's result does not depend on where it stands in x; cap 0: none. */
    void (*scale_cap)(float *x, float scale, float cap, size_t value_count);
};

/* Fills the table with the best this processor can run that is not above the cap. */
void cpu_ops_select(struct cpu_ops *ops, enum isa isa_max);

/* The instruction set cpu_ops_select takes: never ISA_AUTO. */
enum isa cpu_ops_isa(enum isa isa_max);

#endif
