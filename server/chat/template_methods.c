/* template_methods.c - finding methods by type, and the methods of containers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_methods.h"

#include "server/chat/template_compare.h"
#include "server/chat/template_dict.h"
#include "server/chat/template_string_methods.h"
#include "server/chat/template_string_tests.h"

bool template_methods_bind(struct template_run *run, struct template_value receiver,
                           const struct template_builtin *row, struct template_value *out)
{
    struct template_method *method = template_run_alloc(run, sizeof *method);
    if (method == NULL) {
        return false;
    }
    *method = (struct template_method){.receiver = receiver, .row = row};
    *out = (struct template_value){.kind = TEMPLATE_METHOD, .as.method = method};
    return true;
}

static bool dict_keys(struct template_run *run, const struct template_call *call,
                      struct template_value *out)
{
    return template_dict_view(run, call->subject.as.dict, TEMPLATE_VIEW_KEYS, out);
}

static bool dict_values(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    return template_dict_view(run, call->subject.as.dict, TEMPLATE_VIEW_VALUES, out);
}

static bool dict_items(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    return template_dict_view(run, call->subject.as.dict, TEMPLATE_VIEW_ITEMS, out);
}

static bool dict_get(struct template_run *run, const struct template_call *call,
                     struct template_value *out)
{
    const struct template_value *found = NULL;
    if (!template_dict_find(run, call->subject.as.dict, call->bound[0], &found)) {
        return false;
    }
    *out = found != NULL ? *found : template_call_or(call->bound[1], template_value_none());
    return true;
}

/* Nothing can change a container, so a copy is as good as the original. */
static bool container_copy(struct template_run *run, const struct template_call *call,
                           struct template_value *out)
{
    (void)run;
    *out = call->subject;
    return true;
}

static bool list_count(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    const struct template_list *list = call->subject.as.list;
    int64_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        bool equal = false;
        if (!template_compare_equal(run, list->items[i], call->bound[0], &equal)) {
            return false;
        }
        count += equal;
    }
    *out = template_value_int(count);
    return true;
}

static bool list_index(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    const struct template_list *list = call->subject.as.list;
    for (size_t i = 0; i < list->count; i++) {
        bool equal = false;
        if (!template_compare_equal(run, list->items[i], call->bound[0], &equal)) {
            return false;
        }
        if (equal) {
            *out = template_value_int((int64_t)i);
            return true;
        }
    }
    return template_run_fail(run, "the value is not in the %s",
                             template_value_type_name(call->subject));
}

static bool cycler_next(struct template_run *run, const struct template_call *call,
                        struct template_value *out)
{
    struct template_cycler *cycler = call->subject.as.cycler;
    (void)run;
    *out = cycler->list->items[cycler->position];
    cycler->position = (cycler->position + 1) % cycler->list->count;
    return true;
}

static bool cycler_reset(struct template_run *run, const struct template_call *call,
                         struct template_value *out)
{
    (void)run;
    call->subject.as.cycler->position = 0;
    *out = template_value_none();
    return true;
}

static const struct template_builtin dict_rows[] = {
    {"keys", "", 0, dict_keys},      {"values", "", 0, dict_values},
    {"items", "", 0, dict_items},    {"get", "key default", 1, dict_get},
    {"copy", "", 0, container_copy},
};

static const struct template_builtin list_rows[] = {
    {"count", "value", 1, list_count},
    {"index", "value", 1, list_index},
    {"copy", "", 0, container_copy},
};

static const struct template_builtin cycler_rows[] = {
    {"next", "", 0, cycler_next},
    {"reset", "", 0, cycler_reset},
};

const struct template_builtin *template_methods_find(struct template_value receiver,
                                                     const struct template_string *name)
{
    const struct template_builtin *row = NULL;
    switch ((enum template_kind)receiver.kind) {
    case TEMPLATE_STRING:
        row = template_string_methods_find(name);
        return row != NULL ? row : template_string_tests_find(name);
    case TEMPLATE_DICT:
        return template_call_find(dict_rows, sizeof dict_rows / sizeof *dict_rows, name);
    case TEMPLATE_LIST:
        return template_call_find(list_rows, 3, name);
    case TEMPLATE_TUPLE:
    case TEMPLATE_RANGE:
        return template_call_find(list_rows, 2, name); /* they have no copy */
    case TEMPLATE_CYCLER:
        return template_call_find(cycler_rows, sizeof cycler_rows / sizeof *cycler_rows, name);
    default:
        return NULL;
    }
}
