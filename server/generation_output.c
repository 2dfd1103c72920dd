/* generation_output.c - the parser's pieces become choice->text, and runs that say what is what.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/generation_output.h"

#include "configs/limits.h"

#include <stdlib.h>
#include <string.h>

/* Another run, or more of the last one. */
static struct answer_run *run_for(struct generation_choice *choice, enum output_kind kind,
                                  uint32_t call)
{
    if (choice->run_count > 0) {
        struct answer_run *last = &choice->runs[choice->run_count - 1];
        if (last->kind == kind && last->call == call) {
            return last;
        }
    }
    if (choice->run_count == choice->run_capacity) {
        size_t capacity = choice->run_capacity > 0 ? choice->run_capacity * 2 : 8;
        struct answer_run *grown = realloc(choice->runs, capacity * sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        choice->runs = grown;
        choice->run_capacity = capacity;
    }
    struct answer_run *run = &choice->runs[choice->run_count++];
    *run = (struct answer_run){.kind = kind, .call = call, .begin = choice->text.byte_count};
    return run;
}

static void take(void *context, enum output_kind kind, const char *bytes, size_t byte_count)
{
    struct generation_choice *choice = context;
    choice->call_count += kind == OUTPUT_CALL;
    bool of_call = kind == OUTPUT_CALL || kind == OUTPUT_ARGUMENTS;
    struct answer_run *run = run_for(choice, kind, of_call ? choice->call_count - 1 : 0);
    if (run == NULL) {
        choice->text.failed = true;
        return;
    }
    run->byte_count += byte_count;
    text_buffer_append(&choice->text, bytes, byte_count);
}

bool generation_output_open(struct generation *generation, struct generation_choice *choice)
{
    const struct generation_output *output = &generation->output;
    if (output->family == NULL) {
        return true;
    }
    const struct output_setup setup = {
        .family = output->family,
        .tools = output->tools,
        .reasoning_open = output->reasoning_open,
        .one_call = output->one_call,
        .forced = output->forced_bytes > 0,
        .show_control = !generation->params.skip_special_tokens,
        .take = take,
        .take_context = choice,
    };
    choice->parser = output_parser_open(&setup);
    text_buffer_init(&choice->raw, LIMIT_ANSWER_BYTES);
    choice->stream.marks_control = true;
    if (choice->parser == NULL) {
        return false;
    }
    output_parser_feed(choice->parser, output->forced, output->forced_bytes);
    return !choice->text.failed;
}

void generation_output_close(struct generation_choice *choice)
{
    output_parser_close(choice->parser);
    text_buffer_release(&choice->raw);
    free(choice->runs);
}

struct text_buffer *generation_output_target(struct generation_choice *choice)
{
    return choice->parser != NULL ? &choice->raw : &choice->text;
}

/* Failures of the parser are the text's. */
static void note_failure(struct generation_choice *choice)
{
    if (choice->raw.failed || output_parser_failed(choice->parser)) {
        choice->text.failed = true;
    }
}

bool generation_output_take(struct generation_choice *choice)
{
    if (choice->parser == NULL) {
        return false;
    }
    bool ended = output_parser_feed(choice->parser, choice->raw.bytes, choice->raw.byte_count);
    note_failure(choice);
    if (choice->raw.byte_count > 0) {
        text_buffer_clear(&choice->raw);
    }
    return ended;
}

void generation_output_finish(struct generation_choice *choice, bool truncated)
{
    if (choice->parser != NULL) {
        generation_output_take(choice);
        output_parser_finish(choice->parser, truncated);
        note_failure(choice);
    }
}

void generation_output_clear(struct generation_choice *choice)
{
    text_buffer_clear(&choice->text);
    choice->run_count = 0;
}

const char *generation_output_reason(const struct generation_choice *choice, const char *reason)
{
    return choice->call_count > 0 && strcmp(reason, "stop") == 0 ? "tool_calls" : reason;
}
