/* weights.c - the table of tensor names is walked for the model and for every layer: first to bind
 * and check, then to convert and import. Shapes are symbols resolved from the hyper-parameters, so
 * that a wrong one is reported with both sides in numbers. A fused tensor is cut at row boundaries,
 * which are boundaries of blocks in every weight type: its parts lie in it, nothing is copied.
 * A tensor that no row claims is refused too: a model with a part we do not compute would load and
 * then talk nonsense. SPDX-License-Identifier: Apache-2.0 */
#include "engine/weights.h"

#include "configs/limits.h"
#include "engine/family.h"
#include "engine/latent_weights.h"
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
    struct model *model; /* its layers are NULL where only sizes are asked for */
    const struct gguf *file;
    struct backend *be;
    struct loading *loading; /* who wants to know, or NULL */
    uint64_t extents[EXTENT_COUNT];
    uint64_t converted_values; /* to be stored in model->converted, then: stored so far */
    uint64_t turned_bytes;     /* likewise in model->turned */
    enum precision precision;  /* for the next two alone */
    uint64_t packed_bytes;
    uint64_t input_bytes;
};

/* One tensor of a file and the pieces it has in the model: one, or its parts, or experts. */
struct slot {
    const struct tensor_row *row;
    void *base; /* the model or the layer, or NULL */
    uint32_t first_expert;
    uint32_t piece_count;
    char name[NAME_BYTES];
};

typedef enum status (*visit_fn)(struct binder *binder, const struct slot *slot, struct error *err);

static uint32_t part_count(const struct tensor_row *row)
{
    uint32_t count = 0;
    while (count < TENSOR_PARTS_MAX && row->parts[count].extent != EXTENT_NONE) {
        count++;
    }
    return count;
}

static enum status visit_apart(struct binder *binder, struct slot *slot, uint32_t layer_index,
                               visit_fn visit, struct error *err)
{
    enum status status = OK;
    slot->piece_count = 1;
    for (uint32_t i = 0; i < binder->model->params.expert_count && status == OK; i++) {
        slot->first_expert = i;
        snprintf(slot->name, sizeof slot->name, "blk.%u.%s.%u.weight", layer_index,
                 slot->row->apart, i);
        status = visit(binder, slot, err);
    }
    return status;
}

static enum status visit_layer_row(struct binder *binder, const struct tensor_row *row,
                                   uint32_t layer_index, visit_fn visit, struct error *err)
{
    const struct model *model = binder->model;
    if (!tensor_table_known(row, &model->params, layer_index)) {
        return OK;
    }
    struct slot slot = {.row = row, .piece_count = 1};
    slot.base = model->layers != NULL ? &model->layers[layer_index] : NULL;
    if (row->presence == PER_EXPERT && model->params.experts_apart) {
        return visit_apart(binder, &slot, layer_index, visit, err);
    }
    if (row->presence == PER_EXPERT) {
        slot.piece_count = model->params.expert_count;
    } else if (row->presence == LATENT_PER_HEAD) {
        slot.piece_count = model->params.head_count;
    } else if (part_count(row) > 0) {
        slot.piece_count = part_count(row);
    }
    snprintf(slot.name, sizeof slot.name, "blk.%u.%s", layer_index, row->name);
    return visit(binder, &slot, err);
}

/* Calls visit for every row that the family knows, the model's own first, then layer by layer. */
static enum status visit_rows(struct binder *binder, visit_fn visit, struct error *err)
{
    enum status status = OK;
    for (uint32_t i = 0; i < tensor_table_model_count && status == OK; i++) {
        const struct tensor_row *row = &tensor_table_model[i];
        struct slot slot = {.row = row, .base = binder->model, .piece_count = 1};
        snprintf(slot.name, sizeof slot.name, "%s", row->name);
        if (tensor_table_known(row, &binder->model->params, 0)) {
            status = visit(binder, &slot, err);
        }
    }
    uint64_t layer_visits = (uint64_t)binder->model->params.layer_count * tensor_table_layer_count;
    for (uint64_t i = 0; i < layer_visits && status == OK; i++) {
        status = visit_layer_row(binder, &tensor_table_layer[i % tensor_table_layer_count],
                                 (uint32_t)(i / tensor_table_layer_count), visit, err);
    }
    return status;
}

/* Where piece i of a slot belongs; a tensor of keys and values, until it is cut, where keys do. */
static struct tensor *place_of(const struct slot *slot, uint32_t i)
{
    uint8_t *base = slot->base;
    const struct tensor_row *row = slot->row;
    if (row->presence == PER_EXPERT || row->presence == LATENT_PER_HEAD ||
        row->presence == LATENT_KV_UP) {
        return *(struct tensor **)(void *)(base + row->offset) + slot->first_expert + i;
    }
    size_t offset = part_count(row) > 0 ? row->parts[i].offset : row->offset;
    return (struct tensor *)(void *)(base + offset);
}

/* Rows of piece i; of a vector, its values. */
static uint64_t length_of(const struct binder *binder, const struct slot *slot, uint32_t i)
{
    const struct tensor_row *row = slot->row;
    enum extent whole = row->rows == EXTENT_NONE ? row->values : row->rows;
    return binder->extents[part_count(row) > 0 ? row->parts[i].extent : whole];
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

static struct tensor expected_shape(const struct binder *binder, const struct slot *slot)
{
    const struct tensor_row *row = slot->row;
    struct tensor expected = {0};
    if (row->presence == PER_EXPERT && !binder->model->params.experts_apart) {
        expected.shape[expected.dim_count++] = binder->extents[EXTENT_EXPERTS];
    } else if (row->presence == LATENT_PER_HEAD) {
        expected.shape[expected.dim_count++] = binder->extents[EXTENT_HEADS];
    }
    if (row->rows != EXTENT_NONE) {
        expected.shape[expected.dim_count++] = binder->extents[row->rows];
    }
    expected.shape[expected.dim_count++] = binder->extents[row->values];
    return expected;
}

static enum status check_shape(const struct binder *binder, const struct slot *slot,
                               const struct tensor *found, struct error *err)
{
    const struct tensor_row *row = slot->row;
    struct tensor expected = expected_shape(binder, slot);
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
                     binder->file->path, slot->name, shape_text(found_text, found),
                     shape_text(expected_text, &expected));
}

static enum status check_type(const struct binder *binder, const struct slot *slot,
                              const struct gguf_tensor *found, struct error *err)
{
    if (!found->supported) {
        return error_set(err, ERR_UNSUPPORTED, "%s: tensor %s has type %s, which is not supported",
                         binder->file->path, slot->name, found->type_name);
    }
    enum dtype dtype = found->tensor.dtype;
    bool plain = dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
    if (tensor_table_plain(slot->row) && !plain) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: tensor %s has type %s; a norm, bias or factor must be f32, f16 or "
                         "bf16",
                         binder->file->path, slot->name, found->type_name);
    }
    return OK;
}

/* Products by head read weights as they are stored. Keys, values and what attention gives are small
 * products that all later tokens depend on: on the demo models their inputs, in 16 bits, save a third
 * of what 8 bits cost in accuracy, at a twentieth of a model's products. */
static enum tensor_use use_of(const struct binder *binder, const struct tensor_row *row,
                              uint32_t part)
{
    bool embedding = row == &tensor_table_model[0];
    bool tied = gguf_find_tensor(binder->file, "output.weight") == NULL;
    bool by_head = row->presence == LATENT_PER_HEAD || row->presence == LATENT_KV_UP;
    if ((embedding && !tied) || row->rows == EXTENT_CONTEXT || by_head) {
        return TENSOR_TABLE;
    }
    enum extent rows = part_count(row) > 0 ? row->parts[part].extent : row->rows;
    bool fine = rows == EXTENT_KV || row->values == EXTENT_ATTENDED;
    return fine ? TENSOR_PRODUCT_FINE : TENSOR_PRODUCT;
}

/* Piece i of a checked tensor. Pieces lie one behind the other; *offset is moved past this one. */
static struct tensor cut_piece(const struct binder *binder, const struct slot *slot,
                               const struct gguf_tensor *found, uint32_t i, uint64_t *offset)
{
    const struct tensor_row *row = slot->row;
    bool vector = row->rows == EXTENT_NONE;
    uint64_t row_values = tensor_row_values(&found->tensor);
    uint64_t length_count = vector ? row_values : tensor_row_count(&found->tensor);
    uint64_t length = length_of(binder, slot, i);
    struct tensor piece = found->tensor;
    piece.data = (const uint8_t *)found->tensor.data + *offset;
    piece.use = use_of(binder, row, i);
    piece.dim_count = vector ? 1 : 2;
    piece.shape[0] = length;
    piece.shape[1] = vector ? 0 : row_values;
    *offset += length * (found->byte_count / length_count);
    return piece;
}

static enum status check_experts_alike(const struct binder *binder, const struct slot *slot,
                                       struct error *err)
{
    const struct tensor *first = place_of(slot, 0) - slot->first_expert;
    const struct tensor *this = place_of(slot, 0);
    return first->dtype == this->dtype
               ? OK
               : error_set(
                     err, ERR_UNSUPPORTED,
                     "%s: tensor %s has type %s, expert 0 of the layer %s; they must be equal",
                     binder->file->path, slot->name, quant_format_get(this->dtype)->name,
                     quant_format_get(first->dtype)->name);
}

static enum status bind_missing(const struct binder *binder, const struct slot *slot,
                                struct error *err)
{
    for (uint32_t i = 0; i < slot->piece_count; i++) {
        memset(place_of(slot, i), 0, sizeof(struct tensor));
    }
    return !tensor_table_required(slot->row, &binder->model->params)
               ? OK
               : error_set(err, ERR_FORMAT, "%s: tensor %s is missing; every %s model has it",
                           binder->file->path, slot->name, binder->model->params.architecture);
}

static enum status bind_tensor(struct binder *binder, const struct slot *slot, struct error *err)
{
    const struct gguf_tensor *found = gguf_find_tensor(binder->file, slot->name);
    if (found == NULL) {
        return bind_missing(binder, slot, err);
    }
    enum status status = check_type(binder, slot, found, err);
    if (status == OK) {
        status = check_shape(binder, slot, &found->tensor, err);
    }
    if (status != OK) {
        return status;
    }
    uint64_t offset = 0;
    for (uint32_t i = 0; i < slot->piece_count; i++) {
        *place_of(slot, i) = cut_piece(binder, slot, found, i, &offset);
    }
    uint64_t value_count = tensor_row_count(&found->tensor) * tensor_row_values(&found->tensor);
    binder->model->parameter_count += value_count;
    binder->model->weight_bytes += found->byte_count;
    if (tensor_table_plain(slot->row) && found->tensor.dtype != DTYPE_F32) {
        binder->converted_values += value_count;
    }
    if (slot->row->presence == LATENT_KV_UP) {
        binder->turned_bytes +=
            latent_weights_turned_bytes(&binder->model->params, found->tensor.dtype);
    }
    return slot->row->presence == PER_EXPERT ? check_experts_alike(binder, slot, err) : OK;
}

/* Norms and biases are read as f32 by every kernel; they are small, so a copy costs nothing. */
static void convert_vector(struct binder *binder, struct tensor *vector)
{
    uint64_t value_count = tensor_row_count(vector) * tensor_row_values(vector);
    float *converted = binder->model->converted + binder->converted_values;
    quant_format_get(vector->dtype)->dequantize(converted, vector->data, value_count);
    binder->converted_values += value_count;
    vector->data = converted;
    vector->dtype = DTYPE_F32;
}

/* Cuts a layer's tensor of keys and values, and imports the pieces. */
static enum status place_kv_up(struct binder *binder, const struct slot *slot, struct error *err)
{
    const struct model_params *params = &binder->model->params;
    struct model_layer *layer = slot->base;
    enum dtype dtype = layer->key_turned[0].dtype;
    latent_weights_cut(layer, params, &layer->key_turned[0],
                       (uint8_t *)binder->model->turned + binder->turned_bytes);
    binder->turned_bytes += latent_weights_turned_bytes(params, dtype);
    for (uint32_t i = 0; i < params->head_count; i++) {
        if (binder->be->ops->weight_import(binder->be, &layer->key_turned[i], err) != OK ||
            binder->be->ops->weight_import(binder->be, &layer->value_up[i], err) != OK) {
            return error_prefix(err, "%s: tensor %s: ", binder->file->path, slot->name);
        }
    }
    return OK;
}

static enum status place_tensor(struct binder *binder, const struct slot *slot, struct error *err)
{
    if (slot->row->presence == LATENT_KV_UP) {
        return place_kv_up(binder, slot, err);
    }
    for (uint32_t i = 0; i < slot->piece_count; i++) {
        struct tensor *place = place_of(slot, i);
        if (place->data == NULL) {
            return OK;
        }
        if (tensor_table_plain(slot->row) && place->dtype != DTYPE_F32) {
            convert_vector(binder, place);
        }
        if (slot->row->values == EXTENT_ROTARY_PAIRS) {
            return OK; /* read by the host when it makes the frequencies, never by a kernel */
        }
        if (binder->be->ops->weight_import(binder->be, place, err) != OK) {
            return error_prefix(err, "%s: tensor %s: ", binder->file->path, slot->name);
        }
    }
    return OK;
}

static enum status place_and_tell(struct binder *binder, const struct slot *slot, struct error *err)
{
    enum status status = place_tensor(binder, slot, err);
    const struct gguf_tensor *found = gguf_find_tensor(binder->file, slot->name);
    loading_add(binder->loading, found != NULL ? found->byte_count : 0);
    return status;
}

/* Splits "blk.N.rest": true with the rest when N is below layer_count, as we would write it. */
static bool layer_tensor_rest(const struct gguf_string *name, uint32_t layer_count,
                              struct gguf_string *rest, uint32_t *layer_index)
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
    *layer_index = (uint32_t)number;
    return number < layer_count;
}

/* "ffn_gate.3.weight", written as we would, of an expert that there is. */
static bool is_expert_apart(const struct tensor_row *row, const struct model_params *params,
                            const struct gguf_string *rest)
{
    char name[NAME_BYTES];
    size_t stem = strlen(row->apart);
    if (rest->byte_count <= stem + 1 || memcmp(rest->bytes, row->apart, stem) != 0) {
        return false;
    }
    uint32_t number = 0;
    for (uint64_t i = stem + 1; i < rest->byte_count && isdigit((unsigned char)rest->bytes[i]) &&
                                number < LIMIT_MODEL_EXPERTS;
         i++) {
        number = number * 10 + (uint32_t)(rest->bytes[i] - '0');
    }
    snprintf(name, sizeof name, "%s.%u.weight", row->apart, number);
    return number < params->expert_count && gguf_string_equal(*rest, name);
}

static bool layer_row_claims(const struct tensor_row *row, const struct model_params *params,
                             uint32_t layer_index, const struct gguf_string *rest)
{
    if (!tensor_table_known(row, params, layer_index)) {
        return false;
    }
    return row->presence == PER_EXPERT && params->experts_apart
               ? is_expert_apart(row, params, rest)
               : gguf_string_equal(*rest, row->name);
}

static bool tensor_is_used(const struct binder *binder, const struct gguf_string *name)
{
    const struct model_params *params = &binder->model->params;
    for (uint32_t i = 0; i < tensor_table_model_count; i++) {
        const struct tensor_row *row = &tensor_table_model[i];
        if (gguf_string_equal(*name, row->name)) {
            return tensor_table_known(row, params, 0);
        }
    }
    struct gguf_string rest;
    uint32_t layer_index = 0;
    uint32_t stored_count = params->layer_count + params->next_layer_count;
    if (!layer_tensor_rest(name, stored_count, &rest, &layer_index)) {
        return false;
    }
    if (layer_index >= params->layer_count) {
        return true; /* of a layer that guesses further tokens */
    }
    for (uint32_t i = 0; i < tensor_table_layer_count; i++) {
        if (layer_row_claims(&tensor_table_layer[i], params, layer_index, &rest)) {
            return true;
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
                         struct loading *loading, struct error *err)
{
    struct binder binder = {.model = model, .file = file, .be = be, .loading = loading};
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
    if (binder.turned_bytes > 0) {
        model->turned = malloc(binder.turned_bytes);
        if (model->turned == NULL) {
            return error_set(err, ERR_MEMORY, "no memory for %llu bytes of turned keys",
                             (unsigned long long)binder.turned_bytes);
        }
        binder.turned_bytes = 0;
    }
    loading_expect(loading, model->weight_bytes);
    loading_enter(loading, LOADING_WEIGHTS);
    status = visit_rows(&binder, place_and_tell, err);
    if (status == OK && model->output.data == NULL) {
        model->output = model->embedding; /* tied */
    }
    return status;
}

/* Without layers: nothing is bound, only sized. What does not fit the table is refused later. */
static enum status add_memory(struct binder *binder, const struct slot *slot, struct error *err)
{
    (void)err;
    const struct gguf_tensor *found = gguf_find_tensor(binder->file, slot->name);
    struct error ignored;
    if (found == NULL || !found->supported || tensor_table_plain(slot->row) ||
        check_shape(binder, slot, &found->tensor, &ignored) != OK) {
        return OK;
    }
    if (slot->row->presence == LATENT_KV_UP) {
        binder->packed_bytes +=
            latent_weights_turned_bytes(&binder->model->params, found->tensor.dtype);
    }
    uint64_t offset = 0;
    for (uint32_t i = 0; i < slot->piece_count; i++) {
        struct tensor piece = cut_piece(binder, slot, found, i, &offset);
        uint64_t input_bytes = backend_input_bytes(&piece, binder->precision);
        binder->packed_bytes += backend_packed_bytes(&piece, binder->precision);
        binder->input_bytes = input_bytes > binder->input_bytes ? input_bytes : binder->input_bytes;
    }
    return OK;
}

struct weights_memory weights_measure(const struct gguf *file, const struct model_params *params,
                                      enum precision precision)
{
    struct model model = {.params = *params};
    struct binder binder = {.model = &model, .file = file, .precision = precision};
    struct error ignored;
    tensor_table_extents(params, binder.extents);
    visit_rows(&binder, add_memory, &ignored);
    return (struct weights_memory){.packed_bytes = binder.packed_bytes,
                                   .input_bytes = binder.input_bytes};
}
