/* quantize_tensor.h - one tensor through the quantiser into a file; used by quantize.c alone.
 *
 * Work is cut into portions of a fixed number of values, which threads share and which are written in
 * order: neither the file nor the errors depend on how many threads there are.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_QUANTIZE_TENSOR_H
#define ENGINE_QUANTIZE_TENSOR_H

#include "engine/formats/gguf.h"
#include "engine/formats/new_file.h"

#include <signal.h>
#include <stdbool.h>

/* The memory of the work, taken once. */
struct quantize_crew;

enum status quantize_tensor_open_crew(struct quantize_crew **out, uint32_t thread_count,
                                      struct error *err);
void quantize_tensor_close_crew(struct quantize_crew *crew); /* accepts NULL */

struct quantize_task {
    const struct gguf *file; /* for messages */
    const struct gguf_tensor *tensor;
    bool verbatim;      /* stored bytes as they are (rows in their new order) */
    enum dtype dtype;   /* to write, unless verbatim */
    uint64_t head_rows; /* > 0: rows (a bias: values) come in heads of so many, an even number,
                           and whole ones; the halves of each are interleaved */
    const volatile sig_atomic_t *stop; /* or NULL */
};

/* Sums over all values, in float64. */
struct quantize_errors {
    double difference_squares;
    double squares;
    double max_difference;
};

/* Appends the tensor's new bytes to out. ERR_INVALID: a value is not finite, or would not be;
 * ERR_CANCELLED: *stop. */
enum status quantize_tensor_run(struct quantize_crew *crew, const struct quantize_task *task,
                                struct new_file *out, struct quantize_errors *errors,
                                struct error *err);

#endif
