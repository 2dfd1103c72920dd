/* prompts.c - a line that cannot be understood ends the reading with its number: a benchmark that
 * skips what it does not like measures something else than was asked.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/prompts.h"

#include "tests/load/bounds.h"
#include "tests/load/buffer.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool add_turn(struct prompt *prompt, const char *text)
{
    char **turns = realloc(prompt->turns, (prompt->turn_count + 1) * sizeof *turns);
    if (turns == NULL) {
        return false;
    }
    prompt->turns = turns;
    turns[prompt->turn_count] = strdup(text);
    return turns[prompt->turn_count++] != NULL;
}

/* The text of a message: a string, or the text parts of an array. */
static void append_content(struct buffer *text, const json_t *content)
{
    if (json_is_string(content)) {
        buffer_append(text, json_string_value(content), json_string_length(content));
    }
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_object_get(json_array_get(content, i), "text");
        if (json_is_string(part)) {
            buffer_append(text, json_string_value(part), json_string_length(part));
        }
    }
}

/* For chat the messages as they are; for completions their contents, one a line. */
static const char *take_messages(struct prompt *prompt, const json_t *messages)
{
    if (!json_is_array(messages) || json_array_size(messages) == 0) {
        return "messages is not an array with at least one message";
    }
    struct buffer text = {0};
    struct buffer json = {0};
    bool fine = true;
    for (size_t i = 0; fine && i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        fine = json_is_object(message) && json_is_string(json_object_get(message, "role"));
        append_content(&text, json_object_get(message, "content"));
        buffer_text(&text, "\n");
        char *dumped = fine ? json_dumps(message, JSON_COMPACT) : NULL;
        buffer_text(&json, i > 0 ? "," : "");
        buffer_text(&json, dumped != NULL ? dumped : "");
        free(dumped);
    }
    if (fine) {
        fine = add_turn(prompt, buffer_string(&text));
        prompt->messages = strdup(buffer_string(&json));
    }
    buffer_release(&text);
    buffer_release(&json);
    return fine ? NULL : "messages holds something that is not a message with a role";
}

static const char *take_turns(struct prompt *prompt, const json_t *turns)
{
    if (!json_is_array(turns) || json_array_size(turns) == 0 ||
        json_array_size(turns) > BOUND_TURNS) {
        return "turns is not an array of 1 to 1000 strings";
    }
    for (size_t i = 0; i < json_array_size(turns); i++) {
        const json_t *turn = json_array_get(turns, i);
        if (!json_is_string(turn) || !add_turn(prompt, json_string_value(turn))) {
            return "turns holds something that is not a string";
        }
    }
    return NULL;
}

static const char *take_text(struct prompt *prompt, const json_t *object)
{
    static const char *const keys[] = {"prompt", "question", "text"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *text = json_object_get(object, keys[i]);
        if (json_is_string(text)) {
            return add_turn(prompt, json_string_value(text)) ? NULL : "no memory for the text";
        }
    }
    return "has none of prompt, question, text, turns, messages";
}

static const char *take_object(struct prompt *prompt, const json_t *object)
{
    const json_t *wanted = json_object_get(object, "output_tokens");
    wanted = wanted != NULL ? wanted : json_object_get(object, "max_tokens");
    if (wanted != NULL) {
        json_int_t tokens = json_integer_value(wanted);
        if (!json_is_integer(wanted) || tokens < 1 || tokens > (json_int_t)BOUND_TOKENS) {
            return "output_tokens is not a number from 1 to 1000000";
        }
        prompt->output_tokens = (uint32_t)tokens;
    }
    if (json_object_get(object, "messages") != NULL) {
        return take_messages(prompt, json_object_get(object, "messages"));
    }
    if (json_object_get(object, "turns") != NULL) {
        return take_turns(prompt, json_object_get(object, "turns"));
    }
    return take_text(prompt, object);
}

static struct prompt *next_prompt(struct prompts *prompts)
{
    if (prompts->count == prompts->room) {
        uint32_t room = prompts->room > 0 ? 2 * prompts->room : 256;
        struct prompt *items = realloc(prompts->items, room * sizeof *items);
        if (items == NULL) {
            return NULL;
        }
        prompts->items = items;
        prompts->room = room;
    }
    struct prompt *prompt = &prompts->items[prompts->count++];
    *prompt = (struct prompt){0};
    return prompt;
}

static const char *take_line(struct prompts *prompts, const char *line)
{
    if (prompts->count >= BOUND_REQUESTS) {
        return "more than 2000000 prompts";
    }
    json_error_t problem;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &problem);
    if (!json_is_object(object)) {
        json_decref(object);
        return "not a JSON object";
    }
    struct prompt *prompt = next_prompt(prompts);
    const char *why = prompt != NULL ? take_object(prompt, object) : "no memory for the prompt";
    json_decref(object);
    return why;
}

enum status prompts_parse(struct prompts *prompts, FILE *file, const char *name, struct error *err)
{
    *prompts = (struct prompts){0};
    char *line = NULL;
    size_t line_room = 0;
    const char *why = NULL;
    uint64_t line_number = 0;
    while (why == NULL && getline(&line, &line_room, file) >= 0) {
        line_number++;
        bool empty = line[strspn(line, " \t\r\n")] == '\0';
        why = empty ? NULL : take_line(prompts, line);
    }
    free(line);
    enum status status = OK;
    if (why != NULL) {
        status = error_set(err, ERR_FORMAT, "%s, line %" PRIu64 ": %s", name, line_number, why);
    } else if (prompts->count == 0) {
        status = error_set(err, ERR_FORMAT, "%s holds no prompt", name);
    }
    if (status != OK) {
        prompts_release(prompts);
    }
    return status;
}

enum status prompts_read(struct prompts *prompts, const char *path, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        *prompts = (struct prompts){0};
        return error_set(err, ERR_IO, "--dataset-file %s: %s", path, strerror(errno));
    }
    enum status status = prompts_parse(prompts, file, path, err);
    fclose(file);
    return status;
}

void prompts_release(struct prompts *prompts)
{
    for (uint32_t i = 0; i < prompts->count; i++) {
        for (uint32_t turn = 0; turn < prompts->items[i].turn_count; turn++) {
            free(prompts->items[i].turns[turn]);
        }
        free(prompts->items[i].turns);
        free(prompts->items[i].messages);
    }
    free(prompts->items);
    *prompts = (struct prompts){0};
}
