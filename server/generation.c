/* generation.c - sets prompts up, hands them over, and drains their replies in turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/generation.h"

#include "configs/limits.h"
#include "server/generation_events.h"
#include "server/generation_output.h"
#include "server/generation_state.h"
#include "server/generation_whole.h"
#include "server/sse.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* A stream's reader is asked for bytes in portions of this order; more waits in the reply. */
    PORTION_BYTES = 16384
};

static enum status refuse_memory(struct refusal *refusal)
{
    return refusal_set_status(refusal, ERR_MEMORY, "out_of_memory",
                              "There is not enough memory for this request now.");
}

/* ---- setting up ---- */

enum status generation_open(struct generation **out, const struct generation_setup *setup,
                            struct refusal *refusal)
{
    struct generation *generation = calloc(1, sizeof *generation);
    struct generation_prompt *prompts = calloc(setup->prompt_count, sizeof *prompts);
    if (generation == NULL || prompts == NULL) {
        free(generation);
        free(prompts);
        return refuse_memory(refusal);
    }
    generation->engine = setup->engine;
    generation->params = *setup->params;
    *setup->params = (struct params){0};
    generation->wake = setup->wake;
    generation->wake_context = setup->wake_context;
    generation->prompts = prompts;
    generation->prompt_capacity = setup->prompt_count;
    const struct params *params = &generation->params;
    generation->head = (struct answer_head){
        .route = params->route,
        .model_name = setup->model_name,
        .created = setup->created,
        .tokenizer = engine_tokenizer(setup->engine),
        .logprobs = params->generate.sampling.logprobs,
        .token_ids = params->return_token_ids,
        .usage_in_chunks = params->include_usage || params->continuous_usage,
        .usage_continuous = params->continuous_usage,
        .id_seed = salt_random(),
    };
    snprintf(generation->head.id, sizeof generation->head.id, "%s", setup->id);
    *out = generation;
    return OK;
}

void generation_set_output(struct generation *generation, struct generation_output *output)
{
    assert(generation->prompt_count == 0 && generation->output.family == NULL);
    generation->output = *output;
    *output = (struct generation_output){0};
    if (generation->output.family != NULL) {
        generation->head.id_style = output_family_id_style(generation->output.family);
    }
}

/* What echo shows of a prompt: its text, and where each token starts in it. */
static void fill_echo(struct generation *generation, struct generation_prompt *prompt,
                      const char *text, size_t text_bytes)
{
    struct detokenizer detokenizer;
    detokenizer_init(&detokenizer, generation->head.tokenizer,
                     !generation->params.skip_special_tokens, false);
    struct text_buffer decoded;
    text_buffer_init(&decoded, LIMIT_ANSWER_BYTES);
    text_buffer_append(&decoded, "", 0);
    uint64_t character_count = 0;
    for (uint32_t i = 0; i < prompt->id_count; i++) {
        size_t token_bytes;
        tokenizer_token_bytes(generation->head.tokenizer, prompt->ids[i], true, &token_bytes);
        char *room = text_buffer_room(&decoded, token_bytes * 3 + 16);
        if (room == NULL) {
            break;
        }
        if (prompt->tokens != NULL) {
            prompt->tokens[i] =
                (struct answer_token){.token_id = prompt->ids[i], .text_offset = character_count};
        }
        size_t byte_count =
            detokenizer_feed(&detokenizer, prompt->ids[i], room, token_bytes * 3 + 16);
        character_count += text_stream_characters(room, byte_count);
        room[byte_count] = '\0';
        decoded.byte_count += byte_count;
    }
    prompt->echo.failed = decoded.failed;
    text_buffer_append(&prompt->echo, text != NULL ? text : decoded.bytes,
                       text != NULL ? text_bytes : decoded.byte_count);
    text_buffer_release(&decoded);
}

static enum status open_choices(struct generation *generation, struct generation_prompt *prompt,
                                struct refusal *refusal)
{
    const struct params *params = &generation->params;
    prompt->choices = calloc(params->generate.choice_count, sizeof *prompt->choices);
    if (prompt->choices == NULL) {
        return refuse_memory(refusal);
    }
    prompt->open_choices = params->generate.choice_count;
    for (uint32_t c = 0; c < params->generate.choice_count; c++) {
        struct generation_choice *choice = &prompt->choices[c];
        text_stream_init(&choice->stream, generation->head.tokenizer, &params->stops,
                         params->include_stop, !params->skip_special_tokens);
        text_buffer_init(&choice->text, LIMIT_ANSWER_BYTES);
        text_buffer_append(&choice->text, "", 0);
        if (!generation_output_open(generation, choice)) {
            return refuse_memory(refusal);
        }
        choice->stream.character_count = text_stream_characters(
            prompt->echo.bytes != NULL ? prompt->echo.bytes : "", prompt->echo.byte_count);
    }
    return OK;
}

enum status generation_add_prompt(struct generation *generation, uint32_t *ids, size_t id_count,
                                  const char *echo_text, size_t echo_bytes,
                                  const struct params_limits *limits, struct refusal *refusal)
{
    assert(generation->prompt_count < generation->prompt_capacity);
    struct generation_prompt *prompt = &generation->prompts[generation->prompt_count++];
    struct params *params = &generation->params;
    prompt->ids = ids;
    text_buffer_init(&prompt->echo, LIMIT_ANSWER_BYTES);
    enum status status = params_fit(params, ids, id_count, limits, refusal);
    if (status != OK) {
        return status;
    }
    prompt->id_count = (uint32_t)id_count;
    prompt->generate = params->generate;
    if (params->echo) {
        if (params->generate.prompt_logprobs || params->return_token_ids) {
            prompt->tokens = calloc(id_count, sizeof *prompt->tokens);
        }
        fill_echo(generation, prompt, echo_text, echo_bytes);
        if (prompt->echo.failed || (prompt->tokens == NULL && params->generate.prompt_logprobs)) {
            return refuse_memory(refusal);
        }
    }
    return open_choices(generation, prompt, refusal);
}

/* All replies first: an allocation that fails then leaves nothing half-submitted. */
static enum status open_replies(struct generation *generation, struct refusal *refusal)
{
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        struct generation_prompt *prompt = &generation->prompts[p];
        struct error error = {0};
        if (reply_open(&prompt->reply, &prompt->generate, &error) != OK) {
            refusal_from_error(refusal, &error, "out_of_memory");
            return refusal->error.status;
        }
        reply_set_waker(prompt->reply, generation->wake, generation->wake_context);
    }
    return OK;
}

static const char *code_of_submit(enum status status)
{
    switch (status) {
    case ERR_FULL:
        return "server_overloaded";
    case ERR_CANCELLED:
        return "shutting_down";
    default:
        return status == ERR_INVALID ? "invalid_value" : "server_error";
    }
}

enum status generation_submit(struct generation *generation, struct refusal *refusal)
{
    enum status status = open_replies(generation, refusal);
    if (status != OK) {
        return status;
    }
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        struct generation_prompt *prompt = &generation->prompts[p];
        struct error error = {0};
        status = engine_submit(generation->engine, &prompt->generate, prompt->reply, &error);
        if (status != OK) {
            refusal_from_error(refusal, &error, code_of_submit(status));
            return status;
        }
        generation->open_prompts++;
        generation->usage.prompt_tokens += prompt->id_count;
    }
    return OK;
}

bool generation_streams(const struct generation *generation)
{
    return generation->params.stream;
}

/* ---- being asked ---- */

static void end_stream(struct generation *generation, struct text_buffer *out)
{
    if (generation->failed) {
        sse_write_error(out, &generation->failure);
        return;
    }
    if (generation->params.include_usage) {
        sse_begin(out);
        answer_write_usage_chunk(out, &generation->head, &generation->usage);
        sse_end(out);
    }
    sse_write_done(out);
}

static enum generation_state end(struct generation *generation, struct text_buffer *out)
{
    generation->ended = true;
    if (generation->params.stream) {
        end_stream(generation, out);
    } else if (!generation->failed) {
        generation_whole_write(generation, out);
    }
    return GENERATION_ENDED;
}

/* Takes events of one reply until it is empty or the portion is full. False: it was empty. */
static bool drain(struct generation *generation, struct generation_prompt *prompt,
                  struct text_buffer *out)
{
    struct reply_event event;
    bool any = false;
    while (!generation->failed && prompt->open_choices > 0 && out->byte_count < PORTION_BYTES &&
           reply_take(prompt->reply, &event)) {
        generation_events_take(generation, prompt, &event, out);
        any = true;
    }
    return any;
}

enum generation_state generation_advance(struct generation *generation, struct text_buffer *out)
{
    assert(!generation->ended && generation->prompt_count > 0);
    bool any = true;
    while (any && !generation->failed && out->byte_count < PORTION_BYTES) {
        any = false;
        for (uint32_t i = 0; i < generation->prompt_count; i++) {
            uint32_t p = (generation->next_prompt + i) % generation->prompt_count;
            any = drain(generation, &generation->prompts[p], out) || any;
        }
        generation->next_prompt = (generation->next_prompt + 1) % generation->prompt_count;
    }
    if (generation->failed || generation->open_prompts == 0) {
        return end(generation, out);
    }
    return out->byte_count > 0 ? GENERATION_MORE : GENERATION_WAITS;
}

const struct refusal *generation_failure(const struct generation *generation)
{
    return generation->failed ? &generation->failure : NULL;
}

void generation_fail(struct generation *generation, const struct refusal *failure)
{
    if (!generation->failed) {
        generation->failed = true;
        generation->failure = *failure;
    }
}

void generation_abandon(struct generation *generation)
{
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        reply_abandon(generation->prompts[p].reply);
    }
    engine_wake(generation->engine);
}

static void close_prompt(struct generation *generation, struct generation_prompt *prompt)
{
    for (uint32_t c = 0; prompt->choices != NULL && c < generation->params.generate.choice_count;
         c++) {
        text_stream_release(&prompt->choices[c].stream);
        generation_output_close(&prompt->choices[c]);
        text_buffer_release(&prompt->choices[c].text);
        free(prompt->choices[c].tokens);
    }
    free(prompt->choices);
    free(prompt->tokens);
    free(prompt->ids);
    text_buffer_release(&prompt->echo);
    if (prompt->reply != NULL) {
        if (prompt->open_choices > 0) {
            reply_abandon(prompt->reply);
        }
        reply_set_waker(prompt->reply, NULL, NULL);
        reply_put(prompt->reply);
    }
}

void generation_close(struct generation *generation)
{
    if (generation == NULL) {
        return;
    }
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        close_prompt(generation, &generation->prompts[p]);
    }
    if (!generation->ended || generation->failed) {
        engine_wake(generation->engine);
    }
    params_release(&generation->params);
    json_decref(generation->output.tools);
    free(generation->output.forced);
    free(generation->prompts);
    free(generation);
}

void generation_summarise(const struct generation *generation, struct generation_summary *out)
{
    *out = (struct generation_summary){
        .prompt_tokens = generation->usage.prompt_tokens,
        .completion_tokens = generation->usage.completion_tokens,
        .cached_tokens = generation->usage.cached_tokens,
        .first_token_us = generation->first_token_us,
        .finish_reason = generation->failed ? generation->failure.code : generation->finish_reason,
    };
}
