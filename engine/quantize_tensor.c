/* quantize_tensor.c - read as f32, write as the new type, read back, compare; portion by portion.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/quantize_tensor.h"

#include "configs/limits.h"
#include "engine/formats/gguf_cursor.h"
#include "kernels/quant.h"
#include "kernels/quant_write.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORTION_VALUES = 1 << 20, /* a multiple of every block */
    BYTES_PER_VALUE_MAX = 4,
};

/* One thread's portion. */
struct portion {
    const struct quantize_task *task;
    uint64_t start; /* first value of the tensor in its new order */
    size_t value_count;
    float *values; /* [PORTION_VALUES], as are those below */
    float *read_back;
    uint8_t *bytes;
    size_t byte_count;
    struct quantize_errors errors;
    uint64_t bad_value; /* the first that is not finite, or UINT64_MAX */
};

struct quantize_crew {
    uint32_t thread_count;
    pthread_t *threads;       /* [thread_count] */
    struct portion *portions; /* [thread_count] */
};

enum status quantize_tensor_open_crew(struct quantize_crew **out, uint32_t thread_count,
                                      struct error *err)
{
    struct quantize_crew *crew = calloc(1, sizeof *crew);
    bool whole = crew != NULL;
    *out = crew;
    if (whole) {
        crew->threads = calloc(thread_count, sizeof *crew->threads);
        crew->portions = calloc(thread_count, sizeof *crew->portions);
        whole = crew->threads != NULL && crew->portions != NULL;
    }
    for (uint32_t i = 0; i < thread_count && whole; i++) {
        struct portion *portion = &crew->portions[i];
        crew->thread_count = i + 1;
        portion->values = malloc(PORTION_VALUES * sizeof *portion->values);
        portion->read_back = malloc(PORTION_VALUES * sizeof *portion->read_back);
        portion->bytes = malloc((size_t)PORTION_VALUES * BYTES_PER_VALUE_MAX);
        whole = portion->values != NULL && portion->read_back != NULL && portion->bytes != NULL;
    }
    return whole ? OK : error_set(err, ERR_MEMORY, "no memory for %u threads", thread_count);
}

void quantize_tensor_close_crew(struct quantize_crew *crew)
{
    if (crew == NULL) {
        return;
    }
    for (uint32_t i = 0; i < crew->thread_count && crew->portions != NULL; i++) {
        free(crew->portions[i].values);
        free(crew->portions[i].read_back);
        free(crew->portions[i].bytes);
    }
    free(crew->portions);
    free(crew->threads);
    free(crew);
}

/* Which stored row comes to stand at `row`. Row (head, half h, i) moves to (head, i, h): what was
 * apart by half a head becomes neighbours, as the rotary pairs of such a family are in GGUF. */
static uint64_t source_row(const struct quantize_task *task, uint64_t row)
{
    if (task->head_rows == 0) {
        return row;
    }
    uint64_t within = row % task->head_rows;
    return row - within + within % 2 * (task->head_rows / 2) + within / 2;
}

/* Calls take for every run of values that lie together in the stored tensor: first, where the run
 * starts there; at, where it goes in the portion. */
typedef void (*run_fn)(struct portion *portion, uint64_t first, size_t at, size_t value_count);

static void visit_runs(struct portion *portion, run_fn take)
{
    const struct quantize_task *task = portion->task;
    if (task->head_rows == 0) {
        take(portion, portion->start, 0, portion->value_count);
        return;
    }
    const struct tensor *tensor = &task->tensor->tensor;
    uint64_t row_values = tensor->dim_count > 1 ? tensor_row_values(tensor) : 1; /* a bias */
    for (size_t at = 0; at < portion->value_count;) {
        uint64_t value = portion->start + at;
        uint64_t column = value % row_values;
        size_t left = portion->value_count - at;
        size_t count = row_values - column < left ? (size_t)(row_values - column) : left;
        take(portion, source_row(task, value / row_values) * row_values + column, at, count);
        at += count;
    }
}

/* Portions start at multiples of every block, and so do rows: a run is of whole blocks. */
static void read_run(struct portion *portion, uint64_t first, size_t at, size_t value_count)
{
    const struct tensor *tensor = &portion->task->tensor->tensor;
    const uint8_t *blocks = tensor->data;
    quant_format_get(tensor->dtype)
        ->dequantize(portion->values + at, blocks + quant_row_bytes(tensor->dtype, first),
                     value_count);
}

static void copy_run(struct portion *portion, uint64_t first, size_t at, size_t value_count)
{
    const struct tensor *tensor = &portion->task->tensor->tensor;
    const uint8_t *blocks = tensor->data;
    memcpy(portion->bytes + quant_row_bytes(tensor->dtype, at),
           blocks + quant_row_bytes(tensor->dtype, first),
           quant_row_bytes(tensor->dtype, value_count));
}

static void compare(struct portion *portion)
{
    struct quantize_errors errors = {0};
    for (size_t i = 0; i < portion->value_count; i++) {
        double value = (double)portion->values[i];
        double difference = fabs((double)portion->read_back[i] - value);
        if (!isfinite(difference)) {
            portion->bad_value = portion->start + i;
            return;
        }
        errors.difference_squares += difference * difference;
        errors.squares += value * value;
        errors.max_difference = fmax(errors.max_difference, difference);
    }
    portion->errors = errors;
}

static bool all_finite(struct portion *portion)
{
    for (size_t i = 0; i < portion->value_count; i++) {
        if (!isfinite(portion->values[i])) {
            portion->bad_value = portion->start + i;
            return false;
        }
    }
    return true;
}

static void *work(void *context)
{
    struct portion *portion = context;
    const struct quantize_task *task = portion->task;
    if (task->verbatim) {
        visit_runs(portion, copy_run);
        portion->byte_count = quant_row_bytes(task->tensor->tensor.dtype, portion->value_count);
        return NULL;
    }
    visit_runs(portion, read_run);
    if (all_finite(portion)) {
        quant_write_blocks(task->dtype, portion->bytes, portion->values, portion->value_count);
        portion->byte_count = quant_row_bytes(task->dtype, portion->value_count);
        quant_format_get(task->dtype)
            ->dequantize(portion->read_back, portion->bytes, portion->value_count);
        compare(portion);
    }
    return NULL;
}

/* A portion for each thread, or fewer at the end; returns how many. The first is the caller's. A
 * thread that cannot be started leaves its portion to the caller, too. */
static uint32_t run_crew(struct quantize_crew *crew, const struct quantize_task *task,
                         uint64_t start, uint64_t value_count)
{
    bool started[LIMIT_THREADS] = {false};
    uint32_t used = 0;
    for (; used < crew->thread_count && start < value_count; used++) {
        struct portion *portion = &crew->portions[used];
        uint64_t left = value_count - start;
        portion->task = task;
        portion->start = start;
        portion->value_count = left < PORTION_VALUES ? (size_t)left : PORTION_VALUES;
        portion->bad_value = UINT64_MAX;
        portion->errors = (struct quantize_errors){0};
        start += portion->value_count;
        started[used] = used > 0 && pthread_create(&crew->threads[used], NULL, work, portion) == 0;
    }
    for (uint32_t i = 0; i < used; i++) {
        if (started[i]) {
            pthread_join(crew->threads[i], NULL);
        } else {
            work(&crew->portions[i]);
        }
    }
    return used;
}

static enum status refuse_value(const struct portion *portion, struct error *err)
{
    const struct quantize_task *task = portion->task;
    uint64_t at = portion->bad_value - portion->start;
    return error_set(err, ERR_INVALID, "%s: tensor %s: value %llu is %g, which %s cannot hold",
                     task->file->path, gguf_cursor_show(task->tensor->name).text,
                     (unsigned long long)portion->bad_value, (double)portion->values[at],
                     quant_format_get(task->dtype)->name);
}

static void add_errors(struct quantize_errors *sum, const struct quantize_errors *part)
{
    sum->difference_squares += part->difference_squares;
    sum->squares += part->squares;
    sum->max_difference = fmax(sum->max_difference, part->max_difference);
}

/* Of a type that nothing here computes with, the bytes are all there is. */
static enum status copy_bytes(const struct quantize_task *task, struct new_file *out,
                              struct error *err)
{
    return new_file_write(out, task->tensor->tensor.data, task->tensor->byte_count, err);
}

enum status quantize_tensor_run(struct quantize_crew *crew, const struct quantize_task *task,
                                struct new_file *out, struct quantize_errors *errors,
                                struct error *err)
{
    const struct tensor *tensor = &task->tensor->tensor;
    uint64_t value_count = tensor_row_values(tensor) * tensor_row_count(tensor);
    enum status status = OK;
    *errors = (struct quantize_errors){0};
    if (!task->tensor->supported) {
        return copy_bytes(task, out, err);
    }
    for (uint64_t start = 0; start < value_count && status == OK;) {
        if (task->stop != NULL && *task->stop != 0) {
            return error_set(err, ERR_CANCELLED, "interrupted: nothing was written");
        }
        uint32_t used = run_crew(crew, task, start, value_count);
        for (uint32_t i = 0; i < used && status == OK; i++) {
            const struct portion *portion = &crew->portions[i];
            if (portion->bad_value != UINT64_MAX) {
                status = refuse_value(portion, err);
            } else {
                status = new_file_write(out, portion->bytes, portion->byte_count, err);
            }
            add_errors(errors, &portion->errors);
            start += portion->value_count;
        }
    }
    return status;
}
