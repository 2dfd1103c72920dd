/* inspect.c - a gguf in the words of inspect.h. SPDX-License-Identifier: Apache-2.0 */
#include "engine/inspect.h"

#include "engine/formats/gguf.h"
#include "engine/model_file.h"

#include <assert.h>
#include <stdlib.h>

_Static_assert((int)INSPECT_DIMS_MAX == (int)TENSOR_DIMS_MAX, "a shape fits");

struct inspect {
    struct gguf file;
};

enum status inspect_open(struct inspect **out, const char *path, struct error *err)
{
    *out = NULL;
    struct inspect *inspect = calloc(1, sizeof *inspect);
    if (inspect == NULL) {
        return error_set(err, ERR_MEMORY, "no memory to look at a model");
    }
    enum status status = model_file_open(&inspect->file, path, err);
    if (status != OK) {
        free(inspect);
        return status;
    }
    *out = inspect;
    return OK;
}

void inspect_close(struct inspect *inspect)
{
    if (inspect != NULL) {
        gguf_close(&inspect->file);
        free(inspect);
    }
}

static struct inspect_text text_of(struct gguf_string string)
{
    return (struct inspect_text){string.bytes, (size_t)string.byte_count};
}

/* Empty where the key is absent or holds something else. */
static struct inspect_text find_text(const struct gguf *file, const char *key)
{
    struct gguf_string string = {"", 0};
    (void)gguf_get_string(file, key, false, &string, NULL);
    return text_of(string);
}

static uint64_t value_count_of(const struct tensor *tensor)
{
    return tensor_row_values(tensor) * tensor_row_count(tensor);
}

void inspect_get_info(const struct inspect *inspect, struct inspect_info *out)
{
    const struct gguf *file = &inspect->file;
    *out = (struct inspect_info){
        .path = file->path,
        .version = file->version,
        .alignment = file->alignment,
        .byte_count = file->byte_count,
        .entry_count = file->entry_count,
        .tensor_count = file->tensor_count,
        .architecture = find_text(file, "general.architecture"),
        .chat_template = find_text(file, "tokenizer.chat_template"),
        .tool_template = find_text(file, "tokenizer.chat_template.tool_use"),
    };
    for (uint64_t i = 0; i < file->tensor_count; i++) {
        out->parameter_count += value_count_of(&file->tensors[i].tensor);
        out->tensor_bytes += file->tensors[i].byte_count;
    }
}

static enum inspect_kind kind_of(enum gguf_type type)
{
    switch (type) {
    case GGUF_INT8:
    case GGUF_INT16:
    case GGUF_INT32:
    case GGUF_INT64:
        return INSPECT_SIGNED;
    case GGUF_FLOAT32:
    case GGUF_FLOAT64:
        return INSPECT_REAL;
    case GGUF_BOOL:
        return INSPECT_TRUTH;
    case GGUF_STRING:
        return INSPECT_TEXT;
    default:
        return INSPECT_UNSIGNED;
    }
}

void inspect_get_entry(const struct inspect *inspect, uint64_t index, struct inspect_entry *out)
{
    assert(index < inspect->file.entry_count);
    const struct gguf_entry *entry = &inspect->file.entries[index];
    bool is_array = entry->type == GGUF_ARRAY;
    enum gguf_type type = is_array ? entry->value.array.type : entry->type;
    *out = (struct inspect_entry){
        .key = text_of(entry->key),
        .type_name = gguf_get_type_name(type),
        .kind = kind_of(type),
        .is_array = is_array,
        .is_single = type == GGUF_FLOAT32,
        .value_count = is_array ? entry->value.array.element_count : 1,
    };
}

static void get_array_value(const struct gguf_array *array, uint64_t i, struct inspect_value *out)
{
    assert(i < array->element_count);
    switch (kind_of(array->type)) {
    case INSPECT_TEXT:
        out->text = text_of(array->strings[i]);
        break;
    case INSPECT_REAL:
        out->f = gguf_array_f64(array, i);
        break;
    case INSPECT_SIGNED:
        out->i = gguf_array_i64(array, i);
        break;
    default:
        out->u = gguf_array_u64(array, i);
    }
}

void inspect_get_value(const struct inspect *inspect, uint64_t index, uint64_t value_index,
                       struct inspect_value *out)
{
    assert(index < inspect->file.entry_count);
    const struct gguf_entry *entry = &inspect->file.entries[index];
    *out = (struct inspect_value){.text = {"", 0}};
    if (entry->type == GGUF_ARRAY) {
        get_array_value(&entry->value.array, value_index, out);
        return;
    }
    switch (kind_of(entry->type)) {
    case INSPECT_TEXT:
        out->text = text_of(entry->value.string);
        break;
    case INSPECT_REAL:
        out->f = entry->value.f;
        break;
    case INSPECT_SIGNED:
        out->i = entry->value.i;
        break;
    default:
        out->u = entry->value.u;
    }
}

void inspect_get_tensor(const struct inspect *inspect, uint64_t index, struct inspect_tensor *out)
{
    assert(index < inspect->file.tensor_count);
    const struct gguf_tensor *tensor = &inspect->file.tensors[index];
    *out = (struct inspect_tensor){
        .name = text_of(tensor->name),
        .type_name = tensor->type_name,
        .supported = tensor->supported,
        .dim_count = tensor->tensor.dim_count,
        .value_count = value_count_of(&tensor->tensor),
        .byte_count = tensor->byte_count,
        .offset = tensor->offset,
    };
    for (uint32_t i = 0; i < out->dim_count; i++) {
        out->shape[i] = tensor->tensor.shape[i];
    }
}

enum status inspect_open_tokenizer(const struct inspect *inspect, struct tokenizer **out,
                                   struct error *err)
{
    return tokenizer_open(out, &inspect->file, err);
}
