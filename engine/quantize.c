/* quantize.c - types first, then the head, then tensor by tensor: the size of everything is known
 * before a byte is written. SPDX-License-Identifier: Apache-2.0 */
#include "engine/quantize.h"

#include "configs/limits.h"
#include "engine/family.h"
#include "engine/formats/gguf_output.h"
#include "engine/formats/gguf_types.h"
#include "engine/formats/new_file.h"
#include "engine/model.h"
#include "engine/model_file.h"
#include "engine/quantize_join.h"
#include "engine/quantize_tensor.h"
#include "engine/quantize_types.h"
#include "kernels/quant.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    QUANTIZATION_VERSION = 2, /* of ggml's block formats */
    NAME_BYTES = 256,
    ALIGNMENT_DEFAULT = 32,
};

#define KEY_HALVES "sluice.rope.halves" /* q and k rows are in Hugging Face's order */

/* All that belongs to one new file. */
struct job {
    const struct gguf *file;   /* the input */
    struct quantize_join join; /* its tensors as they will be cut */
    const struct quantize_options *options;
    struct quantize_wish *wish;
    bool keeps_order;           /* KEY_HALVES stays as it is */
    uint64_t head_rows;         /* > 0: rows of q and k have to move within heads of so many */
    struct gguf_entry *entries; /* [entry_count] views, but for those set here */
    uint64_t entry_count;
    struct gguf_tensor *tensors;     /* [join.file.tensor_count] as they will be */
    struct quantize_choice *choices; /* [join.file.tensor_count] */
    struct quantize_crew *crew;
    struct gguf_output_head *head;
    struct new_file *out;
    uint32_t alignment;
};

const char *quantize_type_names(void)
{
    return "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q4_K|q5_K|q6_K";
}

/* ---- before anything is written ---- */

/* GGUF has the rotary pairs of some families as neighbours, Hugging Face all in halves. */
static enum status read_order(struct job *job, struct error *err)
{
    bool halves = false;
    const struct family *family = NULL;
    struct model_params params;
    enum status status = gguf_get_bool(job->file, KEY_HALVES, false, &halves, err);
    if (status != OK || !halves) {
        return status;
    }
    status = family_find(&family, job->file, err);
    job->keeps_order = status == OK && family->latent;
    if (status != OK || family->rope_style != ROPE_NEIGHBOURS || job->keeps_order) {
        return status;
    }
    status = model_read_params(&params, job->file, err);
    if (status == OK && (params.rotary_dim != params.head_dim || params.head_dim % 2 != 0)) {
        status = error_set(err, ERR_UNSUPPORTED,
                           "%s: heads of %u of which %u turn cannot be put in the order of GGUF",
                           job->file->path, params.head_dim, params.rotary_dim);
    }
    if (status == OK) {
        job->head_rows = params.head_dim;
    }
    return status;
}

/* The matrices, and biases, of q and k: "blk.N.attn_q.weight" and so on. */
static bool is_rotary(const char *name)
{
    static const char *const parts[] = {".attn_q.weight", ".attn_q.bias", ".attn_k.weight",
                                        ".attn_k.bias"};
    const char *part = strncmp(name, "blk.", 4) == 0 ? strchr(name + 4, '.') : NULL;
    for (size_t i = 0; part != NULL && i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(part, parts[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Rows of a head when they have to move, else 0. */
static enum status find_head_rows(const struct job *job, const char *name,
                                  const struct tensor *tensor, uint64_t *head_rows,
                                  struct error *err)
{
    *head_rows = is_rotary(name) ? job->head_rows : 0;
    uint64_t row_count =
        tensor->dim_count > 1 ? tensor_row_count(tensor) : tensor_row_values(tensor);
    if (*head_rows > 0 && row_count % *head_rows != 0) {
        return error_set(err, ERR_FORMAT, "%s: tensor %s: %llu rows are not whole heads of %llu",
                         job->file->path, name, (unsigned long long)row_count,
                         (unsigned long long)*head_rows);
    }
    return OK;
}

static struct gguf_string text_of(const char *text)
{
    return (struct gguf_string){text, strlen(text)};
}

static void drop_entry(struct job *job, const char *key)
{
    for (uint64_t i = 0; i < job->entry_count; i++) {
        if (gguf_string_equal(job->entries[i].key, key)) {
            memmove(&job->entries[i], &job->entries[i + 1],
                    (job->entry_count - i - 1) * sizeof job->entries[0]);
            job->entry_count--;
            return;
        }
    }
}

/* Puts an entry at the end, instead of the one that there may be. */
static void set_u32(struct job *job, const char *key, uint32_t value)
{
    drop_entry(job, key);
    job->entries[job->entry_count++] =
        (struct gguf_entry){.key = text_of(key), .type = GGUF_UINT32, .value.u = value};
}

/* The input's, and what they say of types, which is where the public tools put it. */
static enum status make_entries(struct job *job, struct error *err)
{
    const struct gguf *file = job->file;
    job->entries = calloc(file->entry_count + 2, sizeof *job->entries);
    if (job->entries == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %llu entries", file->path,
                         (unsigned long long)file->entry_count);
    }
    if (file->entry_count > 0) {
        memcpy(job->entries, file->entries, file->entry_count * sizeof *job->entries);
    }
    job->entry_count = file->entry_count;
    if (!job->keeps_order) {
        drop_entry(job, KEY_HALVES);
    }
    set_u32(job, "general.quantization_version", QUANTIZATION_VERSION);
    set_u32(job, "general.file_type", quantize_types_file_type(job->wish->dtype));
    return OK;
}

static void describe(struct gguf_tensor *tensor, const struct quantize_choice *choice)
{
    if (choice->verbatim) {
        return;
    }
    const struct gguf_tensor_type *type = gguf_types_from_dtype(choice->dtype);
    tensor->tensor.dtype = choice->dtype;
    tensor->ggml_type = type->ggml_type;
    tensor->type_name = type->name;
    tensor->byte_count = tensor_row_count(&tensor->tensor) *
                         quant_row_bytes(choice->dtype, tensor_row_values(&tensor->tensor));
}

static enum status choose_types(struct job *job, struct error *err)
{
    const struct gguf *file = &job->join.file;
    job->tensors = calloc(file->tensor_count + 1, sizeof *job->tensors);
    job->choices = calloc(file->tensor_count + 1, sizeof *job->choices);
    if (job->tensors == NULL || job->choices == NULL) {
        return error_set(err, ERR_MEMORY, "%s: no memory for %llu tensors", file->path,
                         (unsigned long long)file->tensor_count);
    }
    enum status status = OK;
    for (uint64_t i = 0; i < file->tensor_count && status == OK; i++) {
        job->tensors[i] = file->tensors[i];
        status = quantize_types_choose(&job->choices[i], job->wish, file, i, err);
        if (status == OK) {
            describe(&job->tensors[i], &job->choices[i]);
        }
    }
    return status == OK ? quantize_types_check_used(job->wish, err) : status;
}

/* ---- writing ---- */

static enum status write_padding(struct job *job, uint64_t byte_count, struct error *err)
{
    static const uint8_t zeros[4096];
    enum status status = OK;
    for (uint64_t left = gguf_output_padding(byte_count, job->alignment);
         left > 0 && status == OK;) {
        uint64_t part = left < sizeof zeros ? left : sizeof zeros;
        status = new_file_write(job->out, zeros, part, err);
        left -= part;
    }
    return status;
}

static void report(const struct job *job, uint64_t index, const char *name,
                   const struct quantize_errors *errors)
{
    const struct gguf_tensor *before = &job->join.file.tensors[index];
    const struct gguf_tensor *after = &job->tensors[index];
    if (job->options->report == NULL) {
        return;
    }
    const struct quantize_report line = {
        .index = index,
        .tensor_count = job->join.file.tensor_count,
        .name = name,
        .type_before = before->type_name,
        .type_after = after->type_name,
        .note = job->choices[index].note[0] != '\0' ? job->choices[index].note : NULL,
        .value_count = tensor_row_values(&before->tensor) * tensor_row_count(&before->tensor),
        .bytes_before = before->byte_count,
        .bytes_after = after->byte_count,
        .relative_rms =
            errors->squares > 0 ? sqrt(errors->difference_squares / errors->squares) : 0,
        .max_error = errors->max_difference,
    };
    job->options->report(job->options->context, &line);
}

static enum status write_tensor(struct job *job, uint64_t index, struct error *err)
{
    const struct quantize_join *join = &job->join;
    const struct gguf_tensor *tensor = &join->file.tensors[index];
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)tensor->name.byte_count, tensor->name.bytes);
    uint64_t head_rows = 0;
    enum status status = find_head_rows(job, name, &tensor->tensor, &head_rows, err);
    if (status != OK) {
        return status;
    }
    struct quantize_task task = {
        .file = job->file,
        .verbatim = job->choices[index].verbatim,
        .dtype = job->choices[index].dtype,
        .head_rows = head_rows,
        .stop = job->options->stop,
    };
    struct quantize_errors errors = {0};
    /* Blocks lie within rows: pieces one behind the other are the bytes of the whole. */
    for (uint64_t i = join->first_pieces[index]; i < join->first_pieces[index + 1] && status == OK;
         i++) {
        struct quantize_errors part;
        task.tensor = join->pieces[i];
        status = quantize_tensor_run(job->crew, &task, job->out, &part, err);
        errors.difference_squares += part.difference_squares;
        errors.squares += part.squares;
        errors.max_difference = fmax(errors.max_difference, part.max_difference);
    }
    if (status == OK) {
        status = write_padding(job, job->tensors[index].byte_count, err);
    }
    if (status == OK) {
        report(job, index, name, &errors);
    }
    return status;
}

static enum status write_file(struct job *job, struct error *err)
{
    const struct quantize_options *options = job->options;
    enum status status =
        gguf_output_make_head(job->head, job->entries, job->entry_count, job->tensors,
                              job->join.file.tensor_count, job->alignment, err);
    if (status == OK) {
        status = quantize_tensor_open_crew(&job->crew, options->thread_count, err);
    }
    if (status == OK) {
        status =
            new_file_open(job->out, options->output, options->replace, job->head->file_bytes, err);
    }
    if (status == OK) {
        status = new_file_write(job->out, job->head->bytes, job->head->byte_count, err);
    }
    for (uint64_t i = 0; i < job->join.file.tensor_count && status == OK; i++) {
        status = write_tensor(job, i, err);
    }
    return status == OK ? new_file_commit(job->out, err) : status;
}

static void release(struct job *job)
{
    new_file_discard(job->out);
    quantize_tensor_close_crew(job->crew);
    quantize_types_release(job->wish);
    quantize_join_release(&job->join);
    free(job->head->bytes);
    free(job->entries);
    free(job->tensors);
    free(job->choices);
}

static void sum_up(const struct job *job, struct quantize_totals *totals)
{
    *totals = (struct quantize_totals){.file_bytes = job->head->file_bytes};
    for (uint64_t i = 0; i < job->join.file.tensor_count; i++) {
        const struct tensor *tensor = &job->join.file.tensors[i].tensor;
        totals->parameter_count += tensor_row_values(tensor) * tensor_row_count(tensor);
        totals->bytes_before += job->join.file.tensors[i].byte_count;
        totals->bytes_after += job->tensors[i].byte_count;
    }
}

enum status quantize_file(const struct gguf *file, const struct quantize_options *options,
                          struct quantize_totals *totals, struct error *err)
{
    struct quantize_wish wish = {0};
    struct gguf_output_head head = {0};
    struct new_file out = {.fd = -1};
    struct job job = {.file = file, .options = options, .wish = &wish, .head = &head, .out = &out};
    assert(options->thread_count > 0 && options->thread_count <= LIMIT_THREADS);
    job.alignment = file->alignment > 0 ? file->alignment : ALIGNMENT_DEFAULT;
    enum status status = quantize_types_parse(&wish, options->type_name, options->overrides, err);
    wish.requantize = options->requantize;
    if (status == OK) {
        status = read_order(&job, err);
    }
    if (status == OK) {
        status = make_entries(&job, err);
    }
    if (status == OK) {
        status = quantize_join_make(&job.join, file, err);
    }
    if (status == OK) {
        status = choose_types(&job, err);
    }
    if (status == OK) {
        status = write_file(&job, err);
    }
    if (status == OK) {
        sum_up(&job, totals);
    }
    release(&job);
    return status;
}

/* ---- the place of the output ---- */

static bool is_model_file(const char *path)
{
    char magic[4] = {0};
    FILE *file = fopen(path, "rbe");
    bool found = file != NULL && fread(magic, 1, sizeof magic, file) == sizeof magic &&
                 memcmp(magic, "GGUF", sizeof magic) == 0;
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* Replacing is for older versions of the output: not for the input, nor for what is no model. */
static enum status check_output(const char *input, const struct quantize_options *options,
                                struct error *err)
{
    struct stat in;
    struct stat out;
    if (stat(options->output, &out) != 0) {
        return OK;
    }
    if (input != NULL && stat(input, &in) == 0 && in.st_dev == out.st_dev &&
        in.st_ino == out.st_ino) {
        return error_set(err, ERR_INVALID, "%.300s: is the input", options->output);
    }
    if (options->replace && !is_model_file(options->output)) {
        return error_set(err, ERR_INVALID, "%.300s: exists, and is no GGUF file to be replaced",
                         options->output);
    }
    return OK;
}

enum status quantize_run(const char *input, const struct quantize_options *options,
                         struct quantize_totals *totals, struct error *err)
{
    struct gguf file = {0};
    enum status status = check_output(input, options, err);
    if (status == OK) {
        status = model_file_open(&file, input, err);
    }
    if (status != OK) {
        return status;
    }
    status = quantize_file(&file, options, totals, err);
    gguf_close(&file);
    return status;
}
