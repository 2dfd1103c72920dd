/* Every tensor of the directory is led to its row by name; whatever has no row is refused, and then
 * every row that its family cannot do without is looked for. Data stays where it is mapped unless its
 * numbers or their order change, or it is not aligned for its type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "engine/formats/hf_tensors.h"

#include "configs/limits.h"
#include "kernels/quant.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = 320 /* LIMIT_TENSOR_NAME, and what is put in front */
};

/* One tensor on its way. */
struct placing {
    struct hf_reading *reading;
    const struct hf_weight *weight;
    const struct hf_tensor_row *row;
    const char *prefix; /* of the GGUF name: "" or "blk.N." */
    uint32_t expert;    /* the number that '*' stood for */
    struct error *err;
};

/* ---- names ---- */

/* A number without leading zeros, at most 6 digits; *text moves behind it. */
static bool read_number(const char **text, uint32_t *out)
{
    const char *at = *text;
    *out = 0;
    while (isdigit((unsigned char)*at) && at - *text < 6) {
        *out = *out * 10 + (uint32_t)(*at++ - '0');
    }
    bool sound = at > *text && (**text != '0' || at - *text == 1);
    *text = at;
    return sound;
}

static bool row_matches(const char *pattern, const char *name, uint32_t *expert)
{
    for (; *pattern != '\0' && *name != '\0'; pattern++) {
        if (*pattern == '*') {
            if (!read_number(&name, expert)) {
                return false;
            }
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return *pattern == '\0' && *name == '\0';
}

static const struct hf_tensor_row *find_row(const struct hf_tensor_row *rows, const char *name,
                                            uint32_t *expert)
{
    for (; rows->name != NULL; rows++) {
        if (row_matches(rows->name, name, expert)) {
            return rows;
        }
    }
    return NULL;
}

static const char *behind(const char *name, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

enum {
    LISTS_MAX = 12
};

static uint32_t append_lists(const struct hf_tensor_row **out, uint32_t count,
                             const struct hf_tensor_row *const *lists)
{
    while (lists != NULL && *lists != NULL) {
        assert(count + 1 < LISTS_MAX);
        out[count++] = *lists++;
    }
    return count;
}

/* The lists of a layer's tensors, up to NULL. */
static void lists_of_layer(const struct hf_reading *reading, uint32_t layer,
                           const struct hf_tensor_row *out[LISTS_MAX])
{
    const struct hf_family *family = reading->family;
    bool next = layer >= reading->layer_count;
    bool dense = !next && reading->dense_layers[layer] != 0;
    uint32_t count = append_lists(out, 0, family->layer_tensors);
    count = append_lists(out, count, dense ? family->dense_tensors : family->sparse_tensors);
    if (reading->qk_norm) {
        out[count++] = family->qk_norm_tensors;
    }
    if (next) {
        out[count++] = family->next_tensors;
    }
    out[count] = NULL;
}

/* The row of a tensor and, in prefix, the start of its GGUF name; NULL: there is none. */
static const struct hf_tensor_row *row_of(const struct hf_reading *reading, const char *name,
                                          char prefix[32], uint32_t *expert)
{
    const struct hf_family *family = reading->family;
    const char *rest = behind(name, family->base);
    if (rest == NULL && family->other_base != NULL) {
        rest = behind(name, family->other_base);
    }
    rest = rest != NULL ? rest : name;
    prefix[0] = '\0';
    const struct hf_tensor_row *row = find_row(family->model_tensors, rest, expert);
    const char *in_layers = behind(rest, family->layers);
    uint32_t layer = 0;
    if (row != NULL || in_layers == NULL || !read_number(&in_layers, &layer) || *in_layers != '.' ||
        layer >= reading->layer_count + reading->next_layer_count) {
        return row;
    }
    snprintf(prefix, 32, "blk.%u.", layer);
    const struct hf_tensor_row *lists[LISTS_MAX];
    lists_of_layer(reading, layer, lists);
    for (uint32_t i = 0; lists[i] != NULL && row == NULL; i++) {
        row = find_row(lists[i], in_layers + 1, expert);
    }
    return row;
}

/* A name with its '*' replaced. */
static void fill_number(char *out, const char *prefix, const char *pattern, uint32_t number)
{
    assert(pattern != NULL);
    const char *star = strchr(pattern, '*');
    if (star == NULL) {
        snprintf(out, NAME_BYTES, "%s%s", prefix, pattern);
    } else {
        snprintf(out, NAME_BYTES, "%s%.*s%u%s", prefix, (int)(star - pattern), pattern, number,
                 star + 1);
    }
}

/* ---- data ---- */

static enum status refuse(const struct placing *placing, enum status status, const char *what)
{
    error_set(placing->err, status, "%s: tensor %s %s", placing->weight->shard->path,
              placing->weight->tensor->name, what);
    return status;
}

/* Memory that the finished file owns. */
static void *take(const struct placing *placing, uint64_t byte_count)
{
    void *memory = malloc(byte_count > 0 ? byte_count : 1);
    if (memory == NULL) {
        refuse(placing, ERR_MEMORY, "needs a copy, for which there is no memory");
        return NULL;
    }
    gguf_builder_own(placing->reading->out, memory);
    return memory;
}

/* Of a float; blocks are read byte by byte. */
static uint32_t alignment_of(enum dtype dtype)
{
    const struct quant_format *format = quant_format_get(dtype);
    return format->block_values == 1 ? format->block_bytes : 1;
}

static enum status describe(const struct placing *placing, struct tensor *out)
{
    const struct safetensors_tensor *stored = placing->weight->tensor;
    if (!stored->supported) {
        error_set(placing->err, ERR_UNSUPPORTED,
                  "%s: tensor %s has dtype %s; supported are F32, F16 and BF16",
                  placing->weight->shard->path, stored->name, stored->dtype_name);
        return ERR_UNSUPPORTED;
    }
    if (stored->dim_count < 1 || stored->dim_count > TENSOR_DIMS_MAX || stored->byte_count == 0) {
        return refuse(placing, ERR_FORMAT, "is empty, or has not 1 to 4 dimensions");
    }
    *out = (struct tensor){
        .data = stored->data, .dtype = stored->dtype, .dim_count = stored->dim_count};
    for (uint32_t i = 0; i < stored->dim_count; i++) {
        if (stored->shape[i] > UINT32_MAX) {
            return refuse(placing, ERR_FORMAT, "has a dimension beyond 32 bits");
        }
        out->shape[i] = stored->shape[i];
    }
    if ((uintptr_t)stored->data % alignment_of(stored->dtype) != 0) {
        void *copy = take(placing, stored->byte_count);
        if (copy == NULL) {
            return ERR_MEMORY;
        }
        memcpy(copy, stored->data, stored->byte_count);
        out->data = copy;
    }
    return OK;
}

static void add(const struct placing *placing, const char *pattern, uint32_t number,
                const struct tensor *tensor)
{
    char name[NAME_BYTES];
    fill_number(name, placing->prefix, pattern, number);
    gguf_builder_add_tensor(placing->reading->out, name, tensor);
}

static enum status add_one(const struct placing *placing, struct tensor *tensor)
{
    uint64_t count = tensor_row_count(tensor) * tensor_row_values(tensor);
    float *values = take(placing, count * sizeof *values);
    if (values == NULL) {
        return ERR_MEMORY;
    }
    quant_format_get(tensor->dtype)->dequantize(values, tensor->data, count);
    for (uint64_t i = 0; i < count; i++) {
        values[i] += 1.0f;
    }
    tensor->data = values;
    tensor->dtype = DTYPE_F32;
    return OK;
}

static enum status transpose(const struct placing *placing, struct tensor *tensor)
{
    if (tensor->dim_count != 2) {
        return refuse(placing, ERR_FORMAT, "is no matrix");
    }
    if (placing->weight->made) { /* no writer's habit is known for which way these lie */
        return refuse(placing, ERR_UNSUPPORTED, "is quantised and stored [in, out]");
    }
    uint64_t rows = tensor->shape[1];
    uint64_t values = tensor->shape[0];
    uint64_t bytes = quant_format_get(tensor->dtype)->block_bytes;
    uint8_t *turned = take(placing, placing->weight->tensor->byte_count);
    if (turned == NULL) {
        return ERR_MEMORY;
    }
    const uint8_t *stored = tensor->data;
    for (uint64_t v = 0; v < values; v++) {
        for (uint64_t r = 0; r < rows; r++) {
            memcpy(turned + (r * values + v) * bytes, stored + (v * rows + r) * bytes, bytes);
        }
    }
    tensor->data = turned;
    tensor->shape[0] = rows;
    tensor->shape[1] = values;
    return OK;
}

/* Stored: for each head of keys the rows of its queries, of its key, of its value. A head of keys
 * that serves all queries leaves nothing to do. */
static enum status set_heads_apart(const struct placing *placing, struct tensor *tensor)
{
    const struct hf_reading *reading = placing->reading;
    uint64_t groups = reading->kv_head_count;
    uint64_t heads = reading->head_count;
    uint64_t per_group = heads / groups;
    uint64_t row_count = tensor->shape[0];
    if (heads % groups != 0 || tensor->dim_count > 2 ||
        row_count != (heads + 2 * groups) * reading->head_dim) {
        return refuse(placing, ERR_FORMAT, "has not the rows that the number of heads demands");
    }
    if (groups == 1) {
        return OK;
    }
    uint64_t byte_count = placing->weight->tensor->byte_count;
    uint64_t head_bytes = byte_count / (heads + 2 * groups);
    uint8_t *apart = take(placing, byte_count);
    if (apart == NULL) {
        return ERR_MEMORY;
    }
    const uint8_t *stored = tensor->data;
    for (uint64_t g = 0; g < groups; g++) {
        const uint8_t *group = stored + g * (per_group + 2) * head_bytes;
        memcpy(apart + g * per_group * head_bytes, group, per_group * head_bytes);
        memcpy(apart + (heads + g) * head_bytes, group + per_group * head_bytes, head_bytes);
        memcpy(apart + (heads + groups + g) * head_bytes, group + (per_group + 1) * head_bytes,
               head_bytes);
    }
    tensor->data = apart;
    return OK;
}

/* Cuts [experts, parts * rows, values] into a tensor for each expert and part. */
static enum status cut_experts(const struct placing *placing, const struct tensor *tensor,
                               const char *const *patterns, uint64_t part_count)
{
    const struct hf_reading *reading = placing->reading;
    if (tensor->dim_count != 3 || tensor->shape[0] != reading->expert_count ||
        tensor->shape[1] % part_count != 0) {
        return refuse(placing, ERR_FORMAT, "has not the shape that the number of experts demands");
    }
    struct tensor piece = {.dtype = tensor->dtype,
                           .dim_count = 2,
                           .shape = {tensor->shape[1] / part_count, tensor->shape[2]}};
    uint64_t piece_bytes = piece.shape[0] * quant_row_bytes(piece.dtype, piece.shape[1]);
    for (uint64_t i = 0; i < reading->expert_count * part_count; i++) {
        piece.data = (const uint8_t *)tensor->data + i * piece_bytes;
        add(placing, patterns[i % part_count], (uint32_t)(i / part_count), &piece);
    }
    return OK;
}

/* All vectors of a name with a number, one below the other, when the first of them comes. */
static enum status stack(const struct placing *placing, struct tensor *tensor)
{
    const struct hf_reading *reading = placing->reading;
    const struct safetensors_tensor *first = placing->weight->tensor;
    const char *number = strstr(first->name, ".0.weight");
    uint32_t count = 0;
    uint8_t *rows = NULL;
    if (number == NULL || tensor->dim_count != 1) {
        return refuse(placing, ERR_FORMAT, "is no vector with a number");
    }
    do {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%.*s.%u.weight", (int)(number - first->name), first->name,
                 ++count);
        const struct hf_weight *next = hf_weights_find(&reading->weights, name);
        if (next == NULL) {
            break;
        }
        if (next->tensor->byte_count != first->byte_count || next->tensor->dtype != first->dtype) {
            return refuse(placing, ERR_FORMAT, "and those of higher numbers are not alike");
        }
    } while (count < LIMIT_MODEL_HEADS);
    rows = take(placing, count * first->byte_count);
    if (rows == NULL) {
        return ERR_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%.*s.%u.weight", (int)(number - first->name), first->name, i);
        const struct hf_weight *weight = hf_weights_find(&reading->weights, name);
        memcpy(rows + i * first->byte_count, weight->tensor->data, first->byte_count);
    }
    *tensor = (struct tensor){
        .data = rows, .dtype = tensor->dtype, .dim_count = 2, .shape = {count, tensor->shape[0]}};
    return OK;
}

/* The same of what is stored quantised, [experts, columns, in]: every `step`-th row. */
static enum status add_rows(const struct placing *placing, const struct tensor *tensor,
                            const char *name, uint64_t first, uint64_t step)
{
    uint64_t row_count = tensor->dim_count == 3 ? tensor->shape[0] * tensor->shape[1] / step : 0;
    uint64_t row_bytes = quant_row_bytes(tensor->dtype, tensor_row_values(tensor));
    if (row_count == 0 || tensor->shape[1] % step != 0 ||
        tensor->shape[0] != placing->reading->expert_count) {
        return refuse(placing, ERR_FORMAT, "has not the shape that the number of experts demands");
    }
    struct tensor whole = *tensor;
    whole.shape[1] = tensor->shape[1] / step;
    if (step > 1) {
        uint8_t *rows = take(placing, row_count * row_bytes);
        if (rows == NULL) {
            return ERR_MEMORY;
        }
        const uint8_t *stored = (const uint8_t *)tensor->data + first * row_bytes;
        for (uint64_t row = 0; row < row_count; row++) {
            memcpy(rows + row * row_bytes, stored + row * step * row_bytes, row_bytes);
        }
        whole.data = rows;
    }
    add(placing, name, 0, &whole);
    return OK;
}

/* Every `step`-th column of each expert's matrix [in, columns], from `first` on, as the rows of
 * another: [experts, columns / step, in]. Of biases, `in` is 1. */
static enum status add_columns(const struct placing *placing, const struct tensor *tensor,
                               const char *name, uint64_t first, uint64_t step)
{
    if (placing->weight->made) {
        return add_rows(placing, tensor, name, first, step);
    }
    bool bias = tensor->dim_count == 2;
    uint64_t expert_count = tensor->shape[0];
    uint64_t in = bias ? 1 : tensor->shape[1];
    uint64_t columns = tensor->shape[bias ? 1 : 2];
    uint64_t rows = columns / step;
    uint64_t bytes = quant_format_get(tensor->dtype)->block_bytes;
    if ((tensor->dim_count != 2 && tensor->dim_count != 3) || columns % step != 0 ||
        expert_count != placing->reading->expert_count) {
        return refuse(placing, ERR_FORMAT, "has not the shape that the number of experts demands");
    }
    uint8_t *turned = take(placing, expert_count * rows * in * bytes);
    if (turned == NULL) {
        return ERR_MEMORY;
    }
    uint8_t *out = turned;
    for (uint64_t expert = 0; expert < expert_count; expert++) {
        const uint8_t *stored = (const uint8_t *)tensor->data + expert * in * columns * bytes;
        for (uint64_t row = 0; row < rows; row++) {
            const uint8_t *column = stored + (first + row * step) * bytes;
            for (uint64_t i = 0; i < in; i++, out += bytes) {
                memcpy(out, column + i * columns * bytes, bytes);
            }
        }
    }
    struct tensor whole = {.data = turned,
                           .dtype = tensor->dtype,
                           .dim_count = tensor->dim_count,
                           .shape = {expert_count, rows, bias ? 0 : in}};
    add(placing, name, 0, &whole);
    return OK;
}

static enum status part_gate_up(const struct placing *placing, const struct tensor *tensor,
                                const char *gate, const char *up)
{
    enum status status = add_columns(placing, tensor, gate, 0, 2);
    return status == OK ? add_columns(placing, tensor, up, 1, 2) : status;
}

static enum status place(const struct placing *placing)
{
    static const char *const gate_up[] = {"ffn_gate.*.weight", "ffn_up.*.weight"};
    struct tensor tensor = {.dim_count = 1};
    enum status status = describe(placing, &tensor);
    if (status != OK) {
        return status;
    }
    switch (placing->row->change) {
    case HF_GATE_UP:
        return cut_experts(placing, &tensor, gate_up, 2);
    case HF_EXPERTS:
        return cut_experts(placing, &tensor, &placing->row->gguf, 1);
    case HF_TURN_EXPERTS:
        return add_columns(placing, &tensor, placing->row->gguf, 0, 1);
    case HF_PART_GATE_UP:
        return part_gate_up(placing, &tensor, "ffn_gate_exps.weight", "ffn_up_exps.weight");
    case HF_PART_GATE_BIAS:
        return part_gate_up(placing, &tensor, "ffn_gate_exps.bias", "ffn_up_exps.bias");
    case HF_STACK:
        if (placing->expert > 0) {
            return OK; /* came with the first, which every stack has (check_row) */
        }
        status = stack(placing, &tensor);
        break;
    case HF_ADD_ONE:
        status = add_one(placing, &tensor);
        break;
    case HF_TRANSPOSE:
        status = transpose(placing, &tensor);
        break;
    case HF_HEADS_APART:
        status = set_heads_apart(placing, &tensor);
        break;
    default:
        break;
    }
    if (status == OK) {
        add(placing, placing->row->gguf, placing->expert, &tensor);
    }
    return status;
}

/* ---- the vocabulary's two matrices ---- */

/* A name as it stands, or without the family's base. */
static const struct hf_weight *find_weight(const struct hf_reading *reading, const char *name)
{
    const struct hf_weight *found = hf_weights_find(&reading->weights, name);
    const char *bare = behind(name, reading->family->base);
    if (found == NULL && bare != NULL && reading->family->other_base != NULL) {
        char other[NAME_BYTES];
        snprintf(other, sizeof other, "%s%s", reading->family->other_base, bare);
        found = hf_weights_find(&reading->weights, other);
    }
    return found != NULL || bare == NULL ? found : hf_weights_find(&reading->weights, bare);
}

/* Of a tied model either matrix may be the one that is stored. When both are, they are the same: a
 * model whose configuration says otherwise than its weights is refused. */
static enum status place_head(const struct placing *placing, const struct hf_weight *embedding)
{
    static const struct hf_tensor_row as_embedding = {"", "token_embd.weight", HF_KEEP};
    bool tied = embedding == NULL;
    enum status status =
        hf_config_bool(&placing->reading->config, "tie_word_embeddings", &tied, placing->err);
    if (status != OK || !tied) {
        return status != OK ? status : place(placing);
    }
    struct placing shared = *placing;
    shared.row = &as_embedding;
    if (embedding == NULL) {
        return place(&shared);
    }
    const struct safetensors_tensor *a = embedding->tensor;
    const struct safetensors_tensor *b = placing->weight->tensor;
    bool same = a->byte_count == b->byte_count && memcmp(a->data, b->data, a->byte_count) == 0;
    return same ? OK
                : refuse(placing, ERR_FORMAT,
                         "is not the embedding, though tie_word_embeddings is true");
}

/* Of a tied model one of the two is enough; of any other, both are there. */
static enum status check_vocabulary(const struct hf_reading *reading, struct error *err)
{
    const struct hf_family *family = reading->family;
    bool tied = true;
    enum status status = hf_config_bool(&reading->config, "tie_word_embeddings", &tied, err);
    bool embedding = find_weight(reading, family->embedding) != NULL;
    bool head = find_weight(reading, family->head) != NULL;
    if (status == OK && !tied && !(embedding && head)) {
        return error_set(err, ERR_FORMAT,
                         "%s: tensor %s is missing, and tie_word_embeddings is false", reading->dir,
                         embedding ? family->head : family->embedding);
    }
    return status != OK || embedding || head
               ? status
               : error_set(err, ERR_FORMAT, "%s: tensor %s is missing", reading->dir,
                           family->embedding);
}

/* ---- all ---- */

/* A tensor of a part of the model that is not run. */
static bool is_ignored(const struct hf_family *family, const char *name)
{
    for (uint32_t i = 0; family->ignored != NULL && family->ignored[i] != NULL; i++) {
        if (behind(name, family->ignored[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static enum status place_all(struct hf_reading *reading, struct error *err)
{
    const struct hf_weight *embedding = find_weight(reading, reading->family->embedding);
    enum status status = OK;
    for (uint64_t i = 0; i < reading->weights.weight_count && status == OK; i++) {
        const struct hf_weight *weight = &reading->weights.weights[i];
        char prefix[32];
        struct placing placing = {
            .reading = reading, .weight = weight, .prefix = prefix, .err = err};
        placing.row = row_of(reading, weight->tensor->name, prefix, &placing.expert);
        if (placing.row == NULL && is_ignored(reading->family, weight->tensor->name)) {
            continue;
        }
        if (placing.row == NULL) {
            return error_set(err, ERR_UNSUPPORTED,
                             "%s: nothing in a %s model of %u layers uses tensor %s",
                             weight->shard->path, reading->family->model_type, reading->layer_count,
                             weight->tensor->name);
        }
        if (placing.row->change == HF_IGNORE) {
            continue;
        }
        bool head = placing.row->gguf != NULL && strcmp(placing.row->gguf, "output.weight") == 0;
        status = head ? place_head(&placing, embedding) : place(&placing);
    }
    return status;
}

static bool row_is_required(const struct hf_tensor_row *row)
{
    size_t length = strlen(row->name);
    bool bias = length > 5 && strcmp(row->name + length - 5, ".bias") == 0;
    return row->change == HF_KEEP || row->change == HF_ADD_ONE || row->change == HF_TRANSPOSE ||
           row->change == HF_STACK || (row->change == HF_HEADS_APART && !bias);
}

static enum status check_row(const struct hf_reading *reading, const char *prefix,
                             const struct hf_tensor_row *row, struct error *err)
{
    bool by_expert = strchr(row->name, '*') != NULL && row->change != HF_STACK;
    uint32_t count = by_expert ? reading->expert_count : 1; /* of a stack the first */
    for (uint32_t i = 0; i < count && row_is_required(row); i++) {
        char name[NAME_BYTES];
        fill_number(name, prefix, row->name, i);
        if (find_weight(reading, name) == NULL) {
            return error_set(err, ERR_FORMAT, "%s: tensor %s is missing; every %s model has it",
                             reading->dir, name, reading->family->model_type);
        }
    }
    return OK;
}

static enum status check_layers(const struct hf_reading *reading, struct error *err)
{
    enum status status = OK;
    for (uint32_t layer = 0; layer < reading->layer_count; layer++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s%s%u.", reading->family->base, reading->family->layers,
                 layer);
        const struct hf_tensor_row *lists[LISTS_MAX];
        lists_of_layer(reading, layer, lists);
        for (uint32_t i = 0; lists[i] != NULL; i++) {
            for (const struct hf_tensor_row *row = lists[i]; row->name != NULL && status == OK;
                 row++) {
                status = check_row(reading, prefix, row, err);
            }
        }
    }
    return status;
}

/* Layers that guess further tokens are counted by configurations whose weights lack them. */
static enum status find_next_layers(struct hf_reading *reading, struct error *err)
{
    uint32_t count = 0;
    uint32_t count_max = LIMIT_MODEL_LAYERS - reading->layer_count;
    enum status status = hf_config_u32(&reading->config, "num_nextn_predict_layers", false, 0,
                                       count_max, &count, err);
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s%s%u.", reading->family->base, reading->family->layers,
             reading->layer_count);
    bool stored = false;
    for (uint64_t i = 0; i < reading->weights.weight_count && !stored; i++) {
        stored = behind(reading->weights.weights[i].tensor->name, prefix) != NULL;
    }
    if (status != OK || !stored) {
        return status;
    }
    reading->next_layer_count = count;
    gguf_builder_set_u32(reading->out, hf_key_of(reading, "nextn_predict_layers").text, count);
    gguf_builder_change_u32(reading->out, hf_key_of(reading, "block_count").text,
                            reading->layer_count + count);
    return OK;
}

enum status hf_tensors_read(struct hf_reading *reading, struct error *err)
{
    enum status status = check_vocabulary(reading, err);
    if (status == OK && reading->family->next_tensors != NULL) {
        status = find_next_layers(reading, err);
    }
    for (const struct hf_tensor_row *row = reading->family->model_tensors;
         row->name != NULL && status == OK; row++) {
        if (strcmp(row->gguf, "token_embd.weight") != 0) {
            status = check_row(reading, reading->family->base, row, err);
        }
    }
    if (status == OK) {
        status = check_layers(reading, err);
    }
    return status == OK ? place_all(reading, err) : status;
}
