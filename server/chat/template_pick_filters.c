/* template_pick_filters.c - map, select, reject, selectattr, rejectattr: filters that apply
 * another filter or test, given by name, to each element.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_access.h"
#include "server/chat/template_builder.h"
#include "server/chat/template_filters.h"
#include "server/chat/template_iterate.h"
#include "server/chat/template_tests.h"

/* What is done to each element. */
struct pick {
    const struct template_builtin *row; /* NULL: nothing, truth decides */
    struct template_value attribute;    /* absent: the element itself */
    struct template_value otherwise;    /* instead of an undefined attribute; absent: none */
    struct template_arguments arguments;
};

static bool fail_unknown(struct template_run *run, const char *what, struct template_value name)
{
    if (name.kind != TEMPLATE_STRING) {
        return template_run_fail(run, "the name of a %s must be str, not %s", what,
                                 template_value_type_name(name));
    }
    return template_run_fail(run, "No %s named '%.*s'.", what, (int)name.as.string->byte_count,
                             name.as.string->bytes);
}

/* The name stands at arguments[place]; what follows goes to the test. */
static bool find_test(struct template_run *run, const struct template_call *call, size_t place,
                      struct pick *pick)
{
    if (call->extra_count <= place) {
        return true;
    }
    struct template_value name = call->extra[place];
    pick->row = name.kind == TEMPLATE_STRING ? template_tests_find(name.as.string) : NULL;
    pick->arguments = (struct template_arguments){.positional = call->extra + place + 1,
                                                  .count = call->extra_count - place - 1,
                                                  .keywords = call->keywords,
                                                  .keyword_count = call->keyword_count};
    return pick->row != NULL || fail_unknown(run, "test", name);
}

static bool prepare_map(struct template_run *run, const struct template_call *call,
                        struct pick *pick)
{
    if (call->extra_count > 0) {
        struct template_value name = call->extra[0];
        pick->row = name.kind == TEMPLATE_STRING ? template_filters_find(name.as.string) : NULL;
        pick->arguments = (struct template_arguments){.positional = call->extra + 1,
                                                      .count = call->extra_count - 1,
                                                      .keywords = call->keywords,
                                                      .keyword_count = call->keyword_count};
        return pick->row != NULL || fail_unknown(run, "filter", name);
    }
    for (size_t i = 0; i < call->keyword_count; i++) {
        const struct template_keyword *keyword = &call->keywords[i];
        if (template_value_is_text(keyword->name, "attribute")) {
            pick->attribute = keyword->value;
        } else if (template_value_is_text(keyword->name, "default")) {
            pick->otherwise = keyword->value;
        } else {
            return template_run_fail(run, "Unexpected keyword argument '%.*s'",
                                     (int)keyword->name.as.string->byte_count,
                                     keyword->name.as.string->bytes);
        }
    }
    return template_value_given(pick->attribute) ||
           template_run_fail(run, "map requires a filter argument");
}

static bool apply(struct template_run *run, const struct pick *pick, struct template_value item,
                  struct template_value *out)
{
    *out = item;
    if (template_value_given(pick->attribute) &&
        !template_access_path(run, item, pick->attribute, pick->otherwise, out)) {
        return false;
    }
    return pick->row == NULL || template_call_builtin(run, pick->row, *out, &pick->arguments, out);
}

/* Anything false has no elements, even what could not be iterated over. */
static bool elements(struct template_run *run, struct template_value subject,
                     struct template_list *out)
{
    *out = (struct template_list){0};
    return !template_value_truth(subject) || template_iterate_items(run, subject, out);
}

static bool finish(struct template_items *items, struct template_value *out)
{
    struct template_value list;
    return template_builder_finish_items(items, TEMPLATE_LIST, &list) &&
           template_run_iterator(items->run, list.as.list, "generator", out);
}

static bool filter_map(struct template_run *run, const struct template_call *call,
                       struct template_value *out)
{
    struct pick pick = {.attribute = {.kind = TEMPLATE_ABSENT}};
    struct template_list list;
    struct template_items mapped;
    template_builder_items_init(&mapped, run);
    if (!elements(run, call->subject, &list) ||
        (list.count > 0 && !prepare_map(run, call, &pick))) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct template_value value;
        if (!apply(run, &pick, list.items[i], &value) || !template_builder_push(&mapped, value)) {
            return false;
        }
    }
    return finish(&mapped, out);
}

static bool keep(struct template_run *run, const struct template_call *call,
                 const struct pick *pick, bool wanted, struct template_value *out)
{
    struct template_list list;
    struct template_items kept;
    template_builder_items_init(&kept, run);
    if (!elements(run, call->subject, &list)) {
        return false;
    }
    for (size_t i = 0; i < list.count; i++) {
        struct template_value verdict;
        if (!apply(run, pick, list.items[i], &verdict) ||
            (template_value_truth(verdict) == wanted &&
             !template_builder_push(&kept, list.items[i]))) {
            return false;
        }
    }
    return finish(&kept, out);
}

static bool keep_items(struct template_run *run, const struct template_call *call, bool wanted,
                       struct template_value *out)
{
    struct pick pick = {.attribute = {.kind = TEMPLATE_ABSENT}};
    return find_test(run, call, 0, &pick) && keep(run, call, &pick, wanted, out);
}

static bool keep_by_attribute(struct template_run *run, const struct template_call *call,
                              bool wanted, struct template_value *out)
{
    struct pick pick = {.attribute = {.kind = TEMPLATE_ABSENT}};
    if (call->extra_count == 0) {
        return template_run_fail(run, "Missing parameter for attribute name");
    }
    pick.attribute = call->extra[0];
    return find_test(run, call, 1, &pick) && keep(run, call, &pick, wanted, out);
}

static bool filter_select(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return keep_items(run, call, true, out);
}

static bool filter_reject(struct template_run *run, const struct template_call *call,
                          struct template_value *out)
{
    return keep_items(run, call, false, out);
}

static bool filter_selectattr(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return keep_by_attribute(run, call, true, out);
}

static bool filter_rejectattr(struct template_run *run, const struct template_call *call,
                              struct template_value *out)
{
    return keep_by_attribute(run, call, false, out);
}

static const struct template_builtin filters[] = {
    {"map", "* **", 0, filter_map},
    {"select", "* **", 0, filter_select},
    {"reject", "* **", 0, filter_reject},
    {"selectattr", "* **", 0, filter_selectattr},
    {"rejectattr", "* **", 0, filter_rejectattr},
};

const struct template_builtin *template_pick_filters_find(const struct template_string *name)
{
    return template_call_find(filters, sizeof filters / sizeof *filters, name);
}
