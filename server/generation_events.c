/* generation_events.c - each token goes through its choice's text stream; in a stream, what that
 * lets out leaves as a chunk at once. SPDX-License-Identifier: Apache-2.0 */
#include "server/generation_events.h"

#include "engine/clock.h"
#include "server/generation_output.h"
#include "server/sse.h"

#include <assert.h>
#include <stdlib.h>

void generation_events_fail(struct generation *generation, enum status status, const char *code,
                            const char *message)
{
    if (!generation->failed) {
        generation->failed = true;
        refusal_set_status(&generation->failure, status, code, "%s", message);
    }
}

static void fail_memory(struct generation *generation)
{
    generation_events_fail(generation, ERR_MEMORY, "out_of_memory",
                           "There is not enough memory for the answer.");
}

static uint32_t choice_index(const struct generation *generation,
                             const struct generation_prompt *prompt,
                             const struct generation_choice *choice)
{
    return (uint32_t)(prompt - generation->prompts) * generation->params.generate.choice_count +
           (uint32_t)(choice - prompt->choices);
}

/* Sends a chunk with what choice->text and tokens hold. */
static void send_chunk(struct generation *generation, struct answer_piece *piece,
                       struct text_buffer *out)
{
    sse_begin(out);
    answer_write_chunk(out, &generation->head, piece, &generation->usage);
    sse_end(out);
}

/* Role (chat) or echo (completions), once, in front of a choice's first event. */
static void begin_choice(struct generation *generation, struct generation_prompt *prompt,
                         struct generation_choice *choice, struct text_buffer *out)
{
    if (choice->begun) {
        return;
    }
    choice->begun = true;
    struct answer_piece piece = {
        .index = choice_index(generation, prompt, choice),
        .text = "",
        .prompt_ids = generation->head.token_ids ? prompt->ids : NULL,
        .prompt_id_count = prompt->id_count,
    };
    if (generation->params.route == PARAMS_CHAT) {
        sse_begin(out);
        answer_write_role(out, &generation->head, &piece, &generation->usage);
        sse_end(out);
    } else if (generation->params.echo || generation->head.token_ids) {
        piece.text = generation->params.echo ? prompt->echo.bytes : "";
        piece.text_bytes = prompt->echo.byte_count;
        piece.tokens = prompt->tokens;
        piece.token_count = prompt->tokens != NULL ? prompt->id_count : 0;
        piece.hidden_count = piece.token_count;
        send_chunk(generation, &piece, out);
    }
}

static void close_choice(struct generation *generation, struct generation_prompt *prompt,
                         struct generation_choice *choice, const char *reason,
                         struct text_buffer *out)
{
    reason = generation_output_reason(choice, reason);
    choice->finish_reason = reason;
    generation->finish_reason = reason;
    prompt->open_choices--;
    if (prompt->open_choices == 0) {
        generation->open_prompts--;
        generation->usage.cached_tokens += reply_cached_tokens(prompt->reply);
    }
    if (generation->params.stream) {
        struct answer_piece piece = {
            .index = choice_index(generation, prompt, choice), .text = "", .finish_reason = reason};
        send_chunk(generation, &piece, out);
    }
}

/* The reader has enough of this choice; the engine hears of it before its next step. */
static void stop_choice(struct generation *generation, struct generation_prompt *prompt,
                        struct generation_choice *choice, const char *reason,
                        struct text_buffer *out)
{
    reply_stop_choice(prompt->reply, (uint32_t)(choice - prompt->choices));
    engine_wake(generation->engine);
    close_choice(generation, prompt, choice, reason, out);
}

static bool keep_token(struct generation_choice *choice, const struct answer_token *token)
{
    if (choice->token_count == choice->token_capacity) {
        size_t capacity = choice->token_capacity > 0 ? choice->token_capacity * 2 : 64;
        struct answer_token *grown = realloc(choice->tokens, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        choice->tokens = grown;
        choice->token_capacity = capacity;
    }
    choice->tokens[choice->token_count++] = *token;
    return true;
}

/* Sends what choice->text gathered since the last chunk, with the token that brought it: a chunk for
 * each run of a parsed text, the token with the first of them. */
static void flush_text(struct generation *generation, struct generation_prompt *prompt,
                       struct generation_choice *choice, const struct answer_token *token,
                       struct text_buffer *out)
{
    if (!generation->params.stream) {
        return;
    }
    bool with_token = token != NULL && generation_state_wants_tokens(generation);
    size_t count = choice->parser != NULL ? choice->run_count : choice->text.byte_count > 0;
    for (size_t i = 0; i < count || (i == 0 && with_token); i++) {
        struct answer_piece piece = {
            .index = choice_index(generation, prompt, choice),
            .text = choice->text.bytes,
            .text_bytes = choice->text.byte_count,
            .runs = i < choice->run_count ? &choice->runs[i] : NULL,
            .run_count = i < choice->run_count ? 1 : 0,
            .tokens = with_token && i == 0 ? token : NULL,
            .token_count = with_token && i == 0 ? 1 : 0,
        };
        send_chunk(generation, &piece, out);
    }
    generation_output_clear(choice);
}

static void take_token(struct generation *generation, struct generation_prompt *prompt,
                       struct generation_choice *choice, const struct reply_event *event,
                       struct text_buffer *out)
{
    const struct params *params = &generation->params;
    if (generation->first_token_us == 0) {
        generation->first_token_us = clock_now_us();
    }
    if (params->max_tokens_given && params->max_tokens == 0) {
        stop_choice(generation, prompt, choice, "length", out);
        return;
    }
    struct answer_token token = {
        .token_id = event->token_id,
        .scored = true,
        .logprob = event->logprob,
        .top = event->top,
        .top_count = event->top_count,
        .text_offset = choice->stream.character_count,
    };
    choice->output_count++;
    generation->usage.completion_tokens++;
    bool may_stop = choice->output_count > params->generate.sampling.min_tokens;
    bool stopped = text_stream_feed(&choice->stream, event->token_id, may_stop,
                                    generation_output_target(choice));
    bool ended = generation_output_take(choice);
    if (stopped) {
        generation_output_finish(choice, true);
    }
    bool kept =
        params->stream || !generation_state_wants_tokens(generation) || keep_token(choice, &token);
    if (!kept || choice->text.failed) {
        fail_memory(generation);
        return;
    }
    flush_text(generation, prompt, choice, &token, out);
    if (stopped || ended) {
        stop_choice(generation, prompt, choice, "stop", out);
    }
}

/* What a client is told when the engine ends a choice for a reason of its own. */
static void fail_by_finish(struct generation *generation, enum reply_finish finish)
{
    switch (finish) {
    case REPLY_FINISH_DEADLINE:
        generation_events_fail(generation, ERR_CANCELLED, "deadline_exceeded",
                               "The request ran longer than this server allows.");
        generation->failure.http_status = 504;
        generation->failure.retry_after_ms = 0;
        generation->failure.retry_never = true;
        return;
    case REPLY_FINISH_CAPACITY:
        generation_events_fail(generation, ERR_MEMORY, "capacity_lost",
                               "The server ran out of cache memory for this request.");
        return;
    case REPLY_FINISH_CANCELLED:
        generation_events_fail(generation, ERR_CANCELLED, "shutting_down",
                               "The server is stopping; the request was cut short.");
        return;
    default:
        generation_events_fail(generation, ERR_DEVICE, "engine_error",
                               "The model failed while computing this request.");
    }
}

static void take_finish(struct generation *generation, struct generation_prompt *prompt,
                        struct generation_choice *choice, const struct reply_event *event,
                        struct text_buffer *out)
{
    if (event->finish != REPLY_FINISH_STOP && event->finish != REPLY_FINISH_LENGTH) {
        fail_by_finish(generation, event->finish);
        return;
    }
    if (event->end_token) {
        /* The model produced it, as every other server counts it, though no text shows it. */
        choice->output_count++;
        generation->usage.completion_tokens++;
    }
    bool may_stop = choice->output_count > generation->params.generate.sampling.min_tokens;
    bool stopped = text_stream_finish(&choice->stream, may_stop, generation_output_target(choice));
    bool by_length = event->finish == REPLY_FINISH_LENGTH && !stopped;
    generation_output_finish(choice, by_length || stopped);
    if (choice->text.failed) {
        fail_memory(generation);
        return;
    }
    flush_text(generation, prompt, choice, NULL, out);
    close_choice(generation, prompt, choice, by_length ? "length" : "stop", out);
}

static void take_prompt_token(struct generation_prompt *prompt, const struct reply_event *event)
{
    if (prompt->tokens == NULL || event->index == 0 || event->index >= prompt->id_count) {
        return;
    }
    struct answer_token *token = &prompt->tokens[event->index];
    token->scored = true;
    token->logprob = event->logprob;
    token->top = event->top;
    token->top_count = event->top_count;
}

void generation_events_take(struct generation *generation, struct generation_prompt *prompt,
                            const struct reply_event *event, struct text_buffer *out)
{
    if (event->kind == REPLY_PROMPT_TOKEN) {
        take_prompt_token(prompt, event);
        return;
    }
    assert(event->choice < generation->params.generate.choice_count);
    struct generation_choice *choice = &prompt->choices[event->choice];
    if (choice->finish_reason != NULL) {
        return; /* stopped by a string; what the engine had made meanwhile is nobody's */
    }
    if (generation->params.stream) {
        begin_choice(generation, prompt, choice, out);
    }
    if (event->kind == REPLY_TOKEN) {
        take_token(generation, prompt, choice, event, out);
    } else {
        take_finish(generation, prompt, choice, event, out);
    }
}
