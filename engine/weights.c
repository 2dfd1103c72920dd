/* weights.c - the table of tensor names is walked for the model and
 * for every layer: first to bind and check, then to convert and import. Shapes are symbols
 * resolved from the hyper-parameters, so that a wrong one is reported with both sides in numbers.
 * A tensor that no row claims is refused too: a model with a part we do not compute would load and
 * then talk nonsense. SPDX-License-Identifier: Apache-2.0 */
#include "engine/weights.h"

#include "configs/checked.h"
#include "engine/family.h"
#include "engine/tensor_table.h"
#include "kernels/quant.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 96,
    SHAPE_TEXT_BYTES = 96
};

/* Inverse frequencies that early converters stored; rope.freq_base says the same. */
static const char *const ignored_layer_name = "attn_rot_embd.weight";

struct binder {
    struct model *model;
    const struct gguf *file;
    struct backend *be;
    uint64_t extents[EXTENT_COUNT];
    uint64_t converted_values; /* to be stored in model->converted, then: stored so far */
};

typedef enum status (*visit_fn)(struct binder *binder, const struct tensor_row *row,
                                const char *name, struct tensor *place, struct error *err);

/* Calls visit for every row that the family knows, the model's own first, then layer by layer. */
static enum status visit_rows(struct binder *binder, visit_fn visit, struct error *err)
{
    enum status status = OK;
    for (uint32_t i = 0; i < tensor_table_model_count && status == OK; i++) {
        const struct tensor_row *row = &tensor_table_model[i];
        void *place = (uint8_t *)binder->model + row->offset;
        status = visit(binder, row, row->name, place, err);
    }
    uint64_t layer_visits = (uint64_t)binder->model->params.layer_count * tensor_table_layer_count;
    for (uint64_t i = 0; i < layer_visits && status == OK; i++) {
        uint32_t layer_index = (uint32_t)(i / tensor_table_layer_count);
        const struct tensor_row *row = &tensor_table_layer[i % tensor_table_layer_count];
        if (!tensor_table_known(row, &binder->model->params)) {
            continue;
        }
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "blk.%u.%s", layer_index, row->name);
        void *place = (uint8_t *)&binder->model->layers[layer_index] + row->offset;
        if (row->presence == PER_EXPERT) {
            place = *(struct tensor **)place;
        }
        status = visit(binder, row, name, place, err);
    }
    return status;
}

/* A shape as a user reads it in other tools: [rows, values]. */
static const char *shape_text(char *out, const struct tensor *tensor)
{
    size_t used = 0;
    for (uint32_t i = 0; i < tensor->dim_count && used < SHAPE_TEXT_BYTES; i++) {
        used += (size_t)snprintf(out + used, SHAPE_TEXT_BYTES - used, "%s%llu", i > 0 ? ", " : "[",
                                 (unsigned long long)tensor->shape[i]);
    }
    if (used < SHAPE_TEXT_BYTES) {
        snprintf(out + used, SHAPE_TEXT_BYTES - used, "]");
    }
    return out;
}

static struct tensor expected_shape(const struct binder *binder, const struct tensor_row *row)
{
    struct tensor expected = {0};
    if (row->presence == PER_EXPERT) {
        expected.shape[expected.dim_count++] = binder->extents[EXTENT_EXPERTS];
    }
    if (row->rows != EXTENT_NONE) {
        expected.shape[expected.dim_count++] = binder->extents[row->rows];
    }
    expected.shape[expected.dim_count++] = binder->extents[row->values];
    return expected;
}

static enum status check_shape(const struct binder *binder, const struct tensor_row *row,
                               const char *name, const struct tensor *found, struct error *err)
{
    struct tensor expected = expected_shape(binder, row);
    bool same = found->dim_count == expected.dim_count;
    for (uint32_t i = 0; same && i < expected.dim_count; i++) {
        same = found->shape[i] == expected.shape[i];
    }
    bool one_row = row->rows == EXTENT_ONE && found->dim_count == 1 &&
                   found->shape[0] == binder->extents[row->values];
    if (same || one_row) {
        return OK;
    }
    char expected_text[SHAPE_TEXT_BYTES];
    char found_text[SHAPE_TEXT_BYTES];
    return error_set(err, ERR_FORMAT,
                     "%s: tensor %s has shape %s; the hyper-parameters demand %s (outermost first)",
                     binder->file->path, name, shape_text(found_text, found),
                     shape_text(expected_text, &expected));
}

static enum status check_type(const struct binder *binder, const struct tensor_row *row,
                              const char *name, const struct gguf_tensor *found, struct error *err)
{
    if (!found->supported) {
        return error_set(err, ERR_UNSUPPORTED, "%s: tensor %s has type %s, which is not supported",
                         binder->file->path, name, found->type_name);
    }
    enum dtype dtype = found->tensor.dtype;
    bool plain = dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
    if (row->rows == EXTENT_NONE && !plain) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: tensor %s has type %s; a norm, bias or factor must be f32, f16 or "
                         "bf16",
                         binder->file->path, name, found->type_name);
    }
    return OK;
}

/* The tensors that a row stands for in the model: one, but for experts. */
static uint64_t tensors_of_row(const struct binder *binder, const struct tensor_row *row)
{
    return row->presence == PER_EXPERT ? binder->extents[EXTENT_EXPERTS] : 1;
}

/* The checked tensor as matrices that lie one behind the other. */
static void cut_tensor(const struct binder *binder, const struct tensor_row *row,
                       const struct gguf_tensor *found, struct tensor *places)
{
    uint64_t count = tensors_of_row(binder, row);
    uint64_t bytes_each = found->byte_count / count;
    for (uint64_t i = 0; i < count; i++) {
        places[i] = found->tensor;
        places[i].data = (const uint8_t *)found->tensor.data + i * bytes_each;
        if (row->rows != EXTENT_NONE) {
            places[i].dim_count = 2;
            places[i].shape[0] = binder->extents[row->rows];
            places[i].shape[1] = binder->extents[row->values];
        }
    }
}

static enum status bind_tensor(struct binder *binder, const struct tensor_row *row,
                               const char *name, struct tensor *place, struct error *err)
{
    const struct gguf_tensor *found = gguf_find_tensor(binder->file, name);
    if (found == NULL) {
        memset(place, 0, tensors_of_row(binder, row) * sizeof *place);
        return !tensor_table_required(row, &binder->model->params)
                   ? OK
                   : error_set(err, ERR_FORMAT, "%s: tensor %s is missing; every %s model has it",
                               binder->file->path, name, binder->model->params.architecture);
    }
    enum status status = check_type(binder, row, name, found, err);
    if (status == OK) {
        status = check_shape(binder, row, name, &found->tensor, err);
    }
    if (status != OK) {
        return status;
    }
    cut_tensor(binder, row, found, place);
    uint64_t value_count = tensor_row_count(&found->tensor) * tensor_row_values(&found->tensor);
    binder->model->parameter_count += value_count;
    binder->model->weight_bytes += found->byte_count;
    if (row->rows == EXTENT_NONE && place->dtype != DTYPE_F32) {
        binder->converted_values += value_count;
    }
    return OK;
}

/* Norms and biases are read as f32 by every kernel; they are small, so a copy costs nothing. */
static void convert_vector(struct binder *binder, struct tensor *vector)
{
    uint64_t value_count = tensor_row_values(vector);
    float *converted = binder->model->converted + binder->converted_values;
    quant_format_get(vector->dtype)->dequantize(converted, vector->data, value_count);
    binder->converted_values += value_count;
    vector->data = converted;
    vector->dtype = DTYPE_F32;
}

/* The inputs of ffn_down, products of two activations, have the widest range of a layer; and what
 * the vocabulary's matrix loses goes straight into the logits. */
static enum tensor_use use_of(const struct binder *binder, const struct tensor_row *row,
                              const struct tensor *place)
{
    const struct model *model = binder->model;
    if (place == &model->embedding && model->output.data != NULL) {
        return TENSOR_TABLE;
    }
    bool fine = row->values == EXTENT_FFN || row->values == EXTENT_EXPERT_FFN ||
                row->values == EXTENT_SHARED_FFN || row->rows == EXTENT_VOCAB;
    return fine ? TENSOR_PRODUCT_FINE : TENSOR_PRODUCT;
}

static enum status place_tensor(struct binder *binder, const struct tensor_row *row,
                                const char *name, struct tensor *place, struct error *err)
{
    if (place->data == NULL) {
        return OK;
    }
    if (row->rows == EXTENT_NONE && place->dtype != DTYPE_F32) {
        convert_vector(binder, place);
    }
    if (row->values == EXTENT_ROTARY_PAIRS) {
        return OK; /* read by the host when it makes the frequencies, never by a kernel */
    }
    for (uint64_t i = 0; i < tensors_of_row(binder, row); i++) {
        place[i].use = use_of(binder, row, &place[i]);
        if (binder->be->ops->weight_import(binder->be, &place[i], err) != OK) {
            return error_prefix(err, "%s: tensor %s: ", binder->file->path, name);
        }
    }
    return OK;
}

/* Splits "blk.N.rest": true with the rest when N is a layer of the model, as we would write it. */
static bool layer_tensor_rest(const struct gguf_string *name, uint32_t layer_count,
                              struct gguf_string *rest)
{
    uint64_t i = 4;
    if (name->byte_count < i || memcmp(name->bytes, "blk.", i) != 0) {
        return false;
    }
    uint64_t number = 0;
    uint64_t first_digit = i;
    while (i < name->byte_count && i < first_digit + 9 && isdigit((unsigned char)name->bytes[i])) {
        number = number * 10 + (uint64_t)(name->bytes[i++] - '0');
    }
    bool leading_zero = i > first_digit + 1 && name->bytes[first_digit] == '0';
    if (i == first_digit || i >= name->byte_count || name->bytes[i] != '.' || leading_zero) {
        return false;
    }
    *rest = (struct gguf_string){name->bytes + i + 1, name->byte_count - i - 1};
    return number < layer_count;
}

static bool tensor_is_used(const struct binder *binder, const struct gguf_string *name)
{
    for (uint32_t i = 0; i < tensor_table_model_count; i++) {
        if (gguf_string_equal(*name, tensor_table_model[i].name)) {
            return true;
        }
    }
    struct gguf_string rest;
    if (!layer_tensor_rest(name, binder->model->params.layer_count, &rest)) {
        return false;
    }
    for (uint32_t i = 0; i < tensor_table_layer_count; i++) {
        if (gguf_string_equal(rest, tensor_table_layer[i].name)) {
            return tensor_table_known(&tensor_table_layer[i], &binder->model->params);
        }
    }
    return gguf_string_equal(rest, ignored_layer_name);
}

static enum status refuse_unused(const struct binder *binder, struct error *err)
{
    for (uint64_t i = 0; i < binder->file->tensor_count; i++) {
        struct gguf_string name = binder->file->tensors[i].name;
        if (!tensor_is_used(binder, &name)) {
            char text[NAME_BYTES];
            return error_set(
                err, ERR_UNSUPPORTED, "%s: nothing in a %s model of %u layers uses tensor %s",
                binder->file->path, binder->model->params.architecture,
                binder->model->params.layer_count, family_printable(text, sizeof text, name));
        }
    }
    return OK;
}

enum status weights_bind(struct model *model, const struct gguf *file, struct backend *be,
                         struct error *err)
{
    struct binder binder = {.model = model, .file = file, .be = be};
    tensor_table_extents(&model->params, binder.extents);
    enum status status = visit_rows(&binder, bind_tensor, err);
    if (status == OK) {
        status = refuse_unused(&binder, err);
    }
    if (status != OK) {
        return status;
    }
    if (binder.converted_values > 0) {
        model->converted = calloc(binder.converted_values, sizeof *model->converted);
        if (model->converted == NULL) {
            return error_set(err, ERR_MEMORY, "no memory for %llu norm and bias values as f32",
                             (unsigned long long)binder.converted_values);
        }
        binder.converted_values = 0;
    }
    status = visit_rows(&binder, place_tensor, err);
    if (status == OK && model->output.data == NULL) {
        model->output = model->embedding; /* tied */
    }
    return status;
}

uint64_t weights_packed_bytes(const struct gguf *file, enum precision precision)
{
    bool tied = gguf_find_tensor(file, "output.weight") == NULL;
    uint64_t total = 0;
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        const struct gguf_tensor *found = &file->tensors[i];
        bool table = !tied && gguf_string_equal(found->name, "token_embd.weight");
        if (found->supported && !table) {
            total += backend_packed_bytes(&found->tensor, precision);
        }
    }
    return total;
}
