/* generation.c - drains the replies event by event; each event goes through its choice's text
 * stream and leaves as a chunk at once (stream) or joins the choice's text (whole answer).
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/generation.h"

#include "configs/limits.h"
#include "engine/clock.h"
#include "server/sse.h"
#include "server/text_stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* A stream's reader is asked for bytes in portions of this order; more waits in the reply. */
    PORTION_BYTES = 16384
};

struct choice {
    struct text_stream stream;
    struct text_buffer text;     /* whole answer: all of it; stream: one chunk's */
    struct answer_token *tokens; /* whole answer with logprobs or ids: all of them */
    size_t token_capacity;
    size_t token_count;
    uint64_t output_count;     /* output tokens so far, the end token included */
    bool begun;                /* stream: role and echo are out */
    const char *finish_reason; /* NULL: goes on */
};

struct prompt {
    struct generate_params generate;
    struct reply *reply;
    uint32_t *ids; /* owned */
    uint32_t id_count;
    struct text_buffer echo;     /* filled when echo is wanted */
    struct answer_token *tokens; /* [id_count] echo with log-probabilities, else NULL */
    uint32_t open_choices;
    struct choice *choices; /* [choice_count] */
};

struct generation {
    struct engine *engine;
    struct params params;
    struct answer_head head;
    reply_wake_fn wake;
    void *wake_context;
    struct prompt *prompts; /* [prompt_count] */
    uint32_t prompt_capacity;
    uint32_t prompt_count;
    uint32_t open_prompts;
    uint32_t next_prompt; /* whose reply is asked first: no prompt starves another */
    bool ended;
    bool failed;
    struct refusal failure;
    struct answer_usage usage;
    uint64_t first_token_us;
    const char *finish_reason; /* of the choice that finished last */
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
    struct prompt *prompts = calloc(setup->prompt_count, sizeof *prompts);
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
    };
    snprintf(generation->head.id, sizeof generation->head.id, "%s", setup->id);
    *out = generation;
    return OK;
}

/* What echo shows of a prompt: its text, and where each token starts in it. */
static void fill_echo(struct generation *generation, struct prompt *prompt, const char *text,
                      size_t text_bytes)
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

static enum status open_choices(struct generation *generation, struct prompt *prompt,
                                struct refusal *refusal)
{
    const struct params *params = &generation->params;
    prompt->choices = calloc(params->generate.choice_count, sizeof *prompt->choices);
    if (prompt->choices == NULL) {
        return refuse_memory(refusal);
    }
    prompt->open_choices = params->generate.choice_count;
    for (uint32_t c = 0; c < params->generate.choice_count; c++) {
        struct choice *choice = &prompt->choices[c];
        text_stream_init(&choice->stream, generation->head.tokenizer, &params->stops,
                         params->include_stop, !params->skip_special_tokens);
        text_buffer_init(&choice->text, LIMIT_ANSWER_BYTES);
        text_buffer_append(&choice->text, "", 0);
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
    struct prompt *prompt = &generation->prompts[generation->prompt_count++];
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
        struct prompt *prompt = &generation->prompts[p];
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
        struct prompt *prompt = &generation->prompts[p];
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

/* ---- events ---- */

static uint32_t choice_index(const struct generation *generation, const struct prompt *prompt,
                             const struct choice *choice)
{
    return (uint32_t)(prompt - generation->prompts) * generation->params.generate.choice_count +
           (uint32_t)(choice - prompt->choices);
}

static bool wants_tokens(const struct generation *generation)
{
    return generation->head.logprobs || generation->head.token_ids;
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
static void begin_choice(struct generation *generation, struct prompt *prompt,
                         struct choice *choice, struct text_buffer *out)
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

static void close_choice(struct generation *generation, struct prompt *prompt,
                         struct choice *choice, const char *reason, struct text_buffer *out)
{
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
static void stop_choice(struct generation *generation, struct prompt *prompt, struct choice *choice,
                        const char *reason, struct text_buffer *out)
{
    reply_stop_choice(prompt->reply, (uint32_t)(choice - prompt->choices));
    engine_wake(generation->engine);
    close_choice(generation, prompt, choice, reason, out);
}

static bool keep_token(struct choice *choice, const struct answer_token *token)
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

static void set_failure(struct generation *generation, enum status status, const char *code,
                        const char *message)
{
    if (!generation->failed) {
        generation->failed = true;
        refusal_set_status(&generation->failure, status, code, "%s", message);
    }
}

/* Sends what choice->text gathered since the last chunk, with the token that brought it. */
static void flush_text(struct generation *generation, struct prompt *prompt, struct choice *choice,
                       const struct answer_token *token, struct text_buffer *out)
{
    if (!generation->params.stream) {
        return;
    }
    bool with_token = token != NULL && wants_tokens(generation);
    if (choice->text.byte_count > 0 || with_token) {
        struct answer_piece piece = {
            .index = choice_index(generation, prompt, choice),
            .text = choice->text.bytes,
            .text_bytes = choice->text.byte_count,
            .tokens = with_token ? token : NULL,
            .token_count = with_token ? 1 : 0,
        };
        send_chunk(generation, &piece, out);
    }
    text_buffer_clear(&choice->text);
}

static void take_token(struct generation *generation, struct prompt *prompt, struct choice *choice,
                       const struct reply_event *event, struct text_buffer *out)
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
    bool stopped = text_stream_feed(&choice->stream, event->token_id, may_stop, &choice->text);
    bool kept = params->stream || !wants_tokens(generation) || keep_token(choice, &token);
    if (!kept || choice->text.failed) {
        set_failure(generation, ERR_MEMORY, "out_of_memory",
                    "There is not enough memory for the answer.");
        return;
    }
    flush_text(generation, prompt, choice, &token, out);
    if (stopped) {
        stop_choice(generation, prompt, choice, "stop", out);
    }
}

/* What a client is told when the engine ends a choice for a reason of its own. */
static void fail_by_finish(struct generation *generation, enum reply_finish finish)
{
    switch (finish) {
    case REPLY_FINISH_DEADLINE:
        set_failure(generation, ERR_CANCELLED, "deadline_exceeded",
                    "The request ran longer than this server allows.");
        generation->failure.http_status = 504;
        generation->failure.retry_after_ms = 0;
        generation->failure.retry_never = true;
        return;
    case REPLY_FINISH_CAPACITY:
        set_failure(generation, ERR_MEMORY, "capacity_lost",
                    "The server ran out of cache memory for this request.");
        return;
    case REPLY_FINISH_CANCELLED:
        set_failure(generation, ERR_CANCELLED, "shutting_down",
                    "The server is stopping; the request was cut short.");
        return;
    default:
        set_failure(generation, ERR_DEVICE, "engine_error",
                    "The model failed while computing this request.");
    }
}

static void take_finish(struct generation *generation, struct prompt *prompt, struct choice *choice,
                        const struct reply_event *event, struct text_buffer *out)
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
    bool stopped = text_stream_finish(&choice->stream, may_stop, &choice->text);
    flush_text(generation, prompt, choice, NULL, out);
    bool by_length = event->finish == REPLY_FINISH_LENGTH && !stopped;
    close_choice(generation, prompt, choice, by_length ? "length" : "stop", out);
}

static void take_prompt_token(struct prompt *prompt, const struct reply_event *event)
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

static void take_event(struct generation *generation, struct prompt *prompt,
                       const struct reply_event *event, struct text_buffer *out)
{
    if (event->kind == REPLY_PROMPT_TOKEN) {
        take_prompt_token(prompt, event);
        return;
    }
    assert(event->choice < generation->params.generate.choice_count);
    struct choice *choice = &prompt->choices[event->choice];
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

/* ---- the whole answer ---- */

static bool put_echo_in_front(struct generation *generation, struct prompt *prompt,
                              struct choice *choice, struct answer_piece *piece,
                              struct text_buffer *joined)
{
    text_buffer_append(joined, prompt->echo.bytes, prompt->echo.byte_count);
    text_buffer_append(joined, choice->text.bytes, choice->text.byte_count);
    piece->text = joined->bytes;
    piece->text_bytes = joined->byte_count;
    if (!wants_tokens(generation) || prompt->tokens == NULL) {
        return !joined->failed;
    }
    size_t count = prompt->id_count + choice->token_count;
    struct answer_token *tokens = malloc(count * sizeof *tokens);
    if (tokens == NULL) {
        return false;
    }
    memcpy(tokens, prompt->tokens, prompt->id_count * sizeof *tokens);
    if (choice->token_count > 0) {
        memcpy(tokens + prompt->id_count, choice->tokens, choice->token_count * sizeof *tokens);
    }
    free(choice->tokens);
    choice->tokens = tokens;
    choice->token_count = count;
    piece->hidden_count = prompt->id_count;
    return !joined->failed;
}

/* One piece per choice. Texts with an echo in front live in joined. */
static bool fill_pieces(struct generation *generation, struct answer_piece *pieces,
                        struct text_buffer *joined)
{
    size_t filled = 0;
    bool fits = true;
    for (uint32_t p = 0; p < generation->prompt_count; p++) {
        struct prompt *prompt = &generation->prompts[p];
        for (uint32_t c = 0; c < generation->params.generate.choice_count; c++, filled++) {
            struct choice *choice = &prompt->choices[c];
            struct answer_piece *piece = &pieces[filled];
            *piece = (struct answer_piece){
                .index = (uint32_t)filled,
                .text = choice->text.bytes,
                .text_bytes = choice->text.byte_count,
                .prompt_ids = generation->head.token_ids ? prompt->ids : NULL,
                .prompt_id_count = prompt->id_count,
                .finish_reason = choice->finish_reason,
            };
            text_buffer_init(&joined[filled], LIMIT_ANSWER_BYTES);
            if (generation->params.echo) {
                fits =
                    put_echo_in_front(generation, prompt, choice, piece, &joined[filled]) && fits;
            }
            piece->tokens = choice->tokens;
            piece->token_count = choice->token_count;
        }
    }
    return fits;
}

static void write_whole(struct generation *generation, struct text_buffer *out)
{
    size_t count = (size_t)generation->prompt_count * generation->params.generate.choice_count;
    struct answer_piece *pieces = calloc(count, sizeof *pieces);
    struct text_buffer *joined = calloc(count, sizeof *joined);
    bool fits = pieces != NULL && joined != NULL && fill_pieces(generation, pieces, joined);
    if (fits) {
        answer_write_whole(out, &generation->head, pieces, count, &generation->usage);
    }
    if (!fits || out->failed) {
        set_failure(generation, ERR_MEMORY, "out_of_memory",
                    "There is not enough memory for the answer.");
    }
    for (size_t i = 0; joined != NULL && i < count; i++) {
        text_buffer_release(&joined[i]);
    }
    free(joined);
    free(pieces);
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
        write_whole(generation, out);
    }
    return GENERATION_ENDED;
}

/* Takes events of one reply until it is empty or the portion is full. False: it was empty. */
static bool drain(struct generation *generation, struct prompt *prompt, struct text_buffer *out)
{
    struct reply_event event;
    bool any = false;
    while (!generation->failed && prompt->open_choices > 0 && out->byte_count < PORTION_BYTES &&
           reply_take(prompt->reply, &event)) {
        take_event(generation, prompt, &event, out);
        any = true;
    }
    return any;
}

enum generation_state generation_advance(struct generation *generation, struct text_buffer *out)
{
    assert(!generation->ended);
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

static void close_prompt(struct generation *generation, struct prompt *prompt)
{
    for (uint32_t c = 0; prompt->choices != NULL && c < generation->params.generate.choice_count;
         c++) {
        text_stream_release(&prompt->choices[c].stream);
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
