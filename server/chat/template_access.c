/* template_access.c - Jinja's lookup order, and its sandbox: names with two leading underscores
 * and methods that would change a value are undefined.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_access.h"

#include "server/chat/template_dict.h"
#include "server/chat/template_loop.h"
#include "server/chat/template_methods.h"
#include "server/chat/template_text.h"

#include <string.h>

static bool is_internal(const struct template_string *name)
{
    return name->byte_count >= 2 && memcmp(name->bytes, "__", 2) == 0;
}

static bool is_one_of(const struct template_string *name, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strlen(*words) == name->byte_count &&
            memcmp(*words, name->bytes, name->byte_count) == 0) {
            return true;
        }
    }
    return false;
}

/* Methods that exist in Python but would change the value. */
static bool is_mutator(struct template_value object, const struct template_string *name)
{
    static const char *const list_names[] = {"append", "clear",   "extend", "insert", "pop",
                                             "remove", "reverse", "sort",   NULL};
    static const char *const dict_names[] = {"clear",      "pop",    "popitem",
                                             "setdefault", "update", NULL};
    if (object.kind == TEMPLATE_LIST) {
        return is_one_of(name, list_names);
    }
    return object.kind == TEMPLATE_DICT && is_one_of(name, dict_names);
}

/* A method or a property of the type; *found is false when the type has none of that name. */
static bool type_attribute(struct template_run *run, struct template_value object,
                           struct template_value name, struct template_value *out, bool *found)
{
    const struct template_string *text = name.as.string;
    *found = true;
    if (is_internal(text) || is_mutator(object, text)) {
        return template_run_undefined_in(run, object, name, true, out);
    }
    if (object.kind == TEMPLATE_LOOP) {
        return template_loop_attribute(run, object, name, out, found);
    }
    if (object.kind == TEMPLATE_CYCLER && template_value_is_text(name, "current")) {
        *out = object.as.cycler->list->items[object.as.cycler->position];
        return true;
    }
    if (object.kind == TEMPLATE_TUPLE && object.view != 0) {
        bool grouper = template_value_is_text(name, "grouper");
        if (grouper || template_value_is_text(name, "list")) {
            *out = object.as.list->items[grouper ? 0 : 1];
            return true;
        }
    }
    const struct template_builtin *row = template_methods_find(object, text);
    if (row != NULL) {
        return template_methods_bind(run, object, row, out);
    }
    *found = false;
    return true;
}

/* A value under a key of dicts and namespaces. */
static bool key_value(struct template_run *run, struct template_value object,
                      struct template_value key, struct template_value *out, bool *found)
{
    const struct template_value *value = NULL;
    *found = false;
    if (object.kind != TEMPLATE_DICT && object.kind != TEMPLATE_NAMESPACE) {
        return true;
    }
    if (key.kind == TEMPLATE_LIST || key.kind == TEMPLATE_DICT) {
        return true; /* no key can be equal to it */
    }
    if (!template_dict_find(run, object.as.dict, key, &value)) {
        return false;
    }
    if (value != NULL) {
        *out = *value;
        *found = true;
    }
    return true;
}

bool template_access_attribute(struct template_run *run, struct template_value object,
                               struct template_value name, struct template_value *out)
{
    bool found = false;
    if (object.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, object);
    }
    if (!type_attribute(run, object, name, out, &found)) {
        return false;
    }
    if (!found && !key_value(run, object, name, out, &found)) {
        return false;
    }
    return found || template_run_undefined_in(run, object, name, false, out);
}

/* Elements by number. */
static bool element(struct template_run *run, struct template_value object, int64_t index,
                    struct template_value *out, bool *found)
{
    bool is_string = object.kind == TEMPLATE_STRING;
    *found = false;
    if (!is_string && (!template_value_has_items(object) || object.kind == TEMPLATE_VIEW)) {
        return true;
    }
    int64_t count =
        (int64_t)(is_string ? template_text_count(object.as.string) : object.as.list->count);
    int64_t place = index < 0 ? index + count : index;
    if (place < 0 || place >= count) {
        return true;
    }
    *found = true;
    if (!is_string) {
        *out = object.as.list->items[place];
        return true;
    }
    size_t offset = template_text_offset(object.as.string, (size_t)place);
    return template_run_spend_bytes(run, offset) &&
           template_text_piece(run, object.as.string, offset,
                               template_text_step(object.as.string->bytes[offset]), out);
}

bool template_access_item(struct template_run *run, struct template_value object,
                          struct template_value index, struct template_value *out)
{
    bool found = false;
    int64_t number = 0;
    if (object.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, object);
    }
    if (object.kind != TEMPLATE_NAMESPACE && !key_value(run, object, index, out, &found)) {
        return false;
    }
    if (!found && template_value_as_int(index, &number) &&
        !element(run, object, number, out, &found)) {
        return false;
    }
    if (!found && index.kind == TEMPLATE_STRING &&
        !type_attribute(run, object, index, out, &found)) {
        return false;
    }
    if (!found && object.kind == TEMPLATE_NAMESPACE &&
        !key_value(run, object, index, out, &found)) {
        return false;
    }
    return found || template_run_undefined_in(run, object, index, false, out);
}

struct slice {
    int64_t start;
    int64_t stop;
    int64_t step;
    size_t count;
};

static bool slice_bound(struct template_run *run, struct template_value bound, int64_t otherwise,
                        int64_t *out)
{
    if (bound.kind == TEMPLATE_ABSENT || bound.kind == TEMPLATE_NONE) {
        *out = otherwise;
        return true;
    }
    if (template_value_as_int(bound, out)) {
        return true;
    }
    if (bound.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, bound);
    }
    return template_run_fail(run, "slice indices must be integers or None, not %s",
                             template_value_type_name(bound));
}

static int64_t clamp(int64_t bound, int64_t count, int64_t lowest, int64_t highest)
{
    if (bound < 0) {
        bound = bound < -count ? lowest : bound + count;
    }
    return bound < lowest ? lowest : bound > highest ? highest : bound;
}

static bool resolve_slice(struct template_run *run, const struct template_value bounds[3],
                          int64_t count, struct slice *slice)
{
    if (!slice_bound(run, bounds[2], 1, &slice->step)) {
        return false;
    }
    if (slice->step == 0) {
        return template_run_fail(run, "slice step cannot be zero");
    }
    bool forward = slice->step > 0;
    int64_t lowest = forward ? 0 : -1;
    int64_t highest = forward ? count : count - 1;
    if (!slice_bound(run, bounds[0], forward ? 0 : INT64_MAX, &slice->start) ||
        !slice_bound(run, bounds[1], forward ? INT64_MAX : INT64_MIN, &slice->stop)) {
        return false;
    }
    slice->start = clamp(slice->start, count, lowest, highest);
    slice->stop = clamp(slice->stop, count, lowest, highest);
    uint64_t span =
        forward ? (uint64_t)(slice->stop - slice->start) : (uint64_t)(slice->start - slice->stop);
    bool empty = forward ? slice->stop <= slice->start : slice->stop >= slice->start;
    uint64_t stride = forward ? (uint64_t)slice->step : 0 - (uint64_t)slice->step;
    slice->count = empty ? 0 : (size_t)((span - 1) / stride + 1);
    return true;
}

/* Steps of one share the items of the whole. */
static bool slice_list(struct template_run *run, struct template_value object,
                       const struct slice *slice, struct template_value *out)
{
    const struct template_value *items = object.as.list->items;
    enum template_kind kind = (enum template_kind)object.kind;
    if (slice->count == 0 || slice->step == 1) {
        return template_run_list(run, kind, slice->count > 0 ? items + slice->start : NULL,
                                 slice->count, out);
    }
    struct template_value *picked = template_run_alloc_array(run, slice->count, sizeof *picked);
    if (picked == NULL || !template_run_spend(run, slice->count)) {
        return false;
    }
    for (size_t i = 0; i < slice->count; i++) {
        picked[i] = items[slice->start + (int64_t)i * slice->step];
    }
    return template_run_list(run, kind, picked, slice->count, out);
}

static bool slice_string(struct template_run *run, const struct template_string *string,
                         const struct slice *slice, struct template_value *out)
{
    if (!template_run_spend_bytes(run, string->byte_count)) {
        return false;
    }
    if (slice->count == 0) {
        return template_run_text(run, "", out);
    }
    if (slice->step == 1) {
        size_t first = template_text_offset(string, (size_t)slice->start);
        size_t end = template_text_offset(string, (size_t)slice->stop);
        return template_text_piece(run, string, first, end - first, out);
    }
    return template_text_pick(run, string, slice->start, slice->step, slice->count, out);
}

bool template_access_slice(struct template_run *run, struct template_value object,
                           const struct template_value bounds[3], struct template_value *out)
{
    struct slice slice;
    bool is_string = object.kind == TEMPLATE_STRING;
    if (object.kind == TEMPLATE_UNDEFINED) {
        return template_run_fail_undefined(run, object);
    }
    if (!is_string && (!template_value_has_items(object) || object.kind == TEMPLATE_VIEW)) {
        return template_run_fail(run, "'%s' object cannot be sliced",
                                 template_value_type_name(object));
    }
    int64_t count =
        (int64_t)(is_string ? template_text_count(object.as.string) : object.as.list->count);
    if (!resolve_slice(run, bounds, count, &slice)) {
        return false;
    }
    if (!is_string) {
        return slice_list(run, object, &slice, out);
    }
    bool ok = slice_string(run, object.as.string, &slice, out);
    out->markup = object.markup;
    return ok;
}

static bool path_part(struct template_run *run, const char *bytes, size_t byte_count,
                      struct template_value *out)
{
    int64_t number = 0;
    bool digits = byte_count > 0 && byte_count < 18;
    for (size_t i = 0; digits && i < byte_count; i++) {
        digits = bytes[i] >= '0' && bytes[i] <= '9';
        number = number * 10 + (bytes[i] - '0');
    }
    if (digits) {
        *out = template_value_int(number);
        return true;
    }
    return template_run_string(run, bytes, byte_count, out);
}

static bool item_or(struct template_run *run, struct template_value object,
                    struct template_value index, struct template_value otherwise,
                    struct template_value *out)
{
    if (!template_access_item(run, object, index, out)) {
        return false;
    }
    if (out->kind == TEMPLATE_UNDEFINED && template_value_given(otherwise)) {
        *out = otherwise;
    }
    return true;
}

bool template_access_path(struct template_run *run, struct template_value object,
                          struct template_value path, struct template_value otherwise,
                          struct template_value *out)
{
    if (path.kind != TEMPLATE_STRING) {
        return item_or(run, object, path, otherwise, out);
    }
    const char *at = path.as.string->bytes;
    const char *end = at + path.as.string->byte_count;
    *out = object;
    for (;;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        const char *stop = dot != NULL ? dot : end;
        struct template_value part;
        if (!path_part(run, at, (size_t)(stop - at), &part) ||
            !item_or(run, *out, part, otherwise, out)) {
            return false;
        }
        if (dot == NULL) {
            return true;
        }
        at = dot + 1;
    }
}
