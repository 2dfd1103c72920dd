/* chat_messages.c - copies each message shallowly and replaces what needs it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat_messages.h"

#include "configs/limits.h"
#include "server/json_fields.h"
#include "server/text_buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One message under inspection; refusals name it by its place. */
struct message {
    struct json_fields fields;
    char prefix[48];
    json_t *copy;
};

static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};

static const char *check_role(struct message *message)
{
    const json_t *role = json_fields_find(&message->fields, "role");
    const char *text = json_string_value(role);
    for (size_t i = 0; text != NULL && i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(text, roles[i]) == 0) {
            return text;
        }
    }
    json_t *missing = role == NULL ? json_null() : NULL;
    json_fields_refuse(&message->fields, "role", role != NULL ? role : missing,
                       "system, developer, user, assistant or tool");
    return "";
}

static void refuse_part(struct message *message, const json_t *type)
{
    const char *given = json_is_string(type) ? json_string_value(type) : "without a type";
    char path[sizeof message->prefix + sizeof "content"];
    snprintf(path, sizeof path, "%scontent", message->prefix);
    message->fields.status =
        refusal_set(message->fields.refusal, "unsupported_content_part", path,
                    "%s has a part of type %.40s; this server reads text only.", path, given);
}

/* [{"type":"text","text":...}, ...] -> one string. */
static json_t *join_parts(struct message *message, const json_t *parts)
{
    struct text_buffer joined;
    text_buffer_init(&joined, LIMIT_TEMPLATE_OUTPUT);
    text_buffer_append(&joined, "", 0);
    for (size_t i = 0; i < json_array_size(parts) && message->fields.status == OK; i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *type = json_object_get(part, "type");
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(type) || strcmp(json_string_value(type), "text") != 0) {
            refuse_part(message, type);
        } else if (!json_is_string(text)) {
            json_fields_refuse(&message->fields, "content", part,
                               "parts of {type: \"text\", text: string}");
        } else {
            text_buffer_append(&joined, "\n", i > 0);
            text_buffer_append(&joined, json_string_value(text), json_string_length(text));
        }
    }
    json_t *string = NULL;
    if (message->fields.status == OK && !joined.failed) {
        string = json_stringn_nocheck(joined.bytes, joined.byte_count);
    }
    text_buffer_release(&joined);
    return string;
}

static void set_content(struct message *message, const char *role, const struct chat_style *style)
{
    const json_t *content = json_fields_find(&message->fields, "content");
    bool may_lack =
        strcmp(role, "assistant") == 0 && json_fields_find(&message->fields, "tool_calls") != NULL;
    if (json_is_array(content)) {
        json_t *joined = join_parts(message, content);
        if (message->fields.status == OK &&
            (joined == NULL || json_object_set_new(message->copy, "content", joined) != 0)) {
            message->fields.status =
                refusal_set_status(message->fields.refusal, ERR_MEMORY, "out_of_memory",
                                   "There is not enough memory for this request now.");
        }
    } else if (content == NULL && may_lack) {
        json_object_set_new(message->copy, "content",
                            style->empty_content ? json_string("") : json_null());
    } else if (!json_is_string(content)) {
        json_fields_refuse(&message->fields, "content", content != NULL ? content : json_null(),
                           "a string or an array of text parts");
    }
}

/* The wire carries arguments as a string of JSON. */
static json_t *arguments_for(const json_t *arguments, bool as_string)
{
    json_t *given = (json_t *)(uintptr_t)arguments;
    if (as_string && json_is_object(arguments)) {
        char *text = json_dumps(arguments, JSON_COMPACT | JSON_ENSURE_ASCII);
        json_t *string = text != NULL ? json_string(text) : NULL;
        free(text);
        return string;
    }
    if (as_string || !json_is_string(arguments)) {
        return json_incref(given);
    }
    json_t *parsed = json_loadb(json_string_value(arguments), json_string_length(arguments),
                                JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(parsed)) {
        return parsed;
    }
    json_decref(parsed);
    return json_incref(given);
}

static json_t *call_for_template(const json_t *call, bool string_arguments)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)call);
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = json_object_get(function, "arguments");
    if (arguments != NULL) {
        json_t *function_copy = json_copy((json_t *)(uintptr_t)function);
        json_object_set_new(function_copy, "arguments", arguments_for(arguments, string_arguments));
        json_object_set_new(copy, "function", function_copy);
    }
    return copy;
}

static bool is_call(const json_t *call)
{
    const json_t *type = json_object_get(call, "type");
    const json_t *id = json_object_get(call, "id");
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = json_object_get(function, "arguments");
    return json_is_string(json_object_get(function, "name")) &&
           (type == NULL ||
            (json_is_string(type) && strcmp(json_string_value(type), "function") == 0)) &&
           (id == NULL || json_is_string(id)) &&
           (arguments == NULL || json_is_string(arguments) || json_is_object(arguments));
}

/* known: ids of calls so far, as keys. */
static void set_tool_calls(struct message *message, const char *role,
                           const struct chat_style *style, json_t *known)
{
    const json_t *calls = json_fields_array(&message->fields, "tool_calls");
    if (calls == NULL || message->fields.status != OK) {
        return;
    }
    if (strcmp(role, "assistant") != 0) {
        json_fields_refuse(&message->fields, "tool_calls", calls, "an assistant's");
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        if (!is_call(call)) {
            json_fields_refuse(&message->fields, "tool_calls", call,
                               "an array of {id, type, function: {name, arguments}}");
            break;
        }
        const char *id = json_string_value(json_object_get(call, "id"));
        if (id != NULL) {
            json_object_set_new(known, id, json_true());
        }
        json_array_append_new(list, call_for_template(call, style->string_arguments));
    }
    json_object_set_new(message->copy, "tool_calls", list);
}

/* A tool's message names the call that it answers. Without an id, the order says it. */
static void check_tool_answer(struct message *message, const char *role, const json_t *known)
{
    const char *id = json_fields_text(&message->fields, "tool_call_id", SIZE_MAX);
    if (strcmp(role, "tool") == 0 && id != NULL && json_object_get(known, id) == NULL) {
        json_fields_refuse(&message->fields, "tool_call_id",
                           json_fields_find(&message->fields, "tool_call_id"),
                           "the id of a call in a message before");
    }
}

/* reasoning_content, which templates read; some clients say reasoning. gpt-oss reads "thinking" in front
 * of a call, where it takes no content beside. */
static void set_reasoning(struct message *message)
{
    const char *given = json_fields_text(&message->fields, "reasoning_content", SIZE_MAX);
    const char *other = json_fields_text(&message->fields, "reasoning", SIZE_MAX);
    if (given == NULL && other != NULL) {
        json_object_set_new(message->copy, "reasoning_content", json_string(other));
    }
    json_t *reasoning = json_object_get(message->copy, "reasoning_content");
    bool calls = json_array_size(json_object_get(message->copy, "tool_calls")) > 0;
    if (json_is_string(reasoning) && calls &&
        json_string_length(json_object_get(message->copy, "content")) == 0) {
        json_object_set(message->copy, "thinking", reasoning);
    }
}

static enum status normalise_one(const json_t *given, size_t index, const struct chat_style *style,
                                 json_t *known, json_t **out, struct refusal *refusal)
{
    struct message message = {.fields = {given, refusal, NULL, OK}};
    snprintf(message.prefix, sizeof message.prefix, "messages[%zu].", index);
    message.fields.prefix = message.prefix;
    if (!json_is_object(given)) {
        return refusal_set(refusal, "invalid_value", "messages",
                           "messages[%zu] must be an object with role and content.", index);
    }
    message.copy = json_copy((json_t *)(uintptr_t)given);
    const char *role = check_role(&message);
    if (strcmp(role, "developer") == 0) {
        json_object_set_new(message.copy, "role", json_string("system"));
    }
    set_content(&message, role, style);
    set_tool_calls(&message, role, style, known);
    check_tool_answer(&message, role, known);
    set_reasoning(&message);
    if (message.fields.status != OK) {
        json_decref(message.copy);
        return message.fields.status;
    }
    *out = message.copy;
    return OK;
}

enum status chat_messages_normalise(json_t **out, const json_t *messages,
                                    const struct chat_style *style, struct refusal *refusal)
{
    json_t *list = json_array();
    json_t *known = json_object();
    enum status status = OK;
    for (size_t i = 0; i < json_array_size(messages) && status == OK; i++) {
        json_t *message = NULL;
        status = normalise_one(json_array_get(messages, i), i, style, known, &message, refusal);
        if (status == OK) {
            json_array_append_new(list, message);
        }
    }
    json_decref(known);
    if (status != OK) {
        json_decref(list);
        return status;
    }
    *out = list;
    return OK;
}
