/* template_functions.c - range, dict, namespace, cycler, joiner, raise_exception, strftime_now.
 * The last two are what Hugging Face adds for chat templates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_functions.h"

#include "configs/limits.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_repr.h"
#include "server/chat/template_strftime.h"

/* How many numbers lie between start and stop; saturates far above the limit. */
static uint64_t range_count(int64_t start, int64_t stop, int64_t step)
{
    if (step > 0 ? start >= stop : start <= stop) {
        return 0;
    }
    uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    return stride == 0 ? 0 : (span - 1) / stride + 1;
}

static bool call_range(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    int64_t start = 0;
    int64_t stop = 0;
    int64_t step = 1;
    bool two = template_value_given(call->bound[1]);
    if (!template_call_integer(run, call->bound[0], 0, "range()", two ? &start : &stop) ||
        !template_call_integer(run, call->bound[1], stop, "range()", &stop) ||
        !template_call_integer(run, call->bound[2], 1, "range()", &step)) {
        return false;
    }
    if (step == 0) {
        return template_run_fail(run, "range() arg 3 must not be zero");
    }
    uint64_t count = range_count(start, stop, step);
    if (count > LIMIT_TEMPLATE_RANGE) {
        return template_run_fail(run, "range() of more than %u numbers", LIMIT_TEMPLATE_RANGE);
    }
    struct template_value *items = template_run_alloc_array(run, count, sizeof *items);
    if (items == NULL || !template_run_spend(run, count)) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        items[i] = template_value_int((int64_t)((uint64_t)start + i * (uint64_t)step));
    }
    return template_run_list(run, TEMPLATE_RANGE, items, count, out);
}

/* A dict, or an iterable of pairs. */
static bool add_entries(struct template_run *run, struct template_dict *dict,
                        struct template_value source)
{
    if (source.kind == TEMPLATE_DICT) {
        for (size_t i = 0; i < source.as.dict->count; i++) {
            const struct template_entry *entry = &source.as.dict->entries[i];
            if (!template_dict_set(run, dict, entry->key, entry->value)) {
                return false;
            }
        }
        return true;
    }
    struct template_list pairs;
    if (!template_iterate_items(run, source, &pairs)) {
        return false;
    }
    for (size_t i = 0; i < pairs.count; i++) {
        struct template_list pair;
        if (!template_iterate_items(run, pairs.items[i], &pair)) {
            return false;
        }
        if (pair.count != 2) {
            return template_run_fail(run, "a dict needs pairs, element %zu has %zu values", i,
                                     pair.count);
        }
        if (!template_dict_set(run, dict, pair.items[0], pair.items[1])) {
            return false;
        }
    }
    return true;
}

static bool make_dict(struct template_run *run, const struct template_call *call,
                      enum template_kind kind, struct template_value *out)
{
    struct template_dict *dict = template_dict_new(run);
    if (dict == NULL ||
        (template_value_given(call->bound[0]) && !add_entries(run, dict, call->bound[0]))) {
        return false;
    }
    for (size_t i = 0; i < call->keyword_count; i++) {
        if (!template_dict_set(run, dict, call->keywords[i].name, call->keywords[i].value)) {
            return false;
        }
    }
    *out = template_value_dict(kind, dict);
    return true;
}

static bool call_dict(struct template_run *run, const struct template_call *call,
                      struct template_value *out)
{
    return make_dict(run, call, TEMPLATE_DICT, out);
}

static bool call_namespace(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    return make_dict(run, call, TEMPLATE_NAMESPACE, out);
}

static bool call_cycler(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_value list;
    struct template_cycler *cycler = template_run_alloc(run, sizeof *cycler);
    if (cycler == NULL ||
        !template_run_list(run, TEMPLATE_LIST, call->extra, call->extra_count, &list)) {
        return false;
    }
    if (call->extra_count == 0) {
        return template_run_fail(run, "at least one item has to be provided");
    }
    *cycler = (struct template_cycler){.list = list.as.list};
    *out = (struct template_value){.kind = TEMPLATE_CYCLER, .as.cycler = cycler};
    return true;
}

static bool call_joiner(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_joiner *joiner = template_run_alloc(run, sizeof *joiner);
    struct template_value comma;
    if (joiner == NULL || !template_run_text(run, ", ", &comma)) {
        return false;
    }
    *joiner = (struct template_joiner){.separator = template_call_or(call->bound[0], comma)};
    *out = (struct template_value){.kind = TEMPLATE_JOINER, .as.joiner = joiner};
    return true;
}

/* The template refuses: its words are the whole message. */
static bool call_raise_exception(struct template_run *run, const struct template_call *call,
                                 struct template_value *out)
{
    struct template_value text;
    if (!template_repr_str(run, call->bound[0], &text)) {
        return false;
    }
    *out = template_value_none();
    int byte_count = text.as.string->byte_count < ERROR_MESSAGE_BYTES
                         ? (int)text.as.string->byte_count
                         : ERROR_MESSAGE_BYTES;
    run->located = true;
    return template_run_fail(run, "%.*s", byte_count, text.as.string->bytes);
}

static bool call_strftime_now(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    const struct template_string *format = NULL;
    return template_call_string(run, call->bound[0], "strftime_now()", &format) &&
           template_strftime_format(run, format, run->now_seconds, out);
}

static const struct template_builtin functions[] = {
    {"range", "start stop step", 1, call_range},
    {"dict", "mapping **", 0, call_dict},
    {"namespace", "mapping **", 0, call_namespace},
    {"cycler", "*", 0, call_cycler},
    {"joiner", "sep", 0, call_joiner},
    {"raise_exception", "message", 1, call_raise_exception},
    {"strftime_now", "format", 1, call_strftime_now},
};

const struct template_builtin *template_functions_find(const struct template_string *name)
{
    return template_call_find(functions, sizeof functions / sizeof *functions, name);
}
