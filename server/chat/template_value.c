/* template_value.c - what needs no memory: truth, type names, number views.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat/template_value.h"

#include <string.h>

bool template_value_as_int(struct template_value value, int64_t *out)
{
    if (value.kind == TEMPLATE_INT) {
        *out = value.as.integer;
        return true;
    }
    if (value.kind == TEMPLATE_BOOL) {
        *out = value.as.boolean ? 1 : 0;
        return true;
    }
    return false;
}

double template_value_as_float(struct template_value value)
{
    if (value.kind == TEMPLATE_FLOAT) {
        return value.as.real;
    }
    int64_t integer = 0;
    (void)template_value_as_int(value, &integer);
    return (double)integer;
}

bool template_value_truth(struct template_value value)
{
    switch ((enum template_kind)value.kind) {
    case TEMPLATE_ABSENT:
    case TEMPLATE_UNDEFINED:
    case TEMPLATE_NONE:
        return false;
    case TEMPLATE_BOOL:
        return value.as.boolean;
    case TEMPLATE_INT:
        return value.as.integer != 0;
    case TEMPLATE_FLOAT:
        return value.as.real != 0.0;
    case TEMPLATE_STRING:
        return value.as.string->byte_count > 0;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
    case TEMPLATE_RANGE:
    case TEMPLATE_VIEW:
        return value.as.list->count > 0;
    case TEMPLATE_DICT:
        return value.as.dict->count > 0;
    default:
        return true;
    }
}

static const char *view_type_name(uint8_t view)
{
    if (view == TEMPLATE_VIEW_KEYS) {
        return "dict_keys";
    }
    return view == TEMPLATE_VIEW_VALUES ? "dict_values" : "dict_items";
}

const char *template_value_type_name(struct template_value value)
{
    static const char *const names[] = {
        [TEMPLATE_ABSENT] = "Undefined", [TEMPLATE_UNDEFINED] = "Undefined",
        [TEMPLATE_NONE] = "NoneType",    [TEMPLATE_BOOL] = "bool",
        [TEMPLATE_INT] = "int",          [TEMPLATE_FLOAT] = "float",
        [TEMPLATE_STRING] = "str",       [TEMPLATE_LIST] = "list",
        [TEMPLATE_TUPLE] = "tuple",      [TEMPLATE_RANGE] = "range",
        [TEMPLATE_DICT] = "dict",        [TEMPLATE_NAMESPACE] = "Namespace",
        [TEMPLATE_MACRO] = "Macro",      [TEMPLATE_FUNCTION] = "function",
        [TEMPLATE_METHOD] = "method",    [TEMPLATE_LOOP] = "LoopContext",
        [TEMPLATE_CYCLER] = "Cycler",    [TEMPLATE_JOINER] = "Joiner",
    };
    if (value.kind == TEMPLATE_VIEW) {
        return view_type_name(value.view);
    }
    if (value.kind == TEMPLATE_ITERATOR) {
        return value.as.iterator->type_name;
    }
    if (value.kind == TEMPLATE_STRING && value.markup) {
        return "Markup";
    }
    return names[value.kind];
}

bool template_value_is_text(struct template_value value, const char *text)
{
    return value.kind == TEMPLATE_STRING && value.as.string->byte_count == strlen(text) &&
           memcmp(value.as.string->bytes, text, value.as.string->byte_count) == 0;
}
