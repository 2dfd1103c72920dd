/* quantize_types.c - tables of what stays exact, what falls back to what, and how types are numbered.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/quantize_types.h"

#include "engine/formats/gguf_cursor.h"
#include "kernels/quant.h"
#include "kernels/quant_write.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    NAME_BYTES = 256,
    OVERRIDES_MAX = 1024,
};

/* By type: the number llama.cpp gives to files that are mostly of it, and what a tensor whose rows
 * are no whole blocks becomes. */
struct type_row {
    enum dtype dtype;
    uint32_t file_type;
    enum dtype fallback;
};

static const struct type_row type_rows[] = {
    {DTYPE_F32, 0, DTYPE_F32},    {DTYPE_F16, 1, DTYPE_F16},    {DTYPE_BF16, 32, DTYPE_BF16},
    {DTYPE_Q8_0, 7, DTYPE_F16},   {DTYPE_Q4_0, 2, DTYPE_F16},   {DTYPE_Q4_1, 3, DTYPE_F16},
    {DTYPE_Q5_0, 8, DTYPE_F16},   {DTYPE_Q5_1, 9, DTYPE_F16},   {DTYPE_Q4_K, 14, DTYPE_Q5_0},
    {DTYPE_Q5_K, 16, DTYPE_Q5_1}, {DTYPE_Q6_K, 18, DTYPE_Q8_0},
};

static const struct type_row *find_row(enum dtype dtype)
{
    for (size_t i = 0; i < sizeof type_rows / sizeof type_rows[0]; i++) {
        if (type_rows[i].dtype == dtype) {
            return &type_rows[i];
        }
    }
    return NULL;
}

uint32_t quantize_types_file_type(enum dtype dtype)
{
    const struct type_row *row = find_row(dtype);
    return row != NULL ? row->file_type : 0;
}

bool quantize_types_is_float(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

/* ---- the wish ---- */

static bool find_type(const char *name, enum dtype *out)
{
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (quant_write_possible((enum dtype)d) &&
            strcasecmp(quant_format_get((enum dtype)d)->name, name) == 0) {
            *out = (enum dtype)d;
            return true;
        }
    }
    return false;
}

/* Cuts "PATTERN=TYPE" in two. */
static enum status parse_override(struct quantize_override *out, char *text, struct error *err)
{
    char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text) {
        return error_set(err, ERR_INVALID, "tensor type '%.100s': must be PATTERN=TYPE", text);
    }
    if (!find_type(equals + 1, &out->dtype)) {
        return error_set(err, ERR_INVALID, "tensor type '%.100s': '%.40s' cannot be written", text,
                         equals + 1);
    }
    *equals = '\0';
    out->pattern = text;
    return OK;
}

static enum status parse_overrides(struct quantize_wish *wish, const char *overrides,
                                   struct error *err)
{
    wish->text = strdup(overrides);
    wish->overrides = calloc(OVERRIDES_MAX, sizeof *wish->overrides);
    if (wish->text == NULL || wish->overrides == NULL) {
        return error_set(err, ERR_MEMORY, "no memory for the types of tensors");
    }
    enum status status = OK;
    char *rest = wish->text;
    while (status == OK && rest != NULL) {
        char *one = strsep(&rest, ",");
        if (wish->override_count == OVERRIDES_MAX) {
            return error_set(err, ERR_INVALID, "types of more than %d tensors are given",
                             OVERRIDES_MAX);
        }
        status = parse_override(&wish->overrides[wish->override_count], one, err);
        wish->override_count += status == OK;
    }
    return status;
}

enum status quantize_types_parse(struct quantize_wish *wish, const char *type_name,
                                 const char *overrides, struct error *err)
{
    *wish = (struct quantize_wish){0};
    if (!find_type(type_name, &wish->dtype)) {
        return error_set(err, ERR_INVALID, "type '%.40s' cannot be written", type_name);
    }
    return overrides != NULL && overrides[0] != '\0' ? parse_overrides(wish, overrides, err) : OK;
}

void quantize_types_release(struct quantize_wish *wish)
{
    free(wish->text);
    free(wish->overrides);
    *wish = (struct quantize_wish){0};
}

/* ---- the choice ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t text_bytes = strlen(text);
    size_t end_bytes = strlen(end);
    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

/* What is small, and would do harm if it were rounded. */
static bool stays_exact(const char *name, const struct tensor *tensor)
{
    static const char *const ends[] = {"_norm.weight", ".ffn_gate_inp.weight",
                                       ".ffn_gate_inp_shexp.weight", "position_embd.weight",
                                       "token_types.weight"};
    bool vector = true; /* at most one dimension is more than 1 */
    for (uint32_t i = 0; i + 1 < tensor->dim_count; i++) {
        vector = vector && tensor->shape[i] == 1;
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (ends_with(name, ends[i])) {
            return true;
        }
    }
    return vector || !ends_with(name, ".weight");
}

/* The matrix that makes logits. */
static bool makes_logits(const struct gguf *file, const char *name)
{
    return strcmp(name, "output.weight") == 0 || (strcmp(name, "token_embd.weight") == 0 &&
                                                  gguf_find_tensor(file, "output.weight") == NULL);
}

/* Goes down the fallbacks until rows are whole blocks. */
static void fit_rows(struct quantize_choice *choice, uint64_t row_values)
{
    enum dtype wanted = choice->dtype;
    while (row_values % quant_format_get(choice->dtype)->block_values != 0) {
        choice->dtype = find_row(choice->dtype)->fallback;
    }
    if (choice->dtype != wanted) {
        snprintf(choice->note, sizeof choice->note, "rows of %llu values are not whole %s blocks",
                 (unsigned long long)row_values, quant_format_get(wanted)->name);
    }
}

static struct quantize_override *find_override(struct quantize_wish *wish, const char *name)
{
    for (uint32_t i = 0; i < wish->override_count; i++) {
        if (fnmatch(wish->overrides[i].pattern, name, 0) == 0) {
            return &wish->overrides[i];
        }
    }
    return NULL;
}

static enum status choose_type(struct quantize_choice *out, struct quantize_wish *wish,
                               const struct gguf *file, const char *name,
                               const struct gguf_tensor *tensor, struct error *err)
{
    uint64_t row_values = tensor_row_values(&tensor->tensor);
    struct quantize_override *override = find_override(wish, name);
    if (override != NULL) {
        override->matched = true;
        out->dtype = override->dtype;
        snprintf(out->note, sizeof out->note, "as given for %.100s", override->pattern);
        uint32_t block_values = quant_format_get(out->dtype)->block_values;
        if (row_values % block_values != 0) {
            return error_set(err, ERR_INVALID,
                             "%s: tensor %s: rows of %llu values are not whole %s blocks of %u",
                             file->path, name, (unsigned long long)row_values,
                             quant_format_get(out->dtype)->name, block_values);
        }
        return OK;
    }
    out->dtype = wish->dtype;
    bool rounds = !quantize_types_is_float(wish->dtype) && wish->dtype != DTYPE_Q8_0;
    if (rounds && makes_logits(file, name)) {
        out->dtype = DTYPE_Q6_K;
        snprintf(out->note, sizeof out->note, "makes the logits");
    }
    fit_rows(out, row_values);
    return OK;
}

enum status quantize_types_choose(struct quantize_choice *out, struct quantize_wish *wish,
                                  const struct gguf *file, uint64_t index, struct error *err)
{
    const struct gguf_tensor *tensor = &file->tensors[index];
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)tensor->name.byte_count, tensor->name.bytes);
    *out = (struct quantize_choice){.dtype = DTYPE_F32};
    bool exact = stays_exact(name, &tensor->tensor);
    if (exact && !(tensor->supported && quantize_types_is_float(tensor->tensor.dtype))) {
        out->verbatim = true;
        return OK;
    }
    if (!tensor->supported) {
        return error_set(err, ERR_UNSUPPORTED, "%s: tensor %s has type %s, which cannot be read",
                         file->path, gguf_cursor_show(tensor->name).text, tensor->type_name);
    }
    enum status status = exact ? OK : choose_type(out, wish, file, name, tensor, err);
    if (status != OK) {
        return status;
    }
    out->verbatim = out->dtype == tensor->tensor.dtype;
    if (!out->verbatim && !wish->requantize && !quantize_types_is_float(tensor->tensor.dtype) &&
        !quantize_types_is_float(out->dtype)) {
        return error_set(err, ERR_INVALID, "%s: tensor %s is %s already: as %s it would lose twice",
                         file->path, name, tensor->type_name, quant_format_get(out->dtype)->name);
    }
    return OK;
}

enum status quantize_types_check_used(const struct quantize_wish *wish, struct error *err)
{
    for (uint32_t i = 0; i < wish->override_count; i++) {
        if (!wish->overrides[i].matched) {
            return error_set(err, ERR_INVALID,
                             "tensor type for '%.100s': no matrix without a type from an earlier "
                             "pattern has such a name",
                             wish->overrides[i].pattern);
        }
    }
    return OK;
}
