/* template_compare.c - comparing walks values recursively; each element visited costs a step and
 * the depth is bounded, because templates can build values of any shape.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_compare.h"

#include "configs/limits.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_text.h"

#include <math.h>
#include <string.h>

static bool equal_nested(struct template_run *run, struct template_value left,
                         struct template_value right, unsigned depth, bool *equal);

static bool check_depth(struct template_run *run, unsigned depth)
{
    if (depth > LIMIT_TEMPLATE_DEPTH) {
        return template_run_fail(run, "a value is nested more than %u deep", LIMIT_TEMPLATE_DEPTH);
    }
    return true;
}

static bool equal_lists(struct template_run *run, const struct template_list *left,
                        const struct template_list *right, unsigned depth, bool *equal)
{
    *equal = left->count == right->count;
    for (size_t i = 0; *equal && i < left->count; i++) {
        if (!equal_nested(run, left->items[i], right->items[i], depth, equal)) {
            return false;
        }
    }
    return true;
}

static bool equal_dicts(struct template_run *run, const struct template_dict *left,
                        const struct template_dict *right, unsigned depth, bool *equal)
{
    *equal = left->count == right->count;
    for (size_t i = 0; *equal && i < left->count; i++) {
        const struct template_value *other = NULL;
        if (!template_dict_find(run, right, left->entries[i].key, &other)) {
            return false;
        }
        *equal = other != NULL;
        if (*equal && !equal_nested(run, left->entries[i].value, *other, depth, equal)) {
            return false;
        }
    }
    return true;
}

static bool equal_numbers(struct template_value left, struct template_value right)
{
    int64_t a = 0;
    int64_t b = 0;
    if (template_value_as_int(left, &a) && template_value_as_int(right, &b)) {
        return a == b;
    }
    return template_value_as_float(left) == template_value_as_float(right);
}

static bool equal_nested(struct template_run *run, struct template_value left,
                         struct template_value right, unsigned depth, bool *equal)
{
    if (!check_depth(run, depth) || !template_run_spend(run, 1)) {
        return false;
    }
    *equal = false;
    if (template_value_is_number(left) && template_value_is_number(right)) {
        *equal = equal_numbers(left, right);
        return true;
    }
    if (left.kind != right.kind) {
        return true;
    }
    switch ((enum template_kind)left.kind) {
    case TEMPLATE_ABSENT:
    case TEMPLATE_UNDEFINED:
    case TEMPLATE_NONE:
        *equal = true;
        return true;
    case TEMPLATE_STRING:
        *equal = template_text_equal(left.as.string, right.as.string);
        return template_run_spend_bytes(run, *equal ? left.as.string->byte_count : 0);
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
    case TEMPLATE_RANGE:
    case TEMPLATE_VIEW:
        return equal_lists(run, left.as.list, right.as.list, depth + 1, equal);
    case TEMPLATE_DICT:
        return equal_dicts(run, left.as.dict, right.as.dict, depth + 1, equal);
    default:
        *equal = left.as.dict == right.as.dict;
        return true;
    }
}

bool template_compare_equal(struct template_run *run, struct template_value left,
                            struct template_value right, bool *equal)
{
    return equal_nested(run, left, right, 0, equal);
}

static int order_numbers(struct template_value left, struct template_value right)
{
    int64_t a = 0;
    int64_t b = 0;
    if (template_value_as_int(left, &a) && template_value_as_int(right, &b)) {
        return (a > b) - (a < b);
    }
    double x = template_value_as_float(left);
    double y = template_value_as_float(right);
    return (x > y) - (x < y);
}

static bool order_nested(struct template_run *run, struct template_value left,
                         struct template_value right, const char *operator_text, unsigned depth,
                         int *order)
{
    if (!check_depth(run, depth) || !template_run_spend(run, 1)) {
        return false;
    }
    if (left.kind == TEMPLATE_UNDEFINED || right.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, left.kind == TEMPLATE_UNDEFINED ? left : right);
    }
    if (template_value_is_number(left) && template_value_is_number(right)) {
        *order = order_numbers(left, right);
        return true;
    }
    if (left.kind == TEMPLATE_STRING && right.kind == TEMPLATE_STRING) {
        *order = template_text_compare(left.as.string, right.as.string);
        return true;
    }
    if (left.kind != right.kind || (left.kind != TEMPLATE_LIST && left.kind != TEMPLATE_TUPLE)) {
        return template_run_fail(run, "'%s' not supported between instances of '%s' and '%s'",
                                 operator_text, template_value_type_name(left),
                                 template_value_type_name(right));
    }
    const struct template_list *a = left.as.list;
    const struct template_list *b = right.as.list;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        bool equal = false;
        if (!equal_nested(run, a->items[i], b->items[i], depth + 1, &equal)) {
            return false;
        }
        if (!equal) {
            return order_nested(run, a->items[i], b->items[i], operator_text, depth + 1, order);
        }
    }
    *order = (a->count > b->count) - (a->count < b->count);
    return true;
}

bool template_compare_order(struct template_run *run, struct template_value left,
                            struct template_value right, const char *operator_text, int *order)
{
    return order_nested(run, left, right, operator_text, 0, order);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ (hash >> 29);
}

static uint64_t hash_bytes(const char *bytes, size_t byte_count)
{
    uint64_t hash = 0xCBF29CE484222325u ^ byte_count;
    for (size_t i = 0; i < byte_count; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3u;
    }
    return mix(hash, 0);
}

/* Numbers that are equal must meet in one place whatever their type. */
static uint64_t hash_number(struct template_value value)
{
    double number = template_value_as_float(value);
    if (number == 0.0) {
        number = 0.0; /* minus zero too */
    }
    uint64_t bits = 0;
    memcpy(&bits, &number, sizeof bits);
    return mix(1, bits);
}

static bool hash_tuple(struct template_run *run, const struct template_list *list, uint64_t *hash)
{
    if (run->level_count >= LIMIT_TEMPLATE_LEVELS) {
        return template_run_fail(run, "a value is nested too deeply");
    }
    run->level_count++;
    uint64_t sum = 2;
    bool ok = true;
    for (size_t i = 0; ok && i < list->count; i++) {
        uint64_t one = 0;
        ok = template_compare_hash(run, list->items[i], &one);
        sum = mix(sum, one);
    }
    run->level_count--;
    *hash = sum;
    return ok;
}

bool template_compare_hash(struct template_run *run, struct template_value value, uint64_t *hash)
{
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_STRING:
        *hash = hash_bytes(value.as.string->bytes, value.as.string->byte_count);
        return template_run_spend_bytes(run, 8 * value.as.string->byte_count);
    case TEMPLATE_BOOL:
    case TEMPLATE_INT:
    case TEMPLATE_FLOAT:
        *hash = hash_number(value);
        return true;
    case TEMPLATE_TUPLE:
        return template_run_spend(run, 1) && hash_tuple(run, value.as.list, hash);
    case TEMPLATE_LIST:
    case TEMPLATE_DICT:
        return template_run_fail(run, "unhashable type: '%s'", template_value_type_name(value));
    default:
        *hash = mix(3, value.kind);
        return true;
    }
}

static bool contains_item(struct template_run *run, const struct template_list *list,
                          struct template_value needle, bool *contains)
{
    *contains = false;
    for (size_t i = 0; !*contains && i < list->count; i++) {
        if (!template_compare_equal(run, list->items[i], needle, contains)) {
            return false;
        }
    }
    return true;
}

bool template_compare_contains(struct template_run *run, struct template_value haystack,
                               struct template_value needle, bool *contains)
{
    if (haystack.kind == TEMPLATE_STRING) {
        if (needle.kind != TEMPLATE_STRING) {
            return template_run_fail(run, "'in <string>' requires string as left operand, not %s",
                                     template_value_type_name(needle));
        }
        const struct template_string *text = haystack.as.string;
        *contains = template_text_find(text->bytes, text->byte_count, needle.as.string) != SIZE_MAX;
        return template_run_spend_bytes(run, text->byte_count);
    }
    if (haystack.kind == TEMPLATE_DICT) {
        const struct template_value *found = NULL;
        bool ok = template_dict_find(run, haystack.as.dict, needle, &found);
        *contains = found != NULL;
        return ok;
    }
    struct template_list list;
    if (haystack.kind == TEMPLATE_NONE || template_value_is_number(haystack) ||
        haystack.kind >= TEMPLATE_NAMESPACE) {
        return template_run_fail(run, "argument of type '%s' is not iterable",
                                 template_value_type_name(haystack));
    }
    return template_iterate_items(run, haystack, &list) &&
           contains_item(run, &list, needle, contains);
}

struct merge {
    struct template_run *run;
    struct template_value *keys;
    struct template_value *items;
    struct template_value *spare_keys;
    struct template_value *spare_items;
    bool descending;
};

static bool merge_halves(struct merge *merge, size_t first, size_t middle, size_t end)
{
    size_t left = first;
    size_t right = middle;
    for (size_t to = first; to < end; to++) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
            int order = 0;
            if (!template_compare_order(merge->run, merge->keys[right], merge->keys[left], "<",
                                        &order)) {
                return false;
            }
            take_right = merge->descending ? order > 0 : order < 0;
        }
        size_t from = take_right ? right++ : left++;
        merge->spare_keys[to] = merge->keys[from];
        merge->spare_items[to] = merge->items[from];
    }
    memcpy(merge->keys + first, merge->spare_keys + first, (end - first) * sizeof *merge->keys);
    memcpy(merge->items + first, merge->spare_items + first, (end - first) * sizeof *merge->items);
    return true;
}

bool template_compare_sort(struct template_run *run, struct template_value *keys,
                           struct template_value *items, size_t count, bool descending)
{
    if (count < 2) {
        return true;
    }
    struct merge merge = {
        .run = run,
        .keys = keys,
        .items = items,
        .spare_keys = template_run_alloc_array(run, count, sizeof *keys),
        .spare_items = template_run_alloc_array(run, count, sizeof *items),
        .descending = descending,
    };
    if (merge.spare_keys == NULL || merge.spare_items == NULL) {
        return false;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t first = 0; first + width < count; first += 2 * width) {
            size_t end = first + 2 * width < count ? first + 2 * width : count;
            if (!merge_halves(&merge, first, first + width, end)) {
                return false;
            }
        }
    }
    return true;
}
