/* template_builder.c - a finished string keeps the spare room behind it, and whoever appends to
 * exactly that string may use it: templates that collect text in a loop stay linear.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_builder.h"

#include "configs/checked.h"

#include <string.h>
#include <utf8proc.h>

enum {
    BUILDER_FIRST_BYTES = 64,
    ITEMS_FIRST_COUNT = 8
};

struct template_tail {
    char *bytes; /* start of the block that the string opens */
    size_t used;
    size_t capacity;
};

void template_builder_init(struct template_builder *builder, struct template_run *run)
{
    *builder = (struct template_builder){.run = run};
}

static bool grow(struct template_builder *builder, size_t needed)
{
    size_t capacity = builder->capacity > 0 ? builder->capacity : BUILDER_FIRST_BYTES;
    while (capacity < needed) {
        if (!checked_mul_size(capacity, 2, &capacity)) {
            return template_run_alloc_array(builder->run, SIZE_MAX, 2) != NULL;
        }
    }
    if (builder->bytes != NULL &&
        template_arena_extend(&builder->run->arena, builder->bytes, builder->capacity, capacity)) {
        builder->capacity = capacity;
        return true;
    }
    char *bytes = template_run_alloc(builder->run, capacity);
    if (bytes == NULL) {
        return false;
    }
    if (builder->bytes != NULL) {
        memcpy(bytes, builder->bytes, builder->byte_count);
    }
    builder->bytes = bytes;
    builder->capacity = capacity;
    return true;
}

static bool reserve(struct template_builder *builder, size_t extra_bytes)
{
    size_t needed = 0;
    if (!checked_add_size(builder->byte_count, extra_bytes, &needed)) {
        needed = SIZE_MAX;
    }
    return needed <= builder->capacity || grow(builder, needed);
}

bool template_builder_append(struct template_builder *builder, const char *bytes, size_t byte_count)
{
    if (byte_count == 0) {
        return true;
    }
    if (!reserve(builder, byte_count)) {
        return false;
    }
    memcpy(builder->bytes + builder->byte_count, bytes, byte_count);
    builder->byte_count += byte_count;
    return true;
}

bool template_builder_append_text(struct template_builder *builder, const char *text)
{
    return template_builder_append(builder, text, strlen(text));
}

bool template_builder_append_string(struct template_builder *builder,
                                    const struct template_string *string)
{
    return template_run_spend_bytes(builder->run, string->byte_count) &&
           template_builder_append(builder, string->bytes, string->byte_count);
}

bool template_builder_append_codepoint(struct template_builder *builder, int32_t codepoint)
{
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t byte_count = utf8proc_encode_char(codepoint, bytes);
    return template_builder_append(builder, (const char *)bytes, (size_t)byte_count);
}

bool template_builder_append_repeated(struct template_builder *builder, char byte, size_t count)
{
    if (count == 0) {
        return true;
    }
    if (!template_run_spend_bytes(builder->run, count) || !reserve(builder, count)) {
        return false;
    }
    memset(builder->bytes + builder->byte_count, byte, count);
    builder->byte_count += count;
    return true;
}

bool template_builder_finish(struct template_builder *builder, struct template_value *out)
{
    struct template_string *string = template_run_alloc(builder->run, sizeof *string);
    if (string == NULL) {
        return false;
    }
    *string = (struct template_string){.bytes = builder->bytes != NULL ? builder->bytes : "",
                                       .byte_count = builder->byte_count,
                                       .char_count = TEMPLATE_CHARS_UNKNOWN};
    *out = template_value_string(string);
    return true;
}

/* A string that is worth growing gets twice the room it needs. */
static bool concat_with_room(struct template_run *run, const struct template_string *left,
                             const struct template_string *right, struct template_string *joined)
{
    size_t byte_count = 0;
    size_t capacity = 0;
    if (!checked_add_size(left->byte_count, right->byte_count, &byte_count) ||
        !checked_mul_size(byte_count, 2, &capacity)) {
        return template_run_fail(run, "the text is too long");
    }
    struct template_tail *tail = template_run_alloc(run, sizeof *tail);
    char *bytes = tail != NULL ? template_run_alloc(run, capacity) : NULL;
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, left->bytes, left->byte_count);
    memcpy(bytes + left->byte_count, right->bytes, right->byte_count);
    *tail = (struct template_tail){.bytes = bytes, .used = byte_count, .capacity = capacity};
    joined->bytes = bytes;
    joined->byte_count = byte_count;
    joined->tail = tail;
    return true;
}

bool template_builder_concat(struct template_run *run, const struct template_string *left,
                             const struct template_string *right, struct template_value *out)
{
    struct template_string *joined = template_run_alloc(run, sizeof *joined);
    if (joined == NULL) {
        return false;
    }
    *joined = (struct template_string){.char_count = TEMPLATE_CHARS_UNKNOWN};
    *out = template_value_string(joined);
    struct template_tail *tail = left->tail;
    if (tail != NULL && tail->used == left->byte_count &&
        right->byte_count <= tail->capacity - tail->used) {
        memcpy(tail->bytes + tail->used, right->bytes, right->byte_count);
        tail->used += right->byte_count;
        joined->bytes = tail->bytes;
        joined->byte_count = tail->used;
        joined->tail = tail;
        return template_run_spend_bytes(run, right->byte_count);
    }
    return template_run_spend_bytes(run, left->byte_count + right->byte_count) &&
           concat_with_room(run, left, right, joined);
}

void template_builder_items_init(struct template_items *items, struct template_run *run)
{
    *items = (struct template_items){.run = run};
}

static bool grow_items(struct template_items *items)
{
    size_t capacity = items->capacity > 0 ? 2 * items->capacity : ITEMS_FIRST_COUNT;
    struct template_value *values =
        template_run_alloc_array(items->run, capacity, sizeof *items->items);
    if (values == NULL) {
        return false;
    }
    if (items->count > 0) {
        memcpy(values, items->items, items->count * sizeof *values);
    }
    items->items = values;
    items->capacity = capacity;
    return true;
}

bool template_builder_push(struct template_items *items, struct template_value value)
{
    if (!template_run_spend(items->run, 1) ||
        (items->count == items->capacity && !grow_items(items))) {
        return false;
    }
    items->items[items->count++] = value;
    return true;
}

bool template_builder_push_all(struct template_items *items, const struct template_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!template_builder_push(items, list->items[i])) {
            return false;
        }
    }
    return true;
}

bool template_builder_finish_items(struct template_items *items, enum template_kind kind,
                                   struct template_value *out)
{
    return template_run_list(items->run, kind, items->items, items->count, out);
}
