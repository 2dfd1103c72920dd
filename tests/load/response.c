/* response.c - a state per part of the message; lines are gathered, bodies pass through.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/load/response.h"

#include "tests/load/bounds.h"

#include <string.h>
#include <strings.h>

void response_reset(struct response *response)
{
    buffer_clear(&response->line);
    *response = (struct response){.line = response->line};
}

void response_release(struct response *response)
{
    buffer_release(&response->line);
}

static bool digits(const char *text, size_t text_bytes, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text_bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || value > UINT64_C(1) << 56) {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return text_bytes > 0;
}

/* "HTTP/1.1 200 OK" */
static bool status_line(struct response *response, const char *line, size_t line_bytes)
{
    uint64_t status = 0;
    if (line_bytes < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
        !digits(line + 9, 3, &status) || status < 100) {
        return false;
    }
    response->close_after = line[7] == '0';
    response->status = (int)status;
    return true;
}

static bool holds(const char *value, size_t value_bytes, const char *word)
{
    size_t word_bytes = strlen(word);
    for (size_t i = 0; i + word_bytes <= value_bytes; i++) {
        if (strncasecmp(value + i, word, word_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name(const char *line, size_t name_bytes, const char *name)
{
    return name_bytes == strlen(name) && strncasecmp(line, name, name_bytes) == 0;
}

static bool header_line(struct response *response, const char *line, size_t line_bytes)
{
    const char *colon = memchr(line, ':', line_bytes);
    if (colon == NULL) {
        return false;
    }
    size_t name_bytes = (size_t)(colon - line);
    const char *value = colon + 1;
    size_t value_bytes = line_bytes - name_bytes - 1;
    while (value_bytes > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        value_bytes--;
    }
    if (is_name(line, name_bytes, "content-length")) {
        response->has_length = true;
        return digits(value, value_bytes, &response->remaining);
    }
    if (is_name(line, name_bytes, "transfer-encoding")) {
        response->chunked = holds(value, value_bytes, "chunked");
    } else if (is_name(line, name_bytes, "connection")) {
        response->close_after = response->close_after || holds(value, value_bytes, "close");
    } else if (is_name(line, name_bytes, "content-type")) {
        response->event_stream = holds(value, value_bytes, "text/event-stream");
    } else if (is_name(line, name_bytes, "retry-after")) {
        uint64_t seconds = 0;
        if (digits(value, value_bytes, &seconds) && seconds < UINT32_MAX) {
            response->retry_after_s = (uint32_t)seconds;
        }
    }
    return true;
}

/* How the body is delimited (RFC 9112, 6.3). */
static enum response_state after_head(struct response *response)
{
    if (response->status / 100 == 1) {
        response->status = 0; /* an interim answer: the real one follows */
        return RESPONSE_HEAD;
    }
    if (response->status == 204 || response->status == 304) {
        return RESPONSE_DONE;
    }
    if (response->chunked) {
        return RESPONSE_CHUNK_SIZE;
    }
    if (response->has_length) {
        return response->remaining > 0 ? RESPONSE_BODY : RESPONSE_DONE;
    }
    response->until_close = true;
    response->close_after = true;
    return RESPONSE_BODY;
}

static enum response_state head_line(struct response *response, const char *line, size_t line_bytes)
{
    if (response->status == 0) {
        return status_line(response, line, line_bytes) ? RESPONSE_HEAD : RESPONSE_BAD;
    }
    if (line_bytes == 0) {
        return after_head(response);
    }
    return header_line(response, line, line_bytes) ? RESPONSE_HEAD : RESPONSE_BAD;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum response_state size_line(struct response *response, const char *line, size_t line_bytes)
{
    uint64_t size = 0;
    size_t at = 0;
    for (; at < line_bytes && hex_value(line[at]) >= 0; at++) {
        if (size > UINT64_C(1) << 56) {
            return RESPONSE_BAD;
        }
        size = size * 16 + (uint64_t)hex_value(line[at]);
    }
    /* Extensions after a semicolon mean nothing to us. */
    if (at == 0 || (at < line_bytes && line[at] != ';' && line[at] != ' ')) {
        return RESPONSE_BAD;
    }
    response->remaining = size;
    return size > 0 ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
}

static enum response_state take_line(struct response *response, const char *line, size_t line_bytes)
{
    switch (response->state) {
    case RESPONSE_HEAD:
        return head_line(response, line, line_bytes);
    case RESPONSE_CHUNK_SIZE:
        return size_line(response, line, line_bytes);
    case RESPONSE_CHUNK_END:
        return line_bytes == 0 ? RESPONSE_CHUNK_SIZE : RESPONSE_BAD;
    default:
        return line_bytes == 0 ? RESPONSE_DONE : RESPONSE_TRAILER;
    }
}

/* A line that lies whole in the piece is read where it lies. */
static size_t feed_line(struct response *response, const char *bytes, size_t byte_count)
{
    const char *newline = memchr(bytes, '\n', byte_count);
    size_t taken = newline != NULL ? (size_t)(newline - bytes) + 1 : byte_count;
    bool in_head = response->state == RESPONSE_HEAD || response->state == RESPONSE_TRAILER;
    response->head_bytes += in_head ? taken : 0;
    if (response->head_bytes > BOUND_HEADER_BYTES ||
        response->line.used + taken > BOUND_HEADER_BYTES) {
        response->state = RESPONSE_BAD;
        return taken;
    }
    const char *line = bytes;
    size_t line_bytes = taken;
    if (newline == NULL || response->line.used > 0) {
        buffer_append(&response->line, bytes, taken);
        line = response->line.bytes;
        line_bytes = response->line.used;
    }
    if (response->line.failed) {
        response->state = RESPONSE_BAD;
    } else if (newline != NULL) {
        line_bytes--;
        line_bytes -= line_bytes > 0 && line[line_bytes - 1] == '\r';
        response->state = take_line(response, line, line_bytes);
        response->line.used = 0;
    }
    return taken;
}

static size_t feed_body(struct response *response, const char *bytes, size_t byte_count,
                        response_body_fn *on_body, void *context)
{
    size_t taken = byte_count;
    if (!response->until_close && response->remaining < taken) {
        taken = (size_t)response->remaining;
    }
    on_body(context, bytes, taken);
    if (!response->until_close) {
        response->remaining -= taken;
        if (response->remaining == 0) {
            response->state =
                response->state == RESPONSE_CHUNK_DATA ? RESPONSE_CHUNK_END : RESPONSE_DONE;
        }
    }
    return taken;
}

size_t response_feed(struct response *response, const char *bytes, size_t byte_count,
                     response_body_fn *on_body, void *context)
{
    size_t at = 0;
    while (at < byte_count && response->state != RESPONSE_DONE && response->state != RESPONSE_BAD) {
        if (response->state == RESPONSE_BODY || response->state == RESPONSE_CHUNK_DATA) {
            at += feed_body(response, bytes + at, byte_count - at, on_body, context);
        } else {
            at += feed_line(response, bytes + at, byte_count - at);
        }
    }
    return at;
}

void response_end(struct response *response)
{
    bool complete = response->state == RESPONSE_BODY && response->until_close;
    if (response->state != RESPONSE_DONE) {
        response->state = complete ? RESPONSE_DONE : RESPONSE_BAD;
    }
}
