/* template_run.c - budgets are spent in one place and errors recorded in one place, so that no
 * evaluator function can forget either.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_run.h"

#include "configs/checked.h"
#include "configs/limits.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_repr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    BYTES_PER_STEP = 64
};

/* Messages are one line of valid UTF-8, whatever the template put into them. */
static void tidy_message(char *message)
{
    size_t length = strlen(message);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)message[i] < ' ' || message[i] == '\x7f') {
            message[i] = ' ';
        }
    }
    size_t start = length;
    while (start > 0 && ((unsigned char)message[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start == 0 || (unsigned char)message[start - 1] < 0xC0) {
        return;
    }
    unsigned char lead = (unsigned char)message[start - 1];
    size_t wanted = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (length - start < wanted) {
        message[start - 1] = '\0';
    }
}

bool template_run_fail_status(struct template_run *run, enum status status, const char *message)
{
    if (run->error.status == OK) {
        error_set(&run->error, status, "%s", message);
        tidy_message(run->error.message);
    }
    return false;
}

bool template_run_fail(struct template_run *run, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return template_run_fail_status(run, ERR_INVALID, message);
}

void template_run_locate(struct template_run *run, unsigned line, unsigned column)
{
    if (!run->located) {
        run->located = true;
        error_prefix(&run->error, "chat template line %u column %u: ", line, column);
        tidy_message(run->error.message);
    }
}

static bool fail_undefined_name(struct template_run *run, const struct template_undefined *why)
{
    struct template_builder name;
    template_builder_init(&name, run);
    if (!template_repr_append(&name, why->name)) {
        return false;
    }
    int byte_count = name.byte_count > 200 ? 200 : (int)name.byte_count;
    if (why->owner_type == NULL) {
        return template_run_fail(run, "%.*s is undefined", byte_count, name.bytes);
    }
    if (why->name.kind != TEMPLATE_STRING) {
        return template_run_fail(run, "%s has no element %.*s", why->owner_type, byte_count,
                                 name.bytes);
    }
    if (why->forbidden) {
        return template_run_fail(run, "access to attribute %.*s of %s is not allowed", byte_count,
                                 name.bytes, why->owner_type);
    }
    return template_run_fail(run, "'%s' has no attribute %.*s", why->owner_type, byte_count,
                             name.bytes);
}

bool template_run_fail_undefined(struct template_run *run, struct template_value value)
{
    if (value.kind == TEMPLATE_ABSENT) {
        return template_run_fail(run, "a value is missing");
    }
    const struct template_undefined *why = value.as.undefined;
    if (why->hint != NULL) {
        return template_run_fail(run, "%s", why->hint);
    }
    return fail_undefined_name(run, why);
}

bool template_run_spend(struct template_run *run, uint64_t steps)
{
    if (run->steps_left < steps) {
        run->steps_left = 0;
        return template_run_fail(run, "rendering takes more than %u steps", LIMIT_TEMPLATE_STEPS);
    }
    run->steps_left -= steps;
    return true;
}

bool template_run_spend_bytes(struct template_run *run, size_t byte_count)
{
    return template_run_spend(run, 1 + byte_count / BYTES_PER_STEP);
}

void *template_run_alloc(struct template_run *run, size_t byte_count)
{
    void *block = template_arena_alloc(&run->arena, byte_count);
    if (block != NULL) {
        return block;
    }
    if (byte_count > run->arena.bytes_max - run->arena.reserved_bytes) {
        template_run_fail(run, "rendering takes more than %u bytes of memory",
                          LIMIT_TEMPLATE_MEMORY);
    } else {
        template_run_fail_status(run, ERR_MEMORY, "no memory to render the chat template");
    }
    return NULL;
}

void *template_run_alloc_array(struct template_run *run, size_t count, size_t element_bytes)
{
    size_t byte_count = 0;
    if (!checked_mul_size(count, element_bytes, &byte_count)) {
        template_run_fail(run, "rendering takes more than %u bytes of memory",
                          LIMIT_TEMPLATE_MEMORY);
        return NULL;
    }
    return template_run_alloc(run, byte_count);
}

bool template_run_string(struct template_run *run, const char *bytes, size_t byte_count,
                         struct template_value *out)
{
    struct template_string *string = template_run_alloc(run, sizeof *string);
    if (string == NULL) {
        return false;
    }
    *string = (struct template_string){
        .bytes = bytes, .byte_count = byte_count, .char_count = TEMPLATE_CHARS_UNKNOWN};
    *out = template_value_string(string);
    return true;
}

bool template_run_text(struct template_run *run, const char *literal, struct template_value *out)
{
    return template_run_string(run, literal, strlen(literal), out);
}

bool template_run_list(struct template_run *run, enum template_kind kind,
                       const struct template_value *items, size_t count, struct template_value *out)
{
    struct template_list *list = template_run_alloc(run, sizeof *list);
    if (list == NULL) {
        return false;
    }
    *list = (struct template_list){.items = items, .count = count};
    *out = template_value_list(kind, list);
    return true;
}

bool template_run_iterator(struct template_run *run, const struct template_list *list,
                           const char *type_name, struct template_value *out)
{
    struct template_iterator *iterator = template_run_alloc(run, sizeof *iterator);
    if (iterator == NULL) {
        return false;
    }
    *iterator = (struct template_iterator){.list = list, .type_name = type_name};
    *out = (struct template_value){.kind = TEMPLATE_ITERATOR, .as.iterator = iterator};
    return true;
}

bool template_run_pair(struct template_run *run, struct template_value first,
                       struct template_value second, struct template_value *out)
{
    struct template_value *items = template_run_alloc(run, 2 * sizeof *items);
    if (items == NULL) {
        return false;
    }
    items[0] = first;
    items[1] = second;
    return template_run_list(run, TEMPLATE_TUPLE, items, 2, out);
}

static bool undefined(struct template_run *run, struct template_undefined why,
                      struct template_value *out)
{
    struct template_undefined *kept = template_run_alloc(run, sizeof *kept);
    if (kept == NULL) {
        return false;
    }
    *kept = why;
    *out = (struct template_value){.kind = TEMPLATE_UNDEFINED, .as.undefined = kept};
    return true;
}

bool template_run_undefined_name(struct template_run *run, struct template_value name,
                                 struct template_value *out)
{
    return undefined(run, (struct template_undefined){.name = name}, out);
}

/* Types print as "dict object"; None has no such suffix. */
static const char *owner_name(struct template_value owner)
{
    switch ((enum template_kind)owner.kind) {
    case TEMPLATE_NONE:
        return "None";
    case TEMPLATE_BOOL:
        return "bool object";
    case TEMPLATE_INT:
        return "int object";
    case TEMPLATE_FLOAT:
        return "float object";
    case TEMPLATE_STRING:
        return "str object";
    case TEMPLATE_LIST:
        return "list object";
    case TEMPLATE_TUPLE:
        return "tuple object";
    case TEMPLATE_RANGE:
        return "range object";
    case TEMPLATE_DICT:
        return "dict object";
    case TEMPLATE_NAMESPACE:
        return "namespace object";
    default:
        return "object";
    }
}

bool template_run_undefined_in(struct template_run *run, struct template_value owner,
                               struct template_value name, bool forbidden,
                               struct template_value *out)
{
    return undefined(run,
                     (struct template_undefined){
                         .owner_type = owner_name(owner), .name = name, .forbidden = forbidden},
                     out);
}

bool template_run_undefined_hint(struct template_run *run, const char *hint,
                                 struct template_value *out)
{
    return undefined(run, (struct template_undefined){.hint = hint}, out);
}

bool template_run_write(struct template_run *run, const char *bytes, size_t byte_count)
{
    if (!template_run_spend_bytes(run, byte_count)) {
        return false;
    }
    if (run->builder != NULL) {
        return template_builder_append(run->builder, bytes, byte_count);
    }
    if (byte_count > LIMIT_TEMPLATE_OUTPUT ||
        run->out->byte_count > LIMIT_TEMPLATE_OUTPUT - byte_count) {
        return template_run_fail(run, "the prompt is longer than %u bytes", LIMIT_TEMPLATE_OUTPUT);
    }
    if (text_buffer_append(run->out, bytes, byte_count)) {
        return true;
    }
    if (byte_count > run->out->bytes_max - run->out->byte_count) {
        return template_run_fail(run, "the prompt is longer than %zu bytes", run->out->bytes_max);
    }
    return template_run_fail_status(run, ERR_MEMORY, "no memory for the prompt");
}
