/* quantize.h - a model -> a GGUF file whose weights have another type.
 *
 * What is stored how follows the plain types of the public tools:
 *  - vectors (norms, biases), routers and tables of positions become f32;
 *  - the vocabulary's product (output.weight, or token_embd.weight where it is both) becomes q6_K when
 *    the wanted type is quantised and not q8_0: it decides every token, and is a small part;
 *  - rows that are no whole blocks fall back: q4_K to q5_0, q5_K to q5_1, q6_K to q8_0, and what does
 *    not fit blocks of 32 to f16;
 *  - everything else becomes the wanted type.
 * Experts that have a tensor each become one tensor a layer, as today's files have it.
 * The file is the same bytes whatever the number of threads. Memory: some 12 MiB a thread beside the
 * mapped model and the head of the file. SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_QUANTIZE_H
#define ENGINE_QUANTIZE_H

#include "configs/error.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;

/* What became of one tensor. Texts are good until the call returns. */
struct quantize_report {
    uint64_t index; /* of tensor_count, from 0 */
    uint64_t tensor_count;
    const char *name;
    const char *type_before;
    const char *type_after;
    const char *note; /* why not the wanted type, or NULL */
    uint64_t value_count;
    uint64_t bytes_before;
    uint64_t bytes_after;
    /* Of the values as stored now, against those that were stored before: in float64. */
    double relative_rms; /* root of the sum of squared differences over that of squares */
    double max_error;    /* greatest difference */
};

typedef void (*quantize_report_fn)(void *context, const struct quantize_report *report);

struct quantize_options {
    const char *output;    /* a path where nothing is, unless replace */
    const char *type_name; /* "q4_K", "f16", ..., in any case */
    const char *overrides; /* "PATTERN=TYPE,...": for tensors whose names match, as a shell's
                              patterns; the first that matches counts; "" or NULL: none */
    uint32_t thread_count; /* > 0 */
    bool replace;          /* an older model file in that place, but never the input */
    bool requantize;       /* allow what loses twice: from one quantised type to another */
    const volatile sig_atomic_t *stop; /* not 0: give up with ERR_CANCELLED; or NULL */
    quantize_report_fn report;         /* after each tensor, in the file's order; or NULL */
    void *context;
};

struct quantize_totals {
    uint64_t parameter_count;
    uint64_t bytes_before; /* of all tensors */
    uint64_t bytes_after;
    uint64_t file_bytes; /* of the new file */
};

/* input: path of a model, or NULL for the embedded demo model. Either the whole file is in its place,
 * on the disk, or nothing has changed. */
enum status quantize_run(const char *input, const struct quantize_options *options,
                         struct quantize_totals *totals, struct error *err);

/* The same of a model that is open: for tests and readers of other formats. */
enum status quantize_file(const struct gguf *file, const struct quantize_options *options,
                          struct quantize_totals *totals, struct error *err);

/* Names of the types that can be asked for, with '|' between them. Constant. */
const char *quantize_type_names(void);

#endif
