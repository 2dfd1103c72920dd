/* mock_answer.c - the shapes that vLLM, llama-server and sluiced send, at their usual sizes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/mock_answer.h"

#include "tests/load/bounds.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static uint32_t word_count(const char *text)
{
    uint32_t count = 0;
    bool in_word = false;
    for (; *text != '\0'; text++) {
        bool is_space = *text == ' ' || *text == '\n';
        count += !is_space && !in_word;
        in_word = !is_space;
    }
    return count;
}

static uint32_t prompt_tokens(const json_t *body)
{
    const json_t *prompt = json_object_get(body, "prompt");
    if (json_is_string(prompt)) {
        return word_count(json_string_value(prompt));
    }
    if (json_is_array(prompt)) {
        return (uint32_t)json_array_size(prompt);
    }
    uint32_t count = 0;
    const json_t *messages = json_object_get(body, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const char *content =
            json_string_value(json_object_get(json_array_get(messages, i), "content"));
        count += content != NULL ? word_count(content) : 0;
    }
    return count;
}

const char *mock_answer_read(struct mock_job *job, bool is_chat, const char *body,
                             size_t body_bytes)
{
    json_error_t problem;
    json_t *object = json_loadb(body, body_bytes, 0, &problem);
    const char *why = NULL;
    json_int_t tokens = json_integer_value(json_object_get(object, "max_tokens"));
    if (!json_is_object(object)) {
        why = "{\"error\":{\"message\":\"the body is not a JSON object\","
              "\"type\":\"invalid_request_error\"}}";
    } else if (!json_is_true(json_object_get(object, "stream"))) {
        why = "{\"error\":{\"message\":\"the mock only streams\","
              "\"type\":\"invalid_request_error\"}}";
    } else if (tokens < 1 || tokens > (json_int_t)BOUND_TOKENS) {
        why = "{\"error\":{\"message\":\"max_tokens is not in 1 to 1000000\","
              "\"type\":\"invalid_request_error\"}}";
    }
    *job = (struct mock_job){.is_chat = is_chat,
                             .prompt_tokens = prompt_tokens(object),
                             .output_tokens = why == NULL ? (uint32_t)tokens : 0};
    json_decref(object);
    return why;
}

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void mock_answer_plain(struct buffer *out, int status, const char *json)
{
    buffer_format(out,
                  "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                  "\r\n%s",
                  status, reason_of(status), strlen(json), json);
}

void mock_answer_head(struct buffer *out)
{
    buffer_text(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                     "Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void append_chunk(struct buffer *out, const char *text, size_t text_bytes)
{
    buffer_format(out, "%zx\r\n", text_bytes);
    buffer_append(out, text, text_bytes);
    buffer_text(out, "\r\n");
}

void mock_answer_tokens(struct buffer *out, struct mock_job *job, uint32_t token_count)
{
    char text[512];
    char words[64] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < token_count && used + 6 < sizeof words; i++) {
        memcpy(words + used, " word", 6);
        used += 5;
    }
    const char *head = job->is_chat
                           ? "\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\""
                           : "\"id\":\"cmpl-mock\",\"object\":\"text_completion\"";
    int text_bytes = snprintf(text, sizeof text,
                              "data: {%s,\"created\":1700000000,\"model\":\"mock\",\"choices\":"
                              "[{\"index\":0,%s%s%s,\"logprobs\":null,\"finish_reason\":null}],"
                              "\"usage\":null}\n\n",
                              head, job->is_chat ? "\"delta\":{\"content\":\"" : "\"text\":\"",
                              words, job->is_chat ? "\"}" : "\"");
    append_chunk(out, text, (size_t)text_bytes);
    job->sent_tokens += token_count;
}

void mock_answer_end(struct buffer *out, const struct mock_job *job)
{
    char text[1024];
    const char *object = job->is_chat ? "chat.completion.chunk" : "text_completion";
    int text_bytes = snprintf(
        text, sizeof text,
        "data: {\"id\":\"mock\",\"object\":\"%s\",\"created\":1700000000,\"model\":\"mock\","
        "\"choices\":[{\"index\":0,%s,\"finish_reason\":\"length\"}],\"usage\":null}\n\n"
        "data: {\"id\":\"mock\",\"object\":\"%s\",\"created\":1700000000,\"model\":\"mock\","
        "\"choices\":[],\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,"
        "\"total_tokens\":%u}}\n\ndata: [DONE]\n\n",
        object, job->is_chat ? "\"delta\":{}" : "\"text\":\"\"", object, job->prompt_tokens,
        job->sent_tokens, job->prompt_tokens + job->sent_tokens);
    append_chunk(out, text, (size_t)text_bytes);
    buffer_text(out, "0\r\n\r\n");
}
