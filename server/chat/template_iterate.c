/* template_iterate.c - iteration by materialising: every iterable here is finite and its values
 * are cheap to copy, so nothing has to be lazy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_iterate.h"

#include "server/chat/template_dict.h"
#include "server/chat/template_text.h"

static bool characters(struct template_run *run, const struct template_string *string,
                       struct template_list *out)
{
    size_t count = template_text_count(string);
    struct template_value *items = template_run_alloc_array(run, count, sizeof *items);
    if (items == NULL || !template_run_spend(run, count)) {
        return false;
    }
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        size_t step = template_text_step(string->bytes[offset]);
        if (!template_text_piece(run, string, offset, step, &items[i])) {
            return false;
        }
        offset += step;
    }
    *out = (struct template_list){.items = items, .count = count};
    return true;
}

static bool dict_keys(struct template_run *run, const struct template_dict *dict,
                      struct template_list *out)
{
    struct template_value keys;
    if (!template_dict_view(run, dict, TEMPLATE_VIEW_KEYS, &keys)) {
        return false;
    }
    *out = *keys.as.list;
    return true;
}

bool template_iterate_possible(struct template_value value)
{
    return template_value_has_items(value) || value.kind == TEMPLATE_STRING ||
           value.kind == TEMPLATE_DICT || value.kind == TEMPLATE_ITERATOR ||
           value.kind == TEMPLATE_UNDEFINED;
}

bool template_iterate_items(struct template_run *run, struct template_value value,
                            struct template_list *out)
{
    *out = (struct template_list){0};
    if (template_value_has_items(value)) {
        *out = *value.as.list;
        return true;
    }
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_UNDEFINED:
        return true;
    case TEMPLATE_STRING:
        return characters(run, value.as.string, out);
    case TEMPLATE_DICT:
        return dict_keys(run, value.as.dict, out);
    case TEMPLATE_ITERATOR: {
        struct template_iterator *iterator = value.as.iterator;
        out->count = iterator->list->count - iterator->position;
        out->items = out->count > 0 ? iterator->list->items + iterator->position : NULL;
        iterator->position = iterator->list->count;
        return true;
    }
    default:
        return template_run_fail(run, "'%s' object is not iterable",
                                 template_value_type_name(value));
    }
}

bool template_iterate_length(struct template_run *run, struct template_value value, size_t *out)
{
    *out = 0;
    if (template_value_has_items(value)) {
        *out = value.as.list->count;
        return true;
    }
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_UNDEFINED:
        return true;
    case TEMPLATE_STRING:
        *out = template_text_count(value.as.string);
        return template_run_spend_bytes(run, value.as.string->byte_count);
    case TEMPLATE_DICT:
        *out = value.as.dict->count;
        return true;
    default:
        return template_run_fail(run, "object of type '%s' has no len()",
                                 template_value_type_name(value));
    }
}

bool template_iterate_is_sequence(struct template_value value)
{
    return (template_value_has_items(value) && value.kind != TEMPLATE_VIEW) ||
           value.kind == TEMPLATE_STRING || value.kind == TEMPLATE_DICT ||
           value.kind == TEMPLATE_UNDEFINED;
}
