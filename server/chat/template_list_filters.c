/* template_list_filters.c - filters on sequences as a whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_access.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_case.h"
#include "server/chat/template_compare.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_filters.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_operator.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_text.h"

#include <string.h>

static bool filter_length(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    size_t length = 0;
    bool ok = template_iterate_length(run, call->subject, &length);
    *out = template_value_int((int64_t)length);
    return ok;
}

static bool filter_first(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_list list;
    if (!template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    if (list.count == 0) {
        return template_run_undefined_hint(run, "No first item, sequence was empty.", out);
    }
    *out = list.items[0];
    return true;
}

static bool filter_last(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_list list;
    if (call->subject.kind == TEMPLATE_ITERATOR) {
        return template_run_fail(run, "'%s' object is not reversible",
                                 template_value_type_name(call->subject));
    }
    if (!template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    if (list.count == 0) {
        return template_run_undefined_hint(run, "No last item, sequence was empty.", out);
    }
    *out = list.items[list.count - 1];
    return true;
}

static bool filter_list(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_list list;
    return template_iterate_items(run, call->subject, &list) &&
           template_run_list(run, TEMPLATE_LIST, list.items, list.count, out);
}

static bool has_attribute(struct template_value attribute)
{
    return template_value_given(attribute) && attribute.kind != TEMPLATE_NONE;
}

/* The item itself, or the attribute of it that the filter was asked to use. */
static bool pick_value(struct template_run *run, struct template_value item,
                       struct template_value attribute, struct template_value *out)
{
    *out = item;
    struct template_value none = {.kind = TEMPLATE_ABSENT};
    return !has_attribute(attribute) || template_access_path(run, item, attribute, none, out);
}

/* Texts compare without regard to case unless case_sensitive. */
static bool sort_key(struct template_run *run, struct template_value item,
                     struct template_value attribute, bool case_sensitive,
                     struct template_value *out)
{
    if (!pick_value(run, item, attribute, out)) {
        return false;
    }
    return out->kind != TEMPLATE_STRING || case_sensitive ||
           template_case_change(run, out->as.string, TEMPLATE_LOWER, out);
}

static bool sort_keys(struct template_run *run, const struct template_list *list,
                      struct template_value attribute, bool case_sensitive,
                      struct template_value **out)
{
    struct template_value *keys = template_run_alloc_array(run, list->count, sizeof *keys);
    if (keys == NULL) {
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!sort_key(run, list->items[i], attribute, case_sensitive, &keys[i])) {
            return false;
        }
    }
    *out = keys;
    return true;
}

static struct template_value *copy_items(struct template_run *run, const struct template_list *list)
{
    struct template_value *items = template_run_alloc_array(run, list->count, sizeof *items);
    if (items != NULL && list->count > 0) {
        memcpy(items, list->items, list->count * sizeof *items);
    }
    return items;
}

/* The keys and the items, both in the order of the keys. */
static bool sorted(struct template_run *run, const struct template_list *list,
                   struct template_value attribute, bool case_sensitive, bool descending,
                   struct template_value **keys, struct template_value **items)
{
    *items = copy_items(run, list);
    return *items != NULL && template_run_spend(run, list->count) &&
           sort_keys(run, list, attribute, case_sensitive, keys) &&
           template_compare_sort(run, *keys, *items, list->count, descending);
}

/* The attributes between the commas of a list of them. */
static bool split_attributes(struct template_run *run, struct template_value attribute,
                             struct template_list *out)
{
    struct template_items parts;
    template_builder_items_init(&parts, run);
    if (attribute.kind != TEMPLATE_STRING && !template_builder_push(&parts, attribute)) {
        return false;
    }
    const struct template_string *text =
        attribute.kind == TEMPLATE_STRING ? attribute.as.string : NULL;
    for (size_t first = 0; text != NULL && first <= text->byte_count;) {
        const char *comma = memchr(text->bytes + first, ',', text->byte_count - first);
        size_t end = comma != NULL ? (size_t)(comma - text->bytes) : text->byte_count;
        struct template_value part;
        if (!template_text_piece(run, text, first, end - first, &part) ||
            !template_builder_push(&parts, part)) {
            return false;
        }
        first = end + 1;
    }
    *out = (struct template_list){.items = parts.items, .count = parts.count};
    return true;
}

/* The keys of sort are lists, so that equal first attributes leave it to the next. */
static bool multiple_key(struct template_run *run, struct template_value item,
                         const struct template_list *attributes, bool case_sensitive,
                         struct template_value *out)
{
    struct template_items parts;
    template_builder_items_init(&parts, run);
    for (size_t i = 0; i < attributes->count; i++) {
        struct template_value part;
        if (!sort_key(run, item, attributes->items[i], case_sensitive, &part) ||
            !template_builder_push(&parts, part)) {
            return false;
        }
    }
    return template_builder_finish_items(&parts, TEMPLATE_LIST, out);
}

static bool filter_sort(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_list list;
    struct template_list attributes;
    struct template_value attribute = template_call_or(call->bound[2], template_value_none());
    if (!template_iterate_items(run, call->subject, &list) ||
        !split_attributes(run, attribute, &attributes)) {
        return false;
    }
    struct template_value *items = copy_items(run, &list);
    struct template_value *keys = template_run_alloc_array(run, list.count, sizeof *keys);
    if (items == NULL || keys == NULL) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        if (!multiple_key(run, list.items[i], &attributes, template_value_truth(call->bound[1]),
                          &keys[i])) {
            return false;
        }
    }
    return template_compare_sort(run, keys, items, list.count,
                                 template_value_truth(call->bound[0])) &&
           template_run_list(run, TEMPLATE_LIST, items, list.count, out);
}

/* Sorts pairs by one of their two halves. */
static bool filter_dictsort(struct template_run *run, const struct template_call *call,
                            struct template_value *out)
{
    struct template_value view;
    bool by_value =
        template_value_given(call->bound[1]) && template_value_is_text(call->bound[1], "value");
    if (call->subject.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, call->subject);
    }
    if (call->subject.kind != TEMPLATE_DICT) {
        return template_run_fail(run, "'%s' object has no items",
                                 template_value_type_name(call->subject));
    }
    if (template_value_given(call->bound[1]) && !by_value &&
        !template_value_is_text(call->bound[1], "key")) {
        return template_run_fail(run, "You can only sort by either \"key\" or \"value\"");
    }
    struct template_value *keys = NULL;
    struct template_value *items = NULL;
    return template_dict_view(run, call->subject.as.dict, TEMPLATE_VIEW_ITEMS, &view) &&
           sorted(run, view.as.list, template_value_int(by_value ? 1 : 0),
                  template_value_truth(call->bound[0]), template_value_truth(call->bound[2]), &keys,
                  &items) &&
           template_run_list(run, TEMPLATE_LIST, items, view.as.list->count, out);
}

static bool filter_unique(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    struct template_list list;
    struct template_items kept;
    struct template_value result;
    struct template_dict *seen = template_dict_new(run);
    template_builder_items_init(&kept, run);
    if (seen == NULL || !template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct template_value key;
        size_t before = seen->count;
        if (!sort_key(run, list.items[i], call->bound[1], template_value_truth(call->bound[0]),
                      &key) ||
            !template_dict_set(run, seen, key, template_value_none()) ||
            (seen->count > before && !template_builder_push(&kept, list.items[i]))) {
            return false;
        }
    }
    return template_builder_finish_items(&kept, TEMPLATE_LIST, &result) &&
           template_run_iterator(run, result.as.list, "generator", out);
}

static bool extreme(struct template_run *run, const struct template_call *call, bool largest,
                    struct template_value *out)
{
    struct template_list list;
    struct template_value best;
    if (!template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    if (list.count == 0) {
        return template_run_undefined_hint(run, "No aggregated item, sequence was empty.", out);
    }
    for (size_t i = 0; i < list.count; i++) {
        struct template_value key;
        int order = 0;
        if (!sort_key(run, list.items[i], call->bound[1], template_value_truth(call->bound[0]),
                      &key) ||
            (i > 0 && !template_compare_order(run, key, best, largest ? ">" : "<", &order))) {
            return false;
        }
        if (i == 0 || (largest ? order > 0 : order < 0)) {
            best = key;
            *out = list.items[i];
        }
    }
    return true;
}

static bool filter_min(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    return extreme(run, call, false, out);
}

static bool filter_max(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    return extreme(run, call, true, out);
}

static bool filter_sum(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    struct template_list list;
    if (!template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    struct template_value total = template_call_or(call->bound[1], template_value_int(0));
    for (size_t i = 0; i < list.count; i++) {
        struct template_value value;
        if (!pick_value(run, list.items[i], call->bound[0], &value) ||
            !template_operator_binary(run, NODE_ADD, total, value, &total)) {
            return false;
        }
    }
    *out = total;
    return true;
}

static bool filter_join(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_list list;
    struct template_value separator;
    struct template_builder text;
    template_builder_init(&text, run);
    if (!template_run_text(run, "", &separator) ||
        !template_repr_str(run, template_call_or(call->bound[0], separator), &separator) ||
        !template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct template_value value;
        if ((i > 0 && !template_builder_append_string(&text, separator.as.string)) ||
            !pick_value(run, list.items[i], call->bound[1], &value) ||
            !template_repr_append_str(&text, value)) {
            return false;
        }
    }
    return template_builder_finish(&text, out);
}

static bool filter_reverse(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    struct template_list list;
    if (!template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    struct template_value *items = template_run_alloc_array(run, list.count, sizeof *items);
    if (items == NULL || !template_run_spend(run, list.count)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        items[i] = list.items[list.count - 1 - i];
    }
    struct template_value result;
    if (!template_run_list(run, TEMPLATE_LIST, items, list.count, &result)) {
        return false;
    }
    if (call->subject.kind == TEMPLATE_ITERATOR) {
        *out = result; /* what cannot be walked backwards is made a list first */
        return true;
    }
    if (call->subject.kind != TEMPLATE_STRING) {
        return template_run_iterator(run, result.as.list, "list_reverseiterator", out);
    }
    struct template_builder text;
    template_builder_init(&text, run);
    for (size_t i = 0; i < list.count; i++) {
        if (!template_builder_append_string(&text, items[i].as.string)) {
            return false;
        }
    }
    return template_builder_finish(&text, out);
}

/* One batch or slice: items[first .. first + count), then the filler up to wanted. */
static bool push_piece(struct template_items *pieces, const struct template_list *list,
                       size_t first, size_t count, size_t wanted, struct template_value filler)
{
    struct template_items piece;
    struct template_value value;
    template_builder_items_init(&piece, pieces->run);
    struct template_list part = {.count = count};
    if (count > 0) {
        part.items = list->items + first;
    }
    bool ok = count == 0 || template_builder_push_all(&piece, &part);
    while (ok && piece.count < wanted && filler.kind != TEMPLATE_NONE) {
        ok = template_builder_push(&piece, filler);
    }
    return ok && template_builder_finish_items(&piece, TEMPLATE_LIST, &value) &&
           template_builder_push(pieces, value);
}

static bool finish_pieces(struct template_items *pieces, struct template_value *out)
{
    struct template_value list;
    return template_builder_finish_items(pieces, TEMPLATE_LIST, &list) &&
           template_run_iterator(pieces->run, list.as.list, "generator", out);
}

static bool piece_count(struct template_run *run, const struct template_call *call, size_t *out)
{
    int64_t count = 0;
    if (!template_call_integer(run, call->bound[0], 0, "the count", &count)) {
        return false;
    }
    if (count < 1 || count > INT32_MAX) {
        return template_run_fail(run, "the count must be at least 1");
    }
    *out = (size_t)count;
    return true;
}

static bool filter_batch(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_list list;
    struct template_items pieces;
    size_t size = 1;
    struct template_value filler = template_call_or(call->bound[1], template_value_none());
    template_builder_items_init(&pieces, run);
    if (!piece_count(run, call, &size) || !template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    for (size_t first = 0; first < list.count; first += size) {
        size_t count = list.count - first < size ? list.count - first : size;
        if (!push_piece(&pieces, &list, first, count, size, filler)) {
            return false;
        }
    }
    return finish_pieces(&pieces, out);
}

/* As even as can be: the first ones are one longer, and the others get the filler. */
static bool filter_slice(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    struct template_list list;
    struct template_items pieces;
    size_t slices = 1;
    struct template_value filler = template_call_or(call->bound[1], template_value_none());
    template_builder_items_init(&pieces, run);
    if (!piece_count(run, call, &slices) || !template_iterate_items(run, call->subject, &list)) {
        return false;
    }
    size_t each = list.count / slices;
    size_t longer = list.count % slices;
    size_t first = 0;
    for (size_t i = 0; i < slices; i++) {
        size_t count = each + (i < longer ? 1 : 0);
        size_t wanted = i < longer || longer == 0 ? count : each + 1;
        if (!push_piece(&pieces, &list, first, count, wanted, filler)) {
            return false;
        }
        first += count;
    }
    return finish_pieces(&pieces, out);
}

static bool push_group(struct template_items *groups, struct template_value key,
                       const struct template_value *items, size_t count)
{
    struct template_value members;
    struct template_value group;
    if (!template_run_list(groups->run, TEMPLATE_LIST, items, count, &members) ||
        !template_run_pair(groups->run, key, members, &group)) {
        return false;
    }
    group.view = 1; /* it also answers to .grouper and .list */
    return template_builder_push(groups, group);
}

/* The groups show the key of their first member as it was written. */
/* The items, and by what they are put together, both in the latter's order. */
static bool sorted_groups(struct template_run *run, const struct template_call *call,
                          const struct template_list *list, struct template_value **keys,
                          struct template_value **items)
{
    struct template_value *picked = template_run_alloc_array(run, list->count, sizeof *picked);
    *items = copy_items(run, list);
    if (picked == NULL || *items == NULL || !template_run_spend(run, list->count)) {
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!template_access_path(run, list->items[i], call->bound[0], call->bound[1],
                                  &picked[i])) {
            return false;
        }
    }
    struct template_list of_picked = {.items = picked, .count = list->count};
    struct template_value itself = {.kind = TEMPLATE_ABSENT};
    return sort_keys(run, &of_picked, itself, template_value_truth(call->bound[2]), keys) &&
           template_compare_sort(run, *keys, *items, list->count, false);
}

static bool filter_groupby(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    struct template_list list;
    struct template_items groups;
    struct template_value *keys = NULL;
    struct template_value *items = NULL;
    template_builder_items_init(&groups, run);
    if (!template_iterate_items(run, call->subject, &list) ||
        !sorted_groups(run, call, &list, &keys, &items)) {
        return false;
    }
    size_t first = 0;
    for (size_t i = 1; i <= list.count; i++) {
        bool same = false;
        if (i < list.count && !template_compare_equal(run, keys[first], keys[i], &same)) {
            return false;
        }
        struct template_value shown;
        if (same) {
            continue;
        }
        if (!template_access_path(run, items[first], call->bound[0], call->bound[1], &shown) ||
            !push_group(&groups, shown, items + first, i - first)) {
            return false;
        }
        first = i;
    }
    return template_builder_finish_items(&groups, TEMPLATE_LIST, out);
}

static const struct template_builtin filters[] = {
    {"length", "", 0, filter_length},
    {"count", "", 0, filter_length},
    {"first", "", 0, filter_first},
    {"last", "", 0, filter_last},
    {"list", "", 0, filter_list},
    {"sort", "reverse case_sensitive attribute", 0, filter_sort},
    {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
    {"unique", "case_sensitive attribute", 0, filter_unique},
    {"min", "case_sensitive attribute", 0, filter_min},
    {"max", "case_sensitive attribute", 0, filter_max},
    {"sum", "attribute start", 0, filter_sum},
    {"join", "d attribute", 0, filter_join},
    {"reverse", "", 0, filter_reverse},
    {"batch", "linecount fill_with", 1, filter_batch},
    {"slice", "slices fill_with", 1, filter_slice},
    {"groupby", "attribute default case_sensitive", 1, filter_groupby},
};

const struct template_builtin *template_list_filters_find(const struct template_string *name)
{
    return template_call_find(filters, sizeof filters / sizeof *filters, name);
}
