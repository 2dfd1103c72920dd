/* chat_messages.c - copies each message shallowly and replaces what needs it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/chat_messages.h"

#include "configs/limits.h"
#include "server/json_fields.h"
#include "server/text_buffer.h"

#include <stdint.h>
#include <stdio.h>
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

static void set_content(struct message *message, const char *role)
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
        json_object_set_new(message->copy, "content", json_null());
    } else if (!json_is_string(content)) {
        json_fields_refuse(&message->fields, "content", content != NULL ? content : json_null(),
                           "a string or an array of text parts");
    }
}

/* Templates walk arguments as an object; the wire carries them as a string of JSON. */
static json_t *with_parsed_arguments(const json_t *call)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)call);
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = json_object_get(function, "arguments");
    if (!json_is_string(arguments)) {
        return copy;
    }
    json_t *parsed = json_loadb(json_string_value(arguments), json_string_length(arguments),
                                JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return copy;
    }
    json_t *function_copy = json_copy((json_t *)(uintptr_t)function);
    json_object_set_new(function_copy, "arguments", parsed);
    json_object_set_new(copy, "function", function_copy);
    return copy;
}

static void set_tool_calls(struct message *message)
{
    const json_t *calls = json_fields_array(&message->fields, "tool_calls");
    if (calls == NULL || message->fields.status != OK) {
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *name = json_object_get(json_object_get(call, "function"), "name");
        if (!json_is_string(name)) {
            json_fields_refuse(&message->fields, "tool_calls", call,
                               "an array of {id, type, function: {name, arguments}}");
            break;
        }
        json_array_append_new(list, with_parsed_arguments(call));
    }
    json_object_set_new(message->copy, "tool_calls", list);
}

static enum status normalise_one(const json_t *given, size_t index, json_t **out,
                                 struct refusal *refusal)
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
    set_content(&message, role);
    set_tool_calls(&message);
    if (message.fields.status != OK) {
        json_decref(message.copy);
        return message.fields.status;
    }
    *out = message.copy;
    return OK;
}

enum status chat_messages_normalise(json_t **out, const json_t *messages, struct refusal *refusal)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *message = NULL;
        enum status status = normalise_one(json_array_get(messages, i), i, &message, refusal);
        if (status != OK) {
            json_decref(list);
            return status;
        }
        json_array_append_new(list, message);
    }
    *out = list;
    return OK;
}
