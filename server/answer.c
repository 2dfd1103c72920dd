/* answer.c - one function per JSON object of the wire, outermost last.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/answer.h"

#include "server/answer_message.h"
#include "server/json_text.h"

#include <inttypes.h>
#include <string.h>

/* ---- log-probabilities ---- */

static void write_token_text(struct text_buffer *out, const struct answer_head *head,
                             uint32_t token_id)
{
    size_t byte_count;
    const char *bytes = tokenizer_token_bytes(head->tokenizer, token_id, true, &byte_count);
    json_text_string(out, bytes, byte_count);
}

static void write_chat_entry(struct text_buffer *out, const struct answer_head *head,
                             uint32_t token_id, float logprob)
{
    size_t byte_count;
    const char *bytes = tokenizer_token_bytes(head->tokenizer, token_id, true, &byte_count);
    text_buffer_append_text(out, "\"token\":");
    json_text_string(out, bytes, byte_count);
    text_buffer_append_text(out, ",\"logprob\":");
    json_text_float(out, logprob);
    text_buffer_append_text(out, ",\"bytes\":");
    json_text_bytes(out, bytes, byte_count);
}

static void write_chat_logprobs(struct text_buffer *out, const struct answer_head *head,
                                const struct answer_piece *piece)
{
    text_buffer_append_text(out, "{\"content\":[");
    for (size_t i = 0; i < piece->token_count; i++) {
        const struct answer_token *token = &piece->tokens[i];
        text_buffer_append_text(out, i > 0 ? ",{" : "{");
        write_chat_entry(out, head, token->token_id, token->logprob);
        text_buffer_append_text(out, ",\"top_logprobs\":[");
        for (uint32_t t = 0; t < token->top_count; t++) {
            text_buffer_append_text(out, t > 0 ? ",{" : "{");
            write_chat_entry(out, head, token->top[t].token_id, token->top[t].logprob);
            text_buffer_append_text(out, "}");
        }
        text_buffer_append_text(out, "]}");
    }
    text_buffer_append_text(out, "],\"refusal\":null}");
}

static bool same_text(const struct answer_head *head, uint32_t a, uint32_t b)
{
    size_t a_bytes;
    size_t b_bytes;
    const char *a_text = tokenizer_token_bytes(head->tokenizer, a, true, &a_bytes);
    const char *b_text = tokenizer_token_bytes(head->tokenizer, b, true, &b_bytes);
    return a == b || (a_bytes == b_bytes && memcmp(a_text, b_text, a_bytes) == 0);
}

/* Keys are token texts: where two tokens share one, the likelier stays. */
static bool is_shown_before(const struct answer_head *head, const struct answer_token *token,
                            uint32_t count, uint32_t token_id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (same_text(head, token->top[i].token_id, token_id)) {
            return true;
        }
    }
    return false;
}

static void write_top_entry(struct text_buffer *out, const struct answer_head *head,
                            uint32_t token_id, float logprob, bool *is_first)
{
    text_buffer_append_text(out, *is_first ? "" : ",");
    *is_first = false;
    write_token_text(out, head, token_id);
    text_buffer_append_text(out, ":");
    json_text_float(out, logprob);
}

/* The best ones, and the chosen token when it is not among them. */
static void write_top_object(struct text_buffer *out, const struct answer_head *head,
                             const struct answer_token *token)
{
    if (!token->scored) {
        text_buffer_append_text(out, "null");
        return;
    }
    bool is_first = true;
    text_buffer_append_text(out, "{");
    for (uint32_t i = 0; i < token->top_count; i++) {
        if (!is_shown_before(head, token, i, token->top[i].token_id)) {
            write_top_entry(out, head, token->top[i].token_id, token->top[i].logprob, &is_first);
        }
    }
    if (!is_shown_before(head, token, token->top_count, token->token_id)) {
        write_top_entry(out, head, token->token_id, token->logprob, &is_first);
    }
    text_buffer_append_text(out, "}");
}

static void write_completion_logprobs(struct text_buffer *out, const struct answer_head *head,
                                      const struct answer_piece *piece)
{
    text_buffer_append_text(out, "{\"tokens\":[");
    for (size_t i = 0; i < piece->token_count; i++) {
        text_buffer_append_text(out, i > 0 ? "," : "");
        write_token_text(out, head, piece->tokens[i].token_id);
    }
    text_buffer_append_text(out, "],\"token_logprobs\":[");
    for (size_t i = 0; i < piece->token_count; i++) {
        text_buffer_append_text(out, i > 0 ? "," : "");
        if (piece->tokens[i].scored) {
            json_text_float(out, piece->tokens[i].logprob);
        } else {
            text_buffer_append_text(out, "null");
        }
    }
    text_buffer_append_text(out, "],\"top_logprobs\":[");
    for (size_t i = 0; i < piece->token_count; i++) {
        text_buffer_append_text(out, i > 0 ? "," : "");
        write_top_object(out, head, &piece->tokens[i]);
    }
    text_buffer_append_text(out, "],\"text_offset\":[");
    for (size_t i = 0; i < piece->token_count; i++) {
        text_buffer_printf(out, i > 0 ? ",%" PRIu64 : "%" PRIu64, piece->tokens[i].text_offset);
    }
    text_buffer_append_text(out, "]}");
}

/* ---- one choice ---- */

static void write_ids(struct text_buffer *out, const struct answer_head *head,
                      const struct answer_piece *piece)
{
    if (!head->token_ids) {
        return;
    }
    text_buffer_append_text(out, ",\"token_ids\":[");
    for (size_t i = piece->hidden_count; i < piece->token_count; i++) {
        text_buffer_printf(out, i > piece->hidden_count ? ",%u" : "%u", piece->tokens[i].token_id);
    }
    text_buffer_append_text(out, "]");
    if (piece->prompt_ids != NULL) {
        text_buffer_append_text(out, ",\"prompt_token_ids\":");
        json_text_ids(out, piece->prompt_ids, piece->prompt_id_count);
    }
}

/* What follows the text: logprobs, finish reason, ids. */
static void write_choice_end(struct text_buffer *out, const struct answer_head *head,
                             const struct answer_piece *piece)
{
    text_buffer_append_text(out, ",\"logprobs\":");
    if (!head->logprobs || piece->token_count == 0) {
        text_buffer_append_text(out, "null");
    } else if (head->route == PARAMS_CHAT) {
        write_chat_logprobs(out, head, piece);
    } else {
        write_completion_logprobs(out, head, piece);
    }
    text_buffer_append_text(out, ",\"finish_reason\":");
    json_text_string_or_null(out, piece->finish_reason);
    write_ids(out, head, piece);
    text_buffer_append_text(out, "}");
}

static void write_chunk_choice(struct text_buffer *out, const struct answer_head *head,
                               const struct answer_piece *piece, bool with_role)
{
    text_buffer_printf(out, "{\"index\":%u,", piece->index);
    if (head->route == PARAMS_COMPLETION) {
        text_buffer_append_text(out, "\"text\":");
        json_text_string(out, piece->text, piece->text_bytes);
    } else {
        text_buffer_append_text(out, "\"delta\":{");
        text_buffer_append_text(out, with_role ? "\"role\":\"assistant\"," : "");
        /* The chunk that ends a choice has an empty delta. */
        if (piece->finish_reason == NULL) {
            answer_message_write_delta(out, head, piece);
        }
        text_buffer_append_text(out, "}");
    }
    write_choice_end(out, head, piece);
}

/* ---- around the choices ---- */

static void write_head(struct text_buffer *out, const struct answer_head *head, const char *object)
{
    text_buffer_printf(out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":",
                       head->id, object, head->created);
    json_text_string_or_null(out, head->model_name);
    text_buffer_append_text(out, ",\"choices\":[");
}

static void write_usage(struct text_buffer *out, const struct answer_usage *usage)
{
    text_buffer_printf(out,
                       "{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
                       ",\"total_tokens\":%" PRIu64
                       ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}}",
                       usage->prompt_tokens, usage->completion_tokens,
                       usage->prompt_tokens + usage->completion_tokens, usage->cached_tokens);
}

static const char *chunk_object(const struct answer_head *head)
{
    return head->route == PARAMS_CHAT ? "chat.completion.chunk" : "text_completion";
}

static void write_chunk(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *piece, const struct answer_usage *usage,
                        bool with_role)
{
    write_head(out, head, chunk_object(head));
    write_chunk_choice(out, head, piece, with_role);
    text_buffer_append_text(out, "]");
    if (head->usage_in_chunks) {
        text_buffer_append_text(out, ",\"usage\":");
        if (head->usage_continuous) {
            write_usage(out, usage);
        } else {
            text_buffer_append_text(out, "null");
        }
    }
    text_buffer_append_text(out, "}");
}

void answer_write_role(struct text_buffer *out, const struct answer_head *head,
                       const struct answer_piece *piece, const struct answer_usage *usage)
{
    write_chunk(out, head, piece, usage, true);
}

void answer_write_chunk(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *piece, const struct answer_usage *usage)
{
    write_chunk(out, head, piece, usage, false);
}

void answer_write_usage_chunk(struct text_buffer *out, const struct answer_head *head,
                              const struct answer_usage *usage)
{
    write_head(out, head, chunk_object(head));
    text_buffer_append_text(out, "],\"usage\":");
    write_usage(out, usage);
    text_buffer_append_text(out, "}");
}

static void write_whole_choice(struct text_buffer *out, const struct answer_head *head,
                               const struct answer_piece *piece)
{
    text_buffer_printf(out, "{\"index\":%u,", piece->index);
    if (head->route == PARAMS_CHAT) {
        text_buffer_append_text(out, "\"message\":{\"role\":\"assistant\",");
        answer_message_write(out, head, piece);
        text_buffer_append_text(out, ",\"refusal\":null}");
    } else {
        text_buffer_append_text(out, "\"text\":");
        json_text_string(out, piece->text, piece->text_bytes);
    }
    write_choice_end(out, head, piece);
}

void answer_write_whole(struct text_buffer *out, const struct answer_head *head,
                        const struct answer_piece *pieces, size_t piece_count,
                        const struct answer_usage *usage)
{
    write_head(out, head, head->route == PARAMS_CHAT ? "chat.completion" : "text_completion");
    for (size_t i = 0; i < piece_count; i++) {
        text_buffer_append_text(out, i > 0 ? "," : "");
        write_whole_choice(out, head, &pieces[i]);
    }
    text_buffer_append_text(out, "],\"usage\":");
    write_usage(out, usage);
    text_buffer_append_text(out, "}");
}
