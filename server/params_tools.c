/* params_tools.c - each tool is looked at in full, so that nothing behind has to.
 *
 * A choice that leaves no choice ("required" with one tool, or a named tool) is honoured by putting
 * the call's beginning into the prompt. "required" among several would need constrained decoding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/params_tools.h"

#include "configs/limits.h"

#include <stdio.h>
#include <string.h>

static bool is_name(const json_t *value)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    const char *text = json_string_value(value);
    size_t byte_count = json_string_length(value);
    return text != NULL && byte_count > 0 && byte_count <= LIMIT_TOOL_NAME_BYTES &&
           strspn(text, allowed) == byte_count;
}

static void read_function(struct json_fields *tool)
{
    char name_rule[96];
    snprintf(name_rule, sizeof name_rule, "1 to %u letters, digits, underscores, dashes or dots",
             LIMIT_TOOL_NAME_BYTES);
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%sfunction.", tool->prefix);
    const json_t *function = json_fields_object(tool, "function");
    if (function == NULL) {
        json_fields_refuse(tool, "function", json_null(), "an object with a name");
        return;
    }
    struct json_fields inner = {function, tool->refusal, prefix, tool->status};
    const json_t *name = json_fields_find(&inner, "name");
    if (!is_name(name)) {
        json_fields_refuse(&inner, "name", name != NULL ? name : json_null(), name_rule);
    }
    json_fields_text(&inner, "description", SIZE_MAX);
    json_fields_object(&inner, "parameters");
    json_fields_flag(&inner, "strict", false);
    tool->status = inner.status;
}

static void read_tool(struct json_fields *fields, size_t index)
{
    const json_t *given = json_array_get(json_object_get(fields->object, "tools"), index);
    char prefix[32];
    snprintf(prefix, sizeof prefix, "tools[%zu].", index);
    struct json_fields tool = {given, fields->refusal, prefix, fields->status};
    if (!json_is_object(given)) {
        json_fields_refuse(fields, "tools", given, "an array of {type: \"function\", function}");
        return;
    }
    const json_t *type = json_fields_find(&tool, "type");
    if (!json_is_string(type) || strcmp(json_string_value(type), "function") != 0) {
        json_fields_refuse(&tool, "type", type != NULL ? type : json_null(), "\"function\"");
    }
    read_function(&tool);
    fields->status = tool.status;
}

static bool has_tool(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0) {
            return true;
        }
    }
    return false;
}

/* {"type": "function", "function": {"name": NAME}} */
static const char *named_choice(struct json_fields *fields, const json_t *choice,
                                const json_t *tools)
{
    const json_t *type = json_object_get(choice, "type");
    const json_t *name = json_object_get(json_object_get(choice, "function"), "name");
    if (!json_is_string(type) || strcmp(json_string_value(type), "function") != 0 ||
        !json_is_string(name)) {
        json_fields_refuse(fields, "tool_choice", choice,
                           "none, auto, required or {type: \"function\", function: {name}}");
    } else if (!has_tool(tools, json_string_value(name))) {
        json_fields_refuse(fields, "tool_choice", name, "one of the request's tools");
    }
    return json_string_value(name);
}

/* "required": sound where there is one tool. */
static const char *only_tool(struct json_fields *fields, const json_t *choice, const json_t *tools)
{
    if (json_array_size(tools) != 1) {
        json_fields_refuse(fields, "tool_choice", choice,
                           "auto, none or a named function where there is more than one tool");
        return NULL;
    }
    const json_t *function = json_object_get(json_array_get(tools, 0), "function");
    return json_string_value(json_object_get(function, "name"));
}

static bool is_word(const json_t *choice, const char *word)
{
    return json_is_string(choice) && strcmp(json_string_value(choice), word) == 0;
}

static void read_choice(struct json_fields *fields, struct params_tools *out)
{
    const json_t *choice = json_fields_find(fields, "tool_choice");
    if (choice == NULL || is_word(choice, "auto") || fields->status != OK) {
        return;
    }
    if (is_word(choice, "none")) {
        out->tools = NULL;
    } else if (out->tools == NULL) {
        json_fields_refuse(fields, "tool_choice", choice, "none or auto where there are no tools");
    } else if (is_word(choice, "required")) {
        out->forced_name = only_tool(fields, choice, out->tools);
    } else {
        out->forced_name = named_choice(fields, choice, out->tools);
    }
}

void params_tools_read(struct json_fields *fields, struct params_tools *out)
{
    *out = (struct params_tools){0};
    const json_t *tools = json_fields_array(fields, "tools");
    if (json_array_size(tools) > LIMIT_TOOLS) {
        char what[64];
        snprintf(what, sizeof what, "an array of at most %u tools", LIMIT_TOOLS);
        json_fields_refuse(fields, "tools", tools, what);
    }
    for (size_t i = 0; i < json_array_size(tools) && fields->status == OK; i++) {
        read_tool(fields, i);
    }
    out->tools = json_array_size(tools) > 0 ? tools : NULL;
    out->one_call = !json_fields_flag(fields, "parallel_tool_calls", true);
    read_choice(fields, out);
}
